"""TimescaleDB, where the extension is in the database: tables in chunks by time, compressed and dropped by age.

This has been run against stand-ins of the extension's functions only, never against the extension itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from k2conn.sinks.postgres.connection import Connection
from k2conn.sinks.postgres.settings import PostgresSettings
from k2conn.sinks.postgres.tables import Table, quoted


@dataclass(frozen=True, slots=True)
class Timescale:
    """The extension's version; "" where it is not in the database. ``offered``: the server has it all the same."""

    version: str = ""
    offered: bool = False

    @property
    def used(self) -> bool:
        """Whether tables are hypertables."""
        return bool(self.version)

    def __str__(self) -> str:
        if self.version:
            return f"TimescaleDB {self.version}: hypertables"
        hint = " (the server offers TimescaleDB: CREATE EXTENSION timescaledb)" if self.offered else ""
        return f"plain tables, no TimescaleDB{hint}"


async def detected(connection: Connection) -> Timescale:
    """What this database has."""
    version = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
    offered = await connection.fetchval("SELECT count(*) FROM pg_available_extensions WHERE name = 'timescaledb'")
    return Timescale(version or "", bool(offered))


def hypertable(table: Table, settings: PostgresSettings) -> list[str]:
    """The statements that make a new, empty table one of TimescaleDB's."""
    name, time = _text(table.full_name), _text(table.time)
    chunk = "1 month" if table.replaces else "1 day"
    made = [f"SELECT create_hypertable({name}::regclass, {time}::name, "
            f"chunk_time_interval => INTERVAL '{chunk}', if_not_exists => true)"]
    if settings.compress_after_days:
        made += [
            f"ALTER TABLE {table.full_name} SET (timescaledb.compress, "
            f"timescaledb.compress_segmentby = 'exchange, symbol', "
            f"timescaledb.compress_orderby = {_text(quoted(table.time))})",
            f"SELECT add_compression_policy({name}::regclass, "
            f"INTERVAL '{settings.compress_after_days} days', if_not_exists => true)",
        ]
    if settings.retention_days:
        made.append(f"SELECT add_retention_policy({name}::regclass, INTERVAL '{settings.retention_days} days', "
                    "if_not_exists => true)")
    return made


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
