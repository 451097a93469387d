"""How rows come into a table: by COPY straight into it, and by way of a temporary table where some are there already.

COPY knows no ON CONFLICT. Most batches hold nothing that the table has, so each is copied straight first, which costs
the server two thirds of the other way; what fails there leaves nothing behind but dead rows for VACUUM. Where repeats
go on (a second writer of the same records, candles that still grow), the straight way is tried ever more seldom.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import asyncpg  # type: ignore[import-untyped]

from k2conn.sinks.postgres.connection import Connection
from k2conn.sinks.postgres.tables import Table

MOST_SELDOM = 64
"""Batches after which the straight way is tried again, whatever came of it before."""
_REPEATS = ("23505", "40P01")
"""Another row has the key; another writer and this one waited for each other."""
_NO_COPY = "0A000"
"""A table into which nothing can be copied, such as one whose rows are secured one by one."""

Also = Callable[[Connection], Awaitable[None]]
"""What else belongs to the transaction."""


class RowPutter:
    """Puts batches into one table, each whole or not at all. ``straight``: whether its columns are of the very types
    that the rows are written in.
    """

    def __init__(self, table: Table, straight: bool) -> None:
        self._table = table
        self._names = [field.name for field in table.fields]
        self._straight = straight
        self._seldom = 1
        self._wait = 0
        """Batches that go the other way before the straight one is tried again."""
        self._staged: Connection = None
        """The connection whose session has the temporary table."""

    async def put(self, connection: Connection, parts: Sequence[bytes], also: Also) -> None:
        """Commits rows (``parts``: data of COPY), and what ``also`` says. Raises what asyncpg does."""
        if not self._straight or self._wait:
            self._wait = max(0, self._wait - 1)
            await self._merge(connection, parts, also)
            return
        try:
            async with connection.transaction():
                await self._copy(connection, parts, self._table.name, self._table.schema_name)
                await also(connection)
        except asyncpg.PostgresError as error:
            if error.sqlstate == _NO_COPY:
                self._straight = False
            elif error.sqlstate not in _REPEATS:
                raise
            self._wait, self._seldom = self._seldom, min(MOST_SELDOM, 2 * self._seldom)
            await self._merge(connection, parts, also)
        else:
            self._seldom = 1

    async def _merge(self, connection: Connection, parts: Sequence[bytes], also: Also) -> None:
        if self._staged is not connection:
            await connection.execute(self._table.create_stage())
            self._staged = connection
        async with connection.transaction():
            await self._copy(connection, parts, self._table.stage, "pg_temp")
            await connection.execute(self._table.merge())
            await also(connection)

    async def _copy(self, connection: Connection, parts: Sequence[bytes], name: str, schema: str) -> None:
        for part in parts:
            await connection.copy_to_table(
                name, schema_name=schema, columns=self._names, format="binary", source=memoryview(part)
            )
