"""Other programs on the same frames as k2conn: how each is got, started and judged."""
