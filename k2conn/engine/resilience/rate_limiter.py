"""A venue's limit on how often something may be done (connecting, a REST call): when may it be done next?"""

from __future__ import annotations

from collections import deque

from k2conn.plan import Rate


class RateLimiter:
    """Counts attempts without a clock: the caller says the time (seconds, monotonic) and waits for what it is told."""

    def __init__(self, limit: Rate | None) -> None:
        self._limit = limit
        self._attempts: deque[float] = deque()

    def under(self, limit: Rate | None) -> RateLimiter:
        """Another limit on the same attempts: those made through either limiter count in both."""
        other = RateLimiter(limit)
        other._attempts = self._attempts
        return other

    def wait(self, now: float) -> float:
        """Books the next attempt and gives the seconds to wait for it."""
        if self._limit is None:
            return 0.0
        attempts = self._attempts
        while attempts and attempts[0] <= now - self._limit.seconds:
            attempts.popleft()
        free = now + self.foreseen(now)
        attempts.append(free)
        return free - now

    def foreseen(self, now: float) -> float:
        """The seconds that an attempt would have to wait; nothing is booked."""
        if self._limit is None or len(self._attempts) < self._limit.count:
            return 0.0
        return max(0.0, self._attempts[-self._limit.count] + self._limit.seconds - now)
