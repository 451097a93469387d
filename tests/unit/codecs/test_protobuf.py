"""Protobuf frames: bytes written by hand, by the wire format's own rules, become records; the mock writes the same."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from k2conn import exactjson
from k2conn.codecs.encoding import encoder
from k2conn.codecs.protobuf import message_class
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
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
