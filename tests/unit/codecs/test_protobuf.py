"""Protobuf frames: bytes written by hand, by the wire format's own rules, become records; the mock writes the same."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, json_format
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorSet
from hypothesis import given
from hypothesis import strategies as st

from k2conn import exactjson
from k2conn.binary.plain_messages import plain_reader
from k2conn.codecs import protobuf
from k2conn.codecs.decoding import decoder
from k2conn.codecs.encoding import encoder
from k2conn.codecs.protobuf import MOST, message_class
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.errors import RecordError
from k2conn.plan import FrameEncoding
from tests.paths import ROOT
from tests.support.shipped import load

CONNECTORS = ROOT / "connectors"


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def _text(field: int, text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _number(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _push(body: bytes) -> bytes:
    channel = _text(1, "spot@public.aggre.deals.v3.api.pb@10ms@BTCUSDT")
    return channel + body + _text(3, "BTCUSDT") + _number(6, 1710000000000)


def _deal(price: str, quantity: str, kind: int, time: int, own: str = "") -> bytes:
    deal = _text(1, price) + _text(2, quantity) + _number(3, kind) + _number(4, time)
    return _text(1, deal + (_text(5, own) if own else b""))


def _take(frame: bytes) -> tuple[FramePipeline, list[dict[str, Any]]]:
    plan = load("mexc")
    state = ConnectorState(plan, None, window=0)
    symbols = [found for name in plan.symbols.default if (found := plan.symbols.resolve(name))]
    pipeline = FramePipeline(state, plan.connections[0], symbols, SessionContext(lambda: str(uuid.uuid4()), {}))
    envelopes, _ = pipeline.receive([frame], 0.0, 1)
    return pipeline, [e.schema.decode_plain(e.value) if e.schema else exactjson.decode(e.value) for e in envelopes]


def test_a_binary_frame_becomes_trades() -> None:
    deals = _deal("100.1", "0.2", 1, 1710000000001, "7X0_8X0") + _deal("100.2", "0.3", 2, 1710000000002)
    _, records = _take(_push(_text(314, deals + _text(2, "spot@public.aggre.deals.v3.api.pb@10ms"))))
    found = [(record["price"], record["quantity"], record["side"]) for record in records]
    assert found == [("100.1", "0.2", "BUY"), ("100.2", "0.3", "SELL")]
    assert records[0]["trade_id"] == "MEXC-7X0_8X0"
    assert records[1]["trade_id"].startswith("MEXC-1710000000002000-"), "no id of the venue's: one from the content"


def test_a_field_the_descriptor_does_not_know_is_skipped() -> None:
    pipeline, records = _take(_push(_text(313, _text(3, "spot@public.aggre.depth"))))
    assert records == []
    assert pipeline.session.control == 1, "a push without a body that a stream reads"


def test_what_is_no_protobuf_is_a_dead_letter() -> None:
    _, records = _take(b"\xff\xff\xff")
    assert [record["reason"] for record in records] == ["malformed-frame"]


def test_the_mock_writes_data_as_protobuf_and_acknowledgements_as_text() -> None:
    encode = encoder(load("mexc").connections[0].codec)
    wanted = _text(1, "c") + _text(3, "BTCUSDT") + _number(6, 1710000000000) + _text(314, _deal("100.1", "0.2", 1, 5))
    data = {"channel": "c", "symbol": "BTCUSDT", "sendTime": "1710000000000",
            "publicAggreDeals": {"deals": [{"price": "100.1", "quantity": "0.2", "tradeType": 1, "time": "5"}]}}
    assert encode(exactjson.encode(data)) == wanted
    assert encode(b'{"id":0,"code":0,"msg":"PONG"}') == '{"id":0,"code":0,"msg":"PONG"}'


@pytest.mark.parametrize("name", sorted(path.stem for path in CONNECTORS.glob("*.proto")))
def test_a_descriptor_is_what_its_proto_file_says(name: str) -> None:
    """Names and numbers of both; they are compiled by hand, so one may be forgotten."""
    text = (CONNECTORS / f"{name}.proto").read_text()
    data = (CONNECTORS / f"{name}.desc").read_bytes()
    numbers = {}
    for line in text.splitlines():
        words = line.split("//")[0].strip().rstrip(";").split()
        if len(words) >= 4 and words[-2] == "=":
            numbers[words[-3]] = int(words[-1])
        elif words[:1] == ["message"]:
            numbers = {}
            kind = message_class(data, f"{name}.{words[1]}")
        elif words == ["}"] and numbers:
            found = {field.name: field.number for field in kind.DESCRIPTOR.fields}
            assert {key: found.get(key) for key in numbers} == numbers


def book() -> FrameEncoding:
    """Frames of `v.Book`: parts in parts, numbers in both ways of packing, texts by name, groups of old files."""
    found = descriptor_pb2.FileDescriptorSet()
    file = found.file.add(name="v.proto", package="v", syntax="proto2")
    outer = file.message_type.add(name="Book")
    outer.field.add(name="name", number=1, type=9, label=1)
    outer.field.add(name="inner", number=2, type=11, label=3, type_name=".v.Book")
    outer.field.add(name="ids", number=3, type=4, label=3)
    outer.field.add(name="sizes", number=4, type=1, label=3)
    entry = outer.nested_type.add(name="MoreEntry", options={"map_entry": True})
    entry.field.add(name="key", number=1, type=9, label=1)
    entry.field.add(name="value", number=2, type=9, label=1)
    outer.field.add(name="more", number=5, type=11, label=3, type_name=".v.Book.MoreEntry")
    group = outer.nested_type.add(name="Side")
    group.field.add(name="ids", number=1, type=4, label=3)
    group.field.add(name="book", number=2, type=11, label=3, type_name=".v.Book")
    outer.field.add(name="side", number=6, type=10, label=3, type_name=".v.Book.Side")
    return FrameEncoding(binary=("protobuf",), settings={"descriptor": found.SerializeToString(), "message": "v.Book"})


def within(count: int, part: bytes) -> bytes:
    return _text(2, part * count)


def group(part: bytes) -> bytes:
    """Of field 6; two values, and what is in it."""
    return b"\x33" + part + b"\x34"


FLOODS = {
    "empty parts": lambda count: _text(2, b"") * count,
    "empty parts within a part": lambda count: within(count - 1, _text(2, b"")),
    "packed varints": lambda count: _text(3, b"\x01" * (count - 1)),
    "packed numbers of eight bytes": lambda count: _text(4, bytes(8 * (count - 1))),
    "numbers that are not packed": lambda count: _number(3, 300) * count,
    "texts by name": lambda count: _text(5, b"") * count,
    "empty groups": lambda count: group(b"") * ((count - 1) // 2) + _text(1, "x" * MOST),
    "packed varints in a group": lambda count: group(_text(1, b"\x01" * (count - 3))),
    "parts in a group in a part": lambda count: within(1, group(_text(2, b"") * (count - 3))),
    "fields that nobody knows": lambda count: _number(99, 1) * count,
    "groups that nobody knows": lambda count: b"\x5b\x5c" * ((count - 1) // 2) + _text(1, "x" * MOST),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_frame_of_more_values_than_there_may_be_is_refused_before_they_are_made(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = decoder(book())
    assert decode(FLOODS[kind](MOST)) is not None

    class Unread:
        """A message that must not be read."""

        DESCRIPTOR = message_class(book().settings["descriptor"], "v.Book").DESCRIPTOR  # type: ignore[arg-type]
        FromString = staticmethod(pytest.fail)

    monkeypatch.setattr(protobuf, "_message", lambda settings: Unread)
    with pytest.raises(RecordError) as caught:
        decoder(book())(FLOODS[kind](MOST + 2))
    assert caught.value.reason == "frame-too-large"


@pytest.mark.parametrize("broken", [
    _text(1, "x" * MOST) + b"\x0a\xff\xff\xff\xff\x07", _text(1, "x" * MOST) + b"\xff" * 20, b"\x0f" + bytes(MOST),
    _text(1, "x" * MOST) + b"\x5c", within(MOST // 2, b"\x0a\x05"), _text(1, "x" * MOST) + b"\x80",
    _text(1, "x" * MOST) + (b"\x5b" * 5000), _text(1, "x" * MOST) + b"\x33" + b"\x34" * 2,
    _text(1, "x" * MOST) + within(1, b"\x33") + b"\x34",
])
def test_a_long_frame_that_is_broken_is_malformed(broken: bytes) -> None:
    with pytest.raises(RecordError) as caught:
        decoder(book())(broken)
    assert caught.value.reason == "malformed-frame"


PIECES = ((_text(1, "ab"), 1), (_text(2, b""), 1), (within(3, _text(2, _text(3, b"\1\2"))), 13),
          (_text(3, b"\1\2\3"), 4), (_text(4, bytes(16)), 3), (_number(3, 300), 1), (_text(5, _text(1, "k")), 2),
          (_number(77, 1), 1), (group(_text(1, b"\1\2\3") + _text(2, group(_text(1, b"\1")))), 11),
          (b"\x5b" + _text(2, _text(3, b"\1\2")) + b"\x5c", 3))


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_values_are_counted_where_the_library_would_make_them(pieces: list[tuple[bytes, int]]) -> None:
    frame, count = b"".join(piece for piece, _ in pieces), sum(values for _, values in pieces)
    kind = message_class(book().settings["descriptor"], "v.Book")  # type: ignore[arg-type]
    wire = protobuf._WireCount(kind)
    assert not wire.beyond(frame, count)
    assert not count or wire.beyond(frame, count - 1)


# -- messages of plain fields, read without the library's printer

KINDS = {"i": "INT32", "u": "UINT32", "l": "INT64", "n": "UINT64", "z": "SINT64", "t": "STRING", "b": "BYTES",
         "o": "BOOL", "e": "ENUM", "m": "MESSAGE", "d": "DOUBLE"}
VALUES = {
    "i": st.integers(-(2**31), 2**31 - 1), "u": st.integers(0, 2**32 - 1), "l": st.integers(-(2**63), 2**63 - 1),
    "n": st.integers(0, 2**64 - 1), "z": st.integers(-(2**63), 2**63 - 1), "t": st.text(max_size=5),
    "b": st.binary(max_size=5), "o": st.booleans(), "e": st.integers(0, 3),
}
PLAIN = "iulnztboe"


def kind_of(letters: str, syntax: str = "proto3", **more: Any) -> Any:
    """A message with a field, and a list, of each kind; ``m`` is itself."""
    files = FileDescriptorSet()
    file = files.file.add(name="x.proto", package="x", syntax=syntax)
    enum = file.enum_type.add(name="E")
    for number, name in enumerate(("NONE", "ONE", "TWO")):
        enum.value.add(name=name, number=number)
    message = file.message_type.add(name="M", **more)
    for at, letter in enumerate(letters):
        for name, label in ((letter, "OPTIONAL"), (letter * 2, "REPEATED")):
            message.field.add(
                name=name, number=2 * at + (1 if label == "OPTIONAL" else 2),
                type=FieldDescriptorProto.Type.Value(f"TYPE_{KINDS[letter]}"),
                label=FieldDescriptorProto.Label.Value(f"LABEL_{label}"),
                type_name={"e": ".x.E", "m": ".x.M"}.get(letter),
            )
    return message_class(files.SerializeToString(), "x.M")


ITEMS = st.recursive(
    st.fixed_dictionaries({}, optional={
        **VALUES, **{2 * letter: st.lists(values, max_size=3) for letter, values in VALUES.items()},
    }),
    lambda inner: st.fixed_dictionaries({}, optional={"t": VALUES["t"], "m": inner, "mm": st.lists(inner, max_size=2)}),
    max_leaves=4,
)


@given(ITEMS)
def test_plain_messages_are_what_the_library_prints(values: dict[str, Any]) -> None:
    kind = kind_of(PLAIN + "m")
    read = plain_reader(kind.DESCRIPTOR)
    assert read is not None
    message = kind.FromString(kind(**values).SerializeToString())
    assert read(message) == json_format.MessageToDict(message, preserving_proto_field_name=True)


@pytest.mark.parametrize(("letters", "syntax", "plain"), [
    (PLAIN, "proto3", True), ("m", "proto3", True), ("d", "proto3", False), ("md", "proto3", False),
    ("e", "proto2", False), ("t", "proto2", True),
])
def test_what_is_left_to_the_library(letters: str, syntax: str, plain: bool) -> None:
    assert (plain_reader(kind_of(letters, syntax).DESCRIPTOR) is not None) is plain


def test_wellknown_types_are_left_to_the_library() -> None:
    from google.protobuf.timestamp_pb2 import Timestamp

    assert plain_reader(Timestamp.DESCRIPTOR) is None
