"""The duplicate window: the latest ids, bounded, shared by all sockets of a connector's stream."""

from __future__ import annotations


class Window:
    """Remembers between ``size`` and twice ``size`` of the latest ids, about 110 bytes each; a size of 0 nothing.

    Two generations of a set: when the young one is full it becomes the old one, so that forgetting costs nothing per
    record.
    """

    __slots__ = ("_old", "_young", "size")

    def __init__(self, size: int = 50_000) -> None:
        self.size = size
        self._young: set[str] = set()
        self._old: set[str] = set()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def seen(self, identity: str) -> bool:
        """Whether the id came lately; remembers it."""
        young = self._young
        if not self.size:
            return False
        if identity in young or identity in self._old:
            return True
        young.add(identity)
        if len(young) >= self.size:
            self._old, self._young = young, set()
        return False
