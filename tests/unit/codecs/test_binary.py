"""Binary formats by a declaration, by an SBE schema and of MessagePack: bytes made by `struct` and by MessagePack's own
library, the numbers exact, the same bytes written again, and nothing worse than a dead letter for broken ones.
"""

from __future__ import annotations

import json
import struct
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn import exactjson
from k2conn.binary import floating
from k2conn.codecs import CODECS
from k2conn.codecs.component import MOST_VALUES
from k2conn.codecs.decoding import decoder
from k2conn.codecs.encoding import encoder
from k2conn.compiler.compiler import check_text
from k2conn.errors import RecordError
from k2conn.plan import FrameEncoding
from k2conn.tools.connector_tests import run_test
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE

FOLDER = Path(__file__).parent / "data"
LAYOUT = {
    "byte_order": "big",
    "frame": {"by": "length", "of": {"1": "heartbeat"}, "else": "ticks"},
    "heartbeat": {"data": "skip 1"},
    "ticks": {"packets": {"count": "u16", "length": "u16", "of": "packet"}},
    "packet": {"by": "length", "of": {"8": "last", "31": "full"}},
    "last": {
        "token": {"type": "u32", "bits": {"segment": "0-7"}},
        "price": {"type": "i32", "exponent": {"by": "segment", "of": {"3": -7}, "else": -2}},
    },
    "full": {
        "token": "u32", "scale": "i8", "price": {"type": "i64", "exponent": "scale"}, "rate": "f32", "exact": "f64",
        "none": {"type": "u16", "absent": 65535}, "name": "text 4",
    },
}
TICKS = (
    struct.pack(">H", 2)
    + struct.pack(">HIi", 8, 408065, 6400010)
    + struct.pack(">HIbqfdH4s", 31, 5, -8, 6400000000001, 64000.1, 0.1, 65535, b"AB\0\0")
)
TRADES_BLOCK = struct.pack("<qbBqq", 17, -2, 0b1001, 1234567, -(2**63))
TRADES = (
    struct.pack("<HHHH", len(TRADES_BLOCK), 100, 7, 2) + TRADES_BLOCK
    + struct.pack("<HI", 17, 2) + struct.pack("<qqB", 1, 6400010, 1) + struct.pack("<qqB", 2, -5, 0)
    + b"\x07BTCUSDT"
)


def encoding(name: str, **settings: Any) -> FrameEncoding:
    return FrameEncoding(text=(), binary=(name,), settings=settings)


BY_LAYOUT = encoding("layout", layout=json.dumps(LAYOUT))
BY_SCHEMA = encoding("sbe", schema=(FOLDER / "trades.sbe.xml").read_bytes())
MESSAGE_PACK = encoding("msgpack")


def refused(by: FrameEncoding, frame: bytes) -> RecordError:
    with pytest.raises(RecordError) as caught:
        decoder(by)(frame)
    return caught.value


def test_a_declared_layout() -> None:
    found: Any = decoder(BY_LAYOUT)(TICKS)
    last, full = found["packets"]
    assert last == {"kind": "last", "segment": 408065 & 0xFF, "token": 408065, "price": Decimal("64000.10")}
    assert str(last["price"]) == "64000.10"
    assert full == {
        "kind": "full", "token": 5, "scale": -8, "price": Decimal("64000.00000001"), "rate": Decimal("64000.1"),
        "exact": Decimal("0.1"), "none": None, "name": "AB",
    }
    assert decoder(BY_LAYOUT)(b"\0") == {"kind": "heartbeat"}
    other: Any = decoder(BY_LAYOUT)(struct.pack(">HHIi", 1, 8, 0x103, 856450000))
    assert str(other["packets"][0]["price"]) == "85.6450000"


AROUND = encoding("layout", layout=json.dumps({
    "byte_order": "big",
    "frame": {"kinds": "u8", "digits": {"type": "i8"}, "size_digits": "i8", "many": "u8",
              "books": {"count": "many", "of": "book"}},
    "book": {"symbol": "text 3", "rows": {"count": "u8", "of": "row"}},
    "row": {"by": "kinds", "of": {"1": "deal"}, "else": "level"},
    "deal": {"price": {"type": "i32", "exponent": "digits"},
             "size": {"type": "u16", "exponent": {"by": "size_digits", "of": {"2": -2}, "else": 0}}},
    "level": {"price": {"type": "i32", "exponent": "digits"}},
}))


