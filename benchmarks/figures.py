"""Figures of repeated measurements: the median is what counts, the least and the most say how far to trust it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any


def summary(values: Sequence[float], digits: int = 2) -> dict[str, Any]:
    """The median of repeated measurements, with the measurements."""
    return {
        "median": round(statistics.median(values), digits),
        "least": round(min(values), digits),
        "most": round(max(values), digits),
        "rounds": [round(value, digits) for value in values],
    }


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that ``share`` of the values, in rising order, do not exceed."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """The rise of the straight line that fits best, per unit of time."""
    return statistics.linear_regression(times, values).slope if len(times) > 1 else 0.0
