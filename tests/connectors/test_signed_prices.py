"""Venues with calendar spreads: their prices may be below zero, and their files say so; the others' may not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from k2conn import exactjson
from k2conn.avro import V2, WIDE, use_decimals
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.plan import Plan
from k2conn.records import load_record
from tests.support.plans import WORLD
from tests.support.shipped import load

SPREADS = ("bitmex", "deribit", "deribit-options")
NONE = ("okx-futures", "kraken-futures")
"""Futures without spreads in the channels that are read: no form reads the name of one."""


@pytest.mark.parametrize("name", SPREADS)
def test_every_price_of_a_file_with_spreads_is_signed(name: str) -> None:
    plan = load(name)
    for stream in plan.streams:
        prices = load_record(stream.record).profile.prices
        said = {field.name: ", signed" in field.converter for field in stream.fields if field.name in prices}
        assert said == dict.fromkeys(prices, True), stream.name


@pytest.mark.parametrize("name", NONE)
def test_a_file_without_spreads_reads_no_name_of_one(name: str) -> None:
    plan = load(name)
    for spread in ("BTC-USDT-261225_BTC-USDT-270326", "BTC-USDT_BTC-USDT-SWAP", "FI_XBTUSD_261225_FI_XBTUSD_270326"):
        assert plan.symbols.resolve(spread) is None


def prices(plan: Plan, stream: str, symbol: str, message: Any) -> list[dict[str, Any]]:
    found = plan.symbols.resolve(symbol)
    assert found is not None
    pipeline = FramePipeline(ConnectorState(plan, [stream]), plan.connections[0], [found], WORLD)
    envelopes, _ = pipeline.receive([exactjson.encode(message).decode()], 0.0, 1_780_000_000_000_000)
    return [one.schema.decode(one.value) for one in envelopes if one.schema is not None]


@pytest.mark.parametrize("size", [V2, WIDE])
@pytest.mark.parametrize("price", ["-13311.5", "0", "12.25"])
def test_a_spreads_price_is_read_as_it_is(size: Any, price: str) -> None:
    use_decimals(size)
    try:
        exact = Decimal(price)
        trade = {"timestamp": "2026-06-03T08:15:38.704Z", "symbol": "XBTM26-XBTU26", "side": "Sell", "size": 100,
                 "price": exact, "trdMatchID": "00000000-006d-1000-0000-000e8737d536"}
        bitmex = load("bitmex")
        (found,) = prices(bitmex, "trade", "XBTM26-XBTU26", {"table": "trade", "action": "insert", "data": [trade]})
        assert found["price"] == exact
        item = {"trade_seq": 1, "trade_id": "7", "timestamp": 1780000000000, "price": exact, "direction": "buy",
                "instrument_name": "BTC-FS-25SEP26_PERP", "amount": 10}
        message = {"method": "subscription",
                   "params": {"channel": "trades.BTC-FS-25SEP26_PERP.100ms", "data": [item]}}
        (found,) = prices(load("deribit"), "trade", "BTC-FS-25SEP26_PERP", message)
        assert found["price"] == exact
    finally:
        use_decimals(V2)
