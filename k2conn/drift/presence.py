"""How often something comes, and when that it comes, or does not, is no chance any more.

Both questions are asked of a thing (a path, a kind of value) that may come with another one (its parent). Of the
parent's first ``n`` appearances it came with ``k``.

- *Gone*: it then stayed away ``m`` times. Were its rate still about (k + 1)/(n + 2), the chance of that is
  (1 - rate)^m.
- *New*: it never came within n, and then c times within m. If it had come at that rate all along, the chance that all c
  fall among the last m of n + m is less than (m / (n + m))^c.

So what always came is missed after a few messages, what is rare only after many; and what is rare and comes for the
first time is no news until it comes more often than its absence so far allows.
"""

from __future__ import annotations

from typing import NamedTuple


class Certainty(NamedTuple):
    """From when on something is told."""

    learned: int = 100
    """Appearances of the parent before anything is new."""
    settled: int = 30
    """Appearances of a thing before it can be gone."""
    chance: float = 1e-5
    """The chance below which it is none."""
    times: int = 3
    """Appearances of what is new, at least."""
    misses: int = 5
    """Times in a row that what is gone was away, at least."""


class Presence:
    """That of one thing, counted in the appearances of its parent."""

    __slots__ = ("count", "first", "last", "told")

    def __init__(self, now: int) -> None:
        """``now``: the parent's appearances, this one counted."""
        self.count = 0
        self.first = now
        self.last = now
        self.told = False
        """Whether it was told to be new, or gone."""

    def seen(self, now: int) -> None:
        """It came with the parent's ``now``-th appearance."""
        self.count += 1
        self.last = now

    def is_new(self, now: int, sure: Certainty) -> bool:
        """Whether it is one that did not come before."""
        before, since = self.first - 1, now - self.first + 1
        if before < sure.learned or self.count < sure.times:
            return False
        chance: float = (since / (before + since)) ** self.count
        return chance < sure.chance

    def is_gone(self, now: int, sure: Certainty) -> bool:
        """Whether it does not come any more."""
        away = now - self.last
        if away < sure.misses or self.count < sure.settled:
            return False
        known = self.last - self.first + 1
        rate = (self.count + 1) / (known + 2)
        chance: float = (1 - rate) ** away
        return chance < sure.chance
