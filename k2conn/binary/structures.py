"""The parts of a binary frame, each of which reads itself from bytes and writes itself to them.

A structure becomes an object, a list an array; whole numbers stay ints, scaled ones become Decimals of exactly their
digits. Reading is bounded by the frame: a list is never longer than the bytes that are left could fill, whatever its
count says. Errors are ValueErrors that say the byte; RecordError (frame-too-large) for too many values.
"""

from __future__ import annotations

import math
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import accumulate
from typing import Any, ClassVar, Literal, TypeGuard

from k2conn.binary import floating
from k2conn.binary.packed_numbers import (
    WIDEST_EXPONENT,
    PackedNumber,
    PackedNumbers,
    packed_numbers,
    plain_number,
    scaled,
)
from k2conn.errors import RecordError

Record = dict[str, Any]


class Cursor:
    """A place in a frame, and the end of the part that is being read."""

    __slots__ = ("at", "data", "end", "left")

    def __init__(self, data: bytes, most: int) -> None:
        """``most``: how many values the frame may have."""
        self.data, self.at, self.end, self.left = data, 0, len(data), most

    def take(self, size: int) -> int:
        """The place of the next ``size`` bytes, which count as read."""
        start = self.at
        if start + size > self.end:
            raise ValueError(f"it ends at byte {self.end}, within {size} bytes that begin at {start}")
        self.at = start + size
        return start

    def count(self, values: int) -> None:
        """Counts values that are about to be made."""
        self.left -= values
        if self.left < 0:
            raise RecordError("frame", None, None, "frame-too-large", "it has too many values")

    def finish(self) -> None:
        """ValueError where the part has more bytes than were read."""
        if self.at != self.end:
            raise ValueError(f"{self.end - self.at} bytes are left at byte {self.at}, which its layout does not name")


class OddInteger:
    """A whole number of 3 or 6 bytes, for which `struct` has no code; it is read and written as a `Struct` is."""

    def __init__(self, size: int, order: str, signed: bool) -> None:
        """``order``: as `struct` writes it."""
        self.size = size
        self._order: Literal["little", "big"] = "little" if order == "<" else "big"
        self._signed = signed

    def unpack_from(self, data: bytes, at: int) -> tuple[int]:
        """The number that stands there."""
        return (int.from_bytes(data[at : at + self.size], self._order, signed=self._signed),)

    def pack(self, number: int) -> bytes:
        """The opposite; struct.error for a number that it has no room for."""
        try:
            return number.to_bytes(self.size, self._order, signed=self._signed)
        except OverflowError as error:
            raise struct.error(str(error)) from None


class Part(ABC):
    """Something that stands in a frame."""

    least: int = 0
    """Bytes that it has at least."""
    stored: ClassVar[bool] = True
    """Whether it becomes a member of the object that it stands in."""

    @property
    def borrowed(self) -> frozenset[str]:
        """The members of objects around it that it asks for."""
        return frozenset()

    @property
    def packed(self) -> PackedNumber | None:
        """The same as a number that needs nothing but its own bytes; None where it is more than that."""
        return None

    @abstractmethod
    def read(self, cursor: Cursor, record: Record) -> Any:
        """Its value. ``record``: the members of the object around it that were read before."""

    @abstractmethod
    def write(self, value: Any, out: bytearray, record: Mapping[str, Any]) -> None:
        """The opposite; ValueError for a value that it cannot hold."""


@dataclass(frozen=True, slots=True)
class ExponentTable:
    """The power of ten by the value of a member that was read before."""

    by: str
    of: Mapping[str, int]
    otherwise: int | None = None


@dataclass(slots=True)
class Number(Part):
    """A whole number. ``exponent``: the power of ten that it is scaled by, the member that says it, or a table of them;
    ``absent``: the number that stands for none; ``bits``: members that are some of its bits, as (name, first bit, how
    many).
    """

    layout: struct.Struct | OddInteger
    exponent: int | str | ExponentTable | None = None
    absent: int | None = None
    bits: tuple[tuple[str, int, int], ...] = ()
    least: int = field(init=False)

    def __post_init__(self) -> None:
        self.least = self.layout.size

    @property
    def borrowed(self) -> frozenset[str]:
        """See `Part`."""
        power = self.exponent.by if isinstance(self.exponent, ExponentTable) else self.exponent
        own = {name for name, _, _ in self.bits}
        return frozenset({power} - own) if isinstance(power, str) else frozenset()

    @property
    def packed(self) -> PackedNumber | None:
        """See `Part`."""
        power = self.exponent
        if isinstance(self.layout, OddInteger) or not _fixed(power) or self.bits:
            return None
        return plain_number(self.layout, self.absent, power)

    def read(self, cursor: Cursor, record: Record) -> int | Decimal | None:
        """See `Part`."""
        raw: int = self.layout.unpack_from(cursor.data, cursor.take(self.least))[0]
        if raw == self.absent:
            return None
        for name, first, width in self.bits:
            record[name] = raw >> first & (1 << width) - 1
        return raw if self.exponent is None else scaled(raw, self._power(record))

    def write(self, value: Any, out: bytearray, record: Mapping[str, Any]) -> None:
        """See `Part`."""
        if value is None:
            if self.absent is None:
                raise ValueError("it cannot be absent")
            raw = Decimal(self.absent)
        else:
            raw = decimal_of(value)
            if self.exponent is not None:
                raw = raw.scaleb(-self._power(record))
        if raw != raw.to_integral_value():
            raise ValueError(f"{value} has more digits than it can hold")
        try:
            out += self.layout.pack(int(raw))
        except struct.error:
            raise ValueError(f"{value} does not fit") from None

    def _power(self, record: Mapping[str, Any]) -> int:
        said: Any = self.exponent
        if isinstance(said, ExponentTable):
            power = said.of.get(str(record.get(said.by)), said.otherwise)
            if power is None:
                raise ValueError(f"no exponent for {said.by} of {record.get(said.by)}")
            return power
        power = record.get(said) if isinstance(said, str) else said
        if type(power) is not int or abs(power) > WIDEST_EXPONENT:
            raise ValueError(f"the exponent {said} is {power}")
        return power


