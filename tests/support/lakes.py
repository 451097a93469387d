"""What the tests of the lake share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from k2conn.envelope import Envelope
from k2conn.lake.catalog import open_catalog
from k2conn.lake.reader import LakeReader
from k2conn.lake.settings import LakeSettings
from k2conn.lake.tables import known_shapes
from k2conn.lake.writer import TableWriter
from k2conn.sinks.settings import SinkSettings, SpoolSettings
from k2conn.spool import make_spooled
from tests.support.sinks import Book


def lake(folder: Path, **given: Any) -> LakeSettings:
    return LakeSettings(folder=folder / "lake", **{"commit_ms": 20, **given})


def writer(settings: LakeSettings, kind: str = "trades", group: str = "") -> TableWriter:
    """A writer of one table, open."""
    found = TableWriter(open_catalog(settings), settings, known_shapes(settings)[kind], group)
    found.open()
    return found


def rows(to: TableWriter, envelopes: Sequence[Envelope]) -> Any:
    schema = envelopes[0].schema
    assert schema is not None
    return to.format.of_records(schema, [one.value for one in envelopes])


def read(settings: LakeSettings, sql: str, *kinds: str) -> list[tuple[Any, ...]]:
    """The rows of a statement."""
    found = LakeReader(settings).rows(sql, kinds or ("trades",))
    return [tuple(row.values()) for row in found.to_pylist()]


def drive(settings: LakeSettings, book: Book, work: Callable[[Any], Awaitable[None]]) -> None:
    """Runs ``work`` on an open sink."""

    async def run() -> None:
        spooling = SpoolSettings(mode="never")
        sink = make_spooled(SinkSettings(kind="iceberg", options=settings, spool=spooling), book.settle, book.reject)
        await sink.open()
        try:
            await work(sink)
        finally:
            await sink.close()

    asyncio.run(run())
