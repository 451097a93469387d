"""Gaps: which records are missing by the venue's sequence numbers.

A stream's `sequence` rule says what its numbers promise: *contiguous* (each is one more than the last), *linked* (each
record names the number before it) or *monotonic* (they grow, but may skip: nothing can be said to be missing). A hole
is not a gap at once: records may come out of order, a snapshot may come newest first. Only what is still missing after
a grace period is one. Late records fill holes, also those already reported, which closes the gap.

Pure: time comes in as microseconds. Memory is bounded: of a symbol's holes the latest HOLES are known one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from k2conn.engine.gaps.gap_states import BackfillStatus, GapCause
from k2conn.plan import Sequence

GRACE_US = 2_000_000
HOLES = 256
CONNECTIONS = 64
RESTARTED = -1
"""The epoch of what an earlier process saw."""


@dataclass(slots=True)
class Gap:
    """Numbers ``first`` to ``last`` (both included) that were not received on one stream of one symbol or connection.

    ``missing`` is how many are still missing, ``count`` how many were; None where that cannot be told: numbers that do
    not count records (linked, where ``first`` was received), or no numbers at all (``first`` and ``last`` are None).
    ``from_us`` and ``to_us`` are the event times of the records before and after, 0 where they are not known.
    """

    stream: str
    key: str
    first: int | None
    last: int | None
    since_us: int
    cause: GapCause
    count: int | None
    missing: int | None
    reported: int | None = None
    """How many were missing when the gap was reported; None before."""
    from_us: int = 0
    to_us: int = 0
    recovered: int = 0
    """How many records were fetched."""
    backfill: BackfillStatus = BackfillStatus.NONE

    @property
    def open(self) -> bool:
        """Whether something is still missing, as far as can be told."""
        return self.missing is None or self.missing > 0


class SequenceState:
    """The numbers of one key (a symbol, or a connection)."""

    __slots__ = ("epoch", "event_us", "holes", "last")

    def __init__(self, first: int, epoch: int, event_us: int) -> None:
        self.last = first
        self.epoch = epoch
        self.event_us = event_us
        """The event time of the last number's record."""
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
        self._numbers: dict[str, SequenceState] = {}
        self._waiting: list[Gap] = []
        self.backwards = 0
        """Numbers that came again or late without filling a hole (repeats, mostly)."""
        self.unreadable = 0
        """Items whose number could not be read."""

    def see(
        self, key: str, number: int, previous: int | None, now_us: int, epoch: int, event_us: int = 0
    ) -> Gap | None:
        """One record's number. ``epoch`` counts connections. A gap that this number has just closed, if any."""
        known = self._numbers.get(key)
        if known is None:
            self._open(key, number, epoch, event_us)
            return None
        if number <= known.last:
            closed = known.fill(number)
            self.backwards += closed is None
            return closed
        if number != known.last + 1 or self.rule == "linked":
            self._ahead(known, key, number, previous, now_us, epoch, event_us)
        known.last, known.epoch = number, epoch
        known.event_us = event_us or known.event_us
        return None

    def numbers(self, key: str) -> SequenceState | None:
        """What is known of one key; None before its first number."""
        return self._numbers.get(key)

    def _open(self, key: str, number: int, epoch: int, event_us: int) -> None:
        """A key's first number; of numbers that belong to connections only the latest are kept."""
        self._numbers[key] = SequenceState(number, epoch, event_us)
        if self.per == "connection" and len(self._numbers) > CONNECTIONS:
            del self._numbers[next(iter(self._numbers))]

    def _ahead(
        self, known: SequenceState, key: str, number: int, previous: int | None, now_us: int, epoch: int, event_us: int
    ) -> None:
        cause = cause_of(known.epoch, epoch)
        if self.rule == "contiguous":
            count = number - known.last - 1
            gap = Gap(self.stream, key, known.last + 1, number - 1, now_us, cause, count, count)
            known.holes.append((known.last + 1, number - 1, gap))
            del known.holes[:-HOLES]
        elif self.rule == "linked" and previous is not None and previous != known.last:
            gap = Gap(self.stream, key, known.last, previous, now_us, cause, None, None)
        else:
            return
        gap.from_us, gap.to_us = known.event_us, event_us
        self._waiting.append(gap)

    def due(self, now_us: int) -> Iterator[Gap]:
        """The gaps whose grace is over and of which something is still missing."""
        while self._waiting and self._waiting[0].since_us + GRACE_US <= now_us:
            gap = self._waiting.pop(0)
            if gap.open:
                gap.reported = gap.missing or 0
                yield gap

    # -- backfill

    def missing(self, gap: Gap) -> list[tuple[int, int]]:
        """The ranges of a contiguous gap that are still missing, oldest first; none where it is whole, or so old that
        its holes are no longer known one by one.
        """
        known = self._numbers.get(gap.key)
        return [(first, last) for first, last, owner in known.holes if owner is gap] if known else []

    def recovered(self, gap: Gap, number: int) -> bool:
        """A number of a gap was fetched; whether the gap has just become whole."""
        known = self._numbers.get(gap.key)
        return known is not None and known.fill(number) is gap

    # -- restart

    @property
    def last(self) -> dict[str, int]:
        """The latest number of each key."""
        return {key: numbers.last for key, numbers in self._numbers.items()}

    def state(self) -> dict[str, Any]:
        """What the next process must know: each symbol's latest number and its holes."""
        if self.per != "symbol":
            return {}
        return {
            key: {
                "last": numbers.last,
                "event_us": numbers.event_us,
                "holes": [[first, last, gap.from_us, gap.to_us] for first, last, gap in numbers.holes],
            }
            for key, numbers in self._numbers.items()
        }

    def resume(self, last: Mapping[str, int], event_us: Mapping[str, int] | None = None) -> None:
        """What an earlier process saw last: a hole since then is a gap too."""
        for key, number in last.items():
            self._numbers.setdefault(key, SequenceState(number, RESTARTED, (event_us or {}).get(key, 0)))

    def reopen(self, key: str, holes: list[list[int]], now_us: int) -> None:
        """The holes that an earlier process left, reported and asked for anew. Each is first, last and the times of the
        records around it.
        """
        known = self._numbers.get(key)
        if known is None or self.rule != "contiguous":
            return
        for first, last, from_us, to_us in holes[-HOLES:]:
            count = last - first + 1
            cause = GapCause.RESTART
            gap = Gap(self.stream, key, first, last, now_us, cause, count, count, from_us=from_us, to_us=to_us)
            known.holes.append((first, last, gap))
            self._waiting.append(gap)


def cause_of(before: int, now: int) -> GapCause:
    """Why something may lie between the records of two epochs."""
    if before == RESTARTED:
        return GapCause.RESTART
    return GapCause.STREAM if before == now else GapCause.RECONNECT
