"""A measurement that is taken again where it was not good: what a program can do is shown by its best try.

What else runs meanwhile takes its share of caches and cores.
"""

from __future__ import annotations

from collections.abc import Callable

MOST = 4


def tried(measure: Callable[[], float], good: Callable[[float], bool], most: int = MOST) -> list[float]:
    """What was measured, until it was good; the last one tells whether it ever was."""
    found = [measure()]
    while not good(found[-1]) and len(found) < most:
        found.append(measure())
    return found
