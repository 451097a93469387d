"""Migrations, and what they make: applied once, by one process at a time, and what earlier feeders' tables were for."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from k2conn.errors import SinkError
from k2conn.records import load_record
from k2conn.sinks.postgres.migrating import shipped
from k2conn.sinks.postgres.settings import PostgresSettings
from k2conn.sinks.postgres.tables import Table
from k2conn.sinks.postgres.timescale import hypertable
from tests.integration.test_run import environment
from tests.servers.postgres import Database
from tests.servers.process import Failed
from tests.support import warm_process
from tests.support.databases import candle, drive
from tests.support.sinks import Book


def migrated(database: Database) -> Database:
    drive(database.dsn, Book(), nothing)
    return database


async def nothing(sink: Any) -> None:
    return None


def command(database: Database, *words: str) -> subprocess.CompletedProcess[str]:
    return warm_process.k2conn("db", *words, env=environment(K2_POSTGRES_DSN=database.dsn))


def test_the_command_says_what_is_missing_and_makes_it(database: Database) -> None:
    before = command(database, "status")
    assert before.returncode == 1, before.stderr
    assert 'missing table "public"."trades_v2"' in before.stdout
    assert "missing migration 001_dead_letters" in before.stdout
    assert "plain tables, no TimescaleDB" in before.stdout
    made = command(database, "migrate")
    assert made.returncode == 0, made.stderr
    assert "made migration 001_dead_letters" in made.stdout
    after = command(database, "status")
    assert after.returncode == 0, after.stdout
    assert "missing" not in after.stdout
    assert "nothing was missing" in command(database, "migrate").stdout
    versions = [[str(one.number), one.name] for one in shipped()]
    assert database.query("SELECT version, name FROM schema_version ORDER BY 1") == versions


def test_the_command_says_where_nobody_answers() -> None:
    done = command(Database("postgresql://127.0.0.1:9/k2"), "status")
    assert done.returncode == 69
    assert "postgres 127.0.0.1:9/k2: connection refused" in done.stderr


def test_processes_that_start_at_once_migrate_once(database: Database) -> None:
    env = environment(K2_POSTGRES_DSN=database.dsn)
    several = [warm_process.started("db", "migrate", env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for _ in range(4)]
    said = [one.communicate(timeout=60) for one in several]
    assert [one.returncode for one in several] == [0] * 4, said
    assert sum("made migration 001" in out for out, _ in said) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("INSERT INTO schema_version (version, name, sum) VALUES (999, 'later', '')", r"\[999\], of a newer k2conn"),
        ("UPDATE schema_version SET sum = 'x' WHERE version = 1", "001_dead_letters was applied with another text"),
    ],
)
def test_a_database_of_another_version_is_refused(database: Database, change: str, words: str) -> None:
    migrated(database).query(change)
    with pytest.raises(SinkError, match=words):
        migrated(database)


# --- what earlier feeders' tables were for

UPSERT = "SELECT upsert_candle('2026-01-01 00:0{}:00Z', 100, 110, 90, {}, {}, 300, {}, {}, 100, 'X', 'BTCUSD', 'USD')"


def test_upsert_candle_inserts_corrects_and_leaves_alone(database: Database) -> None:
    migrated(database)
    assert database.value(UPSERT.format(1, 105, 3, 7, 1)) == "t"
    assert database.value(UPSERT.format(1, 105, 3, 7, 1)) == "f"
    assert database.value(UPSERT.format(1, 105, 3, 8, 1)) == "t"  # of the count alone
    assert database.query("SELECT number_of_trades, close, symbol FROM candles_1m") == [["8", "105", "BTCUSD"]]
    with pytest.raises(Failed, match=r"say p_exchange and p_symbol, or set k2\.exchange"):
        database.query("SELECT upsert_candle(now(), 1, 1, 1, 1, 1)")
    database.query("SET k2.exchange = 'Y'; SET k2.symbol = 'ETHUSD'; SELECT upsert_candle(now(), 1, 1, 1, 1, 1)")
    assert database.value("SELECT symbol FROM candles_1m_of('Y', 'ETHUSD')") == "ETHUSD"


def test_the_view_derives_what_the_table_did_and_nothing_from_nothing(database: Database) -> None:
    migrated(database)
    database.query(UPSERT.format(1, 105, 4, 7, 1))
    database.query(UPSERT.format(2, 105, 0, 0, 0))
    rows = database.query("SELECT spread_bps, range_bps, taker_buy_ratio, mid_price FROM candles_1m ORDER BY time")
    assert rows == [
        ["1904.7619", "1904.7619", "0.2500", "100.000000000"], ["1904.7619", "1904.7619", "", "100.000000000"]
    ]


def test_an_open_candle_and_other_intervals_are_not_in_the_view(database: Database) -> None:
    book = Book()

    async def work(sink: Any) -> None:
        for one in (candle(1), candle(2, is_closed=False), candle(3, interval="5m")):
            sink.put(one)
        assert await sink.flush(60) == 0

    drive(database.dsn, book, work)
    assert database.query("SELECT count(*) FROM candles_1m") == [["1"]]
    assert database.query("SELECT count(*) FROM candles_v2") == [["3"]]


def test_a_hole_between_candles_is_logged_once_and_late_ones_log_none(database: Database) -> None:
    book = Book()

    async def work(sink: Any) -> None:
        for number in (1, 4):
            sink.put(candle(number))
            assert await sink.flush(60) == 0
        for number in (2, 3, 4, 5):
            sink.put(candle(number))
            assert await sink.flush(60) == 0

    drive(database.dsn, book, work)
    logs = "SELECT event_type, symbol, gap_start, gap_end, candles_missing, resolved FROM data_quality_logs"
    assert database.query(logs) == [
        ["gap_detected", "BTCUSD", "2026-01-02 03:06:00+00", "2026-01-02 03:08:00+00", "2", "f"]
    ]
    assert database.value("SELECT mark_gap_resolved(id, 2) FROM data_quality_logs") == "t"
    assert database.query("SELECT resolved, candles_recovered FROM data_quality_logs") == [["t", "2"]]


# --- TimescaleDB: only as far as its statements can be checked without it

STAND_INS = """
CREATE FUNCTION create_hypertable(relation regclass, time_column_name name, chunk_time_interval anyelement,
    if_not_exists boolean DEFAULT false) RETURNS text LANGUAGE sql AS 'SELECT ''made''';
CREATE FUNCTION add_compression_policy(hypertable regclass, compress_after "any", if_not_exists boolean DEFAULT false)
    RETURNS integer LANGUAGE internal AS 'pg_backend_pid';
CREATE FUNCTION add_retention_policy(relation regclass, drop_after "any", if_not_exists boolean DEFAULT false)
    RETURNS integer LANGUAGE internal AS 'pg_backend_pid';
"""


@pytest.mark.parametrize("name", ["trade", "candle"])
def test_the_statements_for_timescale_are_sql(database: Database, name: str) -> None:
    database.query(STAND_INS)
    table = Table("public", f"{name}s_v2", load_record(name), hyper=True)
    assert ("timestamp" if name == "trade" else "open_time") in table.key
    database.query(table.create())
    made = hypertable(table, PostgresSettings(retention_days=395))
    assert len(made) == 4
    for statement in made:
        if statement.startswith("ALTER TABLE"):  # understood, but for the extension's own words
            with pytest.raises(Failed, match='unrecognized parameter namespace "timescaledb"'):
                database.query(statement)
        else:
            database.query(statement)


def test_the_files_are_numbered_without_holes() -> None:
    assert [one.number for one in shipped()] == list(range(1, len(shipped()) + 1))
