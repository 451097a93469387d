"""How often Python looks for garbage: seldom while a command starts, for nearly all that a start makes stays."""

from __future__ import annotations

import gc

_AS_USUAL = gc.get_threshold()
_WHILE_STARTING = (10_000, 10, 10)


def look_seldom() -> None:
    """For a start, which takes a tenth less time so."""
    gc.set_threshold(*_WHILE_STARTING)


def keep_and_look_as_usual() -> None:
    """For a run: what was loaded and compiled stays, so that nobody need look at it again; what comes now may not."""
    gc.set_threshold(*_AS_USUAL)
    gc.collect()
    gc.freeze()
