"""Fuzzing: one small target for each reader of input that others wrote, and the engines that run them.

`python -m tests.fuzz` runs them (see docs/fuzzing.md); the tests beside it replay what was found and run each target
for a moment.
"""
