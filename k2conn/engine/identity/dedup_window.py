"""The duplicate window: the latest ids, bounded, shared by all sockets of a connector's stream.

Beside each id stands what its record says, in short (`record_content`): an equal id with other content is no repeat.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from k2conn.engine.identity.record_content import KNOWN_NOT, same_content, told_apart
from k2conn.engine.resilience.replicas import Replica

REMEMBERED = 16_000
"""Ids: some seconds of a very busy stream. A snapshot, a replica, a rotation repeat what is younger than that."""


class DedupWindow:
    """Remembers between ``size`` and twice ``size`` of the latest ids, about 175 bytes each; a size of 0 nothing.

    Two generations of a table that keeps its order: when the young one is full it becomes the old one, so that
    forgetting costs nothing per record, and the latest ids can be told for the next process.
    """

    __slots__ = ("old", "replica", "size", "young")

    def __init__(self, size: int = REMEMBERED) -> None:
        self.size = size
        self.replica: Replica | None = None
        """Of several sockets with the same subscriptions, the one whose frame is being read."""
        self.young: dict[str, bytes] = {}
        """What came lately, with its content; who writes here says `turn` when it is full."""
        self.old: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self.young) + len(self.old)

    def seen(self, identity: str, content: bytes = KNOWN_NOT) -> bool:
        """Whether this record came lately; remembers it."""
        return self.admit(identity, content) is None

    def admit(self, identity: str, content: bytes) -> str | None:
        """The id under which a record is to be published, which is remembered: its own, or another one where its own
        is another record's. None where it came lately.
        """
        before = self._content(identity)
        if before is not None and before != content and not same_content(before, content):
            identity = told_apart(identity, content)
            before = self._content(identity)
        if self.replica is not None:
            self.replica.note(identity, before is not None)
        if before is not None:
            return None
        if self.size:
            self.young[identity] = content
            if len(self.young) >= self.size:
                self.turn()
        return identity

    def _content(self, identity: str) -> bytes | None:
        found = self.young.get(identity)
        return self.old.get(identity) if found is None else found

    def turn(self) -> None:
        """The young generation is full: it becomes the old one."""
        self.old, self.young = self.young, {}

    def tail(self, count: int) -> dict[str, bytes]:
        """The latest ids with their content, at most ``count`` of them, oldest first."""
        found = list(islice(reversed(self.young.items()), count))
        found += islice(reversed(self.old.items()), count - len(found))
        return dict(found[::-1])

    def resume(self, ids: Iterable[tuple[str, bytes]]) -> None:
        """Takes in what an earlier process saw, oldest first."""
        for identity, content in ids:
            self.admit(identity, content)
