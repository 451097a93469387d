"""The targets in Python: each file has `target`, `seeds` and `WORDS` (see `tests.fuzz.target`)."""
