"""`k2conn serve` as its users see it: real processes, real sockets."""
