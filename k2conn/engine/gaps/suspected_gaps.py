"""Suspected gaps: between two connections, on streams whose numbers do not tell whether records are missing.

Where a stream has no numbers that count its records, nothing shows what was missed between two connections, so a gap is
only suspected there. A backfill (see `k2conn.engine.backfill.backfill_job`) finds out whether it is one.

Pure; one entry a symbol, up to a bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from k2conn.engine.gaps.gap import Gap
from k2conn.engine.gaps.gap_tracker import GRACE_US, MOST_KEYS, RESTARTED, cause_of


class SuspectedGapTracker:
    """The latest record of each symbol of one stream, and the connection it came on."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self._latest: dict[str, list[int]] = {}
        """By symbol: the epoch, and the latest event time."""
        self._waiting: list[Gap] = []

    def see(self, key: str, event_us: int, now_us: int, epoch: int) -> None:
        """One record's event time; where it is the first on a later connection, a gap is suspected before it."""
        known = self._latest.get(key)
        if known is None:
            if len(self._latest) < MOST_KEYS:
                self._latest[key] = [epoch, event_us]
            return
        if epoch > known[0]:
            cause = cause_of(known[0], epoch)
            self._waiting.append(Gap(self.stream, key, None, None, now_us, cause, None, None, from_us=known[1]))
            known[0] = epoch
        if event_us > known[1]:
            known[1] = event_us

    def knows(self, key: str) -> bool:
        """Whether a record of a symbol came, in this process or in an earlier one."""
        return key in self._latest

    def due(self, now_us: int) -> Iterator[Gap]:
        """The suspected gaps whose grace is over; they reach up to the latest record."""
        while self._waiting and self._waiting[0].since_us + GRACE_US <= now_us:
            gap = self._waiting.pop(0)
            gap.to_us = self._latest[gap.key][1]
            gap.reported = 0
            yield gap

    def rest(self, key: str) -> None:
        """A symbol was not subscribed for a while: its next record counts as the first on a later connection."""
        if key in self._latest:
            self._latest[key][0] = 0

    def open_gaps(self) -> Iterator[Gap]:
        """Those whose grace is not over."""
        return iter(self._waiting)

    def take_in(self, gap: Gap) -> None:
        """Goes on with one of an earlier process whose grace was not over."""
        if gap.key in self._latest:
            self._waiting.append(gap)

    @property
    def last(self) -> dict[str, int]:
        """The latest event time of each symbol, for the next process."""
        return {key: latest for key, (_, latest) in self._latest.items()}

    def resume(self, last: dict[str, int]) -> None:
        """What an earlier process saw last."""
        for key, event_us in islice(last.items(), MOST_KEYS):
            self._latest.setdefault(key, [RESTARTED, event_us])
