"""Writes batches into PostgreSQL: a binary COPY and what belongs to it, in one transaction."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any
from uuid import UUID

from k2conn.avro import RecordSchema
from k2conn.envelope import Envelope
from k2conn.errors import SettingsError, SinkError, Unreachable
from k2conn.sinks import Reject, Settle, Sink
from k2conn.sinks.batching import BatchingSink, BatchRefused
from k2conn.sinks.lanes import BatchRule
from k2conn.sinks.positions import Positions
from k2conn.sinks.postgres.connection import Connection, connect, connect_by, sorted_errors
from k2conn.sinks.postgres.migrating import make_table, migrate, table_of
from k2conn.sinks.postgres.positions import StoredPositions
from k2conn.sinks.postgres.putting import RowPutter, Rows
from k2conn.sinks.postgres.rows import RowFormat
from k2conn.sinks.postgres.settings import PostgresSettings
from k2conn.sinks.postgres.tables import Table, check, quoted
from k2conn.sinks.postgres.timescale import Timescale, detected
from k2conn.sinks.settings import SinkSettings

DEAD = "dead_letters"
IN_A_THREAD = 200
"""Rows from which they are made in a thread: the event loop is not to wait for them."""
MOST = 20_000
"""Rows of a batch where more has come meanwhile."""
CLOSE_WITHIN = 2.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DEAD_INSERT = "INSERT INTO {} (id, topic, symbol, at, document) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"

log = logging.getLogger("k2conn.sinks.postgres")


def make_sink(settings: SinkSettings, settle: Settle, reject: Reject) -> Sink:
    """The sink, not yet open."""
    options: PostgresSettings = settings.options
    make = partial(BatchingSink, PostgresWriter(options), retries=options.retries, where=options.place)
    if options.dead_letters is None:
        return make(settings, settle, reject)
    from k2conn.sinks.postgres.apart import DeadLettersApart

    return DeadLettersApart(make, settings, options.dead_letters, settle, reject)


@dataclass
class _Lane:
    """What one table needs: a connection of its own, and what is known of it."""

    table: Table | None
    connection: Connection = None
    formats: dict[RecordSchema, tuple[Table, RowFormat]] = field(default_factory=dict)
    """By schema: the table as records of it see it, and how their rows are made."""
    putter: RowPutter | None = None
    checked: set[RecordSchema | None] = field(default_factory=set)
    """The schemas whose records the table was found to take; None: dead letters."""


class PostgresWriter:
    """See the module's text, and `BatchWriter` for the contract. Each table has a connection of its own."""

    name = "postgres"

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        self._timescale = Timescale()
        self._lanes: dict[str, _Lane] = {}
        self._first: Connection = None
        """The connection of the start, until a lane takes it."""
        self._positions: StoredPositions | None = None
        """Where records come from topics."""

    async def open(self) -> None:
        """Reach the database, say what it is, and make what is missing."""
        self._first = connection = await connect_by(self._settings)
        async with sorted_errors(self._settings.place, "opening"):
            self._timescale = await detected(connection)
            version = await connection.fetchval("SHOW server_version")
        log.info("postgres %s: PostgreSQL %s, %s", self._settings.place, version, self._timescale)
        if self._settings.retention_days and not self._timescale.used:
            log.warning("postgres: retention_days=%d needs TimescaleDB: nothing is dropped",
                        self._settings.retention_days)
        if self._settings.migrate:
            for made in await migrate(connection, self._settings, self._timescale):
                log.info("postgres %s: made %s", self._settings.place, made)

    async def prepare(self, schema: RecordSchema | None) -> None:
        """Look at the table: a wrong one is said at start."""
        lane = self._lane(self.lane(schema), schema)
        await self._check(lane, await self._connection(lane), schema)

    def lane(self, schema: RecordSchema | None) -> str:
        """The record type's name: a table each."""
        return DEAD if schema is None else schema.name

    def rule(self, schema: RecordSchema | None) -> BatchRule:
        """Rows that replace others go soon, for they are few; all others in large batches."""
        given, table = self._settings, self._lane(self.lane(schema), schema).table
        if table is not None and not table.replaces:
            return BatchRule(given.batch_rows, given.batch_ms / 1000, max(given.batch_rows, MOST))
        return BatchRule(given.update_rows, given.update_ms / 1000, max(given.update_rows, MOST))

    async def write(self, lane: str, batch: Sequence[Envelope]) -> None:
        """See `BatchWriter.write`."""
        one = self._lane(lane, batch[0].schema)
        connection = await self._connection(one)
        try:
            for schema in dict.fromkeys(envelope.schema for envelope in batch):
                if schema not in one.checked:
                    await self._check(one, connection, schema)
            if one.table is None:
                await self._write_dead(connection, batch)
            else:
                await self._write_records(connection, one, one.table, batch)
        except (Unreachable, asyncio.CancelledError):
            self._drop(one)
            raise
        except SinkError:
            one.checked.clear()  # whoever mends the table may make another one
            raise

    async def positions(self, group: str) -> Positions:
        """See `StoresPositions`."""
        self._positions = StoredPositions(self._settings.schema, group)
        connection, self._first = self._first, None  # no lane takes it meanwhile
        if connection is None or connection.is_closed():
            connection = await connect(self._settings, self._settings.open_timeout_ms / 1000)
        try:
            async with sorted_errors(self._settings.place, "reading positions"):
                found = await self._positions.read(connection)
        except BaseException:  # whatever it is: nobody knows the connection's state, so that it is not used again
            connection.terminate()
            raise
        if self._first is None:
            self._first = connection
        else:
            await connection.close(timeout=CLOSE_WITHIN)
        return found

    async def close(self) -> None:
        """Close the connections; in good order only those that are quick."""
        connections = [lane.connection for lane in self._lanes.values() if lane.connection is not None]
        if self._first is not None:
            connections.append(self._first)
        self._first = None
        for lane in self._lanes.values():
            lane.connection = None
        for connection in connections:
            try:
                await connection.close(timeout=CLOSE_WITHIN)
            except Exception:  # whatever keeps it from a good end: it ends
                connection.terminate()

    # --- lanes

    def _lane(self, name: str, schema: RecordSchema | None) -> _Lane:
        found = self._lanes.get(name)
        if found is None:
            table = None
            if schema is not None:
                try:
                    table = table_of(self._settings, name, self._timescale)
                except SettingsError as error:
                    raise SinkError(str(error)) from None
            found = self._lanes[name] = _Lane(table)
        return found

    async def _connection(self, lane: _Lane) -> Connection:
        if lane.connection is not None and not lane.connection.is_closed():
            return lane.connection
        if self._first is not None and not self._first.is_closed():
            lane.connection, self._first = self._first, None
        else:
            lane.connection = await connect(self._settings, self._settings.open_timeout_ms / 1000)
        return lane.connection

    def _drop(self, lane: _Lane) -> None:
        """Leave a connection that has failed. The next one looks at the table again: it may be another server's."""
        if lane.connection is not None:
            lane.connection.terminate()
        lane.connection = None
        lane.checked.clear()

    async def _check(self, lane: _Lane, connection: Connection, schema: RecordSchema | None) -> None:
        settings = self._settings
        async with sorted_errors(settings.place, "looking at the tables"):
            if lane.table is None:
                name = f"{quoted(settings.schema)}.{DEAD}"
                if not await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", name):
                    raise SinkError(f"there is no table {name}: k2conn db migrate makes it")
            else:
                if settings.migrate:
                    await make_table(connection, lane.table, settings, self._timescale)
                table = lane.table.of(schema) if schema is not None else None
                straight = await check(connection, table or lane.table)
                if lane.putter is None or not lane.checked:
                    lane.putter = RowPutter(straight)
        lane.checked.add(schema)

    # --- writing

    async def _write_records(
        self, connection: Connection, lane: _Lane, table: Table, batch: Sequence[Envelope]
    ) -> None:
        data = [await self._rows(lane, table, list(some)) for _, some in groupby(batch, lambda one: one.schema)]
        names = frozenset(one.name for one in table.fields)
        assert lane.putter is not None

        async def positions(connection: Connection) -> None:
            if self._positions is not None:
                await self._positions.store(connection, table.record.name, batch)

        async with sorted_errors(self._settings.place, table.full_name, names):
            await lane.putter.put(connection, data, positions)

    async def _rows(self, lane: _Lane, table: Table, batch: Sequence[Envelope]) -> Rows:
        schema = batch[0].schema
        assert schema is not None
        known = lane.formats.get(schema)
        if known is None:
            own = table.of(schema)
            if own is None:
                raise BatchRefused(f"the record was written with another schema than {table.record.schema.full_name} "
                                   "has now")
            known = lane.formats[schema] = own, RowFormat(schema, table.key)
        bodies = [envelope.value for envelope in batch]
        if len(bodies) < IN_A_THREAD:
            return known[0], known[1].rows(bodies)
        return known[0], await asyncio.to_thread(known[1].rows, bodies)

    async def _write_dead(self, connection: Connection, batch: Sequence[Envelope]) -> None:
        table = f"{quoted(self._settings.schema)}.{DEAD}"
        rows = [_dead_row(envelope) for envelope in batch]
        async with sorted_errors(self._settings.place, table), connection.transaction():
            await connection.executemany(_DEAD_INSERT.format(table), rows)
            if self._positions is not None:
                await self._positions.store(connection, DEAD, batch)


def _dead_row(envelope: Envelope) -> tuple[Any, ...]:
    symbol = None if envelope.key is None else envelope.key.decode("utf-8", "replace").replace("\0", "?")
    content = b"\0".join((envelope.topic.encode(), envelope.key or b"", envelope.value))
    at = _EPOCH + timedelta(milliseconds=envelope.timestamp_ms)
    known = UUID(bytes=hashlib.sha256(content).digest()[:16])
    return known, envelope.topic, symbol, at, envelope.value.decode("utf-8", "replace")
