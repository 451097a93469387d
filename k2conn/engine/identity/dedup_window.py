"""The duplicate window: the latest ids, bounded, shared by all sockets of a connector's stream."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from k2conn.engine.resilience.replicas import Replica

REMEMBERED = 16_000
"""Ids: some seconds of a very busy stream. A snapshot, a replica, a rotation repeat what is younger than that."""


class DedupWindow:
    """Remembers between ``size`` and twice ``size`` of the latest ids, about 125 bytes each; a size of 0 nothing.

    Two generations of a table that keeps its order: when the young one is full it becomes the old one, so that
    forgetting costs nothing per record, and the latest ids can be told for the next process.
    """

    __slots__ = ("old", "replica", "size", "young")

    def __init__(self, size: int = REMEMBERED) -> None:
        self.size = size
        self.replica: Replica | None = None
        """Of several sockets with the same subscriptions, the one whose frame is being read."""
        self.young: dict[str, None] = {}
        """What came lately; who writes here says `turn` when it is full."""
        self.old: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self.young) + len(self.old)

    def seen(self, identity: str) -> bool:
        """Whether the id came lately; remembers it."""
        young = self.young
        if self.replica is not None:
            self.replica.note(identity, identity in young or identity in self.old)
        if not self.size:
            return False
        if identity in young or identity in self.old:
            return True
        young[identity] = None
        if len(young) >= self.size:
            self.turn()
        return False

    def turn(self) -> None:
        """The young generation is full: it becomes the old one."""
        self.old, self.young = self.young, {}

    def tail(self, count: int) -> list[str]:
        """The latest ids, at most ``count`` of them, oldest first."""
        found = list(islice(reversed(self.young), count))
        found += islice(reversed(self.old), count - len(found))
        return found[::-1]

    def resume(self, ids: Iterable[str]) -> None:
        """Takes in what an earlier process saw, oldest first."""
        for identity in ids:
            self.seen(identity)
