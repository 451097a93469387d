"""Fixed places of plain numbers, read with one call: most blocks of binary frames are nothing else.

What a part makes of its number is said as data, once for each schema; where a part needs more than its own bytes, the
block is read part by part.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any, NamedTuple

WIDEST_EXPONENT = 400
_scale = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN).scaleb


class PackedNumber(NamedTuple):
    """One number: its code and byte order for `struct`; the number that stands for nothing; the power of ten that it is
    scaled by; names for its values.
    """

    code: str
    order: str
    absent: int | None = None
    power: int | None = None
    names: Mapping[Any, str] | None = None


class PackedNumbers(NamedTuple):
    """The numbers of one block. ``size``: up to the end of the last one; then those that are more than a number."""

    size: int
    members: tuple[str, ...]
    unpack: Callable[[bytes, int], tuple[int, ...]]
    absent: tuple[tuple[str, int], ...]
    scaled: tuple[tuple[str, int | None, int], ...]
    named: tuple[tuple[str, Mapping[Any, str]], ...]

    @property
    def plain(self) -> bool:
        """Whether all are nothing but numbers."""
        return not (self.absent or self.scaled or self.named)

    def read(self, data: bytes, start: int) -> dict[str, Any]:
        """The members, of which all bytes must be there."""
        found: dict[str, Any] = dict(zip(self.members, self.unpack(data, start)))  # noqa: B905 - as many
        for member, none in self.absent:
            if found[member] == none:
                found[member] = None
        for member, nothing, power in self.scaled:
            raw = found[member]
            found[member] = None if raw == nothing else _scale(raw, power)
        for member, names in self.named:
            value = found[member]
            found[member] = names.get(value, value)
        return found


def packed_numbers(fields: Sequence[tuple[str, int, PackedNumber | None]]) -> PackedNumbers | None:
    """The fields of a block, each with its name and place, as one; None where one of them is no plain number, or they
    lie over one another.
    """
    numbers = [(member, one) for member, _, one in fields if one is not None]
    members = tuple(member for member, _, _ in fields)
    if not fields or len(numbers) < len(fields) or len(set(members)) < len(members):
        return None
    if len({one.order for _, one in numbers}) > 1:
        return None
    layout, end = numbers[0][1].order, 0
    for (_, offset, _), (_, one) in zip(fields, numbers, strict=True):
        if offset < end:
            return None
        layout += f"{offset - end}x{one.code}"
        end = offset + struct.calcsize(one.order + one.code)
    return PackedNumbers(
        end, members, struct.Struct(layout).unpack_from,
        tuple((member, one.absent) for member, one in numbers if one.absent is not None and one.power is None),
        tuple((member, one.absent, one.power) for member, one in numbers if one.power is not None),
        tuple((member, one.names) for member, one in numbers if one.names is not None),
    )


def plain_number(layout: struct.Struct, absent: int | None, power: int | None) -> PackedNumber | None:
    """A number that is scaled by a fixed power of ten, or by none; None where no number has that power."""
    if power is not None and abs(power) > WIDEST_EXPONENT:
        return None
    return PackedNumber(layout.format[-1], layout.format[0], absent, power)


def scaled(number: int, power: int) -> Decimal:
    """A whole number times a power of ten, with every digit; ValueError for a power that no number has."""
    try:
        return _scale(number, power)
    except ArithmeticError:
        raise ValueError(f"the exponent is {power}") from None
