"""What was asked for and what came of it: one subscription for each stream and symbol of a connection.

pending -> confirmed (by an acknowledgement or the first data) | refused | unacknowledged (no answer in time; data may
still confirm it).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from k2conn.plan import Json, Symbol

PENDING, CONFIRMED, REFUSED, UNACKNOWLEDGED = "pending", "confirmed", "refused", "unacknowledged"


@dataclass(slots=True)
class Subscription:
    """One stream of one symbol."""

    stream: str
    symbol: Symbol
    topic: Json = None
    state: str = PENDING
    reason: str = ""
    data: bool = False
    """Whether a first data frame came."""


class Subscriptions:
    """All subscriptions of one connection."""

    def __init__(self, wanted: Iterable[Subscription]) -> None:
        self.all = tuple(wanted)
        self._by_key = {(one.stream, one.symbol.native): one for one in self.all}
        self._quiet = set(self._by_key)
        """Those without data so far."""

    @property
    def waiting(self) -> bool:
        """Whether some have had no data yet: only then must `heard` be told."""
        return bool(self._quiet)

    def heard(self, stream: str, native: str) -> Subscription | None:
        """Data came; the subscription if it was the first."""
        key = (stream, native)
        if key not in self._quiet:
            return None
        self._quiet.discard(key)
        found = self._by_key[key]
        found.data = True
        if found.state != CONFIRMED:
            found.state = CONFIRMED
            found.reason = "first data"
        return found

    def of(self, streams: tuple[str, ...]) -> list[Subscription]:
        """Those of some streams."""
        return [one for one in self.all if one.stream in streams]

    def count(self, state: str) -> int:
        """How many are in a state."""
        return sum(one.state == state for one in self.all)
