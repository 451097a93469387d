"""The structures that a connector file declares, from the map under ``layout:``::

    byte_order: big
    frame: {packets: {count: u16, length: u16, of: packet}}     # the outermost structure
    packet: {by: length, of: {8: last, 44: full}}               # one of several
    last: {token: {type: u32, bits: {segment: 0-7}}, price: {type: i32, exponent: -2}}
    full: {...}

A structure is a map of members in their order. A member is a type (`u8` to `u64`, `i8` to `i64`, also of 24 and 48
bits, `f32`, `f64`, `text 12`, `text 12 spaces`, `skip 2`; `text` and `bytes` for all that is left), another
structure's name, or a map: of a number's
``type`` with ``exponent``, ``absent`` and ``bits``; of a list's ``count`` (a type, a number, a member's name, `rest`)
and ``of``; of a ``length`` and ``of``, for a part behind its own length. A member that says an exponent, a count or
which structure stands before what it is said of, in the same structure or in one around that.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Any

from k2conn.binary.packed_numbers import WIDEST_EXPONENT
from k2conn.binary.structures import (
    Choice,
    ExponentTable,
    Float,
    Number,
    OddInteger,
    Part,
    Remainder,
    Repeated,
    Sized,
    Skipped,
    Structure,
    Text,
)

OUTERMOST = "frame"
_ORDERS = {"big": ">", "little": "<"}
_CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i8": "b", "i16": "h", "i32": "i", "i64": "q"}
_ODD = {"u24": 3, "u48": 6, "i24": 3, "i48": 6}
_WHOLE = (*_CODES, *_ODD)
_FLOATS = {"f32": "f", "f64": "d"}
_TEXT = re.compile(r"text ([1-9][0-9]{0,4})( spaces)?")
_SKIP = re.compile(r"skip ([1-9][0-9]{0,4})")
_BITS = re.compile(r"([0-9]{1,2})(?:-([0-9]{1,2}))?")
_LEFT = {"text": True, "bytes": False}
_NUMBER_WORDS = {"type", "exponent", "absent", "bits"}
_LIST_WORDS = {"count", "length", "of"}
_CHOICE_WORDS = {"by", "of", "else"}
_TYPES = f"{', '.join((*_WHOLE, *_FLOATS))}, 'text N', 'skip N', 'text', 'bytes' or a structure's name"


def layout(said: Any) -> Part:
    """The outermost structure. ValueError with all that is wrong, in words for the author."""
    if not isinstance(said, Mapping):
        raise ValueError("`layout` is a map of structures")
    return _Reader(said).outermost()


class _Reader:
    """Makes parts of what is said, each structure once."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        self._said = {name: one for name, one in said.items() if name != "byte_order"}
        self._order = _ORDERS.get(said.get("byte_order", ""), "")
        self._made: dict[str, Structure | Choice | None] = {}
        self._problems: list[str] = []
        self._asked: dict[str, str] = {}
        """Where a member of another structure is asked for first, by its name."""

    def outermost(self) -> Part:
        if not self._order:
            self._problems.append("`byte_order` is `big` or `little`")
            self._order = ">"
        if OUTERMOST not in self._said:
            self._problems.append(f"there is no structure `{OUTERMOST}`, the outermost one")
        for name in self._said:
            self._structure(name)
        found = self._made.get(OUTERMOST)
        for name in sorted(found.borrowed) if found is not None else ():
            self._wrong(self._asked.get(name, OUTERMOST),
                        f"'{name}' is no member before it, in the same structure or one around it")
        if self._problems or found is None:
            raise ValueError("layout: " + "; ".join(self._problems))
        return found

    def _wrong(self, place: str, text: str) -> None:
        self._problems.append(f"{place}: {text}")

    def _structure(self, name: str) -> Structure | Choice | None:
        if name in self._made:
            found = self._made[name]
            if found is None and not self._problems:
                self._wrong(name, "stands within itself")
            return found
        self._made[name] = None
        said = self._said[name]
        if not isinstance(said, Mapping) or not said:
            self._wrong(name, "a structure is a map of its members")
        elif {"by", "of"} <= set(said) <= _CHOICE_WORDS:
            self._made[name] = self._choice(name, said)
        else:
            self._made[name] = self._members(name, said)
        return self._made[name]

    def _members(self, name: str, said: Mapping[str, Any]) -> Structure:
        members: list[tuple[str, Part]] = []
        known: set[str] = set()
        borrowed: set[str] = set()
        for member, one in said.items():
            place = f"{name}.{member}"
            part = self._part(place, one)
            if part is not None:
                members.append((member, part))
                for asked in sorted(part.borrowed - known):
                    borrowed.add(asked)
                    self._asked.setdefault(asked, place)
                    if asked in said:
                        self._wrong(place, f"'{asked}' stands behind it or is skipped")
                known |= {member} if part.stored else set()
                known |= {bits for bits, _, _ in part.bits} if isinstance(part, Number) else set()
        return Structure(name, tuple(members), frozenset(borrowed))

    def _choice(self, name: str, said: Mapping[str, Any]) -> Choice | None:
        of = said["of"]
        if not isinstance(of, Mapping) or not isinstance(said["by"], str):
            self._wrong(name, "`by` is `length` or a member's name, `of` a map from its values to structures")
            return None
        found: dict[str, Structure] = {}
        otherwise = None
        for key, one in [*of.items(), *([(None, said["else"])] if "else" in said else [])]:
            part = self._structure(one) if isinstance(one, str) and one in self._said else None
            if not isinstance(part, Structure):
                self._wrong(name, f"'{one}' is no structure with members")
            elif any(member == "kind" for member, _ in part.members):
                self._wrong(one, "a member cannot be called `kind`: that says which structure was chosen")
            elif key is None:
                otherwise = part
            else:
                found[key] = part
        return Choice(None if said["by"] == "length" else said["by"], found, otherwise)

    def _part(self, place: str, said: Any) -> Part | None:
        if isinstance(said, str):
            return self._typed(place, said)
        if isinstance(said, Mapping) and "type" in said and set(said) <= _NUMBER_WORDS:
            return self._number(place, said)
        if isinstance(said, Mapping) and "of" in said and set(said) <= _LIST_WORDS and len(said) > 1:
            return self._list(place, said)
        words = "`type` (with `exponent`, `absent`, `bits`), or `of` with `count` or `length` or both"
        self._wrong(place, f"is a type or a map of {words}")
        return None

    def _typed(self, place: str, word: str) -> Part | None:
        if word in _WHOLE:
            return Number(self._integer(word))
        if word in _FLOATS:
            return Float(struct.Struct(self._order + _FLOATS[word]))
        if word in _LEFT:
            return Remainder(_LEFT[word])
        if (text := _TEXT.fullmatch(word)) is not None:
            return Text(int(text[1]), b" " if text[2] else b"\0")
        if (skipped := _SKIP.fullmatch(word)) is not None:
            return Skipped(int(skipped[1]))
        if word in self._said:
            return self._structure(word)
        self._wrong(place, f"'{word}' is none of {_TYPES}")
        return None

    def _integer(self, word: str) -> struct.Struct | OddInteger:
        """How a whole number's type is read."""
        if word in _ODD:
            return OddInteger(_ODD[word], self._order, word[0] == "i")
        return struct.Struct(self._order + _CODES[word])

    def _number(self, place: str, said: Mapping[str, Any]) -> Part | None:
        word = said["type"]
        if word not in _WHOLE:
            self._wrong(place, f"only whole numbers have more to say than their type, not '{word}'")
            return None
        bits = said.get("bits", {})
        exponent = self._exponent(place, said.get("exponent"))
        absent = said.get("absent")
        if absent is not None and not _within(absent, 2**64):
            self._wrong(place, "`absent` is a whole number")
        number = Number(self._integer(word), exponent, absent)
        number.bits = self._bits(place, bits, 8 * number.least)
        return number

    def _exponent(self, place: str, said: Any) -> int | str | ExponentTable | None:
        if said is None or (isinstance(said, int) and _within(said, WIDEST_EXPONENT)):
            return said
        if isinstance(said, Mapping) and {"by", "of"} <= set(said) <= _CHOICE_WORDS and isinstance(said["of"], Mapping):
            powers = [*said["of"].values(), said.get("else", 0)]
            if isinstance(said["by"], str) and all(_within(one, WIDEST_EXPONENT) for one in powers):
                return ExponentTable(said["by"], {str(key): one for key, one in said["of"].items()}, said.get("else"))
        if isinstance(said, str):
            return said
        words = "{by: MEMBER, of: {VALUE: EXPONENT}, else: EXPONENT}"
        self._wrong(place, f"`exponent` is a whole number, a member before this one, or {words}")
        return None

    def _bits(self, place: str, said: Any, width: int) -> tuple[tuple[str, int, int], ...]:
        found = []
        for name, where in said.items() if isinstance(said, Mapping) else [("", said)]:
            match = _BITS.fullmatch(str(where))
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
            if not name or not first <= last < width:
                self._wrong(place, f"`bits` are names with their bits, such as 0-7, 0 the lowest, {width - 1} the last")
            found.append((name, first, last - first + 1))
        return tuple(found)

    def _list(self, place: str, said: Mapping[str, Any]) -> Part | None:
        inner = self._part(place, said["of"]) if isinstance(said["of"], str) else None
        if inner is None:
            if not isinstance(said["of"], str):
                self._wrong(place, f"`of` is {_TYPES}")
            return None
        if "length" in said:
            length = self._whole(place, "length", said["length"])
            if length is None:
                return None
            inner = Sized(length, inner)
        if "count" not in said:
            return inner
        if inner.least == 0:
            self._wrong(place, "parts without bytes cannot be counted")
            return None
        count = said["count"]
        if count == "rest":
            return Repeated(inner, None)
        if isinstance(count, str) and count not in _WHOLE:
            return Repeated(inner, count)
        if type(count) is int and 0 < count < 1 << 16:
            return Repeated(inner, count)
        number = self._whole(place, "count", count)
        return None if number is None else Repeated(inner, number)

    def _whole(self, place: str, word: str, said: Any) -> Part | None:
        if isinstance(said, str) and said in _WHOLE:
            return Number(self._integer(said))
        more = ", a number, a member before it or `rest`" if word == "count" else ""
        self._wrong(place, f"`{word}` is a whole number's type{more}")
        return None


def _within(value: Any, most: int) -> bool:
    return type(value) is int and abs(value) <= most
