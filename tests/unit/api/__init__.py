"""The parts of `k2conn serve` by themselves."""
