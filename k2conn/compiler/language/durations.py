"""Durations, sizes and rates as people write them: ``30s``, ``16 KiB``, ``5 per 1s``. Exact, in seconds and bytes.

The texts' patterns stand in the JSON Schema too, so that an editor marks them while they are typed.
"""

from __future__ import annotations

import re
from fractions import Fraction

from k2conn.plan import Rate

_SECONDS = {
    "us": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
LEAST, MOST = Fraction(1, 1000), Fraction(7 * 86400)
"""Seconds of the shortest and the longest duration of a connector file, beside none at all."""
MOST_BYTES = 256 * 1024**2
MOST_COUNT = 1_000_000
"""Of a rate."""
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,12})?"
_DURATION = re.compile(rf"({_NUMBER})\s*(us|ms|s|m|h|d)\Z")
_SIZE = re.compile(r"([0-9]{1,12})\s*(B|KiB|MiB|GiB)\Z")
_RATE = re.compile(rf"([0-9]{{1,9}}) per ({_NUMBER})?\s*(us|ms|s|m|h|d)\Z")


def duration(text: str) -> float:
    """Seconds; ValueError where the text is no duration with a unit."""
    text = text.strip()
    if text == "0":
        return 0.0
    found = _DURATION.match(text)
    if not found and re.fullmatch(_NUMBER, text):
        raise ValueError(f"'{text}' is a duration without its unit: write {text}s, or {text}ms for milliseconds")
    if not found:
        raise ValueError(f"'{text[:40]}' is no duration with a unit, such as 30s or 500ms")
    return _seconds(found.group(1), found.group(2))


def size(text: str) -> int:
    """Bytes; ValueError where the text is no size with a unit."""
    found = _SIZE.match(text.strip())
    if not found and text.strip().isdecimal():
        number = text.strip()[:12]
        raise ValueError(f"'{number}' is a size without its unit: write {number} B, or {number} KiB")
    if not found:
        raise ValueError(f"'{text[:40]}' is no size with a unit, such as 16 KiB")
    return int(found.group(1)) * _BYTES[found.group(2)]


def rate(text: str) -> Rate:
    """``5 per 1s``, ``300 per 5m``, ``10 per s``; ValueError for anything else and where either is zero."""
    found = _RATE.match(text.strip())
    if not found:
        raise ValueError(f"'{text[:40]}' is no rate, such as 5 per 1s or 300 per 5m")
    count, seconds = int(found.group(1)), _seconds(found.group(2) or "1", found.group(3))
    if not count or not seconds:
        raise ValueError(f"'{text[:40]}' allows nothing: both numbers are above 0")
    return Rate(count, seconds)


def out_of_bounds(kind: str, text: str) -> str:
    """Why a text of a connector file is beyond all use as a ``duration``, ``size`` or ``rate``; nothing where it is
    not, or where it is none at all. Bounds are wide: beyond them is a slip of the hand, or somebody who means harm.
    """
    if kind == "duration":
        found = _DURATION.match(text.strip())
        exact = Fraction(found.group(1)) * _SECONDS[found.group(2)] if found else Fraction(0)
        return "a duration is 0, or from 1ms to 7d" if exact and not LEAST <= exact <= MOST else ""
    if kind == "size":
        found = _SIZE.match(text.strip())
        number = int(found.group(1)) * _BYTES[found.group(2)] if found else 1
        return "" if 1 <= number <= MOST_BYTES else "a size is from 1 B to 256 MiB"
    found = _RATE.match(text.strip())
    if not found:
        return ""
    exact = Fraction(found.group(2) or 1) * _SECONDS[found.group(3)]
    right = int(found.group(1)) <= MOST_COUNT and (not exact or LEAST <= exact <= MOST)
    return "" if right else "a rate is at most 1000000, in a time from 1ms to 7d"


def _seconds(number: str, unit: str) -> float:
    exact = Fraction(number) * _SECONDS[unit]
    return exact.numerator / exact.denominator
