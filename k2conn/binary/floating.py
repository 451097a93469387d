"""Binary floating-point numbers of a frame as exact decimals: the shortest one that stands for the same number.

A venue that sends 64000.1 in binary sends the nearest number that 32 or 64 bits can hold. The shortest decimal which
those bits are nearest to is what the venue meant, as far as it had no more digits than fit: its own JSON would show it.
"""

from __future__ import annotations

import math
import struct
from decimal import Decimal

_SINGLE = struct.Struct(">f")
_ENOUGH = 9
"""Significant digits that tell any two numbers of 32 bits apart."""


def double(value: float) -> Decimal:
    """The shortest decimal of a number of 64 bits. ValueError for infinity and what is no number."""
    return Decimal(repr(_finite(value)))


def single(value: float) -> Decimal:
    """The shortest decimal of a number of 32 bits. ValueError as `double`, and where 32 bits cannot hold it."""
    _finite(value)
    for digits in range(1, _ENOUGH + 1):
        rounded = float(f"{value:.{digits - 1}e}")
        if as_single(rounded) == value:
            return Decimal(repr(rounded))  # so few digits survive the way through 64 bits
    raise ValueError(f"{value!r} is no number of 32 bits")


def nearest(number: Decimal) -> float:
    """The number of 64 bits nearest to a decimal. ValueError beyond the largest."""
    return _finite(float(number))


def as_single(value: float) -> float:
    """The number of 32 bits nearest to a number of 64; infinity beyond the largest."""
    try:
        found: float = _SINGLE.unpack(_SINGLE.pack(value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return found


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is no number that a record can hold")
    return value
