"""Candles: a whole process, from a socket to files and the console, with either size of decimals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_larger_decimals import read
from tests.integration.test_own_records import k2conn
from tests.integration.test_run import run
from tests.support.candles import BEGIN_MS, CLOSED, binance, expected, frames
from tests.support.lists import shown_list

ENGINES = ("message_id", "ingestion_timestamp", "vendor_data")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with binance() as url:
        yield url


def ran(folder: Path, address: str, *arguments: object, records: int, **variables: str) -> tuple[str, dict[str, Any]]:
    """Standard output and the books of a run of so many records."""
    done = run(
        folder, "binance", "--symbols", "BTCUSDT", *arguments, "--max-records", records, "--duration", "20s",
        "--folder", "out", "--port", -1, "--summary", "sum.json", K2_BINANCE_WEBSOCKET_URL=address, K2_BACKFILL="false",
        **shown_list(folder, "binance"), **variables,
    )
    assert done.returncode == 0, done.stderr
    books: dict[str, Any] = json.loads((folder / "sum.json").read_text())["connectors"]["binance"]
    return done.stdout, books


def of(records: list[dict[str, Any]], interval: str) -> list[dict[str, Any]]:
    """The records of an interval without what the engine makes up."""
    found = [one for one in records if one["interval"] == interval]
    return [{name: value for name, value in one.items() if name not in ENGINES} for one in found]


@pytest.mark.parametrize("size", ["18,8", "38,18"])
def test_fastavro_reads_every_field_from_files(tmp_path: Path, address: str, size: str) -> None:
    arguments = ("--streams", "candle", "--intervals", "1m,1h")
    _, books = ran(tmp_path, address, *arguments, records=2 * CLOSED, K2_DECIMALS=size)
    assert books["dead_letters"] == 0
    assert set(books["streams"]) == {"candle_1m", "candle_1h"}
    (folder,) = (tmp_path / "out").glob("market*")
    assert folder.name == "market.crypto.candles.binance"
    found = read(tmp_path / "out")
    assert of(found, "1m") == expected("BTCUSDT", "1m")
    assert of(found, "1h") == expected("BTCUSDT", "1h")
    assert len({one["message_id"] for one in found}) == 2 * CLOSED
    assert found[0]["vendor_data"]["first_trade_id"] == "1"


def test_the_environment_chooses_intervals_and_open_ones(tmp_path: Path, address: str) -> None:
    variables = {"K2_BINANCE_STREAMS": "candle", "K2_BINANCE_INTERVALS": "1h", "K2_BINANCE_KEEP_OPEN": "true"}
    _, books = ran(tmp_path, address, records=2 * CLOSED, **variables)
    assert set(books["streams"]) == {"candle_1h"}
    found = read(tmp_path / "out")
    assert [one["is_closed"] for one in found] == [False, True] * CLOSED
    assert of([one for one in found if one["is_closed"]], "1h") == expected("BTCUSDT", "1h")


def test_the_console_shows_them_by_the_minute_where_nothing_is_said(tmp_path: Path, address: str) -> None:
    said, _ = ran(tmp_path, address, "--streams", "candle", "--sink", "console", records=CLOSED)
    lines = [json.loads(line) for line in said.splitlines()]
    assert [line["type"] for line in lines] == ["candle"] * CLOSED
    assert [line["record"]["open_time"] for line in lines] == [
        (BEGIN_MS + number * 60_000) * 1000 for number in range(CLOSED)
    ]
    assert [line["record"]["volume"] for line in lines] == [
        f"{one['volume']}" for one in expected("BTCUSDT", "1m")
    ]


def test_an_interval_that_the_venue_has_not_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, "binance", "--streams", "candle", "--intervals", "7m")
    assert done.returncode == 2
    assert "binance has no candle of '7m'; known: 1m, 1s, 3m" in done.stderr
    done = run(tmp_path, "binance", "--intervals", "1m")
    assert done.returncode == 2
    assert "none of its streams that run has intervals; name one that has: --streams candle" in done.stderr


def test_map_knows_their_streams_by_both_names() -> None:
    text = "\n".join([*frames("BTCUSDT", "1m"), *frames("BTCUSDT", "1h")])
    for streams, intervals in (("candle", ["1m"] * CLOSED), ("candle_1h", ["1h"] * CLOSED)):
        done = k2conn("map", "binance", "--streams", streams, text=text)
        assert [json.loads(line)["record"]["interval"] for line in done.stdout.splitlines()] == intervals


def test_commands_show_a_stream_of_intervals_once() -> None:
    told = k2conn("explain", "okx").stdout
    assert told.count("stream candle") == 1
    assert "1m, 3m, 5m" in told
    (line,) = [one for one in json.loads(k2conn("list", "--format", "json").stdout) if one["connector"] == "okx"]
    assert line["streams"] == ["trade", "trade_all", "quote", "ticker", "candle"]
    planned = k2conn("plan", "kraken", "--streams", "candle", "--intervals", "1m,1h", "--frames").stdout
    assert [line.count('"channel":"ohlc"') for line in planned.splitlines() if line.startswith("main-0  {")] == [1, 1]
    assert '"interval":60' in planned
