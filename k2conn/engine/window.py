"""The duplicate window: the latest ids, bounded, shared by all sockets of a connector's stream."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from k2conn.engine.legs import Leg


class Window:
    """Remembers between ``size`` and twice ``size`` of the latest ids, about 125 bytes each; a size of 0 nothing.

    Two generations of a table that keeps its order: when the young one is full it becomes the old one, so that
    forgetting costs nothing per record, and the latest ids can be told for the next process.
    """

    __slots__ = ("_old", "_young", "leg", "size")

    def __init__(self, size: int = 50_000) -> None:
        self.size = size
        self.leg: Leg | None = None
        """Of several sockets with the same subscriptions, the one whose frame is being read."""
        self._young: dict[str, None] = {}
        self._old: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def seen(self, identity: str) -> bool:
        """Whether the id came lately; remembers it."""
        young = self._young
        if self.leg is not None:
            self.leg.note(identity, identity in young or identity in self._old)
        if not self.size:
            return False
        if identity in young or identity in self._old:
            return True
        young[identity] = None
        if len(young) >= self.size:
            self._old, self._young = young, {}
        return False

    def tail(self, count: int) -> list[str]:
        """The latest ids, at most ``count`` of them, oldest first."""
        found = list(islice(reversed(self._young), count))
        found += islice(reversed(self._old), count - len(found))
        return found[::-1]

    def resume(self, ids: Iterable[str]) -> None:
        """Takes in what an earlier process saw, oldest first."""
        for identity in ids:
            self.seen(identity)
