"""The QuestDB sink against the real server: `make test-deploy`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from k2conn.avro import load_schema
from k2conn.errors import SinkError, Unreachable
from k2conn.records import load_record
from k2conn.sinks.questdb import QuestDbSettings, _table
from k2conn.sinks.settings import SinkSettings
from k2conn.spool import make_spooled, spooled
from tests.servers import QuestDb
from tests.support.databases import candle, numbered
from tests.support.grown import grown_trade
from tests.support.sinks import Book, dead

pytestmark = pytest.mark.deploy
ONCE = "SELECT count(), count_distinct(source_sequence), sum(source_sequence), sum(price) FROM trades_v2"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuestDb]:
    with QuestDb(tmp_path_factory.mktemp("questdb")) as server:
        yield server


@pytest.fixture
def server(running: QuestDb) -> QuestDb:
    """Without tables."""
    for (name,) in running.query("SELECT table_name FROM tables()"):
        if name.endswith("_v2") or name == "dead_letters":
            running.query(f"DROP TABLE {name}")
    return running


def drive(server: QuestDb, book: Book, work: Callable[[Any], Awaitable[None]], tmp_path: Any, **given: Any) -> None:
    async def run() -> None:
        from k2conn.sinks.settings import SpoolSettings

        options = QuestDbSettings(address=server.url, batch_ms=20, **given)
        settings = SinkSettings(kind="questdb", options=options, spool=SpoolSettings(folder=tmp_path))
        assert spooled(settings)
        sink = make_spooled(settings, book.settle, book.reject)
        await sink.open()
        try:
            await work(sink)
        finally:
            await sink.close()

    asyncio.run(run())


def asked(server: QuestDb, sql: str, wanted: list[list[Any]], within: float = 90) -> None:
    """Rows are there a moment after they were acknowledged."""
    end = time.monotonic() + within
    while (found := server.query(sql)) != wanted and time.monotonic() < end:
        time.sleep(0.1)
    assert found == wanted


def test_records_are_exact_and_once(server: QuestDb, tmp_path: Any) -> None:
    book, count = Book(), 3000

    async def work(sink: Any) -> None:
        await sink.prepare({"t": load_schema("trade"), "t.dlq": None})
        for _ in range(2):
            for number in range(count):
                sink.put(numbered(number))
        sink.put(numbered(count, price=10**18 - 1, trade_id='a,b= "c"\\\n\r ü😀', timestamp=5))
        sink.put(dead(1, "t.dlq"))
        assert await sink.flush(60) == 0

    drive(server, book, work, tmp_path)
    assert len(book.settled) == 2 * count + 2
    asked(server, f"{ONCE} WHERE source_sequence < {count}",
          [[count, count, count * (count - 1) // 2, f"{count * 640001 // 10}.00000000"]])
    asked(server, "SELECT trade_id, price, timestamp, message_id FROM trades_v2 WHERE trade_id LIKE 'a,%'",
          [['a,b= "c"\\\n\r ü😀', "9999999999.99999999", "1970-01-01T00:00:00.000005Z",
            "00000000-0000-0000-0000-000000000bb8"]])
    asked(server, "SELECT topic, count() FROM dead_letters", [["t.dlq", 1]])


def test_a_candle_has_one_row(server: QuestDb, tmp_path: Any) -> None:
    async def work(sink: Any) -> None:
        for number in (1, 2, 1):
            sink.put(candle(number, trade_count=number))
        sink.put(candle(1, trade_count=9))
        assert await sink.flush(60) == 0

    drive(server, Book(), work, tmp_path)
    asked(server, "SELECT trade_count, volume FROM candles_v2",
          [[9, "3.000000000000000000"], [2, "3.000000000000000000"]])


def test_a_refused_record_is_one_dead_letter(server: QuestDb, tmp_path: Any) -> None:
    book = Book()

    async def work(sink: Any) -> None:
        for number in range(300):
            sink.put(numbered(number, **({"timestamp": -5} if number == 77 else {})))
        assert await sink.flush(60) == 0

    drive(server, book, work, tmp_path)
    assert len(book.settled) == 299
    assert [reason for _, reason in book.rejected] == ["refused-by-sink"]
    assert "1970" in book.words[0]


def test_a_table_of_another_shape_is_refused(server: QuestDb, tmp_path: Any) -> None:
    server.query("CREATE TABLE trades_v2 (timestamp TIMESTAMP, price DOUBLE) TIMESTAMP(timestamp) PARTITION BY DAY WAL")
    with pytest.raises(SinkError, match=r"price is DOUBLE, not DECIMAL\(18,8\).*its keys are none, not timestamp, "):
        drive(server, Book(), lambda sink: sink.prepare({"t": load_schema("trade")}), tmp_path)


def test_a_table_of_an_earlier_revision_gets_the_new_columns_and_keeps_its_rows(server: QuestDb, tmp_path: Any) -> None:
    first = load_record("trade", 1)
    server.query(_table("trades_v2", first))

    async def before(sink: Any) -> None:
        sink.put(numbered(1))  # writing a record of the first revision adds the columns, too
        assert await sink.flush(60) == 0

    async def now(sink: Any) -> None:
        sink.put(grown_trade(2))
        sink.put(grown_trade(2))
        sink.put(numbered(3))
        assert await sink.flush(60) == 0

    names = [row[0] for row in server.query('SHOW COLUMNS FROM "trades_v2"')]
    assert "multiplier" not in names
    book = Book()
    drive(server, book, before, tmp_path)
    drive(server, book, now, tmp_path)
    assert (len(book.settled), book.rejected) == (4, [])
    added = [one.name for one in load_record("trade").schema.fields if one.name not in names]
    assert {row[0] for row in server.query('SHOW COLUMNS FROM "trades_v2"')} == {*names, *added}
    asked(server, "SELECT source_sequence, trade_action, venue, multiplier, strike, expiry, sip_timestamp IS NULL "
                  "FROM trades_v2 ORDER BY source_sequence", [
        [1, None, None, None, None, None, True],
        [2, "CORRECT", "XNAS", "100.00000000", "650.00000000", "2025-12-18T00:00:00.000000Z", False],
        [3, None, None, None, None, None, True],
    ])


def test_a_column_of_that_name_and_another_type_is_refused(server: QuestDb, tmp_path: Any) -> None:
    server.query(_table("trades_v2", load_record("trade", 1)))
    server.query("ALTER TABLE trades_v2 ADD COLUMN multiplier DOUBLE")
    asked(server, "SELECT \"type\" FROM table_columns('trades_v2') WHERE \"column\" = 'multiplier'", [["DOUBLE"]])
    with pytest.raises(SinkError, match=r"multiplier is DOUBLE, not DECIMAL\(18,8\)"):
        drive(server, Book(), lambda sink: sink.prepare({"t": load_schema("trade")}), tmp_path)


def test_a_server_that_is_killed_under_load_has_every_record_once(server: QuestDb, tmp_path: Any) -> None:
    book, count = Book(), 20_000

    async def work(sink: Any) -> None:
        await sink.prepare({"t": load_schema("trade")})
        back: Any = None
        for number in range(count):
            sink.put(numbered(number))
            if number % 100 == 0:
                await asyncio.sleep(0.005)
            if number == count // 3:
                await asyncio.to_thread(server.kill)
                back = asyncio.create_task(asyncio.to_thread(server.start))
        await back
        assert await sink.flush(60) == 0
        assert sink.status()["spool"]["records"] == 0

    drive(server, book, work, tmp_path, batch_rows=500)
    assert len(book.settled) == count
    asked(server, ONCE, [[count, count, count * (count - 1) // 2, f"{count * 640001 // 10}.00000000"]])


def test_a_server_that_is_away_is_told_with_its_address(tmp_path: Any) -> None:
    class Nobody:
        url = "http://127.0.0.1:9"

    with pytest.raises(Unreachable, match=r"questdb http://127\.0\.0\.1:9: "):
        drive(Nobody(), Book(), lambda sink: sink.flush(1), tmp_path)  # type: ignore[arg-type]
