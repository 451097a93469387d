"""What another package adds to k2conn: a sink and a transport."""
