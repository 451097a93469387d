"""`k2conn query` and `k2conn lake` as a user types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from k2conn.lake.engine import QueryError, SqlEngine
from k2conn.lake.reader import LakeReader
from k2conn.lake.selection import Selection
from k2conn.lake.settings import LakeSettings
from k2conn.sinks import make_sink
from k2conn.sinks.file import FileSettings
from k2conn.sinks.settings import SinkSettings
from tests.integration.test_run import environment
from tests.support import warm_process
from tests.support.databases import candle, numbered
from tests.support.lakes import lake, rows, writer
from tests.support.sinks import Book

STAMP = 1_767_323_045_000_000


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> LakeSettings:
    """A lake of 100 trades in ten commits, a second apart, and candles."""
    found = lake(tmp_path_factory.mktemp("lake"))
    one = writer(found)
    for number in range(0, 100, 10):
        one.append(rows(one, [
            numbered(at, timestamp=STAMP + at * 1_000_000, symbol=("BTCUSD", "ETHUSD")[at % 2],
                     side=("BUY", "SELL")[at % 4 // 2], currency=("USD", "EUR")[at % 5 // 4])
            for at in range(number, number + 10)
        ]))
    other = writer(found, "candles")
    other.append(rows(other, [candle(1, is_closed=False, trade_count=1), candle(1), candle(2)]))
    return found


def asked(settings: LakeSettings, *words: str, code: int = 0, **variables: str) -> str:
    """What a command prints."""
    done = warm_process.k2conn(*words, timeout=100, cwd=settings.folder.parent,
                               env=environment(K2_LAKE_FOLDER=str(settings.folder), **variables))
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_the_newest_come_first_by_symbol_side_and_currency(settings: LakeSettings) -> None:
    reader = LakeReader(settings)

    def numbers(**chosen: Any) -> list[int]:
        return list(reader.records("trades", Selection(**chosen))["source_sequence"].to_pylist())

    assert numbers(limit=3) == [99, 98, 97]
    assert numbers(symbol="BTCUSD", limit=2) == [98, 96]
    assert numbers(side="SELL", limit=3) == [99, 98, 95]
    assert numbers(currency="EUR", limit=2) == [99, 94]
    assert numbers(symbol="BTCUSD", side="BUY", currency="EUR") == [84, 64, 44, 24, 4]
    assert numbers(since=STAMP + 50_000_000, until=STAMP + 53_000_000) == [52, 51, 50]
    assert numbers(before=(STAMP + 20_000_000, "00000000-0000-0000-0000-000000000014"), limit=2) == [19, 18]
    assert numbers(symbol="NONE") == []
    assert len(numbers(limit=95)) == 95


def test_files_that_cannot_have_it_are_not_opened(settings: LakeSettings) -> None:
    from k2conn.lake.files import chosen_files

    files = LakeReader(settings).state("trades").files.files
    assert len(files) == 10
    assert len(chosen_files(files, Selection(since=STAMP + 85_000_000))) == 2
    assert chosen_files(files, Selection(symbol="AAA")) == []
    assert chosen_files(files, Selection(exchange="Y")) == []


def test_a_reader_sees_what_was_committed_after_it_was_made(tmp_path: Path) -> None:
    settings = lake(tmp_path)
    one = writer(settings)
    reader = LakeReader(settings)
    assert len(reader.records("trades")) == 0
    one.append(rows(one, [numbered(1)]))
    reader.refresh()
    assert len(reader.records("trades")) == 1


def test_sql_answers_in_every_format(settings: LakeSettings, tmp_path: Path) -> None:
    sql = ("SELECT symbol, count(*) AS n, max(price) AS high, max(timestamp) AS last FROM trades GROUP BY symbol "
           "ORDER BY 1")
    assert asked(settings, "query", sql, "--format", "json").splitlines() == [
        '{"symbol":"BTCUSD","n":50,"high":"64000.10000000","last":"2026-01-02T03:05:43.000000Z"}',
        '{"symbol":"ETHUSD","n":50,"high":"64000.10000000","last":"2026-01-02T03:05:44.000000Z"}',
    ]
    assert asked(settings, "query", sql, "--format", "csv", "--side", "buy").splitlines()[:2] == [
        "symbol,n,high,last", "BTCUSD,25,64000.10000000,2026-01-02T03:05:41.000000Z"
    ]
    assert "64000.10000000" in asked(settings, "query", sql)
    file = tmp_path / "x.parquet"
    asked(settings, "query", "SELECT * FROM trades", "--format", "parquet", "--output", str(file))
    again = asked(settings, "query", "SELECT count(*) AS n FROM trades", "--data", str(file), "--format", "json",
                  "--symbol", "BTCUSD")
    assert json.loads(again) == {"n": 50}


def test_a_word_is_the_newest_records_of_a_type_and_candles_are_their_latest_states(settings: LakeSettings) -> None:
    found = asked(settings, "query", "candles", "--format", "json", "--interval", "1m").splitlines()
    assert [json.loads(line)["trade_count"] for line in found] == [7, 7]
    states = asked(settings, "query", "SELECT count(*) AS n FROM candles_v2", "--format", "json")
    assert json.loads(states) == {"n": 3}
    line = json.loads(asked(settings, "query", "--limit", "1", "--format", "json"))
    assert line["vendor_data"] == {"ord_type": "limit", "b": "ü"}
    assert line["trade_conditions"] == ["@", "T"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["SELECT nope FROM trades"], 'column "nope" not found'),
        (["DROP TABLE trades"], "a query reads: DROP is not SELECT"),
        (["SELECT 1; SELECT 2"], "one statement at a time"),
        (["quotes"], "there is no table of quotes in the lake"),
        (["trades", "--since", "2026-01-02T03:04:05"], "say the zone"),
        (["trades", "--since", "soon"], "say how long ago"),
        (["trades", "--format", "xml"], "--format xml"),
        (["trades", "--data", "nowhere"], "there is no such file or folder"),
    ],
)
def test_what_cannot_be_answered_is_said_in_a_line(settings: LakeSettings, words: list[str], said: str) -> None:
    text = asked(settings, "query", *words, code=2)
    assert said in text
    assert "Traceback" not in text


def test_a_folder_without_a_lake_is_named(settings: LakeSettings, tmp_path: Path) -> None:
    assert "there is no lake" in asked(LakeSettings(folder=tmp_path / "none"), "query", code=2)
    assert not (tmp_path / "none").exists()


def test_sql_reaches_no_other_file_and_writes_none(settings: LakeSettings, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with SqlEngine() as engine:
        engine.lock(LakeReader(settings).tables(engine, Selection()))
        for sql in (
            f"SELECT * FROM read_csv('{secret}')", f"SELECT * FROM '{secret}'", f"SELECT * FROM read_text('{secret}')",
            f"SELECT * FROM glob('{tmp_path}/*')", f"COPY trades TO '{tmp_path}/out.csv'", "INSTALL httpfs",
            "LOAD httpfs", "SET enable_external_access=true", f"ATTACH '{tmp_path}/x.db'", "SELECT * FROM secret",
            "PRAGMA version", "SELECT * FROM read_csv('http://127.0.0.1:9/x')",
            f"SELECT * FROM read_parquet('{settings.folder}/../secret.csv')",
            "CREATE TABLE x AS SELECT 1", "DELETE FROM trades",
        ):
            with pytest.raises(QueryError):
                engine.read(sql)
        assert engine.read("SELECT count(*) AS n FROM trades").to_pylist() == [{"n": 100}]
    assert [one.name for one in tmp_path.iterdir()] == ["secret.csv"]
    words = ("query", f"SELECT a FROM read_csv('{secret}')", "--format", "csv")
    assert "--allow" in asked(settings, *words, code=2)
    assert asked(settings, *words, "--allow", str(tmp_path)) == "a\n1\n"


def test_files_of_the_file_sink_are_tables_too(settings: LakeSettings, tmp_path: Path) -> None:
    import asyncio

    async def write() -> None:
        options = FileSettings(folder=tmp_path / "data")
        sink = make_sink(SinkSettings(kind="file", options=options), Book().settle, Book().reject)
        await sink.open()
        for number in range(10):
            sink.put(numbered(number))
        sink.put(candle(1))
        await sink.flush(10)
        await sink.close()

    asyncio.run(write())
    sql = "SELECT count(*) AS n, sum(price) AS s, min(timestamp) AS t, any_value(vendor_data['b']) AS b FROM trades"
    found = json.loads(asked(settings, "query", sql, "--data", str(tmp_path / "data"), "--format", "json"))
    assert found == {"n": 10, "s": "640001.00000000", "t": "2026-01-02T03:04:05.678901Z", "b": "ü"}
    newest = asked(settings, "query", "candles", "--data", str(tmp_path / "data"), "--format", "json")
    assert json.loads(newest)["volume"] == "3.000000000000000000"


@pytest.mark.deploy
def test_ctrl_c_ends_a_long_query(settings: LakeSettings) -> None:
    sql = "SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000000) b(i)"
    with subprocess.Popen(
        [sys.executable, "-m", "k2conn", "query", sql], stderr=subprocess.PIPE, text=True,
        env=environment(K2_LAKE_FOLDER=str(settings.folder)),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job inherits "ignore"
    ) as process:
        end = time.monotonic() + 60
        while cpu(process.pid) < 4 and time.monotonic() < end:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        try:
            said = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert (process.returncode, said) == (130, "interrupted\n")


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has had: imports take less than two."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_lake_stats_and_upkeep(settings: LakeSettings, tmp_path: Path) -> None:
    own = lake(tmp_path)
    one = writer(own)
    for number in range(4):
        one.append(rows(one, [numbered(number)]))
    found = json.loads(asked(own, "lake", "stats", "--format", "json"))
    (stats,) = [line for line in found if line["table"] == "trades_v2"]
    assert (stats["rows"], stats["files"], stats["small_files"], stats["snapshots"]) == (4, 4, 4, 4)
    assert "trades_v2" in asked(own, "lake", "stats")
    assert "(nothing was done)" in asked(own, "lake", "compact", "--dry-run")
    assert "trades_v2: 4 files before, 1 files after" in asked(own, "lake", "compact", "--table", "trades")
    assert "trades_v2: 4 snapshots expired" in asked(own, "lake", "expire", "--keep", "1", "--older-than", "0s")
    assert "trades_v2: 0 files removed" in asked(own, "lake", "clean")
    assert "say 1h or more" in asked(own, "lake", "clean", "--older-than", "1m", code=2)
    assert "known: stats, compact, expire, clean" in asked(own, "lake", "mend", code=2)
