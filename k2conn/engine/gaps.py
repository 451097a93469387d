"""Gaps: what a venue's numbers say is missing.

A stream's `sequence` rule says what its numbers promise: *contiguous* (each is one more than the last), *linked* (each
record names the number before it) or *monotonic* (they grow, but may skip: nothing can be said to be missing). A hole
is not a gap at once: records may come out of order, a snapshot may come newest first. Only what is still missing after
a grace period is one. Late records fill holes, also those already reported, which closes the gap.

Pure: time comes in as microseconds. Memory is bounded: of a symbol's holes the latest HOLES are known one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from k2conn.plan import Sequence

GRACE_US = 2_000_000
HOLES = 256
CONNECTIONS = 64


@dataclass(slots=True)
class Gap:
    """Numbers ``first`` to ``last`` (both included) that were not received on one stream of one symbol or connection.

    ``cause`` is ``reconnect`` (the hole lies across two connections) or ``stream``. ``missing`` is how many are still
    missing, ``count`` how many were; None where the numbers do not count records (linked).
    """

    stream: str
    key: str
    first: int
    last: int
    since_us: int
    cause: str
    count: int | None
    missing: int | None
    reported: int | None = None
    """How many were missing when the gap was reported; None before."""

    @property
    def open(self) -> bool:
        """Whether something is still missing."""
        return self.missing is None or self.missing > 0


class Numbers:
    """The numbers of one key (a symbol, or a connection)."""

    __slots__ = ("epoch", "holes", "last")

    def __init__(self, first: int, epoch: int) -> None:
        self.last = first
        self.epoch = epoch
        self.holes: list[tuple[int, int, Gap]] = []
        """Disjoint ranges still missing, oldest first, each with the gap it belongs to."""

    def fill(self, number: int) -> Gap | None:
        """A late number: its hole shrinks or splits. The gap, where it has just become whole."""
        for at, (first, last, gap) in enumerate(self.holes):
            if first <= number <= last:
                rest = [(a, b, gap) for a, b in ((first, number - 1), (number + 1, last)) if a <= b]
                self.holes[at : at + 1] = rest
                if gap.missing is not None:
                    gap.missing -= 1
                return gap if gap.missing == 0 else None
        return None


class GapTracker:
    """All numbers of one stream."""

    def __init__(self, stream: str, rule: Sequence) -> None:
        self.stream = stream
        self.rule = rule.rule
        self.per = rule.per
        self._numbers: dict[str, Numbers] = {}
        self._waiting: list[Gap] = []
        self.backwards = 0
        """Numbers that came again or late without filling a hole (repeats, mostly)."""
        self.unreadable = 0
        """Items whose number could not be read."""

    def see(self, key: str, number: int, previous: int | None, now_us: int, epoch: int) -> Gap | None:
        """One record's number. ``epoch`` counts connections. A gap that this number has just closed, if any."""
        known = self._numbers.get(key)
        if known is None:
            self._open(key, number, epoch)
            return None
        if number <= known.last:
            closed = known.fill(number)
            self.backwards += closed is None
            return closed
        self._ahead(known, key, number, previous, now_us, epoch)
        known.last, known.epoch = number, epoch
        return None

    def _open(self, key: str, number: int, epoch: int) -> None:
        """A key's first number; of numbers that belong to connections only the latest are kept."""
        self._numbers[key] = Numbers(number, epoch)
        if self.per == "connection" and len(self._numbers) > CONNECTIONS:
            del self._numbers[next(iter(self._numbers))]

    def _ahead(
        self, known: Numbers, key: str, number: int, previous: int | None, now_us: int, epoch: int
    ) -> None:
        cause = "stream" if epoch == known.epoch else "reconnect"
        if self.rule == "contiguous" and number > known.last + 1:
            count = number - known.last - 1
            gap = Gap(self.stream, key, known.last + 1, number - 1, now_us, cause, count, count)
            known.holes.append((gap.first, gap.last, gap))
            del known.holes[:-HOLES]
            self._waiting.append(gap)
        elif self.rule == "linked" and previous is not None and previous != known.last:
            gap = Gap(self.stream, key, known.last, previous, now_us, cause, None, None)
            self._waiting.append(gap)

    def due(self, now_us: int) -> Iterator[Gap]:
        """The gaps whose grace is over and of which something is still missing."""
        while self._waiting and self._waiting[0].since_us + GRACE_US <= now_us:
            gap = self._waiting.pop(0)
            if gap.open:
                gap.reported = gap.missing or 0
                yield gap

    @property
    def last(self) -> dict[str, int]:
        """The latest number of each key, for the state file."""
        return {key: numbers.last for key, numbers in self._numbers.items()}

    def resume(self, last: dict[str, int]) -> None:
        """What an earlier process saw last: a hole since then is a gap too."""
        for key, number in last.items():
            self._numbers.setdefault(key, Numbers(number, -1))
