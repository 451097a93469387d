"""Which record is which: deterministic message ids, and the window that drops what was seen before."""