@dataclass(slots=True)
class Float(Part):
    """A binary floating-point number, as the shortest decimal that stands for it; None where it is no number."""

    layout: struct.Struct
    least: int = field(init=False)
    _shortest: Callable[[float], Decimal] = field(init=False)

    def __post_init__(self) -> None:
        self.least = self.layout.size
        self._shortest = floating.single if self.least == 4 else floating.double

    def read(self, cursor: Cursor, record: Record) -> Decimal | None:
        """See `Part`."""
        raw: float = self.layout.unpack_from(cursor.data, cursor.take(self.least))[0]
        return None if raw != raw else self._shortest(raw)

    def write(self, value: Any, out: bytearray, record: Mapping[str, Any]) -> None:
        """See `Part`."""
        out += self.layout.pack(math.nan if value is None else floating.nearest(decimal_of(value)))


@dataclass(slots=True)
class Text(Part):
    """UTF-8 text of a fixed size, filled up with NULs or spaces; ``fill``: what it is written with."""

    least: int
    fill: bytes = b"\0"

    def read(self, cursor: Cursor, record: Record) -> str:
        """See `Part`."""
        at = cursor.take(self.least)
        return cursor.data[at : at + self.least].rstrip(b"\0 ").decode()

    def write(self, value: Any, out: bytearray, record: Mapping[str, Any]) -> None:
        """See `Part`."""
        data = str(value).encode()
        if len(data) > self.least:
            raise ValueError(f"{value} is longer than {self.least} bytes")
        out += data.ljust(self.least, self.fill)


class Remainder(Part):
    """All that is left of the part around it: as text, or as hexadecimal digits."""

    def __init__(self, text: bool) -> None:
        self._text = text

    def read(self, cursor: Cursor, record: Record) -> str:
        """See `Part`."""
        at = cursor.take(cursor.end - cursor.at)
        data = cursor.data[at : cursor.end]
        return data.decode() if self._text else data.hex()

    def write(self, value: Any, out: bytearray, record: Mapping[str, Any]) -> None:
        """See `Part`."""
        out += str(value).encode() if self._text else bytes.fromhex(str(value))


@dataclass(slots=True)
class Skipped(Part):
    """Bytes that mean nothing."""

    least: int
    stored = False

    def read(self, cursor: Cursor, record: Record) -> None:
        """See `Part`."""
        cursor.take(self.least)

    def write(self, value: Any, out: bytearray, record: Mapping[str, Any]) -> None:
        """See `Part`."""
        out += bytes(self.least)


@dataclass(slots=True)
class Structure(Part):
    """Members, one behind the other. ``borrowed``: members of the object around it that its own ask for, and that stand
    before it there.
    """

    name: str
    members: tuple[tuple[str, Part], ...]
    borrowed: frozenset[str] = frozenset()
    least: int = field(init=False)
    numbers: PackedNumbers | None = field(init=False)
    """The members, where all are plain numbers."""

    def __post_init__(self) -> None:
        self.least = sum(part.least for _, part in self.members)
        places = accumulate((part.least for _, part in self.members), initial=0)
        self.numbers = packed_numbers(
            [(name, at, part.packed) for (name, part), at in zip(self.members, places, strict=False)]
        )

    def read(self, cursor: Cursor, record: Record) -> Record:
        """See `Part`."""
        cursor.count(len(self.members) + 1)
        if self.numbers is not None and cursor.at + self.least <= cursor.end:
            return self.numbers.read(cursor.data, cursor.take(self.least))
        found: Record = {name: record.get(name) for name in self.borrowed}
        for name, part in self.members:
            value = part.read(cursor, found)
            if part.stored:
                found[name] = value
        for name in self.borrowed:
            del found[name]
        return found

    def write(self, value: Any, out: bytearray, record: Mapping[str, Any]) -> None:
        """See `Part`."""
        members = {**{name: record.get(name) for name in self.borrowed}, **object_of(value)}
        counts = {part.count: len(members[name]) for name, part in self.members
                  if isinstance(part, Repeated) and isinstance(part.count, str) and isinstance(members.get(name), list)}
        for name, part in self.members:
            if part.stored and name not in members and name not in counts:
                raise ValueError(f"{self.name} has no {name}")
            part.write(members.get(name, counts.get(name)), out, members)


