"""The sink's tables read back: a few connections that may only read, for as many queries at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from k2conn import exactjson
from k2conn.errors import K2Error
from k2conn.records import load_record
from k2conn.sinks.postgres.connection import Connection, connect, sorted_errors
from k2conn.sinks.postgres.settings import PostgresSettings
from k2conn.sinks.postgres.tables import Table

_EPOCH, _MICRO = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_BACK = 1.0
"""Seconds beyond a query's own time that its end may take to come."""


class QueryTooSlow(K2Error):
    """The query was ended: it took too long, or waited too long for a connection."""

    exit_code = 69


class TableReader:
    """At most ``most`` connections, made when they are needed; queries that find none wait."""

    def __init__(self, settings: PostgresSettings, most: int, within: float) -> None:
        self.settings = settings
        self._within = within
        self._places = asyncio.Semaphore(most)
        self._idle: list[Connection] = []
        self._columns: dict[str, frozenset[str]] = {}

    def table(self, name: str) -> Table:
        """The table of a record type."""
        record = load_record(name)
        own_name = self.settings.table.format(plural=record.profile.plural, record=name)
        return Table(self.settings.schema, own_name, record)

    async def columns(self, table: Table) -> frozenset[str]:
        """The columns of a table; none where there is no such table (yet)."""
        found = self._columns.get(table.name)
        if found is None:
            rows = await self.fetch("SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 "
                                    "AND NOT attisdropped", table.full_name)
            found = frozenset(str(row["attname"]) for row in rows)
            if found:
                self._columns[table.name] = found
        return found

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Any]:
        """A query's rows. Unreachable, QueryTooSlow, or SinkError with the database's words."""
        try:
            async with (
                asyncio.timeout(self._within + _BACK),
                self._connection() as connection,
                sorted_errors(self.settings.place, "reading"),
            ):
                found: Sequence[Any] = await connection.fetch(sql, *arguments, timeout=self._within + _BACK)
                return found
        except TimeoutError:
            raise QueryTooSlow(f"postgres {self.settings.place}: no answer within {self._within:g} s") from None

    async def close(self) -> None:
        """Ends the connections."""
        while self._idle:
            self._idle.pop().terminate()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        async with self._places:
            connection = None
            while self._idle and connection is None:
                one = self._idle.pop()
                connection = None if one.is_closed() else one
            if connection is None:
                connection = await connect(
                    self.settings, self.settings.open_timeout_ms / 1000, default_transaction_read_only="on",
                    statement_timeout=str(round(self._within * 1000)), jit="off",
                )
            try:
                yield connection
            except BaseException as error:  # whatever it is: nobody knows the connection's state, it is not used again
                connection.terminate()
                if "[57014]" in str(error):  # PostgreSQL has ended the query: statement_timeout
                    raise QueryTooSlow(str(error)) from None
                raise
            self._idle.append(connection)


def record_of(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as a record: decimals as Decimal, times as integers since 1970 UTC in their unit, else JSON's types."""
    found: dict[str, Any] = {}
    for field in table.fields:
        value = row.get(field.name)
        if value is None:
            found[field.name] = None
        elif field.kind in ("timestamp-micros", "timestamp-millis"):
            micros = (value - _EPOCH) // _MICRO
            found[field.name] = micros if field.kind == "timestamp-micros" else micros // 1000
        elif field.kind == "date":
            found[field.name] = (value - date(1970, 1, 1)).days
        elif field.kind == "map<string>" and isinstance(value, str):
            found[field.name] = exactjson.decode(value)
        else:
            found[field.name] = value if field.name != "message_id" else str(value)
    return found


def moment(micros: int) -> datetime:
    """A time as the database takes it."""
    return _EPOCH + micros * _MICRO


