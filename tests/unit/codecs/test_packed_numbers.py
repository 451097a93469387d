"""Plain numbers of binary frames read with one call are what they are part by part."""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2conn.binary.packed_numbers import packed_numbers, plain_number, scaled
from k2conn.binary.sbe_parts import Constant, FieldBlock, Mantissa, Named
from k2conn.binary.structures import Cursor, Number, Part, Structure, Text

CODES = st.sampled_from(["<b", "<B", "<h", "<H", "<i", "<I", "<q", "<Q"])
ABSENT = st.none() | st.sampled_from([0, 1, 255, -1, -128])


@st.composite
def parts(draw: st.DrawFn) -> Part:
    number = Number(struct.Struct(draw(CODES)), draw(st.none() | st.integers(-10, 10)), draw(ABSENT))
    kind = draw(st.sampled_from(["number", "named", "mantissa", "text"]))
    if kind == "named":
        return Named(Number(struct.Struct(draw(CODES)), None, draw(ABSENT)), {0: "NONE", 1: "ONE", None: "NOTHING"})
    if kind == "mantissa":
        return Mantissa(Number(struct.Struct(draw(CODES)), None, draw(ABSENT)), Constant(draw(st.integers(-18, 3))))
    return number if kind == "number" or draw(st.booleans()) else Text(3)


BYTES = st.lists(st.sampled_from([0, 1, 2, 65, 127, 128, 255]), max_size=48).map(bytes)


def read(part: Any, data: bytes, *more: Any) -> Any:
    cursor = Cursor(data, 30)
    try:
        found = part.read(cursor, {}, *more)
    except ValueError as error:
        return str(error)
    return repr(found), cursor.at, cursor.left


@settings(max_examples=250)
@given(st.lists(parts(), min_size=1, max_size=6), BYTES)
def test_a_structure(found: list[Part], data: bytes) -> None:
    one = Structure("s", tuple((f"m{at}", part) for at, part in enumerate(found)))
    quick = read(one, data)
    assert (one.numbers is not None) is all(part.packed is not None for part in found)
    one.numbers = None
    assert quick == read(one, data)


@settings(max_examples=250)
@given(st.lists(st.tuples(parts(), st.integers(0, 3)), min_size=1, max_size=5), BYTES, st.integers(0, 40))
def test_a_block_of_any_length(said: list[tuple[Part, int]], data: bytes, length: int) -> None:
    fields, at = [], 0
    for number, (part, gap) in enumerate(said):
        fields.append((f"m{number}", at + gap, part))
        at += gap + part.least
    block = FieldBlock(tuple(fields), (), (), at)
    quick = read(block, data, length, 1)
    block._numbers = None
    assert quick == read(block, data, length, 1)


def test_what_is_read_part_by_part() -> None:
    one = plain_number(struct.Struct("<H"), None, None)
    assert packed_numbers([]) is None
    assert packed_numbers([("a", 0, one), ("a", 2, one)]) is None, "one name twice"
    assert packed_numbers([("a", 0, one), ("b", 1, one)]) is None, "one over the other"
    assert packed_numbers([("a", 0, one), ("b", 2, plain_number(struct.Struct(">H"), None, None))]) is None
    assert packed_numbers([("a", 0, one), ("b", 2, None)]) is None
    assert plain_number(struct.Struct("<H"), None, 401) is None


@given(st.integers(-(2**63), 2**64), st.integers(-400, 400))
def test_a_power_of_ten_keeps_every_digit(number: int, power: int) -> None:
    sign, digits, _ = Decimal(number).as_tuple()
    assert repr(scaled(number, power)) == repr(Decimal((sign, digits, power)))


def test_a_power_that_no_number_has() -> None:
    with pytest.raises(ValueError, match="exponent"):
        scaled(1, 10**19)
