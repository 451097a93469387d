"""The lake sink: records as rows of Iceberg tables, a commit every few seconds, each record once."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from k2conn.avro import RecordSchema
from k2conn.envelope import Envelope
from k2conn.errors import K2Error, SinkError, Unreachable
from k2conn.lake.catalog import Catalog, installed, open_catalog
from k2conn.lake.settings import VARIABLES, LakeSettings
from k2conn.records import load_record
from k2conn.sinks import Finding, Reject, Settle, Sink, SinkKind
from k2conn.sinks.batching import BatchingSink, BatchRefused
from k2conn.sinks.lanes import BatchRule
from k2conn.sinks.positions import Positions, SourcePartition, positions_of, suspected
from k2conn.sinks.settings import SinkSettings

if TYPE_CHECKING:  # what needs pyarrow is imported where it is used
    from k2conn.lake.rows import ArrowTable
    from k2conn.lake.writer import Appended, Offsets, TableWriter

DEAD = "dead_letters"
AGAIN = 0.5
"""Seconds between two attempts while the open timeout lasts."""
MOST = 4
"""Times its usual size that a commit may have, where more has come meanwhile."""
Found = TypeVar("Found")

log = logging.getLogger("k2conn.sinks.iceberg")


def _make(settings: SinkSettings, settle: Settle, reject: Reject) -> Sink:
    installed()
    options: LakeSettings = settings.options
    writer = LakeBatches(options)
    return BatchingSink(writer, settings, settle, reject, retries=options.retries, where=options.place)


class LakeBatches:
    """See `BatchWriter` for the contract. Each table has a writer of its own; what blocks is done in threads."""

    name = "iceberg"

    def __init__(self, settings: LakeSettings) -> None:
        self._settings = settings
        self._catalog: Catalog = None
        self._writers: dict[str, TableWriter] = {}
        self._group: str | None = None
        """The consumer group whose positions are stored."""

    async def open(self) -> None:
        """Reach the catalog, trying again until the open timeout is over."""
        now = asyncio.get_running_loop().time
        end = now() + self._settings.open_timeout_ms / 1000
        while True:
            try:
                self._catalog = await self._apart(lambda: reached(self._settings), max(0.1, end - now()))
            except Unreachable:
                if now() + AGAIN > end:
                    raise
                await asyncio.sleep(AGAIN)
            else:
                return

    async def prepare(self, schema: RecordSchema | None) -> None:
        """Look at the table, and make it where it is missing: a wrong one is said at start."""
        await self._apart(lambda: self._writer(self.lane(schema), schema))

    def lane(self, schema: RecordSchema | None) -> str:
        """The record type's name: a table each."""
        return DEAD if schema is None else schema.name

    def rule(self, schema: RecordSchema | None) -> BatchRule:
        """By rows or by time, the same for all."""
        given = self._settings
        return BatchRule(given.commit_rows, given.commit_ms / 1000, MOST * given.commit_rows)

    async def write(self, lane: str, batch: Sequence[Envelope]) -> None:
        """See `BatchWriter.write`."""
        try:
            await self._apart(lambda: self._append(lane, batch))
        except (SinkError, Unreachable, asyncio.CancelledError):
            self._writers.pop(lane, None)  # whatever a thread still does with the old one, a new one looks anew
            raise

    async def positions(self, group: str) -> Positions:
        """See `StoresPositions`."""
        if self._group != group:
            self._group = group
            self._writers.clear()
        return await self._apart(lambda: self._stored(group))

    async def close(self) -> None:
        """Let go. A commit that a thread is at becomes whole, or is none."""
        self._writers.clear()
        self._catalog = None

    # --- in a thread

    def _append(self, lane: str, batch: Sequence[Envelope]) -> None:
        from k2conn.lake.writer import OffsetsMoved

        writer = self._writer(lane, batch[0].schema)
        ends = {} if self._group is None else positions_of(batch)
        offsets = {(one.topic, one.number): offset for one, offset in ends.items()}
        while True:
            try:
                done = self._once(writer, batch, offsets)
            except OffsetsMoved as moved:  # by whoever had the partition before: what it wrote is found now
                log.info("iceberg %s", moved)
                writer.committed_offsets()
            else:
                break
        if done.repeats:
            log.info("iceberg %s: %d records were there already", writer.shape.name, done.repeats)

    def _once(self, writer: TableWriter, batch: Sequence[Envelope], offsets: Offsets) -> Appended:
        again: list[Envelope] = []
        if offsets:
            stored = {SourcePartition(*one): offset for one, offset in writer.known_offsets().items()}
            again = [one for one in batch if suspected(one, stored)]
        if not again:
            return writer.append(_rows(writer, batch), offsets or None)
        suspects, known = _rows(writer, again), set(map(id, again))
        rest = [one for one in batch if id(one) not in known]
        return writer.append(_rows(writer, rest) if rest else suspects.slice(0, 0), offsets, suspects)

    def _stored(self, group: str) -> Positions:
        from k2conn.lake.catalog import sorted_errors
        from k2conn.lake.tables import existing, known_shapes
        from k2conn.lake.writer import offsets_in

        found: dict[SourcePartition, int] = {}
        tables = existing(self._catalog, self._settings, known_shapes(self._settings).values())
        with sorted_errors(self._settings):
            for table in tables.values():
                for (topic, number), offset in offsets_in(table).get(group, {}).items():
                    partition = SourcePartition(topic, number)
                    found[partition] = max(offset, found.get(partition, 0))
        return found

    def _writer(self, lane: str, schema: RecordSchema | None) -> TableWriter:
        from k2conn.lake.tables import shape_of
        from k2conn.lake.writer import TableWriter

        found = self._writers.get(lane)
        if found is None:
            shape = shape_of(self._settings, None if schema is None else load_record(lane))
            writer = TableWriter(self._catalog, self._settings, shape, self._group or "")
            if writer.open():
                log.info("iceberg %s: made the table %s.%s", self._settings.place, self._settings.namespace, shape.name)
            found = self._writers[lane] = writer
        return found

    async def _apart(self, work: Callable[[], Found], within: float = 0) -> Found:
        """What ``work`` returns, done in a thread of its own, which does not keep the process from its end. Unreachable
        where it takes longer than it may.
        """
        within = within or self._settings.timeout_ms / 1000
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Found] = loop.create_future()

        def told(result: Found | None, error: BaseException | None) -> None:
            if not done.done():
                done.set_exception(error) if error is not None else done.set_result(result)  # type: ignore[arg-type]

        def run() -> None:
            result, failed = None, None
            try:
                result = work()
            except BaseException as error:  # it is raised where it is awaited
                failed = error
            with suppress(RuntimeError):  # the loop is closed: nobody waits for it any more
                loop.call_soon_threadsafe(told, result, failed)

        threading.Thread(target=run, name="iceberg", daemon=True).start()
        try:
            async with asyncio.timeout(within):
                return await done
        except TimeoutError:
            raise Unreachable(f"lake {self._settings.place}: no answer within {within:g} s") from None


