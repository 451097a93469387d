"""A new record type is its schema, its profile and nothing else: three that do not ship with k2conn, on all ways."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2conn import native, resources
from k2conn.compiler.compiler import load_plan
from k2conn.engine.conversation.request_frames import frame_text
from k2conn.engine.frame_pipeline import ConnectorState
from k2conn.engine.mapping.symbol_contexts import SymbolContext
from k2conn.plan import Plan
from k2conn.records import add_records
from k2conn.tools.connector_tests import run_test
from tests.support.in_c import both_ways
from tests.support.own_records import CONNECTOR, SCHEMAS, known_here
from tests.support.plans import intake_of, plan_of
from tests.unit.engine.test_native_mapper import CHANGES, agree, changed, spelled

own_records = known_here(SCHEMAS)
in_c = both_ways("Mapper")

CONNECTION = "connection: {url: wss://venue.example/ws}\n"
WALL = 1_767_323_046_000_000


@cache
def example() -> Plan:
    """The connector's plan."""
    return load_plan(CONNECTOR)


def said(stream: str) -> list[Any]:
    """The messages of a stream in the connector's tests."""
    turns = [turn for one in example().tests for turn in one.dialogue if turn.kind == "received"]
    return [turn.value for turn in turns if turn.value["ch"] == stream]


def context(stream: str) -> SymbolContext:
    return ConnectorState(example(), [stream]).mappings[stream].contexts.context("BTC-USD")


def records(*messages: Any) -> list[dict[str, Any]]:
    """What some messages become; none of it is a dead letter."""
    pipeline = intake_of(example())
    envelopes, _ = pipeline.receive([frame_text(one) for one in messages], 0.0, WALL)
    return [one.schema.decode_plain(one.value) for one in envelopes if one.schema is not None]


# -- the file's own tests


def test_the_connectors_own_tests_pass() -> None:
    assert [str(one) for test in example().tests for one in run_test(example(), test)] == []


def test_topics_have_the_plurals_of_the_profiles() -> None:
    assert [stream.kafka_topic for stream in example().streams] == [
        "market.crypto.klines.example", "market.crypto.statuses.example", "market.crypto.samples.example",
    ]


# -- fields


def test_every_field_of_a_kline() -> None:
    kline, _ = records(*said("kline"))
    assert len(kline.pop("message_id")) == 36
    assert kline == {
        "symbol": "BTCUSD", "exchange": "EXAMPLE", "asset_class": "crypto", "interval": "1m",
        "open_time": 1_767_323_040_000_000, "close_time": 1_767_323_099_999_000, "open": "64000.1", "high": "64010.25",
        "low": "63999", "close": "64005.5", "volume": "12.345678901234", "quote_volume": "790123.456789",
        "trade_count": 42, "is_closed": False, "ingestion_timestamp": WALL,
        "vendor_data": {"native_symbol": "BTC-USD", "base_asset": "BTC", "quote_asset": "USD", "note": "quiet"},
    }


def test_every_field_of_a_status() -> None:
    status = records(*said("status"))[0]
    assert len(status.pop("message_id")) == 36
    assert status == {
        "status_id": "EXAMPLE-7", "symbol": "ETHUSD", "exchange": "EXAMPLE", "connector": "example", "stream": "status",
        "timestamp": 1_767_323_045_678_901, "tradable": False, "state": "halted", "ingestion_timestamp": WALL,
        "vendor_data": {"native_symbol": "ETH-USD", "base_asset": "ETH", "quote_asset": "USD", "ch": "status"},
    }


def test_a_record_without_a_price_has_none_in_the_ledger() -> None:
    pipeline = intake_of(example())
    pipeline.receive([frame_text(one) for one in said("status")], 0.0, WALL)
    assert pipeline.connector_state.ledger.account("status", "ETHUSD").last_price is None
    pipeline.receive([frame_text(one) for one in said("kline")], 0.0, WALL)
    assert pipeline.connector_state.ledger.account("kline", "BTCUSD").last_price == 6_399_800_000_000


