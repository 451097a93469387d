"""The parts that only SBE has (FIX Simple Binary Encoding 1.0): blocks whose length the frame says, groups, data of any
length, names for numbers.

A block of a newer schema is longer, and what is behind the known fields is skipped; one of an older schema is shorter,
and the fields that it lacks are None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from k2conn.binary.packed_numbers import PackedNumber, PackedNumbers, packed_numbers, plain_number, scaled
from k2conn.binary.structures import Cursor, Number, OddInteger, Part, Record, decimal_of, object_of


@dataclass(slots=True)
class Constant(Part):
    """A value that the schema says, without bytes."""

    value: Any

    def read(self, cursor: Cursor, record: Record) -> Any:
        """See `Part`."""
        return self.value

    def write(self, value: Any, out: bytearray, record: Mapping[str, Any]) -> None:
        """See `Part`."""


@dataclass(slots=True)
class Named(Part):
    """A number with names for its values; one without a name stays a number."""

    number: Part
    names: Mapping[Any, str]
    least: int = field(init=False)

    def __post_init__(self) -> None:
        self.least = self.number.least

    @property
    def packed(self) -> PackedNumber | None:
        """See `Part`."""
        number = self.number.packed
        return number._replace(names=self.names) if number is not None and number.names is None else None

    def read(self, cursor: Cursor, record: Record) -> Any:
        """See `Part`."""
        value = self.number.read(cursor, record)
        return self.names.get(value, value)

    def write(self, value: Any, out: bytearray, record: Mapping[str, Any]) -> None:
        """See `Part`."""
        self.number.write(next((raw for raw, name in self.names.items() if name == value), value), out, record)


@dataclass(slots=True)
class Flags(Part):
    """The names of a number's bits that are set."""

    number: Number
    names: Mapping[int, str]
    least: int = field(init=False)

    def __post_init__(self) -> None:
        self.least = self.number.least

    def read(self, cursor: Cursor, record: Record) -> list[str]:
        """See `Part`."""
        value = self.number.read(cursor, record)
        return [name for bit, name in self.names.items() if isinstance(value, int) and value >> bit & 1]

    def write(self, value: Any, out: bytearray, record: Mapping[str, Any]) -> None:
        """See `Part`."""
        chosen = value if isinstance(value, list) else []
        self.number.write(sum(1 << bit for bit, name in self.names.items() if name in chosen), out, record)


@dataclass(slots=True)
class Bytes(Part):
    """So many bytes, as hexadecimal digits; where a member says an exponent, as a little-endian number scaled by it."""

    least: int
    exponent: str | None = None

    def read(self, cursor: Cursor, record: Record) -> str | Decimal | None:
        """See `Part`."""
        at = cursor.take(self.least)
        data = cursor.data[at : at + self.least]
        if self.exponent is None:
            return data.hex()
        number, power = int.from_bytes(data, "little", signed=True), record.get(self.exponent)
        if number == -(1 << 8 * self.least - 1):
            return None
        if type(power) is not int:
            raise ValueError(f"the exponent {self.exponent} is {power}")
        return scaled(number, power)

    def write(self, value: Any, out: bytearray, record: Mapping[str, Any]) -> None:
        """See `Part`."""
        if self.exponent is None:
            out += bytes.fromhex(str(value)).ljust(self.least, b"\0")
            return
        raw = decimal_of(value).scaleb(-int(record[self.exponent]))
        out += int(raw).to_bytes(self.least, "little", signed=True)


@dataclass(slots=True)
class Mantissa(Part):
    """A composite of a mantissa and an exponent, one of which may be a constant: one decimal number."""

    mantissa: Part
    exponent: Part
    least: int = field(init=False)

    def __post_init__(self) -> None:
        self.least = self.mantissa.least + self.exponent.least

    @property
    def packed(self) -> PackedNumber | None:
        """See `Part`."""
        number, power = self.mantissa, self.exponent
        if type(number) is not Number or type(power) is not Constant or type(power.value) is not int:
            return None
        if isinstance(number.layout, OddInteger):
            return None
        plain = number.exponent is None and not number.bits
        return plain_number(number.layout, number.absent, power.value) if plain else None

    def read(self, cursor: Cursor, record: Record) -> Decimal | None:
        """See `Part`."""
        number, power = self.mantissa.read(cursor, record), self.exponent.read(cursor, record)
        return None if number is None or power is None else scaled(number, power)

    def write(self, value: Any, out: bytearray, record: Mapping[str, Any]) -> None:
        """See `Part`. With the exponent that the value's own digits ask for, or the constant one."""
        exponent = self.exponent.value if isinstance(self.exponent, Constant) else None
        if value is None:
            self.mantissa.write(None, out, record)
            self.exponent.write(exponent or 0, out, record)
            return
        found = decimal_of(value)
        power = exponent if exponent is not None else found.as_tuple().exponent
        assert isinstance(power, int), "a message has no infinite numbers"
        self.mantissa.write(found.scaleb(-power), out, record)
        self.exponent.write(power, out, record)


