"""What is written in C gives what the Python beside it gives, byte for byte, or leaves the value to it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from k2conn import exactjson, native
from k2conn.avro import SchemaField, fixed_bytes
from k2conn.compiler.converters.decimals import decimals, plain_decimal
from k2conn.compiler.converters.readers import text, texts, whole_number
from k2conn.compiler.converters.sides import plain_sign, quick_side, quick_sign, side_table
from k2conn.compiler.converters.times import PLAUSIBLE, nanoseconds, plain_time, times
from k2conn.compiler.expressions.expressions import compile_expression
from k2conn.engine.identity.record_content import content_maker
from k2conn.engine.mapping.native_mapper import CONVERSION_ERRORS
from k2conn.envelope import Envelope
from k2conn.errors import EncodeError, RecordError
from k2conn.plan import FastConversion
from k2conn.scope import Scope
from tests.support.plans import STREAMS, intake_of, plan_of, trade, trades

pytestmark = pytest.mark.skipif(native.Mapper is None, reason="k2conn/native is not built here (no C compiler)")

LONG = SchemaField("n", "long")
DECIMAL = SchemaField("p", "decimal", precision=18, scale=8)
WIDE = SchemaField("p", "decimal", precision=38, scale=18)
SIDE = SchemaField("s", "enum", symbols=("BUY", "SELL"))
STRING = SchemaField("t", "string")
LIST = SchemaField("l", "array<string>")
KINDS = {"": 0, "decimal": 1, "whole": 2, "time": 3, "named": 4, "text": 5, "magnitude": 9, "signed": 10, "sign": 11,
         "cut": 12, "list": 13, "nanoseconds": 15}
UNUSUAL = (RecordError, KeyError, TypeError, IndexError, ValueError)
MAP = {"true": "SELL", "false": "BUY", "buy": "BUY"}


def at(key: str) -> tuple[tuple[int, tuple[str | int, ...]], ...]:
    """The place of one key of the item."""
    return ((0, (key,)),)


def mapper_of(
    field: SchemaField, convert: Callable[[Any], Any], how: FastConversion, **more: Any
) -> Callable[..., Any]:
    """A record of its ids, one field and its vendor_data."""
    letter = {"long": "l", "decimal": "d", "enum": "e", "string": "s", "array<string>": "a"}[field.kind]
    table = {name: fixed_bytes(SIDE, name) for name in SIDE.symbols} if field is SIDE else None
    source = (at("v"), convert, KINDS[how.kind], how.scale, how.factor, how.least, how.below, how.table)
    below = 10**field.precision if field.kind == "decimal" else 1
    program = {
        "identity": (at("i"), text, 5, 0, 1, 0, 1, None), "row": (), "before": b"X-", "nullable": True,
        "sources": ((at("w"), int, 2, 0, 1, 0, 2**62, None), source),
        "entries": ((at("v"), exactjson.spell, b"\x02v"),), "keeps": False, "mapped": frozenset({"v", "i", "w"}),
        "time_at": 0, "price_at": 0, "time_source": "t_source", "scoped": None, "scope": (), "empty": (), "numbers": (),
        "words": (), "timed": True, "spell": exactjson.spell, "unusual": UNUSUAL, "odd": CONVERSION_ERRORS,
        "envelope": Envelope, "schema": None,
    }
    symbol = {
        "seed": b"seed|", "numbered": None, "opening": b"", "opened": 0, "names": frozenset({"v"}),
        "pieces": ((letter, False, 1, below, table),), "behind": 1, "topic": "t", "symbol": b"S", "account": None,
    }
    program |= {name: value for name, value in more.items() if name in program}
    symbol |= {name: value for name, value in more.items() if name in symbol}
    program["sources"] = tuple(map(with_reader, program["sources"]))
    program["identity"] = with_reader(program["identity"])
    found: Callable[..., Any] = native.Mapper(program=native.Program(**program), **symbol).make
    return found


def with_reader(source: Any) -> Any:
    """A source described with its reader: where it has a place, one that knows no more than the converter."""
    if not isinstance(source, tuple) or len(source) != 8:
        return source
    place, convert, *rest = source
    return (None, None, convert, *rest) if place is None else (place, convert, refuse, *rest)


def refuse(item: Any, scope: Any) -> Any:
    raise RecordError(None, None, None, "bad-type", "no such value")


def scope() -> Any:
    return SimpleNamespace(received_at=5, notes={}, unknown_sides=0, rounded=None)


def message_id(own: str) -> str:
    digest = hashlib.sha1(b"seed|" + own.encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def expected(field: SchemaField, convert: Callable[[Any], Any], value: Any) -> bytes | None:
    """What the complete way writes; None where it makes no record."""
    try:
        body = fixed_bytes(field, convert(value))
        entries = fixed_bytes(SchemaField("m", "map<string>"), {} if value is None else {"v": exactjson.spell(value)})
    except (*UNUSUAL, EncodeError):
        return None
    ids = fixed_bytes(STRING, message_id("7")) + fixed_bytes(STRING, "X-7")
    return ids + body + b"\x02" + entries


def check(field: SchemaField, convert: Callable[[Any], Any], how: FastConversion | None, value: Any) -> None:
    assert how is not None
    made = mapper_of(field, convert, how)({"i": 7, "v": value, "w": 1}, scope())
    wanted = expected(field, convert, value)
    if made is None:
        assert wanted is None or value is None, "left to the complete way"
    else:
        sent = Envelope("t", b"S", wanted, None, 0, None, 5)  # type: ignore[arg-type]
        assert made == (message_id("7"), 1, 1, sent, content_maker((), ())((), 1))
        assert type(made[3]) is Envelope


DIGITS = st.from_regex(r"-?[0-9]{0,14}(\.[0-9]{0,10})?", fullmatch=True)
NUMBERS = st.one_of(
    DIGITS, st.integers(), st.integers(-5, 2**63 + 5), st.decimals(allow_nan=False, allow_infinity=True),
    st.decimals(0, 10**9, places=8), st.booleans(), st.none(), st.text(max_size=12),
    st.sampled_from(["", ".", "1.", ".5", "1e5", "+1", "1_0", " 1", "٣", "1..2"]),
    st.sampled_from(["9" * 18, "9" * 19, "9" * 40, "0" * 41]),
)


@settings(max_examples=250)
@given(NUMBERS)
@example(Decimal("1E-8"))
@example(Decimal("64000.10"))
@example(10**10)
@example("9999999999.99999999")
@example("10000000000")
def test_decimals(value: Any) -> None:
    check(DECIMAL, decimals(8, 18), plain_decimal(8, 18), value)


@settings(max_examples=250)
@given(st.one_of(NUMBERS, st.from_regex(r"[0-9]{0,22}(\.[0-9]{0,20})?", fullmatch=True), st.integers(-(2**130), 2**130),
                 st.decimals(0, 10**20, places=18)))
@example(Decimal("1E-18"))
@example(10**20)
@example(10**20 - 1)
@example("99999999999999999999.999999999999999999")
@example("100000000000000000000")
@example("0000000000000000000000000000000000000001")
@example("0.0000001117")
@example(2**63)
@example(-(2**63) - 1)
def test_larger_decimals(value: Any) -> None:
    signed = decimals(18, 38, signed=True)
    for convert in (decimals(18, 38), signed):
        check(WIDE, convert, plain_decimal(18, 38), value)
    check(WIDE, signed, FastConversion(""), value)  # by the Python converter: its ints of any size are taken over


CONVERSIONS = {
    "magnitude": (DECIMAL, decimals(8, 18, magnitude=True), plain_decimal(8, 18, magnitude=True)),
    "signed": (DECIMAL, decimals(8, 18, signed=True), plain_decimal(8, 18, signed=True)),
    "in 1e-4": (DECIMAL, decimals(8, 18, Decimal("1e-4")), plain_decimal(8, 18, Decimal("1e-4"))),
    "in 100, signed": (
        DECIMAL, decimals(8, 18, Decimal(100), signed=True), plain_decimal(8, 18, Decimal(100), signed=True)),
    "sign": (SIDE, quick_sign("BUY", "SELL"), plain_sign("BUY", "SELL")),
    "seconds": (LONG, times("s"), plain_time("s")),
    "nanoseconds": (LONG, times("ns"), plain_time("ns")),
    "plausible seconds": (LONG, times("s", least=PLAUSIBLE), plain_time("s", least=PLAUSIBLE)),
    "plausible nanoseconds": (LONG, times("ns", least=PLAUSIBLE), plain_time("ns", least=PLAUSIBLE)),
    "side": (SIDE, quick_side({"1": "BUY", "2": "SELL"}), FastConversion("named", table={"1": "BUY", "2": "SELL"})),
}
MORE_NUMBERS = st.one_of(
    NUMBERS, st.integers(0, 3), st.integers(10**18, 2 * 10**18), st.decimals(0, 4 * 10**9, places=9),
    st.from_regex(r"-?1[0-9]{9}(\.[0-9]{0,12})?", fullmatch=True), st.from_regex(r"1[0-9]{17,19}", fullmatch=True),
    st.decimals(-(10**6), 10**6, places=3), st.integers(-(2**63), 2**63),
)


@pytest.mark.parametrize("name", CONVERSIONS)
@settings(max_examples=150)
@given(value=MORE_NUMBERS)
@example(value="-0")
@example(value="-0.00000001")
@example(value=-(2**63))
@example(value="1790000000.1234567891")
@example(value="1790000000.")
@example(value=".5")
@example(value=Decimal("1790000000.123456"))
@example(value="1790000000123456789")
@example(value="253402300800")
def test_other_numbers(name: str, value: Any) -> None:
    check(*CONVERSIONS[name], value)


@pytest.mark.parametrize(("name", "value"), [
    ("magnitude", "-0.5"), ("magnitude", -3), ("magnitude", Decimal("-3.5")), ("signed", "-0.5"), ("signed", -7),
    ("in 1e-4", "12345.6789"), ("in 1e-4", 5), ("in 100, signed", "-1.5"), ("sign", "-0.00000001"), ("sign", 4),
    ("seconds", "1790000000.1234567"), ("seconds", 1790000000), ("seconds", Decimal("1790000000.5")),
    ("nanoseconds", 1790000000123456789), ("nanoseconds", "1790000000123456789"), ("plausible seconds", 1790000000),
    ("side", 2), ("side", "1"),
])
def test_everyday_forms_are_read_without_python(name: str, value: Any) -> None:
    field, convert, how = CONVERSIONS[name]

    def asked(value: Any) -> Any:
        raise AssertionError("the Python converter was asked")

    assert how is not None
    made = mapper_of(field, asked, how)({"i": 7, "v": value, "w": 1}, scope())
    assert made is not None
    assert made[3].value == expected(field, convert, value)


@given(st.one_of(st.lists(st.text(max_size=70), max_size=70), st.lists(st.integers() | st.text()), st.none()))
@example(["\ud800"])
def test_lists_of_text(value: Any) -> None:
    source = at("v"), lambda value: value, 0, 0, 1, 0, 1, None
    made = mapper_of(LIST, texts, FastConversion(""), sources=((at("w"), int, 2, 0, 1, 0, 2**62, None), source),
                     entries=((None, None, b"\x02v\x02x"),))({"i": 7, "v": value, "w": 1}, scope())
    if made is None:
        assert value is None or not all(isinstance(one, str) and one.isprintable() for one in value)
    else:
        ids = fixed_bytes(STRING, message_id("7")) + fixed_bytes(STRING, "X-7")
        entries = fixed_bytes(SchemaField("m", "map<string>"), {"v": "x"})
        assert made[3].value == ids + fixed_bytes(LIST, value) + b"\x02" + entries


@pytest.mark.parametrize("number", [0, 1, -1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**38 - 1, 1 - 10**38])
def test_a_price_of_any_size_comes_back(number: int) -> None:
    make = mapper_of(WIDE, lambda value: value, FastConversion(""), price_at=1)
    made = make({"i": 7, "v": number, "w": 1}, scope())
    assert made is not None
    assert made[2] == number


@pytest.mark.parametrize("number", [10**38, -(10**38), 2**127, 2**200, -(2**127)])
def test_a_number_of_too_many_digits_is_left_to_the_complete_way(number: int) -> None:
    assert mapper_of(WIDE, lambda value: value, FastConversion(""))({"i": 7, "v": number, "w": 1}, scope()) is None


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**126])
def test_a_whole_number_of_more_than_64_bits_is_left_to_the_complete_way(number: int) -> None:
    assert mapper_of(LONG, lambda value: value, FastConversion(""))({"i": 7, "v": number, "w": 1}, scope()) is None


@settings(max_examples=250)
@given(NUMBERS)
@example(2**63 - 1)
@example(2**63)
@example(-(2**63))
def test_whole_numbers(value: Any) -> None:
    check(LONG, whole_number, FastConversion("whole", below=2**63 - 1), value)


@pytest.mark.parametrize("unit", ["ms", "us"])
@settings(max_examples=150)
@given(value=NUMBERS)
@example(value=253402300800 * 1000 - 1)
@example(value=253402300800 * 1000)
@example(value=253402300800 * 1_000_000)
def test_times_that_are_numbers(unit: str, value: Any) -> None:
    check(LONG, times(unit), plain_time(unit), value)


@settings(max_examples=250)
@given(
    st.one_of(
        st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
        st.from_regex(r"(19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{0,13})?(Z|)",
                      fullmatch=True),
        NUMBERS,
    )
)
@example("1970-01-01T00:00:00Z")
@example("1969-12-31T23:59:59Z")
@example("2000-02-29T00:00:00.1Z")
@example("1900-02-29T00:00:00.1Z")
@example("2100-02-29T00:00:00.1Z")
@example("9999-12-31T23:59:59.999999999999Z")
@example("2026-01-01T00:00:00.Z")
@example("2026-12-31T23:59:60Z")
def test_times_that_are_texts(value: Any) -> None:
    check(LONG, times("iso8601", None), plain_time("iso8601"), value)
    check(LONG, nanoseconds("iso8601"), FastConversion("nanoseconds"), value)


@given(st.one_of(st.sampled_from(["buy", "true", "false", "sell", True, False, 1, 0, Decimal(1), None]), NUMBERS))
def test_names(value: Any) -> None:
    check(SIDE, quick_side(MAP), FastConversion("named", table=side_table(MAP)), value)


@given(st.one_of(st.text(), st.text(alphabet=st.characters(), max_size=3), NUMBERS))
@example("é" * 70)
@example("a" * 5000)
@example("\ud800")
def test_texts(value: Any) -> None:
    check(STRING, text, FastConversion("text"), value)


@given(st.one_of(st.text(min_size=1).filter(lambda one: one.isprintable()), st.integers()))
@example("x" * 64)
@example("x" * 200)
def test_ids_are_those_of_uuid5(own: Any) -> None:
    make = mapper_of(LONG, whole_number, FastConversion("whole", below=2**62))
    made = make({"i": own, "v": 1, "w": 1}, scope())
    assert made[0] == message_id(str(own))


@given(st.dictionaries(st.text(max_size=3), st.one_of(NUMBERS, st.lists(st.integers(), max_size=2)), max_size=80))
def test_what_is_not_mapped_is_kept(rest: dict[str, Any]) -> None:
    make = mapper_of(LONG, whole_number, FastConversion("whole", below=2**62), keeps=True)
    item = {**rest, "v": 1, "i": 7, "w": 1}
    kept = {name: exactjson.spell(value) for name, value in rest.items()
            if value is not None and name not in ("v", "i", "w")}
    made = make(item, scope())
    if len(kept) + 1 >= 64:
        assert made is None  # left to the complete way
        return
    entries = fixed_bytes(SchemaField("m", "map<string>"), {"v": "1", **kept})
    assert made[3].value.endswith(b"\x02" + entries)


def test_an_odd_scope_item_or_number_of_arguments_is_no_crash() -> None:
    make = mapper_of(LONG, whole_number, FastConversion("whole", below=2**62))
    assert make([], scope()) is None
    assert make({}, scope()) is None
    with pytest.raises(TypeError):
        make({})
    with pytest.raises(AttributeError):
        make({}, object())


def test_a_bug_in_a_converter_comes_through() -> None:
    def broken(value: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        mapper_of(LONG, broken, FastConversion(""))({"i": 7, "v": "x", "w": 1}, scope())


WRONG: list[dict[str, Any]] = [
    {"sources": ((None, int, 9, 0, 1, 0, 1, None),)},
    {"sources": ((None, int, 4, 0, 1, 0, 1, None),)},
    {"sources": ((at("v"), int, 1, 19, 1, 0, 1, None),)},
    {"sources": ((at("v"), int, 1, 0, 0, 0, 1, None),)},
    {"sources": ((at("v"), int, 0, 0, 1, 0, 1, None),) * 65},
    {"sources": ()},
    {"time_at": 2},
    {"price_at": -2},
    {"pieces": (("l", False, 2, 1, None),)},
    {"pieces": (("?", False, 0, 1, None),)},
    {"pieces": (("c", False, 0, 1, "text"),)},
    {"pieces": (("e", False, 0, 1, {"BUY": 1}),)},
    {"entries": ((at("v"), int, "text"),)},
    {"identity": (at("i"),)},
    {"identity": ("i", text, 5, 0, 1, 0, 1, None)},
    {"identity": ((), text, 5, 0, 1, 0, 1, None)},
    {"identity": (at("i") * 5, text, 5, 0, 1, 0, 1, None)},
    {"sources": ((at("v"), int, 16, 0, 1, 0, 1, None),)},
    {"sources": (at("v"),)},
    {"pieces": (("p", False, 0, 1, None),)},
    {"behind": 2},
    {"opened": 64},
    {"empty": (2,)},
    {"scope": (-1,)},
    {"sources": ((at("v"), int, 12, -19, 1, 0, 1, None),)},
    {"sources": ((at("v"), int, 11, 0, 1, 0, 1, {True: "BUY"}),)},
    *({"entries": (((path,), exactjson.spell, b"\x02v"),)} for path in (
        (0, ["v"]), (-1, ("v",)), (5, ()), (0, ("v",) * 9), (0, (None,)), (0, (True, 1.5)), ("v",),
    )),
    {"mapped": {"a set"}},
    {"seed": "text"},
    {"envelope": list},
    {"envelope": SchemaField},
]


WHOLE = FastConversion("whole", below=2**62)
TAKEN = (at("w"), int, 2, 0, 1, 0, 2**62, None)


def unheard(value: Any) -> Any:
    raise KeyError


def reads(reader: Callable[[Any, Any], Any], convert: Any = unheard, how: int = 0) -> tuple[Any, ...]:
    """A field of which C knows nothing but the quick converter and the reader."""
    return at("v"), convert, reader, how, 0, 1, 0, 2**62, None


def test_one_field_that_is_not_plain_is_its_readers_and_all_others_are_not_asked() -> None:
    asked: list[Any] = []

    def read(item: Any, scope: Any) -> int:
        asked.append(item["v"])
        scope.notes["v_exact"] = "odd"
        return 7

    make = mapper_of(LONG, whole_number, WHOLE, sources=(TAKEN, reads(read, whole_number, 2)))
    seen = scope()
    for value in (3, "odd", 4):
        made = make({"i": 1, "v": value, "w": 5}, seen)
        noted = {"v_exact": "odd"} if value == "odd" else {}
        entries = fixed_bytes(SchemaField("m", "map<string>"), {"v": str(value), **noted})
        assert made[3].value.endswith(fixed_bytes(LONG, 7 if noted else value) + b"\x02" + entries)
        assert seen.notes == {}
    assert asked == ["odd"]


def test_a_note_by_the_name_of_another_entry_is_left_to_the_complete_way() -> None:
    def read(item: Any, scope: Any) -> int:
        scope.notes["v"], scope.unknown_sides, scope.rounded = "twice", 1, ("v", "1")
        return 7

    seen = scope()
    assert mapper_of(LONG, whole_number, WHOLE, sources=(TAKEN, reads(read)))({"i": 1, "v": "x", "w": 5}, seen) is None
    assert (seen.notes, seen.unknown_sides, seen.rounded) == ({}, 0, None)


@pytest.mark.parametrize("error", [RecordError(None, None, None, "bad-number", ""), ValueError(), ZeroDivisionError()])
def test_what_a_reader_raises(error: Exception) -> None:
    """What says that there is no record is met again by the general mapper; a bug comes through."""
    def read(item: Any, scope: Any) -> int:
        scope.notes["x"] = "left"
        raise error

    make, seen = mapper_of(LONG, whole_number, WHOLE, sources=(TAKEN, reads(read))), scope()
    if isinstance(error, ZeroDivisionError):
        with pytest.raises(ZeroDivisionError):
            make({"i": 1, "v": "x", "w": 5}, seen)
    else:
        assert make({"i": 1, "v": "x", "w": 5}, seen) is None
    assert seen.notes == {}


def test_a_reader_may_map_by_the_same_mapper() -> None:
    found: list[Any] = []

    def read(item: Any, scope: Any) -> int:
        if item["i"] < 3:
            found.append(make({**item, "i": item["i"] + 1}, scope))
        return 7

    make = mapper_of(LONG, whole_number, WHOLE, sources=(TAKEN, reads(read)))
    found.append(make({"i": 1, "v": "x", "w": 5}, scope()))
    assert [one[0] for one in found] == [message_id(own) for own in "321"]


@pytest.mark.parametrize("values", [None, (), ((1,),), (7,), [(1, 2)]])
def test_values_that_were_not_given_are_a_bug_and_no_crash(values: Any) -> None:
    make = mapper_of(LONG, whole_number, WHOLE, sources=(TAKEN, (None, None, None, 14, 0, 1, 0, 1, None)))
    item = {"i": 1, "v": 1, "w": 5}
    assert make(item, scope(), ((0, 44),))[3].value == make(item, scope(), ((1, 44),))[3].value
    with pytest.raises(SystemError):
        make(item, scope(), *([values] if values is not None else []))


def test_an_id_has_what_it_is_unique_within() -> None:
    make = mapper_of(LONG, whole_number, WHOLE, scope=(1, 0), scoped=lambda own, said: f"{said[0]}|{said[1]}|{own}")
    assert make({"i": 1, "v": 2, "w": 3}, scope())[0] == message_id("2|3|1")
    for odd in (lambda own, said: 7, lambda own, said: None, lambda own: ""):
        assert mapper_of(LONG, whole_number, WHOLE, scope=(1,), scoped=odd)({"i": 1, "v": 2, "w": 3}, scope()) is None


def test_a_time_that_is_not_the_items_own_is_no_content() -> None:
    def read(item: Any, scope: Any) -> int:
        scope.notes["t_source"] = "received"
        return 9

    made = mapper_of(LONG, whole_number, WHOLE, sources=(TAKEN, reads(read)))({"i": 1, "v": "x", "w": 3}, scope())
    assert made[1] == 3
    assert made[4] == content_maker((), ())((), 0)


def test_what_python_writes_stands_in_its_place() -> None:
    def pieces(write: Any) -> Any:
        make = mapper_of(LONG, whole_number, WHOLE, pieces=(("p", False, 1, 1, write),))
        return make({"i": 1, "v": 2, "w": 3}, scope())

    assert pieces(lambda value: b"<%d>" % value)[3].value.count(b"<2>") == 1
    assert pieces(lambda value: "text") is None


def test_all_zero_is_left_to_the_complete_way() -> None:
    make = mapper_of(LONG, whole_number, WHOLE, empty=(1,))
    assert make({"i": 1, "v": 0, "w": 3}, scope()) is None
    assert make({"i": 1, "v": 1, "w": 3}, scope()) is not None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(["", "a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "key"]), inner, max_size=3),
)
STEPS = st.lists(st.sampled_from(["a", "b", "key"]) | st.integers(-4, 3), max_size=5)
ROOTS = ["item", "message", "state", "key", "received_at"]


def spelled(root: str, steps: list[str | int]) -> str:
    """A path as an expression."""
    words = "" if root == "item" else f"${root}"
    words += "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return words.removeprefix(".") or "@"


@given(VALUES, VALUES, st.lists(st.tuples(st.sampled_from(ROOTS), STEPS), min_size=1, max_size=4))
def test_paths_in_c_lead_where_the_expression_leads(
    item: Any, other: Any, ways: list[tuple[str, list[str | int]]]
) -> None:
    expression = compile_expression(" || ".join(spelled(one_root, way) for one_root, way in ways))
    assert expression.paths == tuple((one_root, tuple(way)) for one_root, way in ways)
    scope = Scope({"a": other, "b": [other]})
    scope.message, scope.key, scope.received_at = other, "a", 1_700_000_000_000_000
    seen: list[Any] = []

    def keep(value: Any) -> int:
        seen.append(value)
        return 1

    place = tuple((ROOTS.index(root), tuple(steps)) for root, steps in ways)
    identity = None, lambda item, scope: "1", 0, 0, 1, 0, 1, None
    sources = ((place, keep, 0, 0, 1, 0, 1, None), (None, lambda item, scope: 1, 0, 0, 1, 0, 1, None))
    make = mapper_of(LONG, whole_number, FastConversion("whole", below=2**62), identity=identity, sources=sources,
                     entries=((place, exactjson.spell, b"\x02e"),), time_at=1, price_at=1)
    wanted = expression.get(item, scope)
    made = make(item, scope)
    assert seen == [wanted]
    assert (made is None) is (wanted is None)  # a record without any entry of vendor_data is not plain
    if made is not None:
        assert (wanted if isinstance(wanted, str) else exactjson.spell(wanted)).encode() in made[3].value


@pytest.mark.parametrize("index", [2**31, 2**63 - 1, 2**63, 10**100, -(2**31) - 1, -(2**63) - 1, -(10**100)])
def test_an_index_beyond_any_list_is_no_bug(index: int) -> None:
    pipeline = intake_of(plan_of(streams=STREAMS.replace("price: p", f"price: 'p[{index}] || q'")))
    envelopes, _ = pipeline.receive([trades(trade(1)), trades(trade(2, p=["1", "2"]))], 0.0, 1_700_000_000_000_000)
    found = [one.schema.decode_plain(one.value)["price"] for one in envelopes if one.schema is not None]
    assert len(found) == 2
    assert len(set(found)) == 1


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_description_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        mapper_of(LONG, whole_number, FastConversion("whole", below=2**62), **wrong)


def test_frames_are_cut_by_the_given_arguments() -> None:
    found: list[str | bytes] = []
    wire = b"\x81\x02hi\x82\x01x" + b"\x81\x7e\x00\x03long"[:-1]
    assert native.cut(wire, 100, 200, found) == len(wire)
    assert found == ["hi", b"x", "lon"]
    ends = [native.cut(wire[:end], 100, 200, []) for end in range(len(wire))]
    assert ends == [0] * 4 + [4] * 3 + [7] * 7
    assert native.cut(wire, 1, 200, []) == 4  # what begins before
    assert native.cut(wire, 100, 2, []) == 7  # too long
    for odd in (b"\x89\x00", b"\x01\x01x", b"\x81\x81maskx", b"\xc1\x01x", b"\x81\x01\xff", b"\x81\x7f" + b"\xff" * 8):
        assert native.cut(odd + wire, 100, 200, []) == 0


@pytest.mark.parametrize("wrong", [(b"", 1, 1), ("", 1, 1, []), (b"", 1, 1, ()), (b"", None, 1, []), (b"", 1, -1, [])])
def test_wrong_arguments_are_refused(wrong: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError)):
        native.cut(*wrong)


@given(st.binary(max_size=60), st.integers(0, 40))
def test_any_bytes_are_cut_or_left(wire: bytes, limit: int) -> None:
    found: list[str | bytes] = []
    at = native.cut(wire, 50, limit, found)
    assert 0 <= at <= len(wire)
    sizes = [len(one.encode() if isinstance(one, str) else one) for one in found]
    assert at == sum(size + (2 if size < 126 else 4) for size in sizes) or any(b in (0x7e, 0x7f) for b in wire)


def test_it_can_be_left_out() -> None:
    code = "from k2conn import native; print(native.Mapper)"
    given = {**os.environ, "K2CONN_PURE_PYTHON": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=given)
    assert done.stdout == "None\n"