@pytest.mark.parametrize(("kinds", "row", "wanted"), [
    (1, struct.pack(">iH", 6400010, 25), {"kind": "deal", "price": Decimal("6400.010"), "size": Decimal("0.25")}),
    (2, struct.pack(">i", -5), {"kind": "level", "price": Decimal("-0.005")}),
])
def test_what_a_part_needs_may_stand_around_it(kinds: int, row: bytes, wanted: dict[str, Any]) -> None:
    """Exponents, a count and a choice by members of the outermost structure, two and three structures further in."""
    frame = struct.pack(">BbbB", kinds, -3, 2, 2) + b"AAA\1" + row + b"BB\0\2" + row + row
    found: Any = decoder(AROUND)(frame)
    assert found["books"] == [{"symbol": "AAA", "rows": [wanted]}, {"symbol": "BB", "rows": [wanted, wanted]}]
    assert str(found["books"][0]["rows"][0]["price"]) == str(wanted["price"])
    assert encoder(AROUND)(exactjson.encode(found)) == frame


ODD = encoding("layout", layout=json.dumps({
    "byte_order": "big",
    "frame": {"time": "u48", "size": {"type": "i24", "exponent": -2}, "many": "u24", "name": "text 6 spaces",
              "other": "text 4", "rows": {"count": "u24", "of": "u48"}},
}))


def test_numbers_of_24_and_48_bits_and_text_that_is_filled_with_spaces() -> None:
    frame = (
        (34_200_500_000_000).to_bytes(6, "big") + (-5).to_bytes(3, "big", signed=True) + b"\xff\xff\xfe"
        + b"user  " + b"AB\0\0" + b"\0\0\1" + b"\xff" * 6
    )
    found: Any = decoder(ODD)(frame)
    assert found == {"time": 34_200_500_000_000, "size": Decimal("-0.05"), "many": 0xFFFFFE, "name": "user",
                     "other": "AB", "rows": [(1 << 48) - 1]}
    assert encoder(ODD)(exactjson.encode(found)) == frame
    too_large = exactjson.encode({**found, "many": 1 << 24})
    assert isinstance(encoder(ODD)(too_large), str), "it has no room for it"


def test_a_little_endian_number_of_24_bits() -> None:
    by = encoding("layout", layout='{"byte_order": "little", "frame": {"n": "u24", "i": "i48"}}')
    frame = b"\1\2\3" + (-2).to_bytes(6, "little", signed=True)
    assert decoder(by)(frame) == {"n": 0x030201, "i": -2}
    assert encoder(by)(exactjson.encode({"n": 0x030201, "i": -2})) == frame


def test_an_sbe_schema() -> None:
    found: Any = decoder(BY_SCHEMA)(TRADES)
    assert found["message"] == "Trades"
    body = found["body"]
    assert [(one["id"], one["price"], one["maker"], one["best"]) for one in body["trades"]] == [
        (1, Decimal("64000.10"), "True", "True"), (2, Decimal("-0.05"), "False", "True")
    ]
    assert {key: body[key] for key in ("time", "flags", "last", "opt", "symbol")} == {
        "time": 17, "flags": ["a", "b"], "last": Decimal("123.4567"), "opt": None, "symbol": "BTCUSDT"
    }


def test_frames_of_a_newer_and_of_an_older_schema() -> None:
    newer = TRADES_BLOCK + b"zz"
    frame = struct.pack("<HHHH", len(newer), 100, 7, 3) + newer + struct.pack("<HI", 18, 1)
    frame += struct.pack("<qqBB", 1, 6400010, 1, 9) + b"\x07BTCUSDT" + b"something more"
    found: Any = decoder(BY_SCHEMA)(frame)
    assert [one["price"] for one in found["body"]["trades"]] == [Decimal("64000.10")]
    older = struct.pack("<HHHH", 9, 100, 7, 1) + TRADES_BLOCK[:9] + struct.pack("<HI", 17, 0) + b"\x01A"
    found = decoder(BY_SCHEMA)(older)
    assert found["body"] == {
        "time": 17, "priceExponent": -2, "flags": None, "last": None, "opt": None, "trades": [], "symbol": "A"
    }


