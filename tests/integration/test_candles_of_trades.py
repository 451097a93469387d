"""`k2conn run --candles`: candles of the trades that pass are those that are made of the stored trades afterwards."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from k2conn.avro.reading import read_container
from k2conn.candles.aggregator import CandleAggregator
from k2conn.candles.settings import CandleSettings
from k2conn.compiler.compiler import load_plan
from k2conn.engine.connector_state import ConnectorState
from k2conn.envelope import Envelope
from k2conn.runner.candle_stage import CandleStage
from k2conn.tools.mock.exchange import MockExchange
from tests.integration.test_candles_command import candles, values
from tests.integration.test_run import run
from tests.paths import ROOT
from tests.support.trade_data import BEGIN_US, trade

MADE_UP = ("message_id", "ingestion_timestamp", "vendor_data")
MINUTE = 60_000_000
PLAN = ROOT / "connectors" / "kraken.yaml"


def latest(folder: Path) -> dict[Any, dict[str, Any]]:
    """The latest record of each candle."""
    found = {}
    for path in sorted(folder.rglob("*candles*/*.avro")):
        for one in read_container(path):
            key = one["symbol"], one["interval"], one["open_time"]
            found[key] = {name: value for name, value in one.items() if name not in MADE_UP}
    return found


async def with_a_venue(folder: Path, *arguments: object, **variables: str) -> Any:
    async with MockExchange(load_plan(PLAN), rate=60) as exchange:
        return await asyncio.to_thread(
            run, folder, "kraken", *arguments, "--folder", "out", "--port", -1, "--summary", "sum.json",
            K2_KRAKEN_WEBSOCKET_URL=exchange.url(), K2_BACKFILL="false", **variables,
        )


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.deploy)])
def test_they_are_those_of_the_stored_trades(tmp_path: Path, workers: int) -> None:
    options = ("--streams", "trade", "--candles", "1s,2s", "--duration", f"{8 * workers}s", "--workers", workers)
    done = asyncio.run(with_a_venue(tmp_path, *options, K2_CANDLES_DELAY="500ms"))
    assert done.returncode == 0, done.stderr
    books = json.loads((tmp_path / "sum.json").read_text())["connectors"]["kraken"]
    assert books["balanced"]
    live = latest(tmp_path / "out")
    assert books["streams"]["candle-of-trades"]["published"] >= len(live) > 6
    again = candles(tmp_path, "out", "--intervals", "1s,2s", "--folder", "again", "--open", "close")
    assert again.returncode == 0, again.stderr
    stored = latest(tmp_path / "again")
    assert live == {key: stored[key] for key in live}
    begun = min(begin for _, _, begin in stored)
    assert len({symbol for symbol, _, _ in live}) == 2
    assert min(begin for _, _, begin in live) > begun, "a span that had begun before is not published"


def test_without_the_setting_there_are_none_and_wrong_ones_are_told(tmp_path: Path) -> None:
    done = asyncio.run(with_a_venue(tmp_path, "--streams", "trade", "--candles", "1s", "--max-records", 20))
    assert done.returncode == 0
    done = run(tmp_path, "kraken", "--candles", "1x,7y", K2_CANDLES_EMPTY="what")
    assert done.returncode == 2
    for text in ("K2_KRAKEN_CANDLES: '1x' is no interval", "'7y' is no interval", "'what' is not one of skip, repeat"):
        assert text in done.stderr


@pytest.fixture
def state() -> ConnectorState:
    return ConnectorState(load_plan(PLAN), ["trade"])


def stage_of(state: ConnectorState, stream: str = "trade") -> tuple[CandleStage, Any]:
    stage = CandleStage(state.plan, CandleSettings(names=("1m",), delay_us=0))
    stage.choose(state)
    schema = state.mappings["trade"].schema
    account = state.ledger.account(stream, "BTCUSDT")

    def give(number: int, time_us: int) -> None:
        found = values(trade(number, time_us))
        body = schema.encode([found[field.name] for field in schema.fields])
        stage.take([Envelope("t", b"k", body, schema, time_us // 1000, account)])

    return stage, give


def records(stage: CandleStage, state: ConnectorState, minute: float, standing: bool = True) -> list[dict[str, Any]]:
    found = stage.look(state, round(BEGIN_US + minute * MINUTE), standing)
    return [one.schema.decode_plain(one.value) for one in found if one.schema is not None]


def test_what_began_before_every_connection_stood_is_not_published(state: ConnectorState) -> None:
    stage, give = stage_of(state)
    give(1, BEGIN_US)
    assert records(stage, state, 0.5, standing=False) == []
    assert records(stage, state, 0.6) == []
    give(2, BEGIN_US + 70_000_000)
    assert records(stage, state, 1) == []
    assert stage.partial == 1
    assert [one["trade_count"] for one in records(stage, state, 2)] == [1]


def test_spans_with_a_lost_connection_say_so(state: ConnectorState) -> None:
    stage, give = stage_of(state)
    records(stage, state, -1)
    found = []
    for minute in range(8):
        give(minute, BEGIN_US + minute * MINUTE)
        if minute == 2:
            state.ledger.reconnects["lost"] += 1
        if minute == 3:
            state.ledger.reconnects["rotation"] += 1
        found += records(stage, state, minute + 0.5, standing=minute not in (4, 5))
    assert [(one["open_time"] - BEGIN_US) // MINUTE for one in found] == list(range(7))
    marked = [number for number, one in enumerate(found) if "interrupted" in one["vendor_data"]]
    assert marked == [1, 2, 3, 4, 5]


def test_trades_of_another_stream_are_not_counted_twice(state: ConnectorState) -> None:
    stage, give = stage_of(state, "trade_all")
    give(1, BEGIN_US)
    assert stage.aggregator.counts == CandleAggregator(stage.settings).counts
