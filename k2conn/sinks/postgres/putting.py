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

Rows = tuple[Table, bytes]
"""A table as rows of one revision see it, and those rows as data of COPY."""
Also = Callable[[Connection], Awaitable[None]]
"""What else belongs to the transaction."""


class RowPutter:
    """Puts batches into one table, each whole or not at all. ``straight``: whether its columns are of the very types
    that the rows are written in.
    """

    def __init__(self, straight: bool) -> None:
        self._straight = straight
        self._seldom = 1
        self._wait = 0
        """Batches that go the other way before the straight one is tried again."""
        self._staged: tuple[Connection, set[str]] = None, set()
        """A connection, and the temporary tables that its session has."""

    async def put(self, connection: Connection, parts: Sequence[Rows], also: Also) -> None:
        """Commits rows, and what ``also`` says. Raises what asyncpg does."""
        if not self._straight or self._wait:
            self._wait = max(0, self._wait - 1)
            await self._merge(connection, parts, also)
            return
        try:
            async with connection.transaction():
                for table, data in parts:
                    await _copy(connection, table, data, table.name, table.schema_name)
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

    async def _merge(self, connection: Connection, parts: Sequence[Rows], also: Also) -> None:
        if self._staged[0] is not connection:
            self._staged = connection, set()
        tables = {table.stage: table for table, _ in parts}
        for stage in tables.keys() - self._staged[1]:
            await connection.execute(tables[stage].create_stage())
            self._staged[1].add(stage)
        async with connection.transaction():
            for table, data in parts:
                await _copy(connection, table, data, table.stage, "pg_temp")
            for table in tables.values():
                await connection.execute(table.merge())
            await also(connection)


async def _copy(connection: Connection, table: Table, data: bytes, name: str, schema: str) -> None:
    await connection.copy_to_table(
        name, schema_name=schema, columns=[field.name for field in table.fields], format="binary",
        source=memoryview(data),
    )
