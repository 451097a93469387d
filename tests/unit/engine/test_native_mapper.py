"""The native mapper gives the very envelopes and books of the general one, whatever the item is."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2conn import exactjson, native
from k2conn.cli.loading import shipped
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.envelope import Envelope
from k2conn.plan import Plan
from tests.support.plans import STREAMS, SUBSCRIBE, WORLD, plan_of
from tests.support.shipped import load

NOW = 1_767_323_045_700_000
NAMES = [path.stem for path in shipped()]
OTHERS = """    vendor_data: {e: e, n: n, both: "to_string([d, e])"}
    unmapped: keep
"""
FULL = STREAMS.replace("  quote:", OTHERS + "  quote:")
ROUNDED = FULL.replace("price: p\n", "price: {from: p, on_overflow: round}\n", 1).replace(
    "quantity: q\n", "quantity: {from: q, on_overflow: round}\n", 1
).replace("timestamp: {from: t, unit: ms}", "timestamp: {from: t, unit: ms, absent: $received_at}", 1)

pytestmark = pytest.mark.skipif(native.Mapper is None, reason="k2conn/native is not built here (no C compiler)")


def ways(plan: Plan) -> tuple[list[FramePipeline], list[FramePipeline]]:
    """All kinds of a plan's connections twice: with native mappers, and without."""
    return pipelines(plan), [complete(one) for one in pipelines(plan)]


def pipelines(plan: Plan) -> list[FramePipeline]:
    symbols = [symbol for name in plan.symbols.default if (symbol := plan.symbols.resolve(name))]
    connector_state = ConnectorState(plan, [stream.name for stream in plan.streams])
    return [FramePipeline(connector_state, connection, symbols, WORLD) for connection in plan.connections]


def complete(pipeline: FramePipeline) -> FramePipeline:
    for mapping in pipeline.connector_state.mappings.values():
        mapping.contexts.native_mappers.mapper = lambda *_: None  # type: ignore[method-assign]
    return pipeline


def plain(envelopes: Sequence[Envelope]) -> list[tuple[Any, ...]]:
    return [(one.topic, one.key, one.value, one.timestamp_ms) for one in envelopes]


def agree(plan: Plan, frames: Sequence[str | bytes]) -> int:
    """Checks that both ways say the same of all frames; how many envelopes those were."""
    short, long = ways(plan)
    count = 0
    for one, other in zip(short, long, strict=True):
        for at, frame in enumerate(frames):
            found, _ = one.receive([frame], at / 1000, NOW + at)
            assert plain(found) == plain(other.receive([frame], at / 1000, NOW + at)[0]), frame
            count += len(found)
    assert short[0].connector_state.ledger.report() == long[0].connector_state.ledger.report()
    return count


def said(plan: Plan) -> list[Any]:
    """The messages in a connector's own tests."""
    return [turn.value for example in plan.tests for turn in example.dialogue if turn.kind == "received"]


@pytest.mark.parametrize("name", NAMES)
def test_on_the_frames_in_the_connector_files(name: str) -> None:
    plan = load(name)
    frames = [one if isinstance(one, str | bytes) else exactjson.encode(one).decode() for one in said(plan)]
    assert agree(plan, frames * 2)


ROUNDED_AND_CARRIED = STREAMS.replace("{ch: quote}\n", "{ch: quote}\n    carry: {per: symbol}\n").replace(
    "ask_price: a\n", "ask_price: {from: a, on_overflow: round}\n"
)


@pytest.mark.parametrize("time", [1767323046000, "1767323046000", Decimal("1767323046000.5")])
@pytest.mark.parametrize("symbol", ["BTC-USD", "NEW-USD"])
def test_a_carried_number_that_is_rounded_keeps_its_own_text(time: Any, symbol: str) -> None:
    """Whichever way the record takes, and whatever else in it only a field's full reader can read."""
    plan = plan_of(streams=ROUNDED_AND_CARRIED)
    items = [
        {"ch": "quote", "s": symbol, "i": number, "t": time, "b": "1", "B": "2", "a": ask, "A": "3"}
        for number, ask in enumerate(["5", "0.0000999201", "6", "7.123456789"])
    ]
    frames = [exactjson.encode(one).decode() for one in items]
    assert agree(plan, frames) == len(frames)
    for pipeline in (pipelines(plan)[0], complete(pipelines(plan)[0])):
        found = [one for frame in frames for one in pipeline.receive([frame], 0.0, NOW)[0]]
        kept = [one.schema.decode_plain(one.value)["vendor_data"].get("ask_price_exact") for one in found if one.schema]
        assert kept == [None, "0.0000999201", None, "7.123456789"]
        assert pipeline.connector_state.ledger.rounded["quote"].count == 2


