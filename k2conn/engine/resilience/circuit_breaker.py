"""A circuit breaker for each address of a venue, and which of several addresses is to be used now.

::

    CLOSED --so many failures in a row--> OPEN --so many seconds--> HALF_OPEN --so many successes--> CLOSED
                                            ^                           |
                                            +--------one failure--------+

While a breaker is open its address is not tried at all: the next one in order is, or, where there is none, no attempt
is made. Half open, one attempt at a time is let through. A *failure* is a connection that could not be made or that
ended before it had any data; a *success* is one that was subscribed, and again its first data. Pure: time comes in.
"""

from __future__ import annotations

from dataclasses import dataclass

from k2conn.graded import GradedState


class BreakerState(GradedState):
    """From good to bad."""

    CLOSED = "closed"
    """The address is in order."""
    HALF_OPEN = "half-open"
    """One attempt at a time finds out whether it is in order again."""
    OPEN = "open"
    """It is not tried."""


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a breaker opens, for how long, and what closes it."""

    failures: int = 3
    seconds: float = 30.0
    successes: int = 2


class CircuitBreaker:
    """One address's breaker. Times are seconds of a monotonic clock."""

    def __init__(self, breaker_settings: BreakerSettings) -> None:
        self._breaker_settings = breaker_settings
        self._opened_at: float | None = None
        self._failures = 0
        self._successes = 0
        self._probing_until = 0.0
        self.opened = 0
        """How often it has opened."""

    def state(self, now: float) -> BreakerState:
        """CLOSED, BreakerState.OPEN or BreakerState.HALF_OPEN."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if now >= self._opened_at + self._breaker_settings.seconds else BreakerState.OPEN

    def wait(self, now: float) -> float:
        """Seconds until an attempt may be made; 0 where one may be now."""
        if self._opened_at is None:
            return 0.0
        return max(0.0, self._opened_at + self._breaker_settings.seconds - now, self._probing_until - now)

    def attempt(self, now: float) -> None:
        """An attempt is made; half open, no other is let through until its outcome is known."""
        if self.state(now) == BreakerState.HALF_OPEN:
            self._probing_until = now + self._breaker_settings.seconds

    def succeed(self, now: float) -> None:
        """A connection was subscribed, or had its first data."""
        self._probing_until = 0.0
        if self.state(now) == BreakerState.CLOSED:
            return
        self._successes += 1
        if self._successes >= self._breaker_settings.successes:
            self._opened_at, self._failures, self._successes = None, 0, 0

    def proved(self) -> None:
        """Data came: failures count from nothing again."""
        if self._opened_at is None:
            self._failures = 0

    def fail(self, now: float) -> None:
        """A connection could not be made, or ended without data."""
        self._probing_until = 0.0
        self._failures += 1
        state = self.state(now)
        many = self._failures >= self._breaker_settings.failures
        if state == BreakerState.HALF_OPEN or (state == BreakerState.CLOSED and many):
            self._opened_at, self._successes = now, 0
            self.opened += 1

    def ignore(self) -> None:
        """An attempt ended for reasons that say nothing about the address."""
        self._probing_until = 0.0


class Endpoints:
    """A venue's addresses for one kind of connection, in order of preference, each with its breaker.

    Shared by all connections of that kind. ``first``: the address that is preferred to all others; replicas prefer
    different ones.
    """

    def __init__(self, count: int, breaker_settings: BreakerSettings) -> None:
        self.breakers = tuple(CircuitBreaker(breaker_settings) for _ in range(max(1, count)))

    def order(self, first: int = 0) -> list[int]:
        """All addresses, the preferred one first."""
        count = len(self.breakers)
        return [(first + at) % count for at in range(count)]

    def choose(self, now: float, first: int = 0) -> tuple[int, float]:
        """The address to use, and the seconds to wait before it may be used (0 unless all are open)."""
        waits = [(self.breakers[at].wait(now), place, at) for place, at in enumerate(self.order(first))]
        wait, _, at = min(waits)
        return at, wait

    def better(self, at: int, now: float, first: int = 0) -> int | None:
        """An address before ``at`` in the order that may be tried again."""
        order = self.order(first)
        return next((one for one in order[: order.index(at)] if self.breakers[one].wait(now) <= 0), None)
