"""When what a venue refused is asked for again: each subscription after a delay of its own, which grows.

A refusal is often for the moment only (a rate limit, a busy service), and a connection may stand for days. Pure: times
are seconds of a monotonic clock and come in.
"""

from __future__ import annotations

from k2conn.plan import Retry

FIRST = 30.0
"""Seconds to the first time a refused subscription is asked for again."""
FACTOR = 2.0
LONGEST = 1800.0
_TOGETHER = 5.0
"""What is due so many seconds later is asked for in one go."""

AS_EVER = Retry()
"""Where the file does not say when."""

Key = tuple[str, str]
"""Stream and native symbol."""


class SubscriptionRetries:
    """What one connection is to ask for again, and when."""

    def __init__(self) -> None:
        self._failures: dict[Key, int] = {}
        self._due: dict[Key, float] = {}

    def failures(self, key: Key) -> int:
        """How often a subscription was refused, or not answered, without having been confirmed since."""
        return self._failures.get(key, 0)

    def failed(self, key: Key, now: float, final: bool, retry: Retry = AS_EVER) -> bool:
        """A subscription was refused or not answered; ``final``: for good. Whether it is asked for again."""
        before = self._failures.get(key, 0)
        self._failures[key] = before + 1
        if final or (retry.attempts is not None and before >= retry.attempts):
            self._due.pop(key, None)
            return False
        first = FIRST if retry.after is None else retry.after
        longest = max(first, LONGEST if retry.longest is None else retry.longest)
        self._due[key] = now + min(longest, first * FACTOR ** min(before, 60))
        return True

    def settle(self, key: Key) -> None:
        """A subscription stands, or is no longer wanted."""
        self._failures.pop(key, None)
        self._due.pop(key, None)

    @property
    def deadline(self) -> float | None:
        """When the next one is due; None where none is."""
        return min(self._due.values(), default=None)

    def take_due(self, now: float) -> set[Key]:
        """What is to be asked for again now, and those that are due soon; none of them is due any more."""
        if not any(due <= now for due in self._due.values()):
            return set()
        found = {key for key, due in self._due.items() if due <= now + _TOGETHER}
        for key in found:
            del self._due[key]
        return found