@dataclass(slots=True)
class Repeated(Part):
    """Several of one kind: as many as a number before them says (``count`` is a part), a member before them (its name),
    the layout (an int), or up to the end of the part around them (None).
    """

    of: Part
    count: Part | str | int | None
    least: int = field(init=False)

    def __post_init__(self) -> None:
        self.least = self.count.least if isinstance(self.count, Part) else 0
        if isinstance(self.count, int):
            self.least = self.count * self.of.least
        assert self.of.least > 0, "a count of parts without bytes is bounded by nothing"

    @property
    def borrowed(self) -> frozenset[str]:
        """See `Part`."""
        return self.of.borrowed | ({self.count} if isinstance(self.count, str) else frozenset())

    def read(self, cursor: Cursor, record: Record) -> list[Any]:
        """See `Part`."""
        found: list[Any] = []
        if self.count is None:
            while cursor.at < cursor.end:
                cursor.count(1)
                found.append(self.of.read(cursor, record))
            return found
        number: Any = self.count
        if not isinstance(number, int):
            number = record.get(number) if isinstance(number, str) else number.read(cursor, record)
        if type(number) is not int or number * self.of.least > cursor.end - cursor.at:
            raise ValueError(f"{number} parts of {self.of.least} bytes do not fit behind byte {cursor.at}")
        cursor.count(number)
        return [self.of.read(cursor, record) for _ in range(number)]

    def write(self, value: Any, out: bytearray, record: Mapping[str, Any]) -> None:
        """See `Part`."""
        if not isinstance(value, list):
            raise ValueError(f"{value} is no list")
        if isinstance(self.count, Part):
            self.count.write(len(value), out, record)
        elif isinstance(self.count, int) and self.count != len(value):
            raise ValueError(f"{len(value)} parts where there are {self.count}")
        for one in value:
            self.of.write(one, out, record)


@dataclass(slots=True)
class Sized(Part):
    """A part behind the number of its bytes."""

    length: Part
    of: Part
    least: int = field(init=False)

    def __post_init__(self) -> None:
        self.least = self.length.least + self.of.least

    @property
    def borrowed(self) -> frozenset[str]:
        """See `Part`."""
        return self.of.borrowed

    def read(self, cursor: Cursor, record: Record) -> Any:
        """See `Part`."""
        size = self.length.read(cursor, record)
        if type(size) is not int or not 0 <= size <= cursor.end - cursor.at:
            raise ValueError(f"a part of {size} bytes does not fit behind byte {cursor.at}")
        end, cursor.end = cursor.end, cursor.at + size
        found = self.of.read(cursor, record)
        cursor.finish()
        cursor.end = end
        return found

    def write(self, value: Any, out: bytearray, record: Mapping[str, Any]) -> None:
        """See `Part`."""
        inner = bytearray()
        self.of.write(value, inner, record)
        self.length.write(len(inner), out, record)
        out += inner


@dataclass(slots=True)
class Choice(Part):
    """One of several structures: by the number of bytes that are left (``by`` is None), or by a member that was read
    before. The member `kind` of its object says which.
    """

    by: str | None
    of: Mapping[str, Structure]
    otherwise: Structure | None = None
    least: int = field(init=False)

    def __post_init__(self) -> None:
        every = [*self.of.values(), *([self.otherwise] if self.otherwise else [])]
        self.least = min((one.least for one in every), default=0)

    @property
    def borrowed(self) -> frozenset[str]:
        """See `Part`."""
        every = [*self.of.values(), *([self.otherwise] if self.otherwise else [])]
        return frozenset({self.by} if self.by else ()).union(*(one.borrowed for one in every))

    def read(self, cursor: Cursor, record: Record) -> Record:
        """See `Part`."""
        key = str(cursor.end - cursor.at if self.by is None else record.get(self.by))
        chosen = self.of.get(key, self.otherwise)
        if chosen is None:
            raise ValueError(f"no structure for {'a length' if self.by is None else self.by} of {key}")
        return {"kind": chosen.name, **chosen.read(cursor, record)}

    def write(self, value: Any, out: bytearray, record: Mapping[str, Any]) -> None:
        """See `Part`."""
        kind = object_of(value).get("kind")
        for one in (*self.of.values(), self.otherwise):
            if one is not None and one.name == kind:
                return one.write(value, out, record)
        raise ValueError(f"no structure is called {kind}")


def _fixed(power: Any) -> TypeGuard[int | None]:
    return power is None or type(power) is int


def decimal_of(value: Any) -> Decimal:
    """A value of a message as a number; ValueError where it is none."""
    if type(value) not in (int, str, Decimal):
        raise ValueError(f"{value} is no number")
    try:
        return Decimal(value)
    except ArithmeticError:
        raise ValueError(f"{value} is no number") from None


def object_of(value: Any) -> Mapping[str, Any]:
    """A value of a message as an object; ValueError where it is none."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{value} is no object")
    return value
