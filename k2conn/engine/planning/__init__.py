"""Predictions about a run: its load on the venue, and which symbols cannot be carried by separate processes."""
