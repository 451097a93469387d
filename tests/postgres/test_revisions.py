"""Records of several revisions in one table, and tables that were made before the later ones."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from uuid import uuid4

import pytest

from k2conn.errors import SinkError
from k2conn.records import load_record
from k2conn.sinks.postgres.connection import connect
from k2conn.sinks.postgres.migrating import make_table
from k2conn.sinks.postgres.probe import probe
from k2conn.sinks.postgres.settings import PostgresSettings
from k2conn.sinks.postgres.tables import Table
from k2conn.sinks.postgres.timescale import Timescale
from tests.postgres.test_migrations import command
from tests.postgres.test_sink import put
from tests.servers.postgres import Database
from tests.support.databases import candle, drive, numbered
from tests.support.grown import grown_trade, one_sided, priced, whole_quote
from tests.support.sinks import Book

TERMS = "underlying, expiry, strike, option_right, multiplier"


def old_table(database: Database, name: str) -> None:
    """The table of a record type as it was made before anything grew."""
    record = load_record(name, 1)
    database.query(Table("public", f"{record.profile.plural}_v2", record).create())


def test_records_of_all_revisions_are_rows_of_one_table(database: Database) -> None:
    book = put(database, numbered(1), grown_trade(2), numbered(3), grown_trade(4, revision=3, asset_class="index"),
               one_sided(5), whole_quote(6), whole_quote(7, 2), priced(8), candle(9))
    assert not book.rejected, book.words
    assert len(book.settled) == 9
    assert database.query(
        f"SELECT right(trade_id, 1), venue, trade_action, reference_trade_id, timestamp_nanos, {TERMS} FROM trades_v2 "
        "ORDER BY trade_id"
    ) == [
        ["1", *[""] * 9],
        ["2", "XNAS", "CORRECT", "X-7", "789", "SPY", "2025-12-18", "650.00000000", "PUT", "100.00000000"],
        ["3", *[""] * 9],
        ["4", "XNAS", "CORRECT", "X-7", "789", "SPY", "2025-12-18", "650.00000000", "PUT", "100.00000000"],
    ]
    assert database.query("SELECT asset_class, bid_price, ask_price IS NULL, quote_conditions[2] FROM quotes_v2 "
                          "ORDER BY quote_id") == [
        ["forex", "1.15235000", "t", "X"], ["crypto", "1.15235000", "f", ""], ["crypto", "1.15235000", "f", "X"],
    ]
    assert database.query("SELECT symbol, price, price_type FROM prices_v2") == [["SPX", "-0.50000000", "INDEX"]]


def test_repeats_of_all_revisions_are_found_by_way_of_the_temporary_tables(database: Database) -> None:
    put(database, numbered(1), grown_trade(2))
    book = put(database, numbered(1), grown_trade(2), numbered(3), grown_trade(4))
    assert not book.rejected, book.words
    assert database.query("SELECT count(*), count(venue) FROM trades_v2") == [["4", "2"]]


def test_a_table_of_before_gets_the_new_columns_and_keeps_its_rows(database: Database) -> None:
    for name in ("trade", "quote"):
        old_table(database, name)
    database.query("INSERT INTO trades_v2 SELECT '00000000-0000-0000-0000-00000000000a', 'X-a', 'BTCUSD', 'X', "
                   "'crypto', now(), 1, 1, 'USD', 'BUY', '{}', 1, now(), NULL, NULL")
    book = put(database, grown_trade(2), one_sided(3))
    assert not book.rejected, book.words
    assert database.query("SELECT trade_id, venue FROM trades_v2 ORDER BY 1") == [["X-2", "XNAS"], ["X-a", ""]]
    assert database.value("SELECT ask_price IS NULL FROM quotes_v2") == "t"


def test_without_leave_to_migrate_the_old_records_go_on_and_new_ones_are_refused(database: Database) -> None:
    put(database)
    database.query("DROP TABLE trades_v2 CASCADE")
    old_table(database, "trade")
    book = put(database, numbered(1), migrate=False)
    assert not book.rejected, book.words

    async def prepare(sink: Any) -> None:
        await sink.prepare({"t": load_record("trade", 2).schema})

    with pytest.raises(SinkError, match=r"venue is missing \(text\); .*k2conn db migrate adds columns that are new"):
        drive(database.dsn, Book(), prepare, migrate=False)
    assert "missing new columns of table" in command(database, "status").stdout
    (said,) = [one.detail for one in asyncio.run(look(database)) if "trades_v2" in one.where]
    assert said == "k2conn db migrate adds its new columns"
    made = command(database, "migrate")
    assert 'made new columns of "public"."trades_v2"' in made.stdout, made.stderr
    assert command(database, "status").returncode == 0
    book = put(database, grown_trade(2), migrate=False)
    assert not book.rejected, book.words


def test_a_table_that_belongs_to_another_role_is_left_to_it(database: Database) -> None:
    old_table(database, "trade")
    role = f"writer_{uuid4().hex}"
    database.query(f"CREATE ROLE {role}; GRANT SELECT, INSERT ON trades_v2 TO {role}")

    async def try_to() -> Any:
        connection = await connect(PostgresSettings(dsn=database.dsn), 20)
        try:
            await connection.execute(f"SET ROLE {role}")
            settings = PostgresSettings(dsn=database.dsn)
            table = Table("public", "trades_v2", load_record("trade"))
            return await make_table(connection, table, settings, Timescale())
        finally:
            await connection.close()

    try:
        assert asyncio.run(try_to()) == []
        assert database.value("SELECT count(*) FROM information_schema.columns WHERE table_name = 'trades_v2'") == "15"
    finally:
        database.query(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def look(database: Database) -> Any:
    return await probe(PostgresSettings(dsn=database.dsn, migrate=False))


def test_a_table_of_another_shape_is_left_as_it_is(database: Database) -> None:
    old_table(database, "trade")
    database.query("ALTER TABLE trades_v2 DROP COLUMN side")

    async def prepare(sink: Any) -> None:
        await sink.prepare({"t": load_record("trade", 2).schema})

    with pytest.raises(SinkError, match="side is missing") as caught:
        drive(database.dsn, Book(), prepare)
    assert re.search("of another shape", str(caught.value))
    assert database.value("SELECT count(*) FROM information_schema.columns WHERE table_name = 'trades_v2'") == "14"
