"""The subscriptions of a connection, one for each stream and symbol, and how the venue answered them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from k2conn.plan import Json, Symbol


class SubscriptionState(StrEnum):
    """The state of a subscription; it starts as pending."""

    CONFIRMED = "confirmed"
    """Acknowledged, or its first data was received."""
    PENDING = "pending"
    REFUSED = "refused"
    UNACKNOWLEDGED = "unacknowledged"
    """It was not answered in time; data may still confirm it."""


@dataclass(slots=True)
class Subscription:
    """One stream of one symbol."""

    stream: str
    symbol: Symbol
    topic: Json = None
    state: SubscriptionState = SubscriptionState.PENDING
    reason: str = ""
    data: bool = False
    """Whether data has been received."""
    asked: float = 0.0
    """When it was requested (seconds, monotonic); 0 where that was when the connection was opened."""

    @property
    def key(self) -> tuple[str, str]:
        """Stream and native symbol."""
        return self.stream, self.symbol.native


class Subscriptions:
    """All subscriptions of one connection."""

    def __init__(self, wanted: Iterable[Subscription]) -> None:
        self.all = tuple(wanted)
        self._by_key = {one.key: one for one in self.all}
        self.quiet = set(self._by_key)
        """Keys of the subscriptions without data so far."""
        self._every = _of_every(self.all)

    def replace(self, wanted: Sequence[Subscription]) -> tuple[list[Subscription], list[Subscription]]:
        """Replaces the subscriptions; those in both sets keep their state. Returns (added, removed)."""
        known = self._by_key
        self.all = tuple(known.get(one.key, one) for one in wanted)
        self._by_key = {one.key: one for one in self.all}
        self._every = _of_every(self.all)
        added = [one for key, one in self._by_key.items() if key not in known]
        removed = [one for key, one in known.items() if key not in self._by_key]
        self.quiet = (self.quiet & self._by_key.keys()) | {one.key for one in added}
        return added, removed

    @property
    def waiting(self) -> bool:
        """Whether some have had no data yet; only then need `heard` be called."""
        return bool(self.quiet)

    def expects(self, stream: str, native: str) -> bool:
        """Whether data would be the first of a subscription."""
        key = (stream, native)
        return bool(self.quiet) and (key in self.quiet or self._every.get(stream, key) in self.quiet)

    def heard(self, stream: str, native: str) -> Subscription | None:
        """Called for data; returns the subscription if this is its first data."""
        key = (stream, native)
        if key not in self.quiet:
            key = self._every.get(stream, key)  # data of any symbol is that of a subscription of all
        if key not in self.quiet:
            return None
        self.quiet.discard(key)
        found = self._by_key[key]
        found.data = True
        if found.state != SubscriptionState.CONFIRMED:
            found.state = SubscriptionState.CONFIRMED
            found.reason = "first data"
        return found

    def of(self, streams: tuple[str, ...]) -> list[Subscription]:
        """Those of some streams."""
        return [one for one in self.all if one.stream in streams]

    def count(self, state: SubscriptionState) -> int:
        """How many are in a state."""
        return sum(one.state == state for one in self.all)


def _of_every(subscriptions: Iterable[Subscription]) -> dict[str, tuple[str, str]]:
    """By stream: the key of the subscription of all symbols, where there is one."""
    return {one.stream: one.key for one in subscriptions if one.symbol.is_every}