def _rows(writer: TableWriter, batch: Sequence[Envelope]) -> ArrowTable:
    """The rows of a batch. BatchRefused where one of its records is none that the table takes."""
    from k2conn.lake.rows import RowsRefused, joined

    try:
        return joined([
            writer.format.of_dead_letters(list(some), _letter_id) if schema is None
            else writer.format.of_records(schema, [envelope.value for envelope in some])
            for schema, some in groupby(batch, lambda one: one.schema)
        ])
    except RowsRefused as refused:
        raise BatchRefused(str(refused)) from None


def reached(settings: LakeSettings) -> Catalog:
    """The catalog, after a question that it has answered."""
    from k2conn.lake.catalog import sorted_errors

    catalog = open_catalog(settings)
    with sorted_errors(settings):
        catalog.list_namespaces()
    return catalog


def _letter_id(envelope: Envelope) -> str:
    content = b"\0".join((envelope.topic.encode(), envelope.key or b"", envelope.value))
    return str(UUID(bytes=hashlib.sha256(content).digest()[:16]))


async def _probe(options: LakeSettings, topics: Iterable[str]) -> list[Finding]:
    installed()
    return await asyncio.to_thread(_look, options)


def _look(options: LakeSettings) -> list[Finding]:
    """Which tables are there, and which are of another shape; nothing is made."""
    from k2conn.lake.catalog import CATALOG_FILE, sorted_errors
    from k2conn.lake.tables import check, existing, known_shapes, of_revision

    if not options.catalog and not (options.folder / CATALOG_FILE).is_file():
        return [Finding("lake", options.place, "a start makes it", options.create)]
    try:
        catalog = open_catalog(options, read_only=True)
        shapes = known_shapes(options)
        with sorted_errors(options):
            tables = existing(catalog, options, shapes.values())
        for kind, table in tables.items():
            if of_revision(table, shapes[kind]) is None:
                check(table, shapes[kind])
    except K2Error as error:
        return [Finding("lake", options.place, str(error), False)]
    return [Finding("lake", options.place, f"tables of {', '.join(sorted(tables)) or 'nothing yet'}", True)]


SINK = SinkKind(
    "Iceberg tables, embedded or behind a REST catalog, each record once",
    _make,
    settings=LakeSettings,
    variables=VARIABLES,
    spoolable=True,
    where=lambda options: options.place,
    check=lambda options: options.wrong_folder(),
    probe=_probe,
)
