"""The candles of one series, and what one of them is among those before it. The arithmetic is numpy's."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from k2conn.features.inputs import NAMES
from k2conn.features.normalised import PLACES, Normalised
from k2conn.intervals import Interval

_NOISE = 1e-14
"""A standard deviation below this part of the largest value is the arithmetic's own: the values are equal."""
_KEPT = 2
"""Windows that are kept: a candle that comes late finds those before it, too."""


class Window:
    """The latest candles of one symbol and interval, in the order of their beginnings."""

    __slots__ = ("_begins", "_interval", "_rows", "_size")

    def __init__(self, interval: Interval, size: int) -> None:
        """``size``: candles in a window."""
        self._interval = interval
        self._size = size
        self._begins: list[int] = []
        self._rows = np.empty((_KEPT * size, len(NAMES)))

    @property
    def full(self) -> bool:
        """Whether the newest candle has a whole window."""
        return len(self._begins) >= self._size

    def put(self, begin_us: int, row: Sequence[float]) -> int | None:
        """Takes in a candle, in the place of one that has the same beginning where there is one; its place for
        `normalised`, or None where it is older than all that is kept.
        """
        begins, rows = self._begins, self._rows
        at = bisect_left(begins, begin_us)
        if at == len(begins) or begins[at] != begin_us:
            if len(begins) < len(rows):
                rows[at + 1 : len(begins) + 1] = rows[at : len(begins)].copy()
            elif at == 0:
                return None
            else:
                at -= 1
                rows[:at] = rows[1 : at + 1].copy()
                del begins[0]
            begins.insert(at, begin_us)
        rows[at] = row
        return at

    def normalised(self, at: int) -> Normalised:
        """The features of the candle in a place, by the window that ends with it."""
        first = max(0, at + 1 - self._size)
        rows = self._rows[first : at + 1]
        with np.errstate(all="ignore"):  # what cannot be computed is NaN, and said as None
            least, largest, mean, deviation = rows.min(0), rows.max(0), rows.mean(0), rows.std(0)
            flat = deviation <= _NOISE * np.maximum(np.abs(least), np.abs(largest))
            minmax = np.where(flat, 0.5, (rows[-1] - least) / (largest - least))
            zscore = np.where(flat, 0.0, (rows[-1] - mean) / deviation)
        count = at + 1 - first
        span = self._interval.number(self._begins[at]) - self._interval.number(self._begins[first])
        return Normalised(_rounded(minmax), _rounded(zscore), count, span + 1 - count)


def _rounded(values: np.ndarray) -> list[int | None]:
    known = np.isfinite(values)
    scaled = np.rint(np.where(known, values, 0.0) * 10.0**PLACES).astype(np.int64)
    return [value if told else None for value, told in zip(scaled.tolist(), known.tolist(), strict=True)]
