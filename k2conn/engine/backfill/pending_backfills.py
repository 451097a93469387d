"""The gaps that wait to be filled, and the venue's limits on the calls that fill them.

Pure: whoever makes the calls takes the gaps one by one. The first gap stays in the queue until it has ended, so that
one that is under way is handed over to a successor like the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from k2conn.engine.backfill.backfill_mapping import BackfillMapping
from k2conn.engine.backfill.gap_registry import GapRegistry
from k2conn.engine.gaps.gap import Gap
from k2conn.engine.resilience.rate_limiter import RateLimiter
from k2conn.plan import Rate

MOST = 1000
"""Gaps that may wait; one more is given up at once, and reported as such."""


class PendingBackfills:
    """The queue of one connector."""

    def __init__(self, gaps: GapRegistry, limiter: Callable[[str, Rate | None], RateLimiter]) -> None:
        """``limiter``: the connector's limit on something, by its name."""
        self._gaps = gaps
        self._queue: deque[Gap] = deque()
        shared = {  # the intervals of a stream ask the venue for the same
            (one.owner.stream.written, number): limiter(
                f"backfill {one.owner.stream.written} {number}", one.backfill.limit
            )
            for mappings in gaps.backfills.values()
            for number, one in enumerate(mappings)
        }
        self._limiters = {
            (name, number): shared[one.owner.stream.written, number]
            for name, mappings in gaps.backfills.items()
            for number, one in enumerate(mappings)
        }

    def share_limits(self, predecessor: PendingBackfills) -> None:
        """Keeps the venue's limits together with a connector that this one's is to replace, and that is at work
        meanwhile.
        """
        for name, mappings in self._gaps.backfills.items():
            for number, one in enumerate(mappings):
                known = predecessor._limiters.get((name, number))
                if known is not None:
                    self._limiters[name, number] = known.under(one.backfill.limit)

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def first(self) -> Gap | None:
        """The gap that is filled now, or next; None where nothing waits."""
        return self._queue[0] if self._queue else None

    def waiting(self) -> Iterator[Gap]:
        """All of them, the one that is filled now first."""
        return iter(self._queue)

    def end_first(self) -> Gap:
        """The first gap has ended, filled or not, and waits no more."""
        return self._queue.popleft()

    def collect(self) -> list[Gap]:
        """Takes in the gaps that the registry has found; those for which there is no room are given back."""
        found, self._gaps.to_fill = self._gaps.to_fill, []
        return [gap for gap in found if not self._append(gap)]

    def limiter(self, mapping: BackfillMapping) -> RateLimiter:
        """The limit on one kind of call."""
        stream = mapping.owner.stream.name
        return self._limiters[stream, self._gaps.backfills[stream].index(mapping)]

    def hand_over(self, successor: PendingBackfills) -> list[Gap]:
        """Gives a successor the gaps that it can go on with, because it fills that stream's gaps and counts in the same
        way; the others stay here. A gap that is under way is fetched anew as far as it is still missing. Which gaps are
        handed over.
        """
        kept: deque[Gap] = deque()
        handed_over: list[Gap] = []
        for gap in self._queue:
            if self._gaps.shares(gap, successor._gaps) and successor._append(gap):
                handed_over.append(gap)
            else:
                kept.append(gap)
        self._queue = kept
        return handed_over

    def _append(self, gap: Gap) -> bool:
        """Queues a gap, where there is room."""
        if len(self._queue) >= MOST:
            return False
        self._queue.append(gap)
        return True
