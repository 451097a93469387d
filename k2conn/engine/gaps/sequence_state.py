"""The numbers of one key (a symbol, or a connection), and which of them are believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from k2conn.engine.gaps.gap import Gap

Hole = tuple[int, int, Gap]
"""The first and the last missing number, and the gap they belong to."""

LARGEST = 2**63 - 1
"""No number is larger, and none is below 0: gap records hold 64 bits."""
JUMP = 1000
"""Numbers ahead that are believed at once; also how near each other two numbers are that confirm each other."""
FARTHEST = 10**9
"""Records that may be missing: a longer jump is a reset."""
HOLES = 256
"""Ranges of missing numbers that are known one by one, the latest ones."""
RUN = 3
"""Numbers in a row that make a reset."""
FAR = 10_000
"""How far below the latest number one is that cannot be late, where times do not tell."""


class Jump(NamedTuple):
    """A number far ahead of the latest one, ``after`` which it came."""

    number: int
    after: int
    now_us: int
    epoch: int
    event_us: int


class OddNumber(NamedTuple):
    """A number that was not believed, or with which counting began anew."""

    key: str
    number: int
    reason: str


def plausible(number: int) -> bool:
    """Whether it can be a record's number at all."""
    return 0 <= number <= LARGEST


class SequenceState:
    """What is known of one key's numbers."""

    __slots__ = ("_holes", "_run_after", "epoch", "event_us", "jump", "last", "latest", "run")

    def __init__(self, first: int, epoch: int, event_us: int) -> None:
        self.begin(first, epoch, event_us)

    def begin(self, first: int, epoch: int, event_us: int) -> None:
        """Counting begins, or begins anew."""
        self.last = first
        self.epoch = epoch
        self.event_us = event_us
        """The event time of the last number's record."""
        self._holes: list[Hole] | None = None
        """None where there was none yet: there may be very many keys."""
        self.latest: Gap | None = None
        """The latest gap."""
        self.jump: Jump | None = None
        """A number far ahead that is not believed yet."""
        self.run: tuple[tuple[int, int], ...] = ()
        """The latest numbers behind that may be a new beginning, with their event times."""
        self._run_after = first
        """The latest number when they came."""

    @property
    def holes(self) -> Sequence[Hole]:
        """Disjoint ranges still missing, oldest first, each with the gap it belongs to."""
        return self._holes or ()

    def began_anew(self, number: int, event_us: int) -> bool:
        """A new record with a number behind that fills no hole; whether it is one of enough in a row.

        By their times: a record that is older than the latest one is merely late. Where times are equal or not known,
        only numbers far behind count.
        """
        times = bool(event_us and self.event_us)
        newer = number < self.last and (
            event_us > self.event_us if times and event_us != self.event_us else number < self.last - FAR
        )
        goes_on = bool(self.run) and self._run_after == self.last and 0 < number - self.run[-1][0] <= JUMP
        if not newer or not goes_on:
            self.run = ()
        if newer:
            self.run = (*self.run, (number, event_us))
            self._run_after = self.last
        return len(self.run) >= RUN

    def miss(self, first: int, last: int, gap: Gap) -> None:
        """A range is missing, and belongs to a gap."""
        if self._holes is None:
            self._holes = []
        self._holes.append((first, last, gap))
        del self._holes[:-HOLES]

    def widen(self, first: int, last: int, count: int, event_us: int) -> bool:
        """One more range is missing, and is counted in the latest gap; False where there is none that waits."""
        gap = self.latest
        if gap is None or gap.reported is not None:
            return False
        gap.last, gap.to_us = last, event_us
        if gap.count is not None and gap.missing is not None:
            gap.count += count
            gap.missing += count
            self.miss(first, last, gap)
        return True

    def in_hole(self, number: int) -> bool:
        """Whether it is one of those that are missing."""
        return any(first <= number <= last for first, last, _ in self.holes)

    def had(self, number: int, event_us: int, last: int, last_us: int) -> bool:
        """Whether a record came before, for sure, seen from when the latest number was ``last``, of a record of
        ``last_us``: it is not behind that, none of those that are missing, and no beginning anew.
        """
        newer = event_us > last_us if event_us and last_us else number < last - FAR
        unknown = len(self.holes) >= HOLES and number < self.holes[0][0]  # older holes are not known any more
        return number <= last and not newer and not unknown and not self.in_hole(number)

    def fill(self, number: int) -> Gap | None:
        """A late number: its hole shrinks or splits. The gap, where it has just become whole."""
        holes = self._holes or []
        for at, (first, last, gap) in enumerate(holes):
            if first <= number <= last:
                rest = [(a, b, gap) for a, b in ((first, number - 1), (number + 1, last)) if a <= b]
                holes[at : at + 1] = rest
                if gap.missing is not None:
                    gap.missing -= 1
                return gap if gap.missing == 0 else None
        return None
