"""Delays between attempts: full jitter below a growing bound."""

from __future__ import annotations

from collections.abc import Callable

from k2conn.plan import Backoff

LONGEST_PROBATION = 60.0
"""Seconds after which every connection has stood for a while."""


class BackoffDelays:
    """The delays of one series of attempts. ``random`` gives a number in [0, 1).

    An attempt that had an effect (data) is not counted as in vain, but only one whose effect lasted makes the delays
    short again: a venue that gives a moment's data and then closes is not asked ever more often.
    """

    def __init__(self, policy: Backoff, random: Callable[[], float]) -> None:
        self._policy = policy
        self._random = random
        self._growth = 0
        self.attempts = 0
        """Attempts in vain, one after the other."""

    @property
    def stands(self) -> float:
        """Seconds that a connection lasts which makes the delays short again: as long as the longest of them, at most a
        minute.
        """
        return min(self._policy.cap, LONGEST_PROBATION)

    def next(self, least: float = 0.0) -> float:
        """Seconds to wait before the next attempt, at least ``least``."""
        bound = min(self._policy.cap, self._policy.base * self._policy.factor ** min(self._growth, 60))
        self._growth += 1
        self.attempts += 1
        return max(least, bound * self._random())

    def proved(self) -> None:
        """An attempt had an effect: it was not in vain."""
        self.attempts = 0

    def reset(self) -> None:
        """The effect of an attempt lasted: the bound falls back to the beginning."""
        self.attempts = self._growth = 0

    @property
    def exhausted(self) -> bool:
        """Whether the policy's attempts are used up."""
        return self._policy.attempts is not None and self.attempts >= self._policy.attempts