@dataclass(slots=True)
class VariableData(Part):
    """Data behind their length: UTF-8 text, or hexadecimal digits."""

    length: Part
    text: bool
    since: int = 0
    least: int = field(init=False)

    def __post_init__(self) -> None:
        self.least = self.length.least

    def read(self, cursor: Cursor, record: Record) -> str:
        """See `Part`."""
        size = self.length.read(cursor, record)
        at = cursor.take(size)
        data = cursor.data[at : at + size]
        return data.decode() if self.text else data.hex()

    def write(self, value: Any, out: bytearray, record: Mapping[str, Any]) -> None:
        """See `Part`."""
        data = str(value).encode() if self.text else bytes.fromhex(str(value))
        self.length.write(len(data), out, record)
        out += data


@dataclass(slots=True)
class FieldBlock:
    """Fields at their places, then groups, then data. ``outer``: members of blocks around it that its fields need."""

    fields: tuple[tuple[str, int, Part], ...]
    groups: tuple[tuple[str, Group], ...]
    data: tuple[tuple[str, VariableData], ...]
    size: int
    outer: tuple[str, ...] = ()
    _numbers: PackedNumbers | None = field(init=False)
    """The fields, where all are plain numbers."""

    def __post_init__(self) -> None:
        self._numbers = packed_numbers([(name, offset, part.packed) for name, offset, part in self.fields])

    def read(self, cursor: Cursor, record: Record, length: int, version: int) -> Record:
        """The members of a block of ``length`` bytes in a frame of that version of the schema."""
        cursor.count(len(self.fields) + len(self.groups) + len(self.data) + 1)
        start, end = cursor.take(length), cursor.end
        if self._numbers is not None and length >= self._numbers.size:
            found = self._numbers.read(cursor.data, start)
            scope = {**{name: record.get(name) for name in self.outer}, **found} if self.outer else found
        else:
            found = {}
            scope = {name: record.get(name) for name in self.outer} if self.outer else found
            cursor.end = start + length
            for name, offset, part in self.fields:
                cursor.at = start + offset
                value = part.read(cursor, scope) if offset + part.least <= length else None
                found[name] = scope[name] = value
            cursor.at, cursor.end = start + length, end
        for name, group in self.groups:
            found[name] = group.read(cursor, scope, version) if group.since <= version else []
        for name, one in self.data:
            found[name] = one.read(cursor, scope) if one.since <= version else None
        return found

    def write(self, value: Any, out: bytearray, record: Mapping[str, Any]) -> None:
        """The opposite, in this version; ValueError for a value that does not fit."""
        members = {**record, **object_of(value)}
        block = bytearray()
        for name, offset, part in self.fields:
            block += bytes(offset - len(block))
            if part.least and name not in members:
                raise ValueError(f"{name} is missing")
            part.write(members.get(name), block, members)
        out += block.ljust(self.size, b"\0")
        for name, group in self.groups:
            group.write(members.get(name, []), out, members)
        for name, one in self.data:
            one.write(members.get(name, ""), out, members)


@dataclass(slots=True)
class Group:
    """Blocks of one kind, behind their length and number. ``dimensions``: those two, in their order."""

    dimensions: tuple[tuple[str, Part], ...]
    block: FieldBlock
    since: int = 0

    def read(self, cursor: Cursor, record: Record, version: int) -> list[Record]:
        """The blocks, as objects."""
        said = {name: part.read(cursor, record) for name, part in self.dimensions}
        length, number = said["blockLength"], said["numInGroup"]
        if max(length, 1) * number > cursor.end - cursor.at:
            raise ValueError(f"{number} blocks of {length} bytes do not fit behind byte {cursor.at}")
        cursor.count(number)
        return [self.block.read(cursor, record, length, version) for _ in range(number)]

    def write(self, value: Any, out: bytearray, record: Mapping[str, Any]) -> None:
        """The opposite."""
        if not isinstance(value, list):
            raise ValueError(f"{value} is no list")
        said = {"blockLength": self.block.size, "numInGroup": len(value)}
        for name, part in self.dimensions:
            part.write(said.get(name, 0), out, record)
        for one in value:
            self.block.write(one, out, record)