def test_a_message_that_the_schema_does_not_know_is_only_named() -> None:
    assert decoder(BY_SCHEMA)(struct.pack("<HHHH", 0, 5, 7, 2)) == {"message": "5", "body": None}


@pytest.mark.parametrize(("by", "frame"), [(BY_LAYOUT, TICKS), (BY_LAYOUT, b"\0"), (BY_SCHEMA, TRADES)])
def test_what_was_read_is_written_the_same(by: FrameEncoding, frame: bytes) -> None:
    assert encoder(by)(exactjson.encode(decoder(by)(frame))) == frame


@pytest.mark.parametrize("by", [BY_LAYOUT, BY_SCHEMA], ids=["layout", "sbe"])
def test_what_a_binary_format_cannot_say_is_a_text_frame(by: FrameEncoding) -> None:
    assert encoder(by)(b'{"event":"subscribed"}') == '{"event":"subscribed"}'


@pytest.mark.parametrize(
    ("by", "frame"),
    [
        (BY_LAYOUT, b""), (BY_LAYOUT, b"\0\1"), (BY_LAYOUT, TICKS[:-1]), (BY_LAYOUT, TICKS + b"1"),
        (BY_LAYOUT, b"\xff\xff" + TICKS[2:]), (BY_SCHEMA, b""), (BY_SCHEMA, TRADES[:-1]), (BY_SCHEMA, TRADES + b"x"),
        (BY_SCHEMA, TRADES[:4] + b"\1\0" + TRADES[6:]),
        (BY_SCHEMA, struct.pack("<HHHH", 26, 100, 7, 2) + TRADES_BLOCK + struct.pack("<HI", 0, 2**31)),
        (MESSAGE_PACK, b""), (MESSAGE_PACK, b"\xc1"), (MESSAGE_PACK, b"\x91"), (MESSAGE_PACK, b"\xdd\xff\xff\xff\xff"),
        (MESSAGE_PACK, b"\x91" * 500 + b"\xc0"), (MESSAGE_PACK, b"\x81\x01\x01"), (MESSAGE_PACK, b"\x01\x01"),
        (MESSAGE_PACK, b"\xa1\xff"), (MESSAGE_PACK, msgpack.packb(float("nan"))), (MESSAGE_PACK, b"\xd4\x05\x00"),
    ],
)
def test_a_broken_frame_is_malformed(by: FrameEncoding, frame: bytes) -> None:
    assert refused(by, frame).reason == "malformed-frame"


@given(st.binary(max_size=120), st.sampled_from([BY_LAYOUT, BY_SCHEMA, MESSAGE_PACK]), st.integers(0, 100))
def test_no_bytes_do_more_than_be_malformed(noise: bytes, by: FrameEncoding, at: int) -> None:
    whole = {id(BY_LAYOUT): TICKS, id(BY_SCHEMA): TRADES}.get(id(by), msgpack.packb({"a": [1, 2.5, "x"]}))
    for frame in (noise, whole[: at % len(whole)] + noise):
        reason = ""
        try:
            exactjson.encode(decoder(by)(frame))
        except RecordError as error:
            reason = error.reason
        assert reason in ("", "malformed-frame", "frame-too-large")


def test_a_small_frame_that_says_that_it_is_large() -> None:
    many = decoder(MESSAGE_PACK)
    with pytest.raises(RecordError) as caught:
        many(b"\xdd" + struct.pack(">I", MOST_VALUES + 1) + b"\x90" * (MOST_VALUES + 1))
    assert caught.value.reason == "frame-too-large"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=5), inner, max_size=20),
    max_leaves=30,
)


@given(PLAIN)
def test_message_pack_as_its_library_writes_it(value: Any) -> None:
    packed = msgpack.packb(value)
    assert decoder(MESSAGE_PACK)(packed) == value
    assert encoder(MESSAGE_PACK)(exactjson.encode(value)) == packed


