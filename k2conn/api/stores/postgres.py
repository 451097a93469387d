"""The tables of the postgres sink. Values are parameters of the query, never part of its text.

A symbol's records come by the index on symbol and time. Without a symbol there is only an index of pages by time, so
the newest are looked for in the last minute first, then in ten times as much, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from k2conn.api.asked import ID, Asked, Row, time_of
from k2conn.api.store import Counted, KnownSymbol, TooSlow, Traded
from k2conn.clock import wall_us
from k2conn.records import known_records
from k2conn.sinks.postgres.reading import QueryTooSlow, TableReader, moment, record_of
from k2conn.sinks.postgres.settings import PostgresSettings
from k2conn.sinks.postgres.tables import Table, listed, quoted

FIRST_SPAN = 60_000_000
"""Microseconds that are looked at first where no symbol is named."""
WIDER = 10
SPANS = 6
"""So many spans, then everything."""
LOOKED_AT = 1000
"""A symbol's latest records, by which its exchanges and currencies are known."""
_ID = f'{quoted(ID)}::text COLLATE "C"'


class PostgresStore:
    """See the module's text."""

    def __init__(self, settings: PostgresSettings, queries: int, within: float) -> None:
        self._reader = TableReader(settings, queries, within)

    @property
    def place(self) -> str:
        """See `Store`."""
        return f"postgres {self._reader.settings.place}"

    async def open(self) -> None:
        """See `Store`."""
        await self.answers()

    async def answers(self) -> None:
        """See `Store`."""
        await self._fetch("SELECT 1")

    async def close(self) -> None:
        """See `Store`."""
        await self._reader.close()

    async def records(self, asked: Asked) -> Sequence[Row]:
        """See `Store`."""
        table = self._reader.table(asked.record.name)
        columns = await self._reader.columns(table)
        if not columns:
            return []
        if "symbol" in asked.texts:
            return await self._page(table, columns, asked)
        return await self._without_symbol(table, columns, asked)

    async def _without_symbol(self, table: Table, columns: frozenset[str], asked: Asked) -> Sequence[Row]:
        now = wall_us()
        end = now if asked.latest is None else min(now, asked.latest + 1)
        found: list[Row] = []
        upper, span = asked.until, FIRST_SPAN
        for number in range(SPANS):
            start = end - span
            if asked.since is not None and start <= asked.since:
                break
            part = replace(asked, since=start, until=upper, limit=asked.limit - len(found))
            found += await self._page(table, columns, part)
            if len(found) >= asked.limit:
                return found
            upper, end, span = start, start, span * WIDER
            if not number and (newest := (await self._times(table))[1]) is not None:
                end = min(end, newest + 1)
        return found + await self._page(table, columns, replace(asked, until=upper, limit=asked.limit - len(found)))

    async def _page(self, table: Table, columns: frozenset[str], asked: Asked) -> list[Row]:
        sql, arguments = statement(table, columns, asked)
        return [record_of(table, row) for row in await self._fetch(sql, *arguments)]

    async def _times(self, table: Table) -> tuple[int | None, int | None]:
        """The times of the first and the last record."""
        (row,) = await self._fetch(_times(table))
        first, last = (None if one is None else (one - moment(0)) // _MICRO for one in row)
        return first, last

    async def traded(self, asked: Asked) -> Sequence[Traded]:
        """See `Store`."""
        table = self._reader.table(asked.record.name)
        if not await self._reader.columns(table):
            return []
        return [Traded(row["exchange"], row["currency"], (row["first"] - moment(0)) // _MICRO,
                       (row["last"] - moment(0)) // _MICRO, row["open"], row["high"], row["low"], row["close"],
                       row["quantity"], row["trades"])
                for row in await self._fetch(*_traded(table, asked))]

    async def symbols(self, most: int) -> Sequence[KnownSymbol]:
        """See `Store`."""
        found = []
        for table in await self._tables():
            columns = await self._reader.columns(table)
            own = [name for name in ("symbol", "exchange", "currency", "asset_class") if name in columns]
            for row in await self._fetch(_symbols(table, own), most):
                texts = {name: row[name] or "" for name in own}
                last = (row["last"] - moment(0)) // _MICRO
                found.append(KnownSymbol(**{"currency": "", "asset_class": "", **texts},
                                         kind=table.record.profile.plural, last=last))
        return found

    async def counts(self) -> Sequence[Counted]:
        """See `Store`. The number of rows is PostgreSQL's estimate, the times are those of the symbols' latest rows."""
        found = []
        for table in await self._tables():
            rows = await self._fetch(_COUNT, table.full_name)
            first, last = await self._times(table)
            found.append(Counted(table.record.profile.plural, max(0, int(rows[0][0] or 0)), False, first, last))
        return found

    async def _tables(self) -> Sequence[Table]:
        """The tables that are there."""
        tables = [self._reader.table(name) for name in known_records()]
        return [one for one in tables if await self._reader.columns(one)]

    async def _fetch(self, sql: str, *arguments: object) -> Sequence[Any]:
        try:
            return await self._reader.fetch(sql, *arguments)
        except QueryTooSlow as error:
            raise TooSlow(str(error)) from None


_MICRO = moment(1) - moment(0)


def statement(table: Table, columns: frozenset[str], asked: Asked) -> tuple[str, list[object]]:
    """The query for a question, and its arguments."""
    time = quoted(time_of(asked.record))
    parts, arguments = _conditions(asked)
    where = f" WHERE {' AND '.join(parts)}" if parts else ""
    names = listed(one.name for one in table.fields if one.name in columns)
    arguments.append(asked.limit)
    order = f" ORDER BY {time} DESC, {_ID} DESC LIMIT ${len(arguments)}"
    return f"SELECT {names} FROM {table.full_name}{where}{order}", arguments


def _conditions(asked: Asked) -> tuple[list[str], list[object]]:
    """What holds for the rows that are asked for, and the arguments of that."""
    time = quoted(time_of(asked.record))
    arguments: list[object] = []

    def argument(value: object) -> str:
        arguments.append(value)
        return f"${len(arguments)}"

    parts = [f"{quoted(name)} = {argument(text)}" for name, text in asked.texts.items()]
    if asked.since is not None:
        parts.append(f"{time} >= {argument(moment(asked.since))}")
    if asked.until is not None:
        parts.append(f"{time} < {argument(moment(asked.until))}")
    if asked.before is not None:
        at = argument(moment(asked.before[0]))
        parts.append(f"{time} <= {at} AND ({time} < {at} OR {_ID} < {argument(asked.before[1])})")
    return parts, arguments


def _traded(table: Table, asked: Asked) -> tuple[Any, ...]:
    """The query for sums, and its arguments. The first and the last price are looked for by the index on symbol and
    time, so that nothing is sorted.
    """
    parts, arguments = _conditions(asked)
    where = " AND ".join(parts) or "true"

    def end(name: str, way: str) -> str:
        return (f"CROSS JOIN LATERAL (SELECT price AS {name} FROM {table.full_name} WHERE {where} AND exchange = "
                f"sums.exchange AND currency = sums.currency ORDER BY timestamp {way}, {_ID} {way} LIMIT 1) AS {name}s")

    sums = ("SELECT exchange, currency, min(timestamp) AS first, max(timestamp) AS last, max(price) AS high, "
            f'min(price) AS low, sum(quantity) AS quantity, count(*) AS trades FROM {table.full_name} WHERE {where} '
            "GROUP BY exchange, currency")
    sql = (f'SELECT * FROM ({sums}) AS sums {end("open", "ASC")} {end("close", "DESC")} '
           'ORDER BY exchange COLLATE "C", currency COLLATE "C"')
    return sql, *arguments


_COUNT = """
SELECT coalesce(sum(greatest(reltuples, 0)), 0)::bigint FROM pg_class
WHERE oid = to_regclass($1) OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass($1))
"""
_EACH_SYMBOL = """
WITH RECURSIVE each (symbol) AS (
  SELECT min(symbol) FROM {table}
  UNION ALL
  SELECT (SELECT min(symbol) FROM {table} WHERE symbol > each.symbol) FROM each WHERE each.symbol IS NOT NULL
)"""
"""A symbol a step through the index: as many steps as symbols, whatever the number of rows."""


def _symbols(table: Table, own: Sequence[str]) -> str:
    time = quoted(time_of(table.record))
    grouped = listed(own)
    newest = (f"SELECT {grouped}, {time} FROM {table.full_name} AS found WHERE found.symbol = each.symbol "
              f"ORDER BY {time} DESC LIMIT {LOOKED_AT}")
    return (f"{_EACH_SYMBOL.format(table=table.full_name)} SELECT latest.* FROM "
            "(SELECT symbol FROM each WHERE symbol IS NOT NULL LIMIT $1) AS each CROSS JOIN LATERAL "
            f"(SELECT {grouped}, max({time}) AS last FROM ({newest}) AS newest GROUP BY {grouped}) AS latest")


def _times(table: Table) -> str:
    time = quoted(time_of(table.record))
    ends = " ".join(f"CROSS JOIN LATERAL (SELECT {end}({time}) AS {end} FROM {table.full_name} AS found "
                    f"WHERE found.symbol = each.symbol) AS {end}s" for end in ("min", "max"))
    return (f"{_EACH_SYMBOL.format(table=table.full_name)} SELECT min(mins.min), max(maxs.max) FROM each {ends} "
            "WHERE each.symbol IS NOT NULL")



