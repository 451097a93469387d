"""Candles and their features in tables, by a process as a user runs it; and what /health says of them meanwhile."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_run import started
from tests.servers import Postgres
from tests.servers.postgres import Database
from tests.servers.process import free_port
from tests.support.features import BEGIN_MS, COUNT, INPUTS, binance_minutes, minute_inputs, reference
from tests.support.lists import shown_list

SYMBOLS = ("BTCUSDT", "ETHUSDT")
TOP = {
    "status", "uptime_seconds", "candles_processed", "candles_in_db", "last_candle_time", "database_connected",
    "websocket_connected", "pending_backfills", "errors_24h", "memory_mb", "timestamp", "details",
}
"""The members that dashboards of earlier feeders read."""
DETAILS = {"buffer_size", "db_pool_size", "features_warmed_up", "gap_check_last"}
CACHED_NAMES = [
    "open", "high", "low", "close", "volume", "quote_asset_volume", "taker_buy_base_volume", "taker_buy_quote_volume",
    "number_of_trades", "spread_bps", "taker_buy_ratio",
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with binance_minutes() as url:
        yield url


@contextmanager
def feeder(
    folder: Path, address: str, dsn: str, *words: str, **variables: str
) -> Iterator[tuple[Callable[[], Any], subprocess.Popen[str]]]:
    """A feeder at work, and what asks its /health; it must end well."""
    port = free_port()
    process = started(
        folder, "binance", "--symbols", ",".join(SYMBOLS), "--streams", "candle,quote", "--intervals", "1m",
        "--sink", "postgres", "--port", port, *words, K2_BINANCE_WEBSOCKET_URL=address, K2_BACKFILL="false",
        K2_POSTGRES_DSN=dsn, **shown_list(folder, "binance"), **variables,
    )
    try:
        yield (lambda: health(port)), process
    finally:
        process.terminate()
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 0, said


def health(port: int) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)
    except OSError:
        return None


def until(ask: Callable[[], Any], true: Callable[[Any], bool], within: float = 90) -> Any:
    end = time.monotonic() + within
    while True:
        said = ask()
        if said is not None and true(said):
            return said
        assert time.monotonic() < end, said
        time.sleep(0.2)


def test_all_candles_and_the_features_after_warm_up(database: Database, tmp_path: Path, address: str) -> None:
    all_of_them = 2 * COUNT
    with feeder(tmp_path, address, database.dsn, "--features", "1m") as (ask, _):
        said = until(ask, lambda one: (
            one["candles_in_db"] == all_of_them and one["details"]["features_warmed_up"]))
        assert said.keys() >= TOP
        assert said["details"].keys() >= DETAILS
        assert (said["candles_processed"], said["status"]) == (all_of_them, "ok")
        assert (said["database_connected"], said["websocket_connected"]) == (True, True)
        assert (said["pending_backfills"], said["errors_24h"], said["details"]["errors_by_kind"]) == (0, 0, {})
        end = datetime.fromtimestamp(BEGIN_MS / 1000 + COUNT * 60, UTC)
        assert datetime.fromisoformat(said["last_candle_time"]) == end
        assert said["details"]["features_warmed_up"] is True
        assert said["details"]["db_pool_size"] is None
        assert 10 < said["memory_mb"] < 2_000
        now = datetime.now(UTC)
        for text in (said["timestamp"], said["details"]["gap_check_last"]):
            assert abs((now - datetime.fromisoformat(text)).total_seconds()) < 60
        cached = "SELECT count(*) FROM feature_cache"
        until(lambda: database.value(cached), lambda count: int(count) == 2 * (COUNT - 59))
    assert database.value("SELECT count(*) FROM candles_v2 WHERE is_closed") == str(all_of_them)
    assert database.value("SELECT count(*) FROM features_v2") == str(2 * (COUNT - 29))
    assert database.value("SELECT count(*) FROM features_v2 WHERE is_warmed_up") == str(2 * (COUNT - 59))
    assert database.value("SELECT bool_and(is_valid) FROM feature_cache") == "t"


def test_what_models_read_is_what_a_reference_reckons(database: Database, tmp_path: Path, address: str) -> None:
    with feeder(tmp_path, address, database.dsn, "--features", "1m") as (ask, _):
        until(ask, lambda one: one["candles_in_db"] == 2 * COUNT)
    sql = 'SELECT symbol, extract(epoch FROM "time")::bigint, "interval", features_json FROM feature_cache'
    rows = database.query(sql)
    assert len(rows) == 2 * (COUNT - 59)
    for symbol, seconds, interval, text in rows:
        number = (int(seconds) - BEGIN_MS // 1000) // 60
        document = json.loads(text)
        assert (interval, document["feature_names"]) == ("1m", CACHED_NAMES)
        wanted = reference(minute_inputs(symbol)[number - 59 : number + 1])
        for kind, numbers in zip(("minmax", "zscore"), wanted, strict=True):
            assert len(document[kind]) == len(INPUTS)
            assert document[kind] == pytest.approx([float(one) for one in numbers], abs=1e-9)


def test_a_hole_in_the_window_is_told(database: Database, tmp_path: Path) -> None:
    with (
        binance_minutes(without=COUNT - 3) as address,
        feeder(tmp_path, address, database.dsn, "--features", "1m") as (ask, _),
    ):
        until(ask, lambda one: one["candles_in_db"] == 2 * (COUNT - 1))
    rows = database.query("SELECT is_valid, count(*) FROM feature_cache GROUP BY 1 ORDER BY 1")
    assert rows == [["f", "4"], ["t", str(2 * (COUNT - 59 - 3))]]


def test_limits_make_it_degraded_and_not_unready(database: Database, tmp_path: Path, address: str) -> None:
    limits = {"K2_DEGRADED_MEMORY_MB": "1", "K2_DEGRADED_CANDLE_AGE": "180"}
    with feeder(tmp_path, address, database.dsn, **limits) as (ask, _):
        said = until(ask, lambda one: one["candles_in_db"] == 2 * COUNT)
    assert (said["status"], said["ready"]) == ("degraded", True)
    assert len(said["degraded_by"]) == 2
    assert "MB of memory, more than 1" in said["degraded_by"][0]
    assert "no candle for" in said["degraded_by"][1]


@pytest.mark.deploy
def test_a_database_that_goes_is_said_and_counted(own_postgres: Postgres, tmp_path: Path, address: str) -> None:
    own_postgres.query("DROP DATABASE IF EXISTS k2 WITH (FORCE)", "postgres")
    own_postgres.query("CREATE DATABASE k2", "postgres")
    with binance_minutes(every=0.1) as slow, feeder(tmp_path, slow, own_postgres.dsn) as (ask, _):
        until(ask, lambda one: one["candles_in_db"] > 10)
        own_postgres.kill()
        said = until(ask, lambda one: one["database_connected"] is False and one["errors_24h"])
        assert said["status"] == "degraded"
        assert said["details"]["errors_by_kind"]["sink"] >= 1
        assert said["candles_processed"] > said["candles_in_db"]
        own_postgres.start()
        said = until(ask, lambda one: one["candles_in_db"] == 2 * COUNT and one["database_connected"])
        assert said["candles_processed"] == 2 * COUNT
        assert said["errors_24h"] >= 1, "for a day"
    assert own_postgres.query("SELECT count(*) FROM candles_v2") == [[str(2 * COUNT)]]