def test_message_pack_s_other_kinds() -> None:
    read = decoder(MESSAGE_PACK)
    assert read(msgpack.packb(b"abc")) == "YWJj"
    assert read(msgpack.packb(msgpack.Timestamp(5, 7))) == 5_000_000_007
    assert read(msgpack.packb(msgpack.Timestamp(2**35, 7))) == 2**35 * 10**9 + 7
    assert read(msgpack.packb(msgpack.Timestamp(5))) == 5 * 10**9
    assert str(read(msgpack.packb(64000.1))) == "64000.1"
    assert str(read(msgpack.packb(64000.1, use_single_float=True))) == "64000.1"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-10_000, max_value=10_000))
def test_the_shortest_decimal_is_the_one_that_was_sent(number: Decimal) -> None:
    assert floating.double(float(number)) == number
    short = Decimal(f"{number:.6g}")
    assert floating.single(floating.as_single(float(short))) == short


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("{byte_order: up, frame: {a: u8}}", "'up' is not allowed"),
        ("{byte_order: big, frame: {}}", "a structure is a map of its members"),
        ("{byte_order: big, frame: {a: u9}}", "frame.a: 'u9' is none of u8, u16"),
        ("{byte_order: big, frame: {a: frame}}", "stands within itself"),
        ("{byte_order: big, frame: {a: {type: f32, exponent: 2}}}", "only whole numbers"),
        ("{byte_order: big, frame: {a: {type: u8, exponent: b}}}", "frame.a: 'b' is no member before it, in the same"),
        ("{byte_order: big, frame: {a: part, b: u8}, part: {c: {type: u8, exponent: b}}}", "'b' stands behind"),
        ("{byte_order: big, frame: {a: part}, part: {c: {count: n, of: u8}}}", "part.c: 'n' is no member before it"),
        ("{byte_order: big, frame: {a: one}, one: {by: n, of: {1: part}}, part: {c: u8}}", "frame.a: 'n' is no member"),
        ("{byte_order: big, frame: {n: skip 1, a: {type: u8, exponent: n}}}", "frame.a: 'n' stands behind it"),
        ("{byte_order: big, frame: {a: u8, b: {type: u8, exponent: {by: a, of: {1: x}}}}}", "`exponent` is a whole"),
        ("{byte_order: big, frame: {a: {type: u8, bits: {b: 3-9}}}}", "0 the lowest, 7 the last"),
        ("{byte_order: big, frame: {a: {count: u8, of: text}}}", "parts without bytes cannot be counted"),
        ("{byte_order: big, frame: {by: x, of: {1: y}}}", "'y' is no structure with members"),
    ],
)
def test_a_layout_that_makes_no_sense_is_a_problem_of_the_file(said: str, problem: str, tmp_path: Path) -> None:
    text = HEAD + SUBSCRIBE + f"  codec: {{binary: layout, layout: {said}}}\n" + STREAMS
    _, problems = check_text("venue.yaml", text, tmp_path)
    assert any(problem in one.text for one in problems), [one.text for one in problems]


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (b"", "is no XML"),
        (b"<a/>", "has no messageSchema"),
        (b"<messageSchema id='1'/>", "lacks 'messageHeader'"),
        (b"<!DOCTYPE a [<!ENTITY x 'y'>]><messageSchema/>", "no document type"),
    ],
)
def test_a_schema_that_cannot_be_used_is_a_problem_of_the_file(schema: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "venue.xml").write_bytes(schema)
    text = HEAD + SUBSCRIBE + "  codec: {binary: sbe, schema: venue.xml}\n" + STREAMS
    _, problems = check_text("venue.yaml", text, tmp_path)
    assert any(problem in one.text for one in problems), [one.text for one in problems]


def test_several_documents_of_a_frame() -> None:
    read = decoder(FrameEncoding(("documents",), ("documents",)))
    assert read('{"a":1.10}\n{"b":"}\\""}[1]') == [{"a": Decimal("1.10")}, {"b": '}"'}, [1]]
    for broken in ("", "{", "}", "{}x", "1", '{"a":"}', "[}", '{"a":1}{'):
        with pytest.raises(RecordError):
            read(broken)
    write = encoder(FrameEncoding(("documents",), ()))
    assert write(b'[{"a":1},{"b":2}]') == '{"a":1}\n{"b":2}'


