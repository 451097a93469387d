"""A venue's limit on how often something may be done (connecting, a REST call): when may it be done next?"""

from __future__ import annotations

from bisect import bisect_right, insort

from k2conn.engine.resilience.limit_share import LimitShare, part_of
from k2conn.plan import Rate


class Attempts:
    """When something was done, or will be: seconds, monotonic, in their order. Several limits may count the same."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.longest = 0.0
        """Seconds for which they are kept: the longest span of the limits that count them."""

    def forget(self, now: float) -> None:
        """Drops what no limit counts any more."""
        del self.times[: bisect_right(self.times, now - self.longest)]


class RateLimiter:
    """Counts attempts without a clock: the caller says the time (seconds, monotonic) and waits for what it is told.
    ``share``: the part of the limit that is this process's.
    """

    def __init__(
        self, limit: Rate | None, attempts: Attempts | None = None, share: LimitShare | None = None
    ) -> None:
        self._limit = limit
        self._attempts = Attempts() if attempts is None else attempts
        self._share = LimitShare() if share is None else share
        self._own()

    def under(self, limit: Rate | None) -> RateLimiter:
        """Another limit on the same attempts: those made through either limiter count in both."""
        return RateLimiter(limit, self._attempts, self._share)

    def wait(self, now: float) -> float:
        """Books the next attempt and gives the seconds to wait for it."""
        if self._own() is None:
            return 0.0
        self._attempts.forget(now)
        free = now + self.foreseen(now)
        insort(self._attempts.times, free)
        return free - now

    def foreseen(self, now: float) -> float:
        """The seconds that an attempt would have to wait; nothing is booked."""
        times, own = self._attempts.times, self._own()
        if own is None or self._limit is None:
            return 0.0
        if len(times) < own.count or times[-1] <= now - own.seconds:
            return self._share.turn(self._limit)
        return max(0.0, times[-own.count] + own.seconds - now)

    def _own(self) -> Rate | None:
        """This process's part of the limit, as it is divided now."""
        own = part_of(self._limit, self._share.among)
        if own is not None:
            self._attempts.longest = max(self._attempts.longest, own.seconds)
        return own
