"""A venue's limit on connection attempts, shared by all sockets of a connector: when may the next one be made?"""

from __future__ import annotations

from collections import deque

from k2conn.plan import Rate


class ConnectLimiter:
    """A token bucket without a clock: the caller says the time and waits for what it is told."""

    def __init__(self, limit: Rate | None) -> None:
        self._limit = limit
        self._passed: deque[float] = deque()

    def follow(self, before: ConnectLimiter) -> None:
        """Counts the attempts of the gate that this one replaces, too."""
        self._passed = before._passed

    def wait(self, now: float) -> float:
        """Books the next attempt and gives the seconds to wait for it."""
        if self._limit is None:
            return 0.0
        while self._passed and self._passed[0] <= now - self._limit.seconds:
            self._passed.popleft()
        free = now if len(self._passed) < self._limit.count else self._passed[-self._limit.count] + self._limit.seconds
        self._passed.append(free)
        return max(0.0, free - now)
