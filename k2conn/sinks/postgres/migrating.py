"""Migrations: what is in a database beside the records' own tables, in numbered SQL files, each applied once.

The tables of record types follow from their schemas and are made where they are missing; the files in ``migrations/``
hold what is built upon them. One process at a time applies them, in one transaction a file.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import asyncpg  # type: ignore[import-untyped]

from k2conn.errors import SinkError
from k2conn.records import known_records, load_record
from k2conn.sinks.postgres.connection import Connection, sorted_errors
from k2conn.sinks.postgres.settings import PostgresSettings
from k2conn.sinks.postgres.tables import Table, can_grow, quoted
from k2conn.sinks.postgres.timescale import Timescale, hypertable

log = logging.getLogger("k2conn.sinks.postgres")
LOCK = 0x6B32_636F_6E6E
"""The advisory lock of all that change what a database looks like: "k2conn"."""
_NAME = re.compile(r"(\d{3})_(\w+)\.sql")
_TABLE = re.compile(r"\{table:(\w+)\}")
"""The table of a record type, in a migration."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. ``applied`` is the sum it had when it was applied; "" where it was not."""

    number: int
    name: str
    text: str
    applied: str = ""

    @property
    def sum(self) -> str:
        """What tells its text from any other."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def table_of(settings: PostgresSettings, name: str, timescale: Timescale) -> Table:
    """The table of a record type."""
    record = load_record(name)
    table = settings.table.format(plural=record.profile.plural, record=name)
    return Table(settings.schema, table, record, hyper=timescale.used)


def shipped() -> list[Migration]:
    """All files, in order."""
    found = []
    for path in files("k2conn.sinks.postgres").joinpath("migrations").iterdir():
        if (name := _NAME.fullmatch(path.name)) is not None:
            found.append(Migration(int(name[1]), name[2], path.read_text(encoding="utf-8")))
    return sorted(found, key=lambda one: one.number)


async def status(connection: Connection, settings: PostgresSettings) -> list[Migration]:
    """All files, with what is applied. SinkError where the database is ahead of us, or was made by another text."""
    versions = f"{quoted(settings.schema)}.schema_version"
    applied: dict[int, tuple[str, str]] = {}
    if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", versions):
        rows = await connection.fetch(f"SELECT version, name, sum FROM {versions} ORDER BY version")
        applied = {row["version"]: (row["name"], row["sum"]) for row in rows}
    known = shipped()
    newer = sorted(set(applied) - {one.number for one in known})
    if newer:
        raise SinkError(f"postgres {settings.place}: {versions} has the versions {newer}, of a newer k2conn than this")
    found = [Migration(one.number, one.name, one.text, applied.get(one.number, ("", ""))[1]) for one in known]
    changed = [f"{one.number:03}_{one.name}" for one in found if one.applied not in ("", one.sum)]
    if changed:
        raise SinkError(f"postgres {settings.place}: {', '.join(changed)} was applied with another text: migrations "
                        "are never edited")
    return found


async def migrate(connection: Connection, settings: PostgresSettings, timescale: Timescale) -> Sequence[str]:
    """Makes what is missing; what was made, for people. Waits for other processes that do the same."""
    made: list[str] = []
    async with sorted_errors(settings.place, "migrating"):
        await connection.execute(f"SELECT pg_advisory_lock({LOCK})")
    try:
        async with sorted_errors(settings.place, "migrating"):
            if not await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", quoted(settings.schema)):
                await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(settings.schema)}")
            for name in known_records():
                table = table_of(settings, name, timescale)
                made += await make_table(connection, table, settings, timescale)
            pending = [one for one in await status(connection, settings) if not one.applied]
        for one in pending:
            async with sorted_errors(settings.place, f"migration {one.number:03}_{one.name}"):
                await _apply(connection, settings, timescale, one)
            made.append(f"migration {one.number:03}_{one.name}")
    finally:
        if not connection.is_closed():
            async with sorted_errors(settings.place, "migrating"):
                await connection.execute(f"SELECT pg_advisory_unlock({LOCK})")
    return made


async def make_table(
    connection: Connection, table: Table, settings: PostgresSettings, timescale: Timescale
) -> list[str]:
    """Makes the table of a record type where it is missing, or lets it grow: what was done, or nothing."""
    if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table.full_name):
        return await _grown(connection, table)
    async with connection.transaction():
        await connection.execute(table.create())
        if timescale.used:
            for statement in hypertable(table, settings):
                await connection.execute(statement)
        if index := table.index():
            await connection.execute(index)
    return [f"table {table.full_name}"]


async def _grown(connection: Connection, table: Table) -> list[str]:
    """Adds the columns of later revisions to a table that has those of an earlier one, whole; any other is left as it
    is, for whoever writes into it to refuse.
    """
    if not await can_grow(connection, table):
        return []
    try:
        await connection.execute(table.grow())
    except asyncpg.InsufficientPrivilegeError as error:  # another's table: records of earlier revisions go on
        log.warning("postgres %s: %s has no columns for later revisions: %s", table.schema_name, table.name, error)
        return []
    return [f"new columns of {table.full_name}"]


async def _apply(connection: Connection, settings: PostgresSettings, timescale: Timescale, one: Migration) -> None:
    text = _TABLE.sub(lambda found: table_of(settings, found[1], timescale).full_name, one.text)
    text = text.replace("{schema}", quoted(settings.schema))
    versions = f"{quoted(settings.schema)}.schema_version"
    async with connection.transaction():
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {versions} (version integer PRIMARY KEY, name text NOT NULL, "
            "sum text NOT NULL, applied_at timestamp with time zone NOT NULL DEFAULT clock_timestamp())"
        )
        await connection.execute(text)
        await connection.execute(
            f"INSERT INTO {versions} (version, name, sum) VALUES ($1, $2, $3)", one.number, one.name, one.sum
        )
