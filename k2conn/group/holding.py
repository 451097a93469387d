"""What one member runs: the slots that are its own, and those it has lost until somebody else carries them.

So a slot that moves is carried by two for a moment and by nobody never: what both publish has the same ids.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable


class SlotHolding:
    """The slots of one member."""

    def __init__(self) -> None:
        self.owned: frozenset[int] = frozenset()
        self.lost: frozenset[int] = frozenset()
        """Those that are still run, because nobody else carries them yet."""

    @property
    def running(self) -> frozenset[int]:
        """All that is to run here."""
        return self.owned | self.lost

    def given(self, slots: Iterable[int]) -> None:
        """The group has given the member these slots, and no others."""
        owned = frozenset(slots)
        self.lost = self.running - owned
        self.owned = owned

    def carried_by_others(self, slots: Collection[int]) -> bool:
        """Others carry these slots: what was lost of them need not be run any more. Whether that ends anything."""
        kept = self.lost - frozenset(slots)
        ended, self.lost = kept != self.lost, kept
        return ended
