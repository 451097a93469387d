"""The PostgreSQL sink: one table a record type, each record once, exact to the last digit."""

from __future__ import annotations

from collections.abc import Iterable

from k2conn.errors import SettingsError
from k2conn.sinks import Finding, Reject, Settle, Sink, SinkKind
from k2conn.sinks.postgres.settings import VARIABLES, PostgresSettings
from k2conn.sinks.settings import SinkSettings


def _make(settings: SinkSettings, settle: Settle, reject: Reject) -> Sink:
    _installed()
    from k2conn.sinks.postgres.writer import make_sink

    return make_sink(settings, settle, reject)


async def _probe(options: PostgresSettings, topics: Iterable[str]) -> list[Finding]:
    _installed()
    from k2conn.sinks.postgres.probe import probe

    return await probe(options)


def _installed() -> None:
    try:
        import asyncpg  # type: ignore[import-untyped] # noqa: F401
    except ImportError:
        raise SettingsError("the postgres sink needs a package more: pip install 'k2conn[postgres]'") from None


SINK = SinkKind(
    "tables of PostgreSQL or TimescaleDB, each record once",
    _make,
    settings=PostgresSettings,
    variables=VARIABLES,
    spoolable=True,
    database=True,
    folders=("dead_letters",),
    where=lambda options: options.place,
    check=lambda options: options.wrong_files(),
    probe=_probe,
)