def test_every_trade_and_quote_that_ships_has_one() -> None:
    without = set()
    for name in NAMES:
        plan = load(name)
        symbol = plan.symbols.resolve(plan.symbols.default[0])
        assert symbol is not None
        for mapping in ConnectorState(plan, [stream.name for stream in plan.streams]).mappings.values():
            stream = mapping.stream
            if stream.record in ("trade", "quote") and mapping.contexts.context(symbol.native).fast is None:
                without.add(f"{name} {stream.name}")
    assert not without


WORDS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(2**70), 2**70),
    st.decimals(allow_nan=False, allow_infinity=False), st.text(max_size=70),
    st.from_regex(r"-?[0-9]{0,12}\.?[0-9]{0,9}", fullmatch=True),
    st.sampled_from(["buy", "sell", "BTCUSDT", "BTC/USD", "ü", "x" * 63, "x" * 64, "1e3", "٣", "1_0", " 1", "\ud800"]),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
CHANGES = st.lists(st.tuples(st.integers(0, 30), WORDS, st.sampled_from(["set", "drop", "add", "name"])), max_size=3)


def changed(items: list[dict[str, Any]], changes: list[tuple[int, Any, str]]) -> None:
    """Replaces, drops and adds members of the items."""
    for at, value, how in changes:
        item = items[at % len(items)]
        keys = sorted(item)
        key = keys[at % len(keys)] if keys else "x"
        if how == "set":
            item[key] = value
        elif how == "drop":
            item.pop(key, None)
        else:
            item[str(value)[:70] if how == "name" else "base_asset"] = value


def spelled(value: Any) -> str:
    """JSON, with half surrogate pairs escaped as a venue could send them."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{spelled(str(key))}:{spelled(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(spelled, value)) + "]"
    if isinstance(value, str):
        safe = [c if c.isalnum() and c.isascii() else f"\\u{ord(c):04x}" for c in value if ord(c) < 65536]
        return f'"{"".join(safe)}"'
    if isinstance(value, Decimal):
        return format(value, "f") if -30 < value.adjusted() < 30 else "0.5"
    return exactjson.encode(value).decode()


AGG = next(one for one in said(load("binance")) if one.get("stream", "").endswith("aggTrade"))
MATCH = next(one for one in said(load("coinbase")) if one.get("type") == "match")
KRAKEN = next(one for one in said(load("kraken")) if one.get("channel") == "trade")
CARRIED = next(one for one in said(load("bitvavo")) if one.get("event") == "ticker")
IMAGE = next(one for one in said(load("lseg-ads")) if "Fields" in one[0])
TAPE = next(one for one in said(load("alpaca-sip")) if one[0]["T"] == "t")
UNTIMED = next(one for one in said(load("btcturk")) if one[0] == 402)
ITEM = {"s": "BTC-USD", "i": 7, "p": "1.5", "q": "2", "t": 1767323045678, "d": "buy", "e": "x"}
OWN = {"ch": "trade", "data": [ITEM]}


@pytest.mark.parametrize(
    ("plan", "message", "items"),
    [
        (load("binance"), AGG, lambda m: [m["data"]]),
        (load("coinbase"), MATCH, lambda m: [m]),
        (load("kraken"), KRAKEN, lambda m: m["data"]),
        (load("bitvavo"), CARRIED, lambda m: [m]),
        (load("lseg-ads"), IMAGE, lambda m: [m[0]["Fields"]]),
        (load("alpaca-sip"), TAPE, lambda m: m),
        (load("btcturk"), UNTIMED, lambda m: [m[1]]),
        (plan_of(SUBSCRIBE, FULL), OWN, lambda m: m["data"]),
        (plan_of(SUBSCRIBE, ROUNDED), OWN, lambda m: m["data"]),
    ],
    ids=["binance", "coinbase", "kraken", "bitvavo", "lseg-ads", "alpaca-sip", "btcturk", "own", "rounded"],
)
@given(changes=st.lists(CHANGES, min_size=1, max_size=4))
@settings(max_examples=75, deadline=None)
def test_on_any_item(plan: Plan, message: Any, items: Any, changes: list[list[tuple[int, Any, str]]]) -> None:
    frames = []
    for some in changes:
        one = copy.deepcopy(message)
        changed(items(one), some)
        frames.append(spelled(one))
    agree(plan, frames)
