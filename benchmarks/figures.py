"""What all benchmarks say of their numbers: targets, percentiles, a trend; and the lines that tell how far they are."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from typing import Any

LADDER = (0.0, 1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 100.0)
"""The percentiles that are kept of a distribution; 100 is the maximum."""


def below(name: str, limit: float, got: float | None, unit: str) -> dict[str, Any]:
    """A target that is met by less than ``limit``; ``got`` None where it was not measured."""
    return _target(name, f"< {spelled(limit, unit)}", got, unit, got is not None and got < limit)


def at_least(name: str, limit: float, got: float | None, unit: str) -> dict[str, Any]:
    """A target that is met by ``limit`` or more."""
    return _target(name, f">= {spelled(limit, unit)}", got, unit, got is not None and got >= limit)


def holds(name: str, want: str, got: str, met: bool) -> dict[str, Any]:
    """A target that is no number."""
    return {"name": name, "want": want, "got": got, "met": met}


def _target(name: str, want: str, got: float | None, unit: str, met: bool) -> dict[str, Any]:
    return {"name": name, "want": want, "got": spelled(got, unit, 4) if got is not None else "not measured", "met": met}


def spelled(number: float, unit: str = "", digits: int = 3) -> str:
    """A figure as it is read: so many digits, or whole from a thousand on."""
    return (f"{number:,.0f} {unit}" if abs(number) >= 1000 else f"{number:.{digits}g} {unit}").rstrip()


def percentile(ordered: Sequence[float], rank: float) -> float:
    """The nearest-rank percentile of values in rising order: one that was measured, never one between two."""
    return ordered[max(0, math.ceil(len(ordered) * rank / 100) - 1)]


def ladder(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """The percentiles of LADDER, by their names."""
    ordered = sorted(values)
    return {f"{rank:g}": round(percentile(ordered, rank), digits) for rank in LADDER}


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The rise of the straight line with the least squares through (x, y), for one of x."""
    middle = sum(x for x, _ in points) / len(points)
    spread = sum((x - middle) ** 2 for x, _ in points)
    return sum((x - middle) * y for x, y in points) / spread if spread else 0.0


def solved(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """The numbers that solve some linear equations (Gauss, the largest pivot first). ValueError where none do."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for at in range(len(rows)):
        rows[at:] = sorted(rows[at:], key=lambda row: -abs(row[at]))
        if not rows[at][at]:
            raise ValueError("the equations have no single solution")
        for other in range(len(rows)):
            if other != at:
                times = rows[other][at] / rows[at][at]
                rows[other] = [left - times * by for left, by in zip(rows[other], rows[at], strict=True)]
    return [row[-1] / row[at] for at, row in enumerate(rows)]


def progress(text: str) -> None:
    """A line for whoever waits."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