def test_json_behind_a_prefix() -> None:
    read, write = (make(FrameEncoding(("prefixed",), ())) for make in (decoder, encoder))
    frames: dict[str, Any] = {
        '42["trade",{"p":1.10}]': {"prefix": "42", "body": ["trade", {"p": Decimal("1.10")}]},
        'a["{}"]': {"prefix": "a", "body": ["{}"]},
        "2": {"prefix": "2", "body": None},
    }
    for frame, message in frames.items():
        assert read(frame) == message
        assert write(exactjson.encode(message)) == frame
    for broken in ("x" * 65, "4[", "[1]2"):
        with pytest.raises(RecordError):
            read(broken)



def test_tags_and_values() -> None:
    """A tag that comes again has a list; what pairs cannot say is not sent."""
    read = decoder(FrameEncoding(("tagvalue",), ("tagvalue",)))
    write = encoder(FrameEncoding(("tagvalue",), ()))
    frame = "35=W\x0155=EUR/USD\x01269=0\x01270=1.0842\x01269=1\x01270=\x01"
    message = {"35": "W", "55": "EUR/USD", "269": ["0", "1"], "270": ["1.0842", None]}
    assert read(frame) == read(frame.encode()) == message
    assert read(frame.removesuffix("\x01") + "\r\n") == message
    grouped = "35=W\x0155=EUR/USD\x01269=0\x01269=1\x01270=1.0842\x01270=\x01"
    assert write(exactjson.encode(message)) == grouped
    assert write(b'{"n":1.50,"t":true}') == "n=1.50\x01t=true\x01"
    for broken in ("", "x", "=1", "35=W\x01\x0155=X"):
        with pytest.raises(RecordError):
            read(broken)
    semicolons = decoder(encoding("tagvalue", separator=";"))
    assert semicolons(b"a=1;b=x=y") == {"a": "1", "b": "x=y"}


@pytest.mark.parametrize("separator", ["=", "\n"])
def test_a_separator_of_pairs_is_no_part_of_them(separator: str) -> None:
    with pytest.raises(ValueError, match="one character, and neither"):
        CODECS.get("tagvalue").check({"separator": separator})


def test_a_connector_file_s_own_tests_pass_through_the_binary_frame(tmp_path: Path) -> None:
    """The test's YAML becomes bytes, and these a record: a price that the layout scales is what the record has."""
    frame = "{ch: text 5, s: text 8, i: u32, p: {type: i64, exponent: -2}, t: u64, d: text 4}"
    declared = f"{{byte_order: big, frame: {frame}}}"
    text = (
        HEAD + SUBSCRIBE + f"  codec: {{binary: layout, layout: {declared}}}\n"
        + STREAMS.replace("    each: data\n", "").replace("      quantity: q\n", "      quantity: p\n")
        + """
tests:
  - name: one
    dialogue:
      - received: {ch: trade, s: BTC-USD, i: 7, p: 64000.10, t: 1767323045678, d: buy}
        records: [{trade_id: VENUE-7, symbol: BTCUSD, price: "64000.1", side: BUY}]
"""
    )
    plan, problems = check_text("venue.yaml", text, tmp_path)
    assert plan is not None, [one.text for one in problems]
    assert [str(one) for example in plan.tests for one in run_test(plan, example)] == []
    wrong = text.replace('price: "64000.1"', 'price: "64000.2"')
    plan, _ = check_text("venue.yaml", wrong, tmp_path)
    assert plan is not None
    assert [one.what for example in plan.tests for one in run_test(plan, example)] == ["record 1, price"]


@pytest.mark.parametrize("codec", ["documents", "prefixed"])
def test_text_that_would_take_several_times_its_bytes_is_refused(codec: str) -> None:
    frame = '["' + "x" * exactjson.WIDE_UP_TO + '\N{GRINNING FACE}"]'
    with pytest.raises(RecordError) as caught:
        decoder(FrameEncoding((codec,), (), limit=1 << 23))(frame)
    assert caught.value.reason == "frame-too-large"
