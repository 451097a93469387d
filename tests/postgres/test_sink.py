"""The postgres sink against a real server, read back by psql."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from k2conn.avro import load_schema
from k2conn.errors import SinkError, Unreachable
from k2conn.records import V2, WIDE, load_record, use_decimals
from tests.servers.postgres import Database
from tests.support.databases import candle, drive, numbered
from tests.support.sinks import TRADE, Book, dead

TOPICS = {"t": load_schema("trade"), "t.dlq": None}


def put(database: Database, *envelopes: Any, **given: Any) -> Book:
    """Writes some envelopes; what became of them."""
    book = Book()

    async def work(sink: Any) -> None:
        for envelope in envelopes:
            sink.put(envelope)
        assert not book.settled
        assert await sink.flush(60) == 0

    drive(database.dsn, book, work, **given)
    return book


def test_a_trade_is_read_back_column_by_column(database: Database) -> None:
    put(database, numbered(7))
    (row,) = database.query("SELECT row_to_json(t) FROM trades_v2 t")
    found = json.loads(row[0], parse_float=str)
    later = {field.name for field in load_record("trade").schema.fields} - TRADE.keys()
    assert {found.pop(name) for name in later} == {None}
    assert found == TRADE | {
        "message_id": "00000000-0000-0000-0000-000000000007", "trade_id": "X-7", "source_sequence": 7,
        "price": "64000.10000000", "quantity": "0.25000000", "timestamp": "2026-01-02T03:04:05.678901+00:00",
        "ingestion_timestamp": "2026-01-02T03:04:05.7+00:00",
    }


@pytest.mark.parametrize("units", [0, 1, -1, 10**18 - 1, -(10**18) + 1, 10_000 * 10**8, 123_456_789_012_345_678])
def test_decimals_are_exact(database: Database, units: int) -> None:
    put(database, numbered(1, price=units))
    assert database.value(f"SELECT price * 100000000 = {units} AND scale(price) = 8 FROM trades_v2") == "t"


def test_a_table_takes_both_sizes_of_decimals(database: Database) -> None:
    narrow = numbered(1)
    put(database, narrow)
    use_decimals(WIDE)
    try:
        book = put(database, numbered(2, price=10**38 - 1), narrow, numbered(3, price=-(10**38) + 1))
    finally:
        use_decimals(V2)
    assert not book.rejected, book.words
    assert database.value("SELECT min(price) FROM trades_v2") == "-99999999999999999999.999999999999999999"
    assert database.value("SELECT max(price) FROM trades_v2") == "99999999999999999999.999999999999999999"


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE trades_v2; --", "\\N", "\\.", "a\tb\nc\rd", '"quoted"', "ü€😀", "{a,b}", "NULL", "$1"]
)
def test_text_is_never_interpreted(database: Database, text: str) -> None:
    put(database, numbered(1, trade_id=text, trade_conditions=[text, text], vendor_data={text: text}))
    (row,) = database.query("SELECT trade_id, trade_conditions[2], vendor_data ->> (SELECT trade_id FROM trades_v2) "
                            "FROM trades_v2")
    assert row == [text, text, text]


def test_times_are_exact_to_the_microsecond_before_and_after_1970_and_2000(database: Database) -> None:
    stamps = [-62_135_596_800_000_000, -1, 0, 946_684_799_999_999, 946_684_800_000_001, 253_402_300_799_999_999]
    put(database, *(numbered(at, timestamp=stamp, source_sequence=at) for at, stamp in enumerate(stamps)))
    rows = database.query("SELECT (extract(epoch FROM timestamp) * 1000000)::numeric(30,0) FROM trades_v2 "
                          "ORDER BY source_sequence")
    assert [int(row[0]) for row in rows] == stamps


def test_what_comes_again_is_one_row(database: Database) -> None:
    book = put(database, *(numbered(number % 50) for number in range(200)))
    again = put(database, *(numbered(number, price=1) for number in range(60)))
    assert len(book.settled) == 200
    assert len(again.settled) == 60
    counts = "SELECT count(*), count(*) FILTER (WHERE price = 0.00000001) FROM trades_v2"
    assert database.query(counts) == [["60", "10"]]


def test_only_batches_with_repeats_go_by_way_of_the_temporary_table(database: Database) -> None:
    """What each statement was that put rows in, told by a trigger. After a repeat the straight way is tried again."""
    put(database)
    database.query("CREATE TABLE ways (n serial, way text); "
                   "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                   "INSERT INTO ways (way) VALUES (split_part(current_query(), ' ', 1)); RETURN NULL; END $$; "
                   "CREATE TRIGGER note AFTER INSERT ON trades_v2 FOR EACH STATEMENT EXECUTE FUNCTION note()")
    book = Book()

    async def work(sink: Any) -> None:
        for batch in ([1, 2], [2, 3], [4], [5, 5], [6], [7], [8]):
            sink.put_all([numbered(number) for number in batch])
            assert await sink.flush(60) == 0

    drive(database.dsn, book, work)
    assert not book.rejected, book.words
    assert [row[0] for row in database.query("SELECT way FROM ways ORDER BY n")] == [
        "COPY", "INSERT", "INSERT", "INSERT", "INSERT", "INSERT", "COPY",
    ]
    assert database.query("SELECT count(*), count(DISTINCT message_id) FROM trades_v2") == [["8", "8"]]


def test_a_table_whose_ids_are_text_has_them_as_text(database: Database) -> None:
    """Its column would take the sixteen bytes of a UUID for something else."""
    put(database)
    database.query("ALTER TABLE trades_v2 ALTER message_id TYPE text")
    put(database, numbered(1), numbered(1), numbered(2))
    assert [row[0][-2:] for row in database.query("SELECT message_id FROM trades_v2 ORDER BY 1")] == ["01", "02"]


def test_a_record_that_the_table_refuses_is_one_dead_letter_and_its_neighbours_go(database: Database) -> None:
    put(database)
    database.query("ALTER TABLE trades_v2 ADD CONSTRAINT no_thirteen CHECK (source_sequence <> 13)")
    bad: dict[int, Any] = {
        77: {"trade_id": "a\0b"}, 78: {"vendor_data": {"a": "\0"}}, 400: {"message_id": "no uuid"}
    }
    book = put(database, *(numbered(number, **bad.get(number, {})) for number in range(500)))
    assert [number_of(one) for one, _ in book.rejected] == [13, 77, 78, 400]
    assert {reason for _, reason in book.rejected} == {"refused-by-sink"}
    first, second, third, fourth = book.words
    assert 'violates check constraint "no_thirteen"' in first
    assert "[23514]" in first
    assert "invalid byte sequence" in second
    assert "trade_id" in second
    assert "Unicode escape" in third
    assert fourth == "message_id: 'no uuid' is no UUID"
    assert len(book.settled) == 496
    assert database.value("SELECT count(*) FROM trades_v2") == "496"


def test_order_within_the_sink_is_kept(database: Database) -> None:
    book = put(database, *(numbered(number) for number in range(3000)), batch_rows=100)
    assert [number_of(one) for one in book.settled] == list(range(3000))


def test_a_candle_is_replaced_only_where_a_value_differs(database: Database) -> None:
    put(database, candle(1), candle(2))
    version = "SELECT xmin::text || ctid::text FROM candles_v2 WHERE open_time = '2026-01-02 03:05:00Z'"
    before = database.value(version)
    put(database, candle(1, message_id="ffffffff-0000-0000-0000-000000000000", timestamp=1, ingestion_timestamp=5))
    assert database.value(version) == before
    put(database, candle(1, trade_count=8))  # a correction of only the count is a correction
    assert database.value(version) != before
    assert database.query("SELECT trade_count, volume FROM candles_v2 ORDER BY open_time") == [
        ["8", "3.000000000000000000"], ["7", "3.000000000000000000"]
    ]


def test_the_last_state_of_a_candle_stays_and_an_open_one_never_replaces_a_closed_one(database: Database) -> None:
    states = [candle(1, is_closed=False, trade_count=count) for count in range(5)]
    put(database, *states)
    assert database.query("SELECT trade_count, is_closed FROM candles_v2") == [["4", "f"]]
    put(database, candle(1, trade_count=9), candle(1, is_closed=False, trade_count=6))
    assert database.query("SELECT trade_count, is_closed FROM candles_v2") == [["9", "t"]]
    put(database, candle(1, is_closed=False, trade_count=6))
    assert database.query("SELECT trade_count, is_closed FROM candles_v2") == [["9", "t"]]
    put(database, candle(1, trade_count=10), candle(1, trade_count=11))
    assert database.query("SELECT trade_count, is_closed FROM candles_v2") == [["11", "t"]]


def test_dead_letters_are_rows_and_the_same_letter_is_one(database: Database) -> None:
    letter = dead(3, "t.dlq")
    put(database, letter, dead(4, "t.dlq"))
    put(database, letter, letter._replace(value=b'{"frame": "\\u0000 \\ud800"}'))
    rows = database.query("SELECT topic, document ->> 'number', at FROM dead_letters "
                          "WHERE document::text LIKE '%number%' ORDER BY 2")
    assert rows == [["t.dlq", "3", "2026-01-02 03:04:05.678+00"], ["t.dlq", "4", "2026-01-02 03:04:05.678+00"]]
    assert database.value("SELECT count(*) FROM dead_letters") == "3"


def test_dead_letters_are_files_where_a_folder_is_said(database: Database, tmp_path: Path) -> None:
    book = put(database, dead(3, "t.dlq"), numbered(1), dead_letters=tmp_path)
    (file,) = (tmp_path / "t.dlq").iterdir()
    assert json.loads(file.read_text())["number"] == 3
    assert len(book.settled) == 2
    counts = "SELECT (SELECT count(*) FROM dead_letters), (SELECT count(*) FROM trades_v2)"
    assert database.query(counts) == [["0", "1"]]


def test_a_batch_goes_by_rows_or_by_time(database: Database) -> None:
    book = Book()

    async def work(sink: Any) -> None:
        await sink.prepare({"t": load_schema("candle")})
        for number in range(9):
            sink.put(candle(number))
        await asyncio.sleep(0.3)
        assert not book.settled, "neither ten rows nor ten seconds"
        sink.put(candle(9))
        await until(lambda: len(book.settled) == 10, 60)
        sink.put(candle(10))
        await asyncio.sleep(0.1)
        assert len(book.settled) == 10
        assert await sink.flush(60) == 0

    drive(database.dsn, book, work, update_rows=10, update_ms=10_000)

    async def one(sink: Any) -> None:
        sink.put(candle(11))
        await until(lambda: len(book.settled) == 12, 3)

    drive(database.dsn, book, one, update_rows=10, update_ms=200)


# --- tables of another shape


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER COLUMN price TYPE double precision", "price is double precision, not numeric(18,8) or larger"),
        ("ALTER COLUMN price TYPE numeric(20,6)", "price is numeric(20,6), not numeric(18,8) or larger"),
        ("DROP COLUMN side", "side is missing (text NOT NULL)"),
        ("ALTER COLUMN timestamp TYPE timestamp", "timestamp is timestamp without time zone, not timestamp with"),
        ("ALTER COLUMN platform_sequence SET NOT NULL", "platform_sequence must not be null, but a record may have"),
        ("ADD COLUMN desk text NOT NULL", "desk must not be null, has no default and is no field of a trade"),
        ("DROP CONSTRAINT trades_v2_pkey", "there is no unique index on (message_id)"),
        ("ALTER COLUMN symbol TYPE varchar(3)", "symbol is character varying(3), not text"),
    ],
)
def test_a_table_of_another_shape_is_refused_at_start(database: Database, change: str, words: str) -> None:
    put(database)
    database.query(f"ALTER TABLE trades_v2 {change}")
    with pytest.raises(SinkError) as refused:
        drive(database.dsn, Book(), lambda sink: sink.prepare(TOPICS))
    assert words in str(refused.value)
    assert '"public"."trades_v2" is of another shape' in str(refused.value)


def test_a_table_may_have_more_and_larger_columns(database: Database) -> None:
    put(database)
    database.query("ALTER TABLE trades_v2 ALTER COLUMN price TYPE numeric(20,8), ALTER COLUMN symbol TYPE varchar, "
                   "ALTER COLUMN message_id TYPE text, ADD COLUMN note text, ADD COLUMN n int NOT NULL DEFAULT 5")
    drive(database.dsn, Book(), lambda sink: sink.prepare(TOPICS))
    put(database, numbered(1), numbered(1))
    assert database.query("SELECT message_id, n, price FROM trades_v2") == [
        ["00000000-0000-0000-0000-000000000001", "5", "64000.10000000"]
    ]


def test_all_wrong_tables_are_told_at_once(database: Database) -> None:
    put(database)
    database.query("ALTER TABLE trades_v2 DROP COLUMN side, DROP COLUMN price")
    database.query("ALTER TABLE quotes_v2 DROP COLUMN symbol CASCADE")
    topics = {"t": load_schema("trade"), "q": load_schema("quote")}
    with pytest.raises(SinkError) as refused:
        drive(database.dsn, Book(), lambda sink: sink.prepare(topics))
    for words in ("side is missing", "price is missing", "quotes_v2", "symbol is missing"):
        assert words in str(refused.value)


def test_without_migrating_a_missing_table_is_named(database: Database) -> None:
    with pytest.raises(SinkError, match=r'there is no table "public"."trades_v2": k2conn db migrate makes it'):
        drive(database.dsn, Book(), lambda sink: sink.prepare(TOPICS), migrate=False)
    assert database.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0"


def test_schema_and_table_names_are_settings(database: Database) -> None:
    put(database, numbered(1), schema="feeds", table="k2_{record}")
    assert database.value("SELECT count(*) FROM feeds.k2_trade") == "1"
    assert database.value("SELECT count(*) FROM feeds.candles_1m") == "0"


# --- a database that is away at start


def test_a_database_that_is_away_is_told_with_its_address_within_the_open_timeout() -> None:
    async def run() -> float:
        began = asyncio.get_running_loop().time()
        with pytest.raises(Unreachable, match=r"postgres 127\.0\.0\.1:9/k2: .*refused"):
            await asyncio.wait_for(_opened("postgresql://u:geheim@127.0.0.1:9/k2", open_timeout_ms=1000), 10)
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(run()) < 2


def test_a_database_that_does_not_exist_is_told_at_once(database: Database) -> None:
    async def run() -> float:
        began = asyncio.get_running_loop().time()
        with pytest.raises(Unreachable, match=r'/nowhere: database "nowhere" does not exist \[3D000\]'):
            await _opened(database.dsn.rpartition("/")[0] + "/nowhere")
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(run()) < 2


async def _opened(dsn: str, **given: Any) -> None:
    from k2conn.sinks.postgres.settings import PostgresSettings
    from k2conn.sinks.postgres.writer import make_sink
    from k2conn.sinks.settings import SinkSettings

    book = Book()
    sink = make_sink(
        SinkSettings(kind="postgres", options=PostgresSettings(dsn=dsn, **given)), book.settle, book.reject
    )
    await sink.open()


async def until(holds: Any, within: float) -> None:
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


def number_of(envelope: Any) -> int:
    found = envelope.schema.decode(envelope.value)["source_sequence"]
    assert isinstance(found, int)
    return found
