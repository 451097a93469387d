"""The lake's tables by SQL, or the records of one type, newest first.

A reader keeps the list of each table's files and looks for newer ones when it is told to (``refresh``). Where nothing
has changed that costs one question to the catalog (a REST catalog: one for each table), else the reading of what is
new. Methods block. ``records`` and ``rows`` may be called from several threads at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from k2conn.errors import SettingsError, known
from k2conn.lake.catalog import IcebergTable, locations, open_catalog, sorted_errors
from k2conn.lake.engine import ArrowTable, SqlEngine, quoted, quoted_text
from k2conn.lake.files import DataFile, FileSet, KnownFiles, chosen_files
from k2conn.lake.selection import Selection
from k2conn.lake.settings import LakeSettings
from k2conn.lake.tables import Shape, existing, known_shapes

FIRST_FILES = 8
"""Files, the newest ones, that are looked into before it is known whether older ones are needed."""
_EPOCH = "epoch_us({})"


@dataclass(frozen=True)
class TableState:
    """A table at one snapshot."""

    shape: Shape
    table: IcebergTable
    files: FileSet

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns, in order."""
        return tuple(field.name for field in self.table.schema().fields)

    @property
    def snapshot(self) -> int | None:
        """Which snapshot it is."""
        found = self.table.current_snapshot()
        return None if found is None else int(found.snapshot_id)


class LakeReader:
    """The lake of some settings. Unreachable or SettingsError, when it is made, where there is none."""

    def __init__(self, settings: LakeSettings) -> None:
        self._settings = settings
        self._catalog = open_catalog(settings, read_only=True)
        self._shapes = known_shapes(settings)
        self._files = {kind: KnownFiles(shape) for kind, shape in self._shapes.items()}
        self._states: dict[str, TableState] = {}
        self._lock = threading.Lock()
        self._engines = threading.local()
        self.refresh()

    def refresh(self) -> None:
        """Looks for what was committed meanwhile. Queries that run are not touched."""
        with self._lock, sorted_errors(self._settings):
            now = locations(self._catalog, self._settings.namespace)
            same = {kind: state for kind, state in self._states.items()
                    if now is not None and now.get(state.shape.name) == state.table.metadata_location}
            asked = [shape for kind, shape in self._shapes.items()
                     if kind not in same and (now is None or shape.name in now)]
            found = existing(self._catalog, self._settings, asked)
            new = same | {kind: self._state(kind, table) for kind, table in found.items()}
            self._states = {kind: new[kind] for kind in self._shapes if kind in new}

    def _state(self, kind: str, table: IcebergTable) -> TableState:
        known_state = self._states.get(kind)
        if known_state is not None and known_state.table.metadata_location == table.metadata_location:
            return known_state
        return TableState(self._shapes[kind], table, self._files[kind].at(table))

    @property
    def kinds(self) -> Mapping[str, TableState]:
        """The tables that are there, by the plural of their record type."""
        return self._states

    def state(self, kind: str) -> TableState:
        """One table. SettingsError, naming the known ones, where there is none."""
        found = self._states.get(kind)
        if found is None:
            raise SettingsError(f"there is no table of {kind} in the lake{known(kind, self._states)}")
        return found

    def records(self, kind: str, chosen: Selection | None = None) -> ArrowTable:
        """Records of one type, the newest first: by time, then by message_id. Of states (candles) the latest of each.

        Files that cannot have any are not opened; with a ``limit``, older ones only where the newer have too few.
        """
        chosen = chosen or Selection()
        state = self.state(kind)
        files = chosen_files(state.files.files, chosen)
        engine = self._engine()
        order = f" ORDER BY {quoted(state.shape.time)} DESC, message_id DESC"
        count = FIRST_FILES if chosen.limit is not None and not state.shape.key else len(files)
        while True:
            some, rest = files[:count], files[count:]
            found = engine.rows(f"SELECT * FROM ({view_sql(engine, state, some, chosen)}){order}{_limit(chosen)}")
            if not rest or (len(found) == chosen.limit and _oldest(found, state.shape.time) > _newest(rest)):
                return found
            count *= 4

    def rows(self, sql: str, kinds: Sequence[str], chosen: Selection | None = None, parameters: Sequence[object] = ()
             ) -> ArrowTable:
        """The rows of a statement of ours over tables of these types (``trades``), restricted to ``chosen``."""
        engine = self._engine()
        chosen = chosen or Selection()
        for kind in kinds:
            state = self.state(kind)
            engine.view(kind, view_sql(engine, state, chosen_files(state.files.files, chosen), chosen))
        return engine.rows(sql, parameters)

    def tables(self, engine: SqlEngine, chosen: Selection) -> list[Path]:
        """Makes all tables known to an engine for a stranger's SQL: each as ``trades`` (of states the latest) and by
        its own name, ``trades_v2`` (all of its rows); the folders that must be readable.
        """
        folders = []
        for kind, state in self._states.items():
            files = chosen_files(state.files.files, chosen)
            fitting = _fitting(state, chosen)
            engine.view(kind, view_sql(engine, state, files, fitting))
            if state.shape.name != kind:
                engine.view(state.shape.name, view_sql(engine, state, files, fitting, states=True))
            if _local(state.table.location()):
                folders.append(Path(_path(state.table.location())))
        return folders

    def _engine(self) -> SqlEngine:
        """One for each thread."""
        found: SqlEngine | None = getattr(self._engines, "engine", None)
        if found is None:
            found = self._engines.engine = SqlEngine()
        return found


