"""How long records take until they are durable, as histograms of a stream."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

BOUNDS_MS = (1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000)
"""The upper bounds of the histogram's steps; a last one has none."""
BOUNDS_US = tuple(bound * 1000 for bound in BOUNDS_MS)
FEW = 8
"""Durations that are quicker counted one by one than in order."""


class LatencyHistogram:
    """Counts of durations, by step; durations below 0, of clocks that differ, are in the first."""

    __slots__ = ("counts", "sum_us")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_MS) + 1)
        self.sum_us = 0

    def observe(self, duration_us: int, count: int) -> None:
        """Some records took so long."""
        self.counts[bisect_left(BOUNDS_US, duration_us)] += count
        self.sum_us += max(0, duration_us) * count

    def add(self, counts: Sequence[int], sum_us: int) -> None:
        """Some records that were counted by step."""
        self.counts = [own + more for own, more in zip(self.counts, counts, strict=True)]
        self.sum_us += sum_us

    def observe_since(self, moments_us: list[int], now_us: int) -> None:
        """Some records took from each of these moments until now."""
        if len(moments_us) < FEW:
            for moment in moments_us:
                self.observe(now_us - moment, 1)
            return
        moments = sorted(moments_us)
        future = bisect_right(moments, now_us)
        self.sum_us += now_us * future - sum(moments[:future])
        counted, first = 0, bisect_left(BOUNDS_US, now_us - moments[-1])
        for step in range(first, len(BOUNDS_US)):
            within = len(moments) - bisect_left(moments, now_us - BOUNDS_US[step])
            self.counts[step] += within - counted
            counted = within
            if counted == len(moments):
                return
        self.counts[-1] += len(moments) - counted


class StreamLatency:
    """The two of a stream: from the exchange's time, and from receipt, to the acknowledgement."""

    __slots__ = ("exchange", "receipt")

    def __init__(self) -> None:
        self.exchange = LatencyHistogram()
        self.receipt = LatencyHistogram()


def quantile_ms(counts: Sequence[int], share: float) -> float | None:
    """The duration, in milliseconds, that this share of a histogram's durations (its counts by step) do not exceed,
    as Prometheus reckons it: evenly spread within a step, and at most the bound of the last one that has any. None of
    no durations.
    """
    wanted, below = sum(counts) * share, 0
    if not wanted:
        return None
    for at, count in enumerate(counts[:-1]):
        if below + count >= wanted:
            lower = BOUNDS_MS[at - 1] if at else 0
            return lower + (BOUNDS_MS[at] - lower) * (wanted - below) / count
        below += count
    return BOUNDS_MS[-1]
