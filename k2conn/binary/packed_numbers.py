"""Fixed places of plain numbers, read with one call: most blocks of binary frames are nothing else.

What a part makes of its number is said as a function of that number alone, once for each schema; where a part needs
more than its own bytes, the block is read part by part.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any, NamedTuple

_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)

Make = Callable[[int], Any]


class PackedNumber(NamedTuple):
    """One number: its code and byte order for `struct`, and what its part makes of it; None where that is itself."""

    code: str
    order: str
    make: Make | None


class PackedNumbers(NamedTuple):
    """The numbers of one block. ``size``: up to the end of the last one."""

    size: int
    names: tuple[str, ...]
    unpack: Callable[[bytes, int], tuple[int, ...]]
    made: tuple[tuple[str, Make], ...]

    def read(self, data: bytes, start: int) -> dict[str, Any]:
        """The members, of which all bytes must be there."""
        found: dict[str, Any] = dict(zip(self.names, self.unpack(data, start), strict=True))
        for name, make in self.made:
            found[name] = make(found[name])
        return found


def packed_numbers(fields: Sequence[tuple[str, int, PackedNumber | None]]) -> PackedNumbers | None:
    """The fields of a block, each with its name and place, as one; None where one of them is no plain number, or they
    lie over one another.
    """
    numbers = [one for _, _, one in fields if one is not None]
    names = tuple(name for name, _, _ in fields)
    if not fields or len(numbers) < len(fields) or len(set(names)) < len(names):
        return None
    if len({one.order for one in numbers}) > 1:
        return None
    layout, end = numbers[0].order, 0
    for (_, offset, _), one in zip(fields, numbers, strict=True):
        if offset < end:
            return None
        layout += f"{offset - end}x{one.code}"
        end = offset + struct.calcsize(one.order + one.code)
    made = tuple((name, one.make) for name, one in zip(names, numbers, strict=True) if one.make is not None)
    return PackedNumbers(end, names, struct.Struct(layout).unpack_from, made)


def plain_number(layout: struct.Struct, absent: int | None, power: int | None) -> PackedNumber:
    """A number that is scaled by a fixed power of ten, or by none; ``absent`` is the one that stands for nothing."""

    def scale(raw: int) -> Decimal | None:
        return None if raw == absent else scaled(raw, power or 0)

    def or_none(raw: int) -> int | None:
        return None if raw == absent else raw

    make = scale if power is not None else or_none if absent is not None else None
    return PackedNumber(layout.format[-1], layout.format[0], make)


def named_number(number: PackedNumber, names: Mapping[Any, str]) -> PackedNumber:
    """The same with names for its values."""
    make = number.make

    def name(raw: int) -> Any:
        value = raw if make is None else make(raw)
        return names.get(value, value)

    return number._replace(make=name)


def scaled(number: int, power: int) -> Decimal:
    """A whole number times a power of ten, with every digit; ValueError for a power that no number has."""
    try:
        return Decimal(number).scaleb(power, _EXACT)
    except ArithmeticError:
        raise ValueError(f"the exponent is {power}") from None
