"""Closing gaps: which are open, which REST calls fetch what is missing, and how their rows become records."""
