"""Delays between attempts: full jitter below a growing bound."""

from __future__ import annotations

from collections.abc import Callable

from k2conn.plan import Backoff


class BackoffDelays:
    """The delays of one series of attempts. ``random`` gives a number in [0, 1)."""

    def __init__(self, policy: Backoff, random: Callable[[], float]) -> None:
        self._policy = policy
        self._random = random
        self.attempts = 0

    def next(self, least: float = 0.0) -> float:
        """Seconds to wait before the next attempt, at least ``least``."""
        bound = min(self._policy.cap, self._policy.base * self._policy.factor ** min(self.attempts, 60))
        self.attempts += 1
        return max(least, bound * self._random())

    def reset(self) -> None:
        """An attempt has proved good: the bound falls back to the beginning."""
        self.attempts = 0

    @property
    def exhausted(self) -> bool:
        """Whether the policy's attempts are used up."""
        return self._policy.attempts is not None and self.attempts >= self._policy.attempts
