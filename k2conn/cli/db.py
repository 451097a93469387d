"""`k2conn db`: what the postgres sink's database looks like, and making what is missing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from k2conn.cli.messages import show
from k2conn.errors import SettingsError, known
from k2conn.settings import sink_settings
from k2conn.sinks import SINKS
from k2conn.sinks.settings import SinkSettings

ACTIONS = ("status", "migrate")
KIND = "postgres"


def run(action: str) -> int:
    """Prints what there is, or was made; 0 where nothing is missing, 1 where something is."""
    if action not in ACTIONS:
        raise SettingsError(f"k2conn db {action}{known(action, ACTIONS)}")
    settings = sink_settings(os.environ, kind=KIND)
    if problems := SINKS.get(KIND).check(settings.options):
        raise SettingsError(*problems)
    return asyncio.run(_migrate(settings) if action == "migrate" else _status(settings))


@asynccontextmanager
async def _reached(options: Any) -> AsyncIterator[tuple[Any, Any]]:
    """A connection to the database, and what it has of TimescaleDB, which is shown."""
    from k2conn.sinks.postgres.connection import connect_by, sorted_errors
    from k2conn.sinks.postgres.timescale import detected

    connection = await connect_by(options)
    try:
        async with sorted_errors(options.place, "looking"):
            timescale = await detected(connection)
        show(f"{options.place}: {timescale}")
        yield connection, timescale
    finally:
        connection.terminate()


async def _migrate(settings: SinkSettings) -> int:
    from k2conn.sinks.postgres.migrating import migrate

    options = settings.options
    async with _reached(options) as (connection, timescale):
        made = await migrate(connection, options, timescale)
        show("\n".join(f"made {one}" for one in made) or "nothing was missing")
    return 0


async def _status(settings: SinkSettings) -> int:
    from k2conn.records import known_records
    from k2conn.sinks.postgres.connection import sorted_errors
    from k2conn.sinks.postgres.migrating import status, table_of
    from k2conn.sinks.postgres.tables import can_grow

    options, missing = settings.options, 0
    async with _reached(options) as (connection, timescale), sorted_errors(options.place, "looking"):
        for name in known_records():
            table = table_of(options, name, timescale)
            there = await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table.full_name)
            grows = there and await can_grow(connection, table)
            missing += not there or grows
            show(f"{'missing' if not there or grows else 'ok     '} {'new columns of ' * grows}table {table.full_name}")
        for one in await status(connection, options):
            missing += not one.applied
            show(f"{'ok     ' if one.applied else 'missing'} migration {one.number:03}_{one.name}")
    return 1 if missing else 0
