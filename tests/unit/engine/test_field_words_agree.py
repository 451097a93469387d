"""The words for odd fields on both ways through the mapping: native and general make the same records, dead letters and
figures of the same frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2conn import exactjson, native
from k2conn.engine.mapping.native_mapper import NativeMappers
from k2conn.plan import Plan
from tests.support.plans import STREAMS, SUBSCRIBE, intake_of, plan_of

CAPTURE = "  capture: [{when: {ch: instrument}, into: digits_of, key: s, value: v}]\n"
TIME = "timestamp: {from: t, unit: ms, zone: America/New_York, date: nearest}"
DATED = "timestamp: {from: t, unit: iso8601, zone: UTC, date: {from: day}, absent: $received_at}"
CHANGES: dict[str, dict[str, str]] = {
    "captured scale": {"price: p": "price: {from: p, scale: {digits: s, look_up: $state.digits_of}}"},
    "scale beside": {"price: p": "price: {from: p, scale: tick, on_overflow: round}"},
    "divided": {"price: p": "price: {from: p, scale: {divide_by: tick}, on_overflow: round}"},
    "comma": {"price: p": 'price: {from: p, decimal: ","}',
              "quantity: q": 'quantity: {from: q, thousands: ".", decimal: ",", on_overflow: round}'},
    "groups": {"quantity: q": 'quantity: {from: q, thousands: ","}'},
    "time of day": {"timestamp: {from: t, unit: ms}": TIME},
    "dated": {"timestamp: {from: t, unit: ms}": DATED},
    "distinct": {"      trade_id: i\n": "", "    each: data\n": "    each: data\n    identity: {distinct: [price]}\n"},
    "shared id": {"    each: data\n": "    each: data\n    identity: {distinct: [trade_id, price]}\n"},
    "order": {"    each: data\n": "    each: data\n    order: {newest_first: {type: snapshot}}\n"},
    "numbers": {"    each: data\n": "    each: data\n    sequence: {from: i, rule: contiguous, per: shard}\n"},
    "part of a text": {"    each: data\n": "    each: data\n    sequence: {from: i, pattern: 'n{value}', "
                                            "rule: contiguous, per: symbol}\n"},
    "nested": {"each: data": 'each: [data, "[@][]"]'},
}
WAYS = ["native", "general"]


@contextmanager
def way(name: str) -> Iterator[None]:
    """Everything inside maps in one way."""
    if name == "general":
        with patch.object(NativeMappers, "mapper", lambda *rest: None):
            yield
    else:
        yield


def outcome(plan: Plan, frames: list[str]) -> tuple[list[Any], Any]:
    """All envelopes, and what is counted."""
    pipeline = intake_of(plan)
    found = []
    for at, frame in enumerate(frames):
        for envelope in pipeline.receive([frame], 0.0, 1_772_661_901_000_000 + at)[0]:
            value = envelope.value if envelope.schema else {**exactjson.decode(envelope.value), "frame_id": None}
            found.append((envelope.topic, envelope.key, value, envelope.timestamp_ms))
    gaps = pipeline.connector_state.mappings["trade"].gaps
    assert pipeline.connector_state.ledger.balanced()
    numbers = (gaps.last, gaps.unreadable) if gaps else None
    return found, (pipeline.connector_state.ledger.totals(), numbers)


NUMBERS = st.sampled_from([
    1, "12345", "1,234.5", "1,23", "1.234,5", "1.234", "0,1234567891", Decimal("0.25"), 0, "x", None, "0.000000001", -1,
])
ITEMS = st.fixed_dictionaries(
    {"s": st.sampled_from(["BTC-USD", "ETH-USD", "?"]), "i": st.sampled_from([1, 2, 5, "n7", "n9", None]),
     "p": NUMBERS, "q": NUMBERS, "d": st.sampled_from(["buy", "sell", "?"]),
     "t": st.sampled_from([1767323045678, 48_301_123, 86_399_999, "21:45:01.5", "23:59:59", "", None])},
    optional={"tick": st.sampled_from([2, "0.01", "1e-9", None]), "shard": st.sampled_from([1, "a", None]),
              "day": st.sampled_from(["2026-03-04", 20260304, "x"]), "other": st.integers()},
)
MESSAGES = st.tuples(st.lists(ITEMS, max_size=4), st.sampled_from(["snapshot", "update"]))


@pytest.mark.parametrize("change", CHANGES)
@settings(max_examples=25, deadline=None)
@given(st.lists(MESSAGES, min_size=1, max_size=3), st.sampled_from([2, "3", 9, None, "x"]))
def test_all_ways_agree(change: str, messages: list[tuple[list[dict[str, Any]], str]], digits: Any) -> None:
    text = STREAMS
    for old, new in CHANGES[change].items():
        assert old in text
        text = text.replace(old, new, 1)
    plan = plan_of(SUBSCRIBE + CAPTURE, text)
    told = [exactjson.encode({"ch": "instrument", "s": "BTC-USD", "v": digits}).decode()]
    told += [exactjson.encode({"ch": "trade", "data": items, "type": kind}).decode() for items, kind in messages]
    found = {}
    for name in WAYS:
        with way(name):
            found[name] = outcome(plan, told)
    assert found["native"] == found["general"]


NESTED = {
    "$keys[0]": "$keys[1]", "$key": "$keys[0]", "$parent.s": "$parent.t", "s || $key": "t || $parent.t",
}
"""Where the symbol is, and where an entry of vendor_data."""


@pytest.mark.parametrize("symbol", NESTED)
@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.sampled_from(["BTC-USD", "ETH-USD", "x"]), st.lists(ITEMS, max_size=3), max_size=3),
       st.booleans())
def test_all_ways_agree_about_items_of_items(symbol: str, data: dict[str, list[dict[str, Any]]], outer: bool) -> None:
    text = STREAMS.replace("symbol: s\n", f"symbol: {symbol}\n", 1)
    text = text.replace("    each: data\n", f"""    each: [data, rows]
    vendor_data: {{there: "{NESTED[symbol]}", whole: "to_string($parent.s)"}}
""", 1)
    plan = plan_of(SUBSCRIBE, text)
    rows = {name: {"s": name, "t": len(items), "rows": items} for name, items in data.items()}
    message = {"ch": "trade", "data": rows if outer else list(rows.values())}
    frames = [exactjson.encode(message).decode()] * 2
    found = {}
    for name in WAYS:
        with way(name):
            found[name] = outcome(plan, frames)
    assert found["native"] == found["general"]


def test_the_native_mapper_takes_part() -> None:
    """Or the test above would prove nothing of it."""
    if native.Mapper is None:
        pytest.skip("k2conn/native is not built here (no C compiler)")
    for change in ("captured scale", "groups", "time of day", "distinct"):
        text = STREAMS
        for old, new in CHANGES[change].items():
            text = text.replace(old, new, 1)
        pipeline = intake_of(plan_of(SUBSCRIBE + CAPTURE, text))
        mapping = pipeline.connector_state.mappings["trade"]
        fast = mapping.contexts.context("BTC-USD").fast
        assert type(getattr(fast, "__self__", None)) is native.Mapper, change
