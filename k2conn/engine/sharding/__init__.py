"""Distributes symbols over connections, at the start and when the symbols change."""