@pytest.mark.parametrize(
    ("stream", "field", "value", "reason"),
    [
        ("kline", "x", "yes", "bad-type"),
        ("kline", "x", None, "missing-field"),
        ("kline", "x", 1, "bad-type"),
        ("kline", "v", "0.0000000000001", "overflow"),
        ("kline", "t", None, "missing-field"),
        ("sample", "small", 2**31, "overflow"),
        ("sample", "big", 2**63, "overflow"),
        ("sample", "maybe_small", -(2**31) - 1, "overflow"),
        ("sample", "day", "2026-02-30", "bad-time"),
        ("sample", "day", "2026-1-2", "bad-time"),
        ("sample", "day", 20000, "bad-time"),
        ("sample", "fine", "0.0000000000000000001", "overflow"),
        ("sample", "whole", "1.5", "overflow"),
        ("sample", "whole", 1_000_000_000, "overflow"),
        ("sample", "phase", "AJAR", "bad-type"),
        ("sample", "phase", None, "missing-field"),
        ("sample", "maybe_phase", "OPEN", "bad-type"),
        ("sample", "facts", ["a"], "bad-type"),
        ("sample", "text", "", "missing-field"),
        ("sample", "flag", "True", "bad-type"),
    ],
)
def test_what_does_not_fit_is_a_dead_letter_that_says_why(stream: str, field: str, value: Any, reason: str) -> None:
    message = copy.deepcopy(said(stream)[0])
    message["data"][0][field] = value
    (letter, *_), _ = intake_of(example()).receive([frame_text(message)], 0.0, WALL)
    assert letter.schema is None
    document = json.loads(letter.value)
    assert (document["reason"], document["expression"]) == (reason, field)


# -- identity


def test_a_record_without_an_id_has_its_message_id_of_the_fields_that_tell_it_apart() -> None:
    first, second = records(*said("kline"))
    assert first["message_id"] != second["message_id"]  # the same kline once more: the next number among equals
    assert [one["message_id"] for one in records(*said("kline"))] == [first["message_id"], second["message_id"]]
    message = copy.deepcopy(said("kline")[0])
    message["data"] = message["data"][:1]
    message["data"][0]["c"] = "64007"
    assert records(message)[0]["message_id"] == first["message_id"]
    message["data"][0]["i"] = "5m"
    assert records(message)[0]["message_id"] != first["message_id"]


# -- the short ways


@pytest.mark.parametrize("stream", ["status", "sample", "kline"])
def test_which_records_have_a_native_mapper(stream: str) -> None:
    """Also klines, which have no id, and samples, of whose map Python writes the bytes."""
    assert (context(stream).fast is not None) is (native.Mapper is not None)


def test_the_native_mapper_agrees_on_the_connectors_own_tests() -> None:
    frames = [frame_text(one) for stream in ("kline", "status", "sample") for one in said(stream)]
    assert agree(example(), frames * 2) > 8


def item_of(message: Any) -> list[Any]:
    found: list[Any] = message.get("data", [message])
    return found


@pytest.mark.parametrize("stream", ["kline", "status", "sample"])
@given(changes=st.lists(CHANGES, min_size=1, max_size=4))
@settings(max_examples=75, deadline=None)
def test_the_native_mapper_agrees_on_any_item(stream: str, changes: list[list[tuple[int, Any, str]]]) -> None:
    frames = []
    for some in changes:
        message = copy.deepcopy(said(stream)[0])
        changed(item_of(message), some)
        frames.append(spelled({**message, "ch": stream}))
    agree(example(), frames)


# -- variations of a type


def variant(folder: Path, name: str, base: str, change: Callable[[list[dict[str, Any]]], None], profile: str) -> None:
    """Writes a record type like another one, with other fields and a profile of its own."""
    declared = json.loads((SCHEMAS / f"{base}_v2.avsc").read_text())
    change(declared["fields"])
    (folder / f"{name}_v2.avsc").write_text(json.dumps({**declared, "name": name.capitalize()}))
    (folder / f"{name}_v2.profile.toml").write_text(profile)


def plan_with(folder: Path, streams: str) -> Plan:
    """A plan for the record types in a folder."""
    add_records(folder)
    return plan_of(CONNECTION, f"streams:\n{streams}")


