"""Avro's integers: zigzag, then seven bits a byte, lowest first.

The tables make the common cases two or three look-ups: a microsecond timestamp is eight bytes of which the
lower four change with every record and the upper four once in two minutes.
"""

from __future__ import annotations

LONG_MIN = -(2**63)
LONG_MAX = 2**63 - 1


def varint(value: int) -> bytes:
    """``value`` (not negative) in seven-bit groups."""
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def long_bytes(value: int) -> bytes:
    """``value`` as an Avro int or long; OverflowError beyond 64 bits."""
    if not LONG_MIN <= value <= LONG_MAX:
        raise OverflowError("more than 64 bits")
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)


LENGTH = [long_bytes(size) for size in range(1024)]
"""Lengths and counts, ready made."""

LENGTH_TEXT = [length.decode("latin-1") for length in LENGTH[:64]]
"""The lengths that are one ASCII character, as text."""

MORE_ZIGZAG = [bytes((low & 127 | 128, low >> 7 | 128)) for low in range(0, 1 << 14, 2)]
"""The lowest thirteen bits of a number that is not negative, zigzagged, as two bytes that say: more
follows.
"""

LAST_ZIGZAG = [bytes((low,)) if low < 128 else bytes((low & 127 | 128, low >> 7)) for low in range(0, 1 << 14, 2)]
"""A number that is not negative and below 2**13, zigzagged, whole."""
