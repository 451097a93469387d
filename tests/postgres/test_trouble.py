"""The postgres sink while its server is killed, frozen or read-only, or a table is in trouble: every record once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from k2conn.errors import Unreachable
from k2conn.sinks.postgres.connection import connect
from k2conn.sinks.postgres.settings import PostgresSettings
from k2conn.sinks.settings import SpoolSettings
from tests.paths import ROOT
from tests.postgres.test_sink import until
from tests.servers import Postgres
from tests.servers.postgres import Database
from tests.support.databases import candle, drive, numbered
from tests.support.sinks import Book

ONCE = "SELECT count(*), count(DISTINCT source_sequence), sum(source_sequence), sum(price) FROM trades_v2"

DISCONNECT = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'k2'"


def once(count: int) -> list[list[str]]:
    return [[str(count), str(count), str(count * (count - 1) // 2), f"{64000.1 * count:.8f}"]]


@pytest.fixture
def database(own_postgres: Postgres) -> Database:
    """The only one of a server that tests here kill."""
    own_postgres.query("DROP DATABASE IF EXISTS k2 WITH (FORCE)", "postgres")
    own_postgres.query("CREATE DATABASE k2", "postgres")
    return Database(own_postgres.dsn)


@pytest.mark.deploy
@pytest.mark.parametrize("how", ["killed", "restarted", "frozen"])
def test_a_server_that_goes_under_load_has_every_record_once(
    own_postgres: Postgres, database: Database, tmp_path: Path, how: str
) -> None:
    book, server, count = Book(), own_postgres, 30_000

    async def work(sink: Any) -> None:
        for number in range(count):
            sink.put(numbered(number))
            if number % 100 == 0:
                await asyncio.sleep(0.005)
            if number == count // 3:
                await asyncio.to_thread(server.kill if how == "killed" else server.pause)
                back = asyncio.create_task(asyncio.to_thread(come_back))
        await back
        await until(lambda: len(book.settled) >= count, 60)
        assert await sink.flush(60) == 0
        assert sink.status()["spool"]["records"] == 0

    def come_back() -> None:
        time.sleep(2.5)
        if how == "frozen":
            server.resume()
        elif how == "restarted":
            server.resume()
            server.restart()
        else:
            server.start()

    drive(database.dsn, book, work, SpoolSettings(folder=tmp_path), batch_rows=500, timeout_ms=1000)
    assert len(book.settled) == count
    assert not book.rejected
    assert server.query(ONCE) == once(count)


def test_three_retries_and_then_the_spool(own_postgres: Postgres, database: Database, tmp_path: Path) -> None:
    book = Book()

    async def work(sink: Any) -> None:
        sink.put(numbered(0))
        assert await sink.flush(60) == 0
        await asyncio.to_thread(own_postgres.kill)
        sink.put(numbered(1))
        await until(lambda: sink.status()["retries"] >= 1, 60)
        assert sink.status()["reachable"], "one failure is no outage"
        await until(lambda: not sink.status()["reachable"], 60)
        assert sink.status()["retries"] >= 4
        assert f"postgres 127.0.0.1:{own_postgres.port}/k2" in sink.status()["last_error"]
        await until(lambda: sink.status()["spool"]["state"] == "spooling", 60)
        sink.put(numbered(2))
        assert await sink.flush(1) == 0, "what is left is on the disk"

    drive(database.dsn, book, work, SpoolSettings(folder=tmp_path))
    assert len(book.settled) == 1
    own_postgres.start()

    async def again(sink: Any) -> None:
        assert await sink.flush(60) == 0

    drive(database.dsn, book, again, SpoolSettings(folder=tmp_path))
    assert own_postgres.query(ONCE) == once(3)


def test_a_full_spool_is_back_pressure(own_postgres: Postgres, database: Database, tmp_path: Path) -> None:
    book = Book()

    async def work(sink: Any) -> None:
        sink.put(numbered(0))
        assert await sink.flush(60) == 0
        await asyncio.to_thread(own_postgres.kill)
        sent = 1
        async with asyncio.timeout(60):
            while not (sink.crowded and sink.status()["spool"]["full"]):
                sink.put(numbered(sent))
                sent += 1
                if sent % 50 == 0:
                    await asyncio.sleep(0.01)
        waiting = asyncio.create_task(sink.drain())
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await asyncio.to_thread(own_postgres.start)
        await asyncio.wait_for(waiting, 30)
        assert await sink.flush(60) == 0
        assert own_postgres.query(ONCE) == once(sent)

    drive(database.dsn, book, work, SpoolSettings(folder=tmp_path, max_bytes=1024 * 1024), buffer_bytes=200_000)


def test_a_table_in_trouble_holds_up_no_other(own_postgres: Postgres, database: Database, tmp_path: Path) -> None:
    book = Book()

    async def work(sink: Any) -> None:
        sink.put(numbered(0))
        sink.put(candle(0))
        assert await sink.flush(60) == 0
        own_postgres.query("ALTER TABLE trades_v2 RENAME TO gone")
        for number in range(1, 500):
            sink.put(numbered(number))
        await until(lambda: sink.status()["spool"]["parked"], 60)
        (topic,) = sink.status()["spool"]["parked"]
        assert 'there is no table "public"."trades_v2"' in sink.status()["trouble"][topic]
        sink.put(candle(1))
        await until(lambda: any(one.schema.name == "candle" for one in book.settled[2:]), 60)
        own_postgres.query("ALTER TABLE gone RENAME TO trades_v2")
        assert await sink.flush(60) == 0

    made(database.dsn)
    drive(database.dsn, book, work, SpoolSettings(folder=tmp_path), migrate=False)
    assert own_postgres.query(ONCE) == once(500)


def test_a_server_that_takes_no_writes_is_away_until_it_does(own_postgres: Postgres, database: Database,
                                                             tmp_path: Path) -> None:
    book = Book()

    async def work(sink: Any) -> None:
        sink.put(numbered(0))
        assert await sink.flush(60) == 0
        own_postgres.query("ALTER DATABASE k2 SET default_transaction_read_only = on", "postgres")
        own_postgres.query(DISCONNECT, "postgres")
        for number in range(1, 100):
            sink.put(numbered(number))
        await until(lambda: not sink.status()["reachable"], 60)
        assert "read-only" in sink.status()["last_error"]
        own_postgres.query("ALTER DATABASE k2 RESET default_transaction_read_only", "postgres")
        assert await sink.flush(60) == 0

    drive(database.dsn, book, work, SpoolSettings(folder=tmp_path))
    assert own_postgres.query(ONCE) == once(100)


WRITER = """
import asyncio, sys
sys.path.insert(0, %r)
from tests.support.databases import candle, drive, numbered
from tests.support.sinks import Book

