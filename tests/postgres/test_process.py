"""`k2conn run --sink postgres` as a process: a venue's trades in SQL, its books, its exit codes."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_run import environment
from tests.kafka.test_broker_away import VENUE
from tests.servers import Postgres
from tests.servers.postgres import Database
from tests.support import warm_process
from tests.support.plans import HEAD, STREAMS
from tests.support.small_venue import venue_process
from tests.support.venues import CONNECTION

ONCE = "SELECT count(*), count(DISTINCT trade_id), max(split_part(trade_id, '-', 2)::int) FROM trades_v2"


@pytest.fixture(scope="module")
def venue() -> Iterator[int]:
    """The port of a venue that sends 250 trades a second, each with the next number."""
    with venue_process(VENUE) as port:
        yield port


def started(folder: Path, port: int, dsn: str, *words: str, **variables: str) -> subprocess.Popen[str]:
    file = folder / "venue.yaml"
    file.write_text(HEAD + CONNECTION % port + STREAMS)
    return warm_process.started(
        "run", file, "--streams", "trade", "--sink", "postgres", "--port", "-1", "--summary",
        folder / "summary.json", *words,
        cwd=folder, env=environment(K2_POSTGRES_DSN=dsn, **variables), stderr=subprocess.PIPE, text=True,
    )


def ended(process: subprocess.Popen[str], folder: Path) -> tuple[int, dict[str, Any], str]:
    """Its exit code, summary and log, once it ends by itself."""
    said = process.communicate(timeout=60)[1]
    return process.returncode, json.loads((folder / "summary.json").read_text()), said


def test_a_venues_trades_are_in_sql_within_seconds(database: Database, venue: int, tmp_path: Path) -> None:
    process = started(tmp_path, venue, database.dsn)
    sql = "SELECT count(*) FROM trades_v2 WHERE symbol = 'BTCUSD' AND side = 'SELL' AND currency = 'USD'"
    try:
        end = time.monotonic() + 60
        while True:
            there = database.value("SELECT to_regclass('trades_v2') IS NOT NULL") == "t"
            if there and int(database.value(sql)) > 300:
                break
            assert time.monotonic() < end, "not enough trades in SQL"
            assert process.poll() is None
            time.sleep(0.1)
    finally:
        process.terminate()
        code, summary, said = ended(process, tmp_path)
    assert code == 0, said
    assert "PostgreSQL" in said
    assert "plain tables, no TimescaleDB" in said
    books = summary["connectors"]["venue"]
    assert books["balanced"]
    assert books["published"] > 300
    assert database.query(ONCE)[0][:2] == [str(books["published"])] * 2
    assert database.value("SELECT price = 64000.10 AND quantity = 0.25 FROM trades_v2 LIMIT 1") == "t"


def test_a_server_killed_under_a_process_costs_nothing(own_postgres: Postgres, venue: int, tmp_path: Path) -> None:
    own_postgres.query("DROP DATABASE IF EXISTS k2 WITH (FORCE)", "postgres")
    own_postgres.query("CREATE DATABASE k2", "postgres")
    process = started(tmp_path, venue, own_postgres.dsn)
    until(own_postgres, lambda count: count > 100)
    own_postgres.kill()
    time.sleep(2)
    own_postgres.start()
    stored = int(own_postgres.query(ONCE)[0][0])
    until(own_postgres, lambda count: count > stored + 600)  # what came in two seconds, and more
    process.terminate()
    code, summary, said = ended(process, tmp_path)
    assert code == 0, said
    books = summary["connectors"]["venue"]
    assert books["balanced"]
    assert (books["lost"], summary["unsent"]) == (0, 0)
    assert own_postgres.query(ONCE)[0][:2] == [str(books["published"])] * 2


def until(server: Postgres, enough: Callable[[int], bool], within: float = 60) -> None:
    """Until so many trades are in the table."""
    end = time.monotonic() + within
    while True:
        there = server.query("SELECT to_regclass('trades_v2') IS NOT NULL") == [["t"]]
        if there and enough(int(server.query("SELECT count(*) FROM trades_v2")[0][0])):
            return
        assert time.monotonic() < end, "the trades do not come"
        time.sleep(0.1)


def test_what_the_table_refuses_is_in_the_books_and_in_dead_letters(
    database: Database, venue: int, tmp_path: Path
) -> None:
    assert warm_process.k2conn("db", "migrate", env=environment(K2_POSTGRES_DSN=database.dsn)).returncode == 0
    database.query("ALTER TABLE trades_v2 ADD CONSTRAINT no_sevens CHECK (trade_id NOT LIKE '%7')")
    code, summary, said = ended(started(tmp_path, venue, database.dsn, "--duration", "4s"), tmp_path)
    assert code == 0, said
    books = summary["connectors"]["venue"]
    dead = int(database.value("SELECT count(*) FROM dead_letters"))
    assert dead > 10
    assert books["balanced"]
    assert books["dead_letters"] == dead
    sql = "SELECT document ->> 'reason', document ->> 'detail', topic, symbol FROM dead_letters LIMIT 1"
    (row,) = database.query(sql)
    assert row[0] == "refused-by-sink"
    assert 'violates check constraint "no_sevens"' in row[1]
    assert row[2].endswith(".dlq")
    assert row[3] == "BTCUSD"
    assert database.value("SELECT count(*) FROM trades_v2 WHERE trade_id LIKE '%7'") == "0"


def test_a_database_that_is_away_at_start_ends_with_69_and_its_address(venue: int, tmp_path: Path) -> None:
    process = started(tmp_path, venue, "postgresql://k2:geheim@127.0.0.1:9/k2", K2_POSTGRES_OPEN_TIMEOUT_MS="2s")
    assert process.stderr is not None
    before = next(line for line in process.stderr if "starting" in line)
    began = time.monotonic()
    said = before + process.communicate(timeout=60)[1]
    assert process.returncode == 69
    assert time.monotonic() - began < 10
    assert "postgres 127.0.0.1:9/k2: connection refused: nothing listens there" in said
    assert "geheim" not in said


def test_a_table_of_another_shape_ends_with_69_and_its_columns(database: Database, venue: int, tmp_path: Path) -> None:
    database.query("CREATE TABLE trades_v2 (price double precision, symbol text)")
    process = started(tmp_path, venue, database.dsn)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 69
    assert "price is double precision, not numeric(18,8) or larger" in said
    assert "there is no unique index on (message_id)" in said


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"K2_POSTGRES_DSN": "mysql://u:geheim@x/y"}, "K2_POSTGRES_DSN= begins with postgresql://"),
        ({"K2_POSTGRES_DSN": "postgresql://u:geheim@x:99999/y"}, "K2_POSTGRES_DSN= is no address"),
        ({"K2_POSTGRES_BATCH_ROWS": "0"}, "K2_POSTGRES_BATCH_ROWS=0 is not above 0"),
        ({"K2_POSTGRES_SCHEMA": 'a"b'}, "K2_POSTGRES_SCHEMA="),
        ({"K2_POSTGRES_TABLE": "trades"}, "K2_POSTGRES_TABLE="),
        ({"K2_POSTGRES_BATCH_ROW": "5"}, "K2_POSTGRES_BATCH_ROWS"),
    ],
)
def test_settings_that_cannot_be_are_told_by_their_variables(
    venue: int, tmp_path: Path, variables: dict[str, str], words: str
) -> None:
    given = {"K2_POSTGRES_DSN": "postgresql://127.0.0.1:9/k2", "K2_POSTGRES_OPEN_TIMEOUT_MS": "200", **variables}
    process = started(tmp_path, venue, given.pop("K2_POSTGRES_DSN"), **given)
    said = process.communicate(timeout=60)[1]
    assert process.returncode in (2, 69)
    assert words in said
    assert "geheim" not in said


def test_doctor_looks_and_makes_nothing(database: Database, venue: int, tmp_path: Path) -> None:
    file = tmp_path / "venue.yaml"
    file.write_text(HEAD + CONNECTION % venue + STREAMS)
    done = warm_process.k2conn("doctor", file, "--sink", "postgres", "--port", "-1",
                               env=environment(K2_POSTGRES_DSN=database.dsn))
    assert "no TimescaleDB" in done.stdout, done.stderr
    assert "a start applies 001_dead_letters" in done.stdout
    assert database.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0"
