"""Keeping the lake in order: small files made large, old snapshots let go, files that nobody refers to removed.

All of it may run beside writers and readers. Nothing here changes a row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from k2conn.clock import monotonic, wall_ms
from k2conn.compat.pyiceberg import rows_of, written_files
from k2conn.errors import SettingsError, SinkError, known
from k2conn.lake.catalog import Catalog, IcebergTable, open_catalog, sorted_errors
from k2conn.lake.files import DataFile, files_of
from k2conn.lake.settings import LakeSettings
from k2conn.lake.standing_back import stand_back
from k2conn.lake.tables import Shape, as_we_write, existing, identifier, known_shapes
from k2conn.lake.writer import OFFSETS, as_text, expirable, expire, offsets_in

MiB = 1024 * 1024
TARGET = 64 * MiB
"""Bytes that a file is to have; those below half of it are small."""
MOST_ROWS = 4_000_000
"""Rows that are in memory at a time."""
ATTEMPTS = 10
"""Commits of one group of files that other writers may come before; from POLITE on they are asked to stand back."""
POLITE = 2
LEAST_AGE_MS = 3_600_000
"""Milliseconds that a file must have been there before it can be removed: a commit may still be about to name it."""

Told = Callable[[str], None]
"""Takes a line that says how far it is."""


@dataclass(frozen=True)
class TableStats:
    """What a table has."""

    table: str
    rows: int
    files: int
    small_files: int
    bytes: int
    snapshots: int
    last_commit_ms: int | None
    first_us: int | None
    last_us: int | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Cleaned(NamedTuple):
    """Files that nobody refers to."""

    files: int
    bytes: int


class Lake:
    """The tables of a lake; ``only``: of these kinds, or of these names. SettingsError for one that is not there."""

    def __init__(self, settings: LakeSettings, only: Sequence[str] = ()) -> None:
        self._settings = settings
        self._catalog: Catalog = open_catalog(settings, read_only=True)
        shapes = known_shapes(settings)
        there = existing(self._catalog, settings, shapes.values())
        names = {shapes[kind].name: kind for kind in there}
        wanted = [names.get(name, name) for name in only]
        for name in wanted:
            if name not in there:
                raise SettingsError(f"there is no table {name} in the lake{known(name, there)}")
        self.shapes = {kind: shapes[kind] for kind in there if not wanted or kind in wanted}

    def load(self, shape: Shape) -> IcebergTable:
        """The table as it is now."""
        with sorted_errors(self._settings, shape.name):
            return self._catalog.load_table(identifier(self._settings, shape))

    def stats(self) -> list[TableStats]:
        """What each table has."""
        return [self._stats(shape) for shape in self.shapes.values()]

    def _stats(self, shape: Shape) -> TableStats:
        table = self.load(shape)
        with sorted_errors(self._settings, shape.name):
            files = files_of(table, shape).files
        current = table.current_snapshot()
        return TableStats(
            shape.name, sum(file.rows for file in files), len(files), sum(map(_small, files)),
            sum(file.size for file in files), len(table.metadata.snapshots),
            None if current is None else current.timestamp_ms,
            min((file.first for file in files if file.first is not None), default=None),
            max((file.last for file in files if file.last is not None), default=None),
        )

    def compact(self, shape: Shape, told: Told, dry_run: bool = False) -> tuple[int, int]:
        """Makes small files of a partition into large ones; how many went, and how many came."""
        gone = came = 0
        table = self.load(shape)
        with sorted_errors(self._settings, shape.name):
            groups = [] if table.current_snapshot() is None else list(_groups(table, shape))
        for at, group in enumerate(groups, 1):
            rows = sum(task.file.record_count for task in group)
            told(f"{shape.name}: {at} of {len(groups)}: {len(group)} files, {rows:,} rows")
            came += 1 if dry_run else self._rewrite(shape, [task.file.file_path for task in group])
            gone += len(group)
        return gone, came

    def _rewrite(self, shape: Shape, paths: Sequence[str]) -> int:
        """Puts the rows of some files into few; appends of others meanwhile stay what they are."""
        from pyiceberg.exceptions import CommitFailedException

        table = as_we_write(self.load(shape))
        with sorted_errors(self._settings, shape.name):
            rows = rows_of(table, _tasks(table, shape, paths))
            made = written_files(table, rows.sort_by([(name, "ascending") for name in shape.sorted_by]))
            took = 0.0
            for attempt in range(ATTEMPTS):
                if attempt >= POLITE:
                    stand_back(table, took)
                began = monotonic()
                try:
                    self._replace(shape, paths, made)
                except CommitFailedException:
                    took = max(took, monotonic() - began)
                    table = self.load(shape)
                else:
                    return len(made)
        raise SinkError(f"{shape.name}: {ATTEMPTS} commits were overtaken by other writers: try again")

    def _replace(self, shape: Shape, paths: Sequence[str], made: Sequence[Any]) -> None:
        """One attempt. The snapshot carries on the offsets of the one that it stands on, which may then expire."""
        table = as_we_write(self.load(shape))
        tasks = _tasks(table, shape, paths)
        offsets, transaction = offsets_in(table), table.transaction()
        with transaction.update_snapshot({OFFSETS: as_text(offsets)} if offsets else {}).overwrite() as change:
            for task in tasks:
                change.delete_data_file(task.file)
            for file in made:
                change.append_data_file(file)
        transaction.commit_transaction()

    def expire(self, shape: Shape, keep: int, older_than_ms: int, dry_run: bool = False) -> int:
        """Lets snapshots go, but for the latest ``keep`` and those younger than that; how many. Removes no file."""
        table = self.load(shape)
        before = wall_ms() - older_than_ms
        with sorted_errors(self._settings, shape.name):
            return len(expirable(table, keep, before)) if dry_run else expire(table, keep, before)

    def clean(self, shape: Shape, older_than_ms: int, told: Told, dry_run: bool = False) -> Cleaned:
        """Removes files in the table's folder that no snapshot refers to and that are older than that: those of
        snapshots that are gone, and of commits that never were.
        """
        if older_than_ms < LEAST_AGE_MS:
            raise SettingsError("files younger than an hour may belong to a commit that is under way: say 1h or more")
        before = wall_ms() - older_than_ms
        with sorted_errors(self._settings, shape.name):
            table = self.load(shape)
            root = urlsplit(table.location())
            filesystem = table.io.fs_by_scheme(root.scheme or "file", root.netloc)
            old = [(path, size) for path, size, changed in _listed(filesystem, f"{root.netloc}{root.path}")
                   if changed < before]
            told(f"{shape.name}: {len(old):,} files are old enough")
            used = _referred(self.load(shape))  # after the listing: what was committed meanwhile is in it
            orphans = [(path, size) for path, size in old if path not in used]
            for at, (path, _) in enumerate(orphans, 1):
                if not dry_run:
                    filesystem.delete_file(path)
                if at % 1000 == 0:
                    told(f"{shape.name}: {at:,} of {len(orphans):,} removed")
        return Cleaned(len(orphans), sum(size for _, size in orphans))


def _tasks(table: IcebergTable, shape: Shape, paths: Sequence[str]) -> list[Any]:
    """The files of a table that are to be replaced. SinkError where they are not all there any more."""
    wanted = set(paths)
    tasks = [task for task in table.scan().plan_files() if task.file.file_path in wanted]
    if len(tasks) < len(wanted):
        raise SinkError(f"{shape.name}: somebody else has rewritten these files: try again")
    return tasks


def _small(file: DataFile) -> bool:
    return file.size < TARGET // 2


def _groups(table: IcebergTable, shape: Shape) -> Iterator[list[Any]]:
    """Small files that become one, of one partition each, the oldest first."""
    by_partition: defaultdict[tuple[object, ...], list[Any]] = defaultdict(list)
    for task in table.scan().plan_files():
        if task.file.file_size_in_bytes < TARGET // 2 and task.file.spec_id == table.spec().spec_id:
            by_partition[tuple(task.file.partition)].append(task)
    for _, tasks in sorted(by_partition.items(), key=lambda one: repr(one[0])):
        group: list[Any] = []
        size = rows = 0
        for task in tasks:
            size, rows = size + task.file.file_size_in_bytes, rows + task.file.record_count
            if group and (size > TARGET or rows > MOST_ROWS):
                if len(group) > 1:
                    yield group
                group, size, rows = [], task.file.file_size_in_bytes, task.file.record_count
            group.append(task)
        if len(group) > 1:
            yield group


def _listed(filesystem: Any, root: str) -> Iterator[tuple[str, int, int]]:
    """The files below a table's folder: path, bytes, when it was changed (ms)."""
    from pyarrow.fs import FileSelector, FileType  # type: ignore[import-untyped]

    for part in ("data", "metadata"):
        for one in filesystem.get_file_info(FileSelector(f"{root}/{part}", recursive=True, allow_not_found=True)):
            if one.type == FileType.File:
                yield one.path, one.size, one.mtime_ns // 1_000_000


def _referred(table: IcebergTable) -> set[str]:
    """All files that some snapshot of a table needs."""
    metadata = table.metadata
    found = {table.metadata_location, *(one.metadata_file for one in metadata.metadata_log)}
    found |= {one.statistics_path for one in (*metadata.statistics, *metadata.partition_statistics)}
    seen: set[str] = set()
    for snapshot in metadata.snapshots:
        found.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path in seen:
                continue
            seen.add(manifest.manifest_path)
            found |= {entry.data_file.file_path for entry in manifest.fetch_manifest_entry(table.io)}
    return {_path(one) for one in found | seen}


def _path(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.netloc}{parts.path}"
