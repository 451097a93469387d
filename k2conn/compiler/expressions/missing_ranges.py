"""The placeholders of a `backfill` call: which numbers are missing, and between which times.

``$first`` and ``$last`` are missing themselves, ``$before`` and ``$after`` are their neighbours, for calls with
exclusive bounds. Times are those of the records before and after; a lower one is cut to its unit, an upper one rounded
up, so that a coarse unit never asks for less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from k2conn.plan import MissingRange, Template

_UNITS = {"s": 1_000_000, "ms": 1000, "us": 1}


def _of(read: Callable[[MissingRange], int]) -> Template:
    return lambda scope: None if scope.missing is None else read(scope.missing)


def _times() -> dict[str, Template]:
    found: dict[str, Template] = {}
    for unit, size in _UNITS.items():
        found[f"from_{unit}"] = _of(lambda hole, size=size: hole.from_us // size)  # type: ignore[misc]
        found[f"to_{unit}"] = _of(lambda hole, size=size: -(-hole.to_us // size))  # type: ignore[misc]
    found["from_ns"] = _of(lambda hole: hole.from_us * 1000)
    found["to_ns"] = _of(lambda hole: hole.to_us * 1000 + 999)
    return found


def _spans() -> dict[str, Template]:
    """When the first and the last missing span begin, and their neighbours."""
    numbers: dict[str, Callable[[MissingRange], int]] = {
        "first": lambda hole: hole.first, "last": lambda hole: hole.last,
        "before": lambda hole: hole.first - 1, "after": lambda hole: hole.last + 1,
    }
    return {
        f"{name}_{unit}": _beginning(number, size) for name, number in numbers.items() for unit, size in _UNITS.items()
    }


def _beginning(number: Callable[[MissingRange], int], size: int) -> Template:
    return lambda scope: (
        None if scope.missing is None or scope.missing.interval is None
        else scope.missing.interval.begin_us(number(scope.missing)) // size
    )


TIMES: Mapping[str, Template] = _times()
NUMBERS: Mapping[str, Template] = {
    "first": _of(lambda hole: hole.first),
    "last": _of(lambda hole: hole.last),
    "before": _of(lambda hole: hole.first - 1),
    "after": _of(lambda hole: hole.last + 1),
    "count": _of(lambda hole: hole.count),
}
SPANS: Mapping[str, Template] = _spans()
PLACES: Mapping[str, Template] = {**NUMBERS, **TIMES, **SPANS}
"""Name to template."""
