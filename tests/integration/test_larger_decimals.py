"""K2_DECIMALS=38,18: a whole process, from a socket to files that others read, and the other commands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pytest

from k2conn.avro.container import MAGIC
from k2conn.engine.accounting.ledger import Ledger
from k2conn.runner.rounding_report import RoundingReport
from tests.integration.test_own_records import k2conn
from tests.integration.test_run import run
from tests.support.large_numbers import QUOTES, SYMBOL, TRADES, binance
from tests.support.lists import shown_list
from tests.support.own_records import CONNECTOR, SCHEMAS


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with binance() as url:
        yield url


def read(folder: Path) -> list[dict[str, Any]]:
    """What fastavro makes of all files; their schema is in them."""
    found: list[dict[str, Any]] = []
    for path in sorted(folder.rglob("*.avro")):
        with path.open("rb") as opened:
            assert opened.read(len(MAGIC)) == MAGIC
            opened.seek(0)
            found += fastavro.reader(opened)  # type: ignore[arg-type]
    return found


def ran(folder: Path, address: str, **variables: str) -> tuple[str, dict[str, Any]]:
    """The log and the books of a run of 3 records and a quote of BTTCUSDT."""
    done = run(
        folder, "binance", "--symbols", SYMBOL, "--max-records", 4, "--duration", "20s", "--folder", "out", "--port",
        -1, "--summary", "sum.json", K2_BINANCE_WEBSOCKET_URL=address,
        **shown_list(folder, "binance"), **variables,
    )
    assert done.returncode == 0, done.stderr
    books: dict[str, Any] = json.loads((folder / "sum.json").read_text())["connectors"]["binance"]
    return done.stderr, books


@pytest.mark.parametrize("pure", ["0", "1"], ids=["c", "python"])
def test_fastavro_reads_exact_numbers_from_files(tmp_path: Path, address: str, pure: str) -> None:
    said, books = ran(tmp_path, address, K2_DECIMALS="38,18", K2CONN_PURE_PYTHON=pure)
    found = read(tmp_path / "out")
    trades = [(one["trade_id"], one["price"], one["quantity"]) for one in found if "trade_id" in one]
    quotes = [tuple(one[f"{side}_{what}"] for side in ("bid", "ask") for what in ("price", "quantity"))
              for one in found if "quote_id" in one]
    assert trades == TRADES
    assert quotes == QUOTES
    assert books["dead_letters"] == 0
    assert "rounded" not in said
    assert all("price_exact" not in (one["vendor_data"] or {}) for one in found)


def test_by_default_they_are_dead_letters_that_name_the_setting(tmp_path: Path, address: str) -> None:
    _, books = ran(tmp_path, address)
    assert (books["dead_letters"], books["dead_letter_reasons"]) == (3, {"overflow": 3})
    (path,) = (tmp_path / "out").glob("*trades*.dlq/*")
    letters = [json.loads(line) for line in path.read_text().splitlines()]
    assert all("K2_DECIMALS=38,18" in one["detail"] for one in letters)


def test_map_gives_kucoins_price_in_full() -> None:
    data = {"symbol": "DAPPT-BTC", "side": "buy", "size": "81.8814", "price": "0.0000001117", "tradeId": "6085c0",
            "time": "1619378327739050725", "type": "match"}
    frame = {"data": data, "subject": "trade.l3match", "topic": "/market/match:DAPPT-BTC", "type": "message"}
    done = k2conn("map", "kucoin", text=json.dumps(frame), K2_DECIMALS="38,18")
    record = json.loads(done.stdout)["record"]
    assert (record["price"], record["quantity"]) == ("0.0000001117", "81.8814")
    assert "price_exact" not in record["vendor_data"]
    rounded = json.loads(k2conn("map", "kucoin", text=json.dumps(frame)).stdout)["record"]
    assert (rounded["price"], rounded["vendor_data"]["price_exact"]) == ("0.00000011", "0.0000001117")


def test_shipped_and_own_connector_files_pass_their_tests_in_both_sizes() -> None:
    for size in ("18,8", "38,18"):
        done = k2conn("test", "kucoin", "htx", "bitfinex", "whitebit-futures", K2_DECIMALS=size)
        assert done.returncode == 0, done.stdout
        own = {"K2_DECIMALS": size, "K2_SCHEMAS": str(SCHEMAS)}
        assert k2conn("validate", str(CONNECTOR), **own).returncode == 0
        assert k2conn("test", str(CONNECTOR), **own).returncode == 0


def test_explain_shows_the_size() -> None:
    told = k2conn("explain", "binance", K2_DECIMALS="38,18").stdout
    assert "decimal(38,18)" in told
    assert "decimal(18,8)" not in told


@pytest.mark.parametrize("size", ["38", "18,18", "exact"])
def test_another_size_is_refused_at_start(size: str) -> None:
    done = k2conn("list", K2_DECIMALS=size)
    assert done.returncode == 2
    assert re.search("K2_DECIMALS .*say 18,8", done.stderr)
    assert "Traceback" not in done.stderr


def test_rounding_is_said_at_once_then_once_a_minute() -> None:
    lines: list[dict[str, Any]] = []

    class Log:
        def warning(self, event: str, **words: Any) -> None:
            lines.append({"event": event, **words})

    ledger = Ledger("kucoin", "KUCOIN")
    report = RoundingReport(ledger, Log())
    report.look(0.0)
    assert not lines
    ledger.count_rounded("trade", "DAPPTBTC", "price", "0.0000001117")
    report.look(0.5)
    assert lines == [{
        "event": "numbers are rounded", "stream": "trade", "records": 1, "symbol": "DAPPTBTC", "field": "price",
        "number": "0.0000001117", "hint": "K2_DECIMALS=38,18 keeps all digits",
    }]
    for _ in range(7):
        ledger.count_rounded("trade", "DAPPTBTC", "price", "0.0000001118")
    for now in (1.0, 30.0, 60.4, 60.6, 200.0):
        report.look(now)
    assert [one["records"] for one in lines] == [1, 7]
