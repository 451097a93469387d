"""The files of a table at one snapshot, each with what its metadata say of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from k2conn.lake.catalog import IcebergTable
from k2conn.lake.selection import Selection
from k2conn.lake.tables import PARTITION, Shape

_CUT = 16
"""Characters of a text that its bounds have."""
_ALWAYS = 2**63
"""Later than any time."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file. Bounds are None where its metadata say nothing."""

    path: str
    rows: int
    size: int
    first: int | None
    """The earliest time, microseconds since 1970 UTC."""
    last: int | None
    symbols: tuple[str, str] | None
    exchange: str | None
    partition: tuple[object, ...]

    def may_have(self, chosen: Selection) -> bool:
        """Whether rows that are asked for may be in it."""
        latest = chosen.latest
        if self.last is not None and chosen.since is not None and self.last < chosen.since:
            return False
        if self.first is not None and latest is not None and self.first > latest:
            return False
        if chosen.exchange and self.exchange is not None and self.exchange != chosen.exchange:
            return False
        if not chosen.symbol or self.symbols is None:
            return True
        symbol = chosen.symbol[:_CUT]
        return self.symbols[0][:_CUT] <= symbol <= self.symbols[1]


@dataclass(frozen=True, slots=True)
class FileSet:
    """A table's files, the newest first. ``deletes``: some rows of them are deleted by further files, as other engines
    may do.
    """

    files: tuple[DataFile, ...] = ()
    deletes: bool = False


class KnownFiles:
    """The files of one table, snapshot after snapshot. A manifest (Iceberg's list of some files) never changes, so each
    is read once, and a new snapshot costs what is new in it. For one thread at a time.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._layout: tuple[int, int] | None = None
        self._read: dict[str, tuple[DataFile, ...]] = {}
        """By the manifest's path; those of the latest snapshot."""

    def at(self, table: IcebergTable) -> FileSet:
        """The files of the snapshot that a table is at."""
        from pyiceberg.manifest import ManifestContent

        snapshot = table.current_snapshot()
        if snapshot is None:
            return FileSet()
        layout = (table.metadata.current_schema_id, table.metadata.default_spec_id)
        before = self._read if layout == self._layout else {}
        bounds, read, deletes = _Bounds(table, self._shape), {}, False
        for manifest in snapshot.manifests(table.io):
            path = manifest.manifest_path
            if manifest.content == ManifestContent.DELETES:
                deletes = deletes or manifest.has_added_files() or manifest.has_existing_files()
            elif path in before:
                read[path] = before[path]
            else:
                read[path] = tuple(bounds.read(entry.data_file) for entry in manifest.fetch_manifest_entry(table.io))
        self._layout, self._read = layout, read
        files = [file for some in read.values() for file in some]
        return FileSet(tuple(sorted(files, key=_newest_first)), deletes)


def files_of(table: IcebergTable, shape: Shape) -> FileSet:
    """The files of a table's current snapshot."""
    return KnownFiles(shape).at(table)


class _Bounds:
    """Reads the bounds of a file's columns."""

    def __init__(self, table: IcebergTable, shape: Shape) -> None:
        columns = {one.name: one for one in table.schema().fields}
        self._time, self._symbol = columns[shape.time], columns.get("symbol")
        spec = [field.name for field in table.spec().fields]
        self._exchange = spec.index(PARTITION) if PARTITION in spec else None
        self._spec = table.spec().spec_id

    def read(self, file: Any) -> DataFile:
        """What its metadata say."""
        symbols = self._pair(self._symbol, file) if self._symbol is not None else None
        first, last = self._pair(self._time, file) or (None, None)
        partition = tuple(file.partition)
        own = self._exchange is not None and file.spec_id == self._spec
        return DataFile(
            file.file_path, file.record_count, file.file_size_in_bytes, first, last, symbols,
            str(partition[self._exchange]) if own and self._exchange is not None else None, (file.spec_id, *partition),
        )

    def _pair(self, column: Any, file: Any) -> Any:
        from pyiceberg.conversions import from_bytes

        at, lower, upper = column.field_id, file.lower_bounds or {}, file.upper_bounds or {}
        if at not in lower or at not in upper:
            return None
        return from_bytes(column.field_type, lower[at]), from_bytes(column.field_type, upper[at])


def _newest_first(file: DataFile) -> int:
    return -(_ALWAYS if file.last is None else file.last)


def chosen_files(files: Sequence[DataFile], chosen: Selection) -> list[DataFile]:
    """Those that may have what is asked for, in their order."""
    return [file for file in files if file.may_have(chosen)]
