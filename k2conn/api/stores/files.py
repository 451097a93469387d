"""The Avro files of the file sink, without any server. What is known of each block (its times and symbols) is kept in
memory, so that a question opens the blocks that can have its records only, the newest first.

Files are only ever appended to, or new; at most every ``LOOK_EVERY`` seconds they are looked at, and what has come is
read once. That is about a second for 200,000 records; for more than some ten million there is the lake.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from k2conn.api.asked import ID, Asked, Row, key_of, time_of
from k2conn.api.store import Counted, KnownSymbol, Traded
from k2conn.api.stores.traded import TradedSums
from k2conn.avro.blocks import MalformedContainer, NotWhole
from k2conn.avro.scanning import Block, GrowingContainer, full_name, schema_of
from k2conn.avro.schema import RecordSchema
from k2conn.clock import monotonic
from k2conn.errors import Unreachable
from k2conn.records import RecordType, known_records, load_record

LOOK_EVERY = 0.25
READY_BLOCKS = 200
"""Blocks whose records are kept: of 64 KiB each as they were written."""
SYMBOLS_OF_A_BLOCK = 64
"""Of more, a block is opened for any symbol."""
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class KnownBlock:
    """A block, and what is in it. ``symbols`` is None where they are too many to keep."""

    file: KnownFile
    block: Block
    first: int
    last: int
    symbols: frozenset[str] | None


@dataclass(slots=True)
class KnownFile:
    """A file, and how far it has been read."""

    reader: GrowingContainer
    schema: RecordSchema
    record: RecordType
    end: int
    broken: bool = False


@dataclass(slots=True)
class KnownKind:
    """All that is known of a record type."""

    blocks: list[KnownBlock] = field(default_factory=list)
    """By their last time, the newest first."""
    rows: int = 0
    symbols: dict[tuple[str, str], KnownSymbol] = field(default_factory=dict)


class FilesStore:
    """See the module's text."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.place = f"files in {folder}"
        self._kinds: dict[str, KnownKind] = {}
        self._files: dict[Path, KnownFile | None] = {}
        """None: a file that is no matter here."""
        self._records = {load_record(name).schema.full_name: load_record(name) for name in known_records()}
        self._ready: OrderedDict[tuple[Path, int], list[dict[str, Any]]] = OrderedDict()
        self._lock = threading.Lock()
        self._looked = -LOOK_EVERY

    def open(self) -> None:
        """See `Store`. A folder that is not there yet may come."""
        self._look()

    def answers(self) -> None:
        """See `Store`."""
        if self._folder.exists() and not self._folder.is_dir():
            raise Unreachable(f"{self._folder} is no folder")

    def close(self) -> None:
        """See `Store`."""

    def records(self, asked: Asked) -> Sequence[Row]:
        """See `Store`."""
        self._look()
        with self._lock:
            blocks = [one for one in self._known(asked.kind).blocks if _may_have(one, asked)]
        found: dict[tuple[Any, ...], Row] = {}
        floor = None
        """The time of the last record that is wanted, once there are enough."""
        for one in blocks:
            if floor is not None and one.last < floor:
                break
            for row in self._rows(one):
                if asked.fits(row):
                    _keep(found, asked.record, row)
            if len(found) >= asked.limit:
                page = sorted(found.values(), key=asked.place, reverse=True)[: asked.limit]
                floor = page[-1][time_of(asked.record)]
                found = {tuple(row[name] for name in key_of(asked.record)): row for row in page}
        return sorted(found.values(), key=asked.place, reverse=True)[: asked.limit]

    def traded(self, asked: Asked) -> Sequence[Traded]:
        """See `Store`."""
        self._look()
        with self._lock:
            blocks = [one for one in self._known(asked.kind).blocks if _may_have(one, asked)]
        sums: dict[tuple[str, str], TradedSums] = {}
        seen: set[str] = set()
        for one in blocks:
            for row in self._rows(one):
                if asked.fits(row) and row[ID] not in seen:
                    seen.add(row[ID])
                    sums.setdefault((row["exchange"], row["currency"]), TradedSums()).take(row)
        return [sums[key].of(*key) for key in sorted(sums)]

    def symbols(self, most: int) -> Sequence[KnownSymbol]:
        """See `Store`."""
        self._look()
        with self._lock:
            return [one for kind in self._kinds.values() for one in list(kind.symbols.values())[:most]]

    def counts(self) -> Sequence[Counted]:
        """See `Store`."""
        self._look()
        with self._lock:
            return [
                Counted(name, kind.rows, True, min((one.first for one in kind.blocks), default=None),
                        max((one.last for one in kind.blocks), default=None))
                for name, kind in self._kinds.items()
            ]

    # -- what is there

    def _known(self, kind: str) -> KnownKind:
        return self._kinds.get(kind) or KnownKind()

    def _look(self) -> None:
        """Reads what has come since."""
        with self._lock:
            if monotonic() - self._looked < LOOK_EVERY:
                return
            try:
                for path in self._paths():
                    self._look_into(path)
            except OSError as error:
                raise Unreachable(f"{self._folder}: {error.strerror or error}") from None
            self._looked = monotonic()

    def _paths(self) -> Iterator[Path]:
        if self._folder.is_dir():
            yield from sorted(path for path in self._folder.glob("*/*.avro") if path.is_file())

    def _look_into(self, path: Path) -> None:
        if path not in self._files:
            try:
                self._files[path] = self._begun(path)
            except NotWhole:
                return
            except MalformedContainer as error:
                self._files[path] = None
                _LOG.warning("files: %s is left out: %s", path, error)
        file = self._files[path]
        if file is None or file.broken:
            return
        try:
            if path.stat().st_size <= file.end:
                return
            found = [self._known_block(file, block) for block in file.reader.blocks(file.end)]
        except FileNotFoundError:  # tidied away while we looked
            return
        except MalformedContainer as error:
            file.broken = True
            _LOG.warning("files: the rest is left out: %s", error)
            return
        kind = self._kinds.setdefault(file.record.profile.plural, KnownKind())
        kind.blocks = sorted([*kind.blocks, *found], key=lambda one: one.last, reverse=True)

    def _begun(self, path: Path) -> KnownFile | None:
        reader = GrowingContainer(path)
        record = self._records.get(full_name(reader.schema_text))
        if record is None:
            return None
        return KnownFile(reader, schema_of(record.name, reader.schema_text), record, reader.first)

    def _known_block(self, file: KnownFile, block: Block) -> KnownBlock:
        rows = file.reader.read(file.schema, block)
        time = time_of(file.record)
        kind = self._kinds.setdefault(file.record.profile.plural, KnownKind())
        times = [row[time] for row in rows]
        symbols: set[str] = set()
        for row in rows:
            symbols.add(row["symbol"])
            key = (row["symbol"], row.get("exchange", ""))
            before = kind.symbols.get(key)
            if before is None or row[time] > before.last:
                kind.symbols[key] = KnownSymbol(
                    row["symbol"], row.get("exchange", ""), row.get("currency", ""), row.get("asset_class", ""),
                    file.record.profile.plural, row[time],
                )
        kind.rows += len(rows)
        file.end = block.end
        few = frozenset(symbols) if len(symbols) <= SYMBOLS_OF_A_BLOCK else None
        return KnownBlock(file, block, min(times, default=0), max(times, default=0), few)

    def _rows(self, one: KnownBlock) -> list[dict[str, Any]]:
        key = (one.file.reader.path, one.block.start)
        with self._lock:
            if (ready := self._ready.get(key)) is not None:
                self._ready.move_to_end(key)
                return ready
        try:
            rows = one.file.reader.read(one.file.schema, one.block)
        except (OSError, MalformedContainer):  # tidied away, or written over: what it had is no more
            return []
        with self._lock:
            self._ready[key] = rows
            while len(self._ready) > READY_BLOCKS:
                self._ready.popitem(last=False)
        return rows


def _may_have(one: KnownBlock, asked: Asked) -> bool:
    latest = asked.latest
    if (asked.since is not None and one.last < asked.since) or (latest is not None and one.first > latest):
        return False
    symbol = asked.texts.get("symbol")
    return symbol is None or one.symbols is None or symbol in one.symbols


def _keep(found: dict[tuple[Any, ...], Row], record: RecordType, row: Row) -> None:
    """Takes a record, unless a later state of the same is there: a closed one, or else the one that came last."""
    key = tuple(row[name] for name in key_of(record))
    before = found.get(key)
    if before is None or _age(record, row) >= _age(record, before):
        found[key] = row


def _age(record: RecordType, row: Row) -> tuple[Any, ...]:
    closed = record.profile.closed
    return (bool(row[closed]) if closed else True, row[record.profile.time], row.get("ingestion_timestamp", 0), row[ID])