BAR = """
  bar:
    when: {ch: kline}
    each: data
    fields:
      symbol: s
      bar_id: n
      interval: i
      open_time: {from: t, unit: ms}
      close_time: {from: T, unit: ms}
      open: o
      high: h
      low: l
      close: c
      volume: v
      quote_volume: q
      is_closed: x
"""


def test_booleans_and_prices_in_one_record_the_short_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_ADDED", {})

    def with_an_id(fields: list[dict[str, Any]]) -> None:
        fields.insert(1, {"name": "bar_id", "type": "string"})
        for one in fields:
            if one["name"] in ("volume", "quote_volume"):
                one["type"]["precision"] = 18

    profile = (SCHEMAS / "kline_v2.profile.toml").read_text().replace('"klines"', '"bars"\nid = "bar_id"')
    variant(tmp_path, "bar", "kline", with_an_id, profile)
    plan = plan_with(tmp_path, BAR)
    mapping = ConnectorState(plan, ["bar"]).mappings["bar"]
    fast = mapping.contexts.context("BTC-USD").fast
    assert native.Mapper is None or isinstance(getattr(fast, "__self__", None), native.Mapper)
    item = {"s": "BTC-USD", "n": 7, "i": "1m", "t": 1767323040000, "T": 1767323099999, "o": "1", "h": "3.5", "l": "0.5",
            "c": "2", "v": "12.345678901234", "q": "0", "x": True}
    others = [item | {"n": 8, "x": False}, item | {"x": "true", "n": 9}, item | {"x": 1}, item | {"x": None}]
    frames = [frame_text({"ch": "kline", "data": [one]}) for one in (item, *others)]
    assert agree(plan, frames) == len(frames)
    envelopes, _ = intake_of(plan, streams=["bar"]).receive(frames, 0.0, WALL)
    found = [one.schema.decode_plain(one.value)["is_closed"] for one in envelopes if one.schema is not None]
    assert found == [True, False, True]


def test_an_event_time_in_milliseconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_ADDED", {})

    def in_milliseconds(fields: list[dict[str, Any]]) -> None:
        for one in fields:
            if one["name"] == "timestamp":
                one["type"]["logicalType"] = "timestamp-millis"

    profile = (SCHEMAS / "status_v2.profile.toml").read_text().replace('"statuses"', '"beats"')
    variant(tmp_path, "beat", "status", in_milliseconds, profile)
    fields = "{symbol: s, status_id: id, timestamp: {from: t, unit: us}, tradable: ok, state: st}"
    plan = plan_with(tmp_path, f"  beat:\n    when: {{ch: beat}}\n    fields: {fields}\n")
    pipeline = intake_of(plan, streams=["beat"])
    frame = frame_text({"ch": "beat", "s": "BTC-USD", "id": 1, "t": 1_767_323_045_678_901, "ok": True, "st": "open"})
    (envelope,), _ = pipeline.receive([frame], 0.0, WALL)
    assert envelope.schema is not None
    assert envelope.schema.decode_plain(envelope.value)["timestamp"] == 1_767_323_045_678
    assert envelope.timestamp_ms == 1_767_323_045_678
    assert pipeline.connector_state.ledger.account("beat", "BTCUSD").last_event_us == 1_767_323_045_678_000


def test_carried_fields_are_the_profiles() -> None:
    streams = CONNECTOR.read_text().partition("streams:")[2].partition("tests:")[0]
    sample = streams[streams.index("  sample:"):].replace("each: data", "each: data\n    carry: {per: symbol}")
    pipeline = intake_of(plan_of(CONNECTION, f"streams:\n{sample}"), streams=["sample"])
    first, second = copy.deepcopy(said("sample")[0]["data"])
    del second["fine"], second["flag"]
    frame = frame_text({"ch": "sample", "data": [first, second]})
    _, later = [one.schema.decode_plain(one.value) for one in pipeline.receive([frame], 0.0, WALL)[0] if one.schema]
    assert (later["fine"], later["flag"], later["text"]) == ("0.000000000000000001", True, "plain")