def view_sql(
    engine: SqlEngine, state: TableState, files: Sequence[DataFile], chosen: Selection, states: bool = False
) -> str:
    """The statement for the rows that are asked for, from these files; ``states``: all states, not only the latest."""
    shape = state.shape
    columns = ", ".join(map(quoted, state.columns))
    sql = f"SELECT {columns} FROM {_source(engine, state, files)}{_where(state, chosen)}"
    if not shape.key or states:
        return sql
    closed = f"{quoted(shape.closed)} DESC, " if shape.closed else ""
    return (f"{sql} QUALIFY row_number() OVER (PARTITION BY {', '.join(map(quoted, shape.key))} "
            f"ORDER BY {closed}{quoted(shape.reported)} DESC, ingestion_timestamp DESC, message_id DESC) = 1")


def _source(engine: SqlEngine, state: TableState, files: Sequence[DataFile]) -> str:
    """What stands behind FROM."""
    if not files or state.files.deletes or not all(_local(file.path) for file in files):
        name = f"files_of_{state.shape.name}"
        engine.register(name, _arrow(state, files))
        return quoted(name)
    listed = ", ".join(quoted_text(_path(file.path)) for file in files)
    if len(state.table.metadata.schemas) == 1:
        return f"read_parquet([{listed}], hive_partitioning=false)"
    # Columns may have come later than all of these files: those are of an empty table beside them.
    name = f"columns_of_{state.shape.name}"
    engine.register(name, _arrow(state, ()))
    return (f"(SELECT * FROM read_parquet([{listed}], hive_partitioning=false, union_by_name=true) "
            f"UNION ALL BY NAME SELECT * FROM {quoted(name)})")


def _arrow(state: TableState, files: Sequence[DataFile]) -> Any:
    """The rows as something of Arrow's: of files that DuckDB itself does not reach, or that need Iceberg's rules."""
    import pyarrow.dataset as ds  # type: ignore[import-untyped]
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    schema = schema_to_pyarrow(state.table.schema(), include_field_ids=False)
    if not files:
        return schema.empty_table()
    if state.files.deletes:
        return state.table.scan().to_arrow()
    first = urlsplit(files[0].path)
    filesystem = state.table.io.fs_by_scheme(first.scheme, first.netloc)
    paths = [f"{urlsplit(file.path).netloc}{urlsplit(file.path).path}" for file in files]
    return ds.dataset(paths, schema=schema, format="parquet", filesystem=filesystem)


def _where(state: TableState, chosen: Selection) -> str:
    time = quoted(state.shape.time)
    parts = [f"{quoted(name)} = {quoted_text(text)}" for name, text in chosen.texts.items()]
    if chosen.since is not None:
        parts.append(f"{time} >= make_timestamptz({chosen.since:d})")
    if chosen.until is not None:
        parts.append(f"{time} < make_timestamptz({chosen.until:d})")
    if chosen.before is not None:
        moment = f"make_timestamptz({chosen.before[0]:d})"
        parts.append(f"({time} < {moment} OR ({time} = {moment} AND message_id < {quoted_text(chosen.before[1])}))")
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def _fitting(state: TableState, chosen: Selection) -> Selection:
    """What of a selection says something of a table: quotes have no side."""
    absent = {name: "" for name in chosen.texts if name not in state.columns}
    return Selection(**{**{name: getattr(chosen, name) for name in chosen.__dataclass_fields__}, **absent})


def _limit(chosen: Selection) -> str:
    return "" if chosen.limit is None else f" LIMIT {chosen.limit:d}"


def _oldest(rows: ArrowTable, time: str) -> int:
    import pyarrow as pa

    return int(rows[time].cast(pa.int64())[-1].as_py())


def _newest(files: Sequence[DataFile]) -> int:
    return max(file.last if file.last is not None else 2**63 for file in files)


def _local(path: str) -> bool:
    return urlsplit(path).scheme in ("", "file")


def _path(uri: str) -> str:
    return uri.removeprefix("file://")
