"""Durations, sizes and rates as people write them: ``30s``, ``16 KiB``, ``5 per 1s``. Exact, in seconds and bytes."""

from __future__ import annotations

import re
from fractions import Fraction

from k2conn.plan import Rate

_SECONDS = {"us": Fraction(1, 10**6), "ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60),
            "h": Fraction(3600), "d": Fraction(86400)}
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(us|ms|s|m|h|d)\Z")
_SIZE = re.compile(r"([0-9]+)\s*(B|KiB|MiB|GiB)\Z")


def duration(text: str) -> float:
    """Seconds; ValueError where the text is no duration with a unit."""
    text = text.strip()
    if text == "0":
        return 0.0
    found = _DURATION.match(text)
    if not found:
        raise ValueError(f"'{text}' is no duration with a unit, such as 30s or 500ms")
    seconds = Fraction(found.group(1)) * _SECONDS[found.group(2)]
    return seconds.numerator / seconds.denominator


def size(text: str) -> int:
    """Bytes; ValueError where the text is no size with a unit."""
    found = _SIZE.match(text.strip())
    if not found:
        raise ValueError(f"'{text}' is no size with a unit, such as 16 KiB")
    return int(found.group(1)) * _BYTES[found.group(2)]


def rate(text: str) -> Rate:
    """``5 per 1s``, ``300 per 5m``, ``10 per s``."""
    count, _, span = text.partition(" per ")
    return Rate(int(count), duration(span if span.strip()[:1].isdigit() else f"1{span.strip()}"))
