"""`k2conn doctor`'s look at the database: nothing is made."""

from __future__ import annotations

from k2conn.errors import K2Error
from k2conn.records import known_records
from k2conn.sinks import Finding
from k2conn.sinks.postgres.connection import connect, sorted_errors
from k2conn.sinks.postgres.migrating import status, table_of
from k2conn.sinks.postgres.settings import PostgresSettings
from k2conn.sinks.postgres.tables import can_grow, check
from k2conn.sinks.postgres.timescale import detected

WITHIN = 5.0


async def probe(options: PostgresSettings) -> list[Finding]:
    """What is there, and which tables are of another shape."""
    try:
        connection = await connect(options, WITHIN)
    except K2Error as error:
        return [Finding("postgres", options.place, str(error), False)]
    try:
        async with sorted_errors(options.place, "looking"):
            timescale = await detected(connection)
            version = await connection.fetchval("SHOW server_version")
            found = [Finding("postgres", options.place, f"PostgreSQL {version}, {timescale}", True)]
            pending = [f"{one.number:03}_{one.name}" for one in await status(connection, options) if not one.applied]
            will = "a start applies" if options.migrate else "k2conn db migrate applies"
            text = f"{will} {', '.join(pending)}" if pending else "all migrations are applied"
            found.append(Finding("postgres", "schema", text, options.migrate or not pending))
            for name in known_records():
                table = table_of(options, name, timescale)
                if not await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table.full_name):
                    continue
                if await can_grow(connection, table):
                    will = "a start adds" if options.migrate else "k2conn db migrate adds"
                    found.append(Finding("postgres", table.full_name, f"{will} its new columns", True))
                else:
                    await check(connection, table)
            return found
    except K2Error as error:
        return [Finding("postgres", options.place, str(error), False)]
    finally:
        connection.terminate()
