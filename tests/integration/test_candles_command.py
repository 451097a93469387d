"""`k2conn candles` as a process: from the file sink's files and from a pipe, to the last digit."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import fastavro
import pytest

from k2conn.avro import ContainerWriter
from k2conn.candles.trades import Trade
from k2conn.records import load_record
from tests.integration.test_larger_decimals import read
from tests.integration.test_run import environment
from tests.support import warm_process
from tests.support.trade_data import many, reference, shuffled, trade

MINUTE = 60_000_000
SIDES = {True: "BUY", False: "SELL", None: "UNKNOWN"}


def values(one: Trade) -> dict[str, Any]:
    return {
        **one._asdict(), "timestamp": one.time_us, "side": SIDES[one.buys], "trade_conditions": [],
        "source_sequence": one.sequence, "ingestion_timestamp": one.received_us, "platform_sequence": None,
        "vendor_data": {"a": "1"},
    }


def written(path: Path, trades: list[Trade], revision: int = 1, about: list[Trade] | None = None) -> Path:
    """A container file as the file sink writes it; ``about``: trades that it cancels and corrects besides."""
    schema = load_record("trade", revision).schema
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        writer = ContainerWriter(stream, schema)
        for one in trades:
            found = values(one)
            writer.append(schema.encode([found.get(field.name) for field in schema.fields]))
        for at, one in enumerate(about or ()):
            found = {**values(one), "message_id": f"about-{at}", "trade_action": ("CANCEL", "CORRECT")[at % 2]}
            writer.append(schema.encode([found.get(field.name) for field in schema.fields]))
        writer.flush()
    return path


def candles(
    folder: Path, *arguments: object, data: bytes | None = None, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    return warm_process.k2conn(
        "candles", *arguments, cwd=folder, given=data or b"", timeout=90, env=environment(**variables), text=False
    )


def by_key(records: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    return {(one["symbol"], one["interval"], one["open_time"].timestamp() * 1_000_000): one for one in records}


@pytest.mark.parametrize("size", ["18,8", "38,18"])
def test_from_files_to_files(tmp_path: Path, size: str) -> None:
    trades = many(20_000, step_us=1_000_000)
    rows = shuffled(trades, MINUTE)
    written(tmp_path / "data" / "market.crypto.trades.venue" / "1.avro", rows[:9000])
    written(tmp_path / "data" / "market.crypto.trades.venue" / "2.avro", rows[9000:], 3, rows[9000:9100])
    with (tmp_path / "data" / "torn.avro").open("wb") as torn:
        torn.write(b"Obj")
    options = ("--intervals", "1m,1h", "--open", "close", "--sink", "file", "--folder", "out")
    done = candles(tmp_path, "data", *options, K2_DECIMALS=size)
    assert done.returncode == 0, done.stderr
    assert b"20000 trades, 400 repeats, 0 too late" in done.stderr
    assert b" ahead of time, 100 corrections of trades left out: " in done.stderr
    found = by_key(read(tmp_path / "out"))
    expected = {
        (symbol, interval, begin): sums
        for interval in ("1m", "1h") for (symbol, begin), sums in reference(trades, interval).items()
    }
    assert {key: {name: found[key][name] for name in sums} for key, sums in expected.items()} == expected
    assert len(found) == len(expected) > 1000
    assert {one["vendor_data"]["source"] for one in found.values()} == {"trades"}
    (topic,) = {path.parent.name for path in (tmp_path / "out").rglob("*.avro")}
    assert topic == "market.crypto.candles.venue"
    again = candles(tmp_path, "data", *options[:-1], "again", K2_DECIMALS=size)
    assert again.returncode == 0
    assert read(tmp_path / "again") == read(tmp_path / "out")


def test_from_a_pipe_of_lines_and_what_is_no_trade(tmp_path: Path) -> None:
    plain = {**values(trade(1, 0)), "price": "2.5", "quantity": "0.3", "timestamp": 60_000_000}
    lines: list[Any] = [
        {"topic": "t", "type": "trade", "record": plain}, {"type": "quote", "record": {}}, {**plain, "price": 3},
        {**plain, "message_id": "2", "timestamp": 185_000_000, "ingestion_timestamp": 185_000_000}, {"no": "trade"},
        {**plain, "message_id": "3", "trade_action": "CANCEL"},
    ]
    data = "\n".join([*map(json.dumps, lines), "{broken", ""]).encode()
    done = candles(tmp_path, "--intervals", "1m", "--sink", "console", data=data)
    assert done.returncode == 65
    (line,) = [json.loads(one)["record"] for one in done.stdout.splitlines()]
    assert [line[name] for name in ("open", "volume", "quote_volume", "trade_count")] == ["2.5", "0.3", "0.75", 1]
    letters = [json.loads(one) for one in done.stderr.splitlines() if one.startswith(b"{")]
    assert [one["detail"].split(":")[0] for one in letters] == ["line 5", "line 7"]
    assert b"2 trades, 1 repeats" in done.stderr
    assert b"1 corrections of trades left out" in done.stderr
    assert b"1 candles are not over, and not written" in done.stderr


def test_an_avro_file_through_a_pipe_and_one_that_is_torn(tmp_path: Path) -> None:
    path = written(tmp_path / "a.avro", [trade(n, n * 1_000_000) for n in range(200)])
    done = candles(tmp_path, "-", "--intervals", "1m", "--sink", "console", data=path.read_bytes())
    assert done.returncode == 0, done.stderr
    assert [json.loads(one)["record"]["trade_count"] for one in done.stdout.splitlines()] == [60, 60, 60]
    path.write_bytes(path.read_bytes()[:-9])
    done = candles(tmp_path, path, "--intervals", "1m", "--sink", "console")
    assert done.returncode == 65
    assert b"a.avro: the rest of the file cannot be read: it ends in the middle" in done.stderr


def test_trades_that_are_too_late_are_dead_letters(tmp_path: Path) -> None:
    rows = [trade(1, 600_000_000), trade(2, 1_600_000_000), trade(3, 700_000_000, received_us=10**15)]
    written(tmp_path / "a.avro", rows)
    done = candles(tmp_path, "a.avro", "--intervals", "1m", "--folder", "out")
    assert done.returncode == 65
    (letters,) = (tmp_path / "out").rglob("*.jsonl")
    (letter,) = [json.loads(line) for line in letters.read_text().splitlines()]
    assert (letter["reason"], letter["symbol"], letter["value"]) == ("too-late", "BTCUSDT", "700000000")
    assert letters.parent.name == "market.crypto.candles.venue.dlq"
    assert candles(tmp_path, "a.avro", "--lateness", "1h", "--sink", "console").returncode == 0


def test_what_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    schema = load_record("quote").schema
    with (tmp_path / "quotes.avro").open("wb") as stream:
        fastavro.writer(stream, json.loads(schema.text), [])
    done = candles(
        tmp_path, "quotes.avro", "gone.avro", "--intervals", "1x", "--empty", "what", "--open", "no", "--topic", "{x}"
    )
    assert done.returncode == 2
    said = done.stderr.decode()
    for text in (
        "quotes.avro: it holds com.k2.marketdata.QuoteV2, not com.k2.marketdata.TradeV2", "gone.avro: No such file",
        "'1x' is no interval", "'what' is not one of skip, repeat", "--open no; known", "--topic {x}",
    ):
        assert text in said