async def work(sink):
    order = range(4000) if sys.argv[2] == "up" else reversed(range(4000))
    for number in order:
        sink.put(numbered(number))
        sink.put(candle(number %% 50, trade_count=number // 50))
        if number %% 100 == 0:
            await asyncio.sleep(0)
    assert await sink.flush(60) == 0

book = Book()
drive(sys.argv[1], book, work, batch_rows=300)
print(len(book.settled), len(book.rejected))
"""


def test_two_writers_at_once_lose_and_double_nothing(own_postgres: Postgres, database: Database) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER % str(ROOT), database.dsn, way], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
        for way in ("up", "down", "up")
    ]
    for writer in writers:
        said, wrong = writer.communicate(timeout=90)
        assert said == "8000 0\n", wrong
    assert own_postgres.query(ONCE) == once(4000)
    assert own_postgres.query("SELECT count(*), count(DISTINCT open_time) FROM candles_v2") == [["50", "50"]]


def made(dsn: str) -> None:
    """Makes the tables."""

    async def nothing(sink: Any) -> None:
        return None

    drive(dsn, Book(), nothing)


# The client's half-made connection complains when it goes away.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 4000, b"R\0\0\0\x08\0\0\0\x63", b"E\0\0\0\x05\0",
     b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I", b"R\0\0\0\x08\0\0\0\0Z\xff\xff\xff\xff"],
)
def test_whoever_else_answers_is_unreachable_and_no_bug(answer: bytes) -> None:
    async def run() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(4)
            writer.write(answer)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            dsn = f"postgresql://k2@127.0.0.1:{port}/k2?sslmode=disable"
            with pytest.raises(Unreachable, match=f"postgres 127.0.0.1:{port}/k2: "):
                await connect(PostgresSettings(dsn=dsn), 2)

    asyncio.run(run())
