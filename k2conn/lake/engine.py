"""DuckDB as the reader of files: SQL that reads what it is given and nothing else.

No extension is loaded or downloaded, no file outside the given folders is opened, nothing is written, and a statement
cannot change that. Times are UTC.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from k2conn.errors import K2Error, SettingsError

ArrowTable = Any
_READS = ("SELECT", "EXPLAIN")
ENDS_WITHIN = 5.0
"""Seconds in which an interrupted statement is waited for."""
_MISSING = "queries need packages more: pip install 'k2conn[lake]'"
_SETTINGS = (
    "SET TimeZone='UTC'", "SET autoinstall_known_extensions=false", "SET autoload_known_extensions=false",
    "SET allow_community_extensions=false", "SET python_enable_replacements=false", "SET preserve_insertion_order=true",
    "SET parquet_metadata_cache=true",  # files of the lake never change: their footers are read once
)


class QueryError(K2Error):
    """A statement that cannot be answered; the text is DuckDB's."""

    exit_code = 2


class SqlEngine:
    """One DuckDB database in memory, for one thread. ``lock`` it before anything of a stranger's is run."""

    def __init__(self, memory: str = "", threads: int = 0) -> None:
        """``memory``: the most it may take, such as 1GB; empty: 80% of the machine's. ``threads``: 0 for all cores."""
        try:
            import duckdb
        except ImportError:
            raise SettingsError(_MISSING) from None
        self._duckdb = duckdb
        self._stuck = False
        self._scratch = Path(tempfile.mkdtemp(prefix="k2conn-query-"))
        self._connection = duckdb.connect(":memory:")
        for setting in (*_SETTINGS, f"SET temp_directory={quoted_text(str(self._scratch))}"):
            self._connection.execute(setting)
        if memory:
            self._connection.execute(f"SET memory_limit={quoted_text(memory)}")
        if threads:
            self._connection.execute(f"SET threads={threads:d}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything."""
        if not self._stuck:
            self._connection.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def interrupt(self) -> None:
        """Ends the statement that runs, from another thread or a signal's handler."""
        self._connection.interrupt()

    def register(self, name: str, data: Any) -> None:
        """Makes something of Arrow's a table."""
        self._connection.register(name, data)

    def view(self, name: str, sql: str) -> None:
        """Makes a view of a statement of ours."""
        with self._told():
            self._connection.execute(f"CREATE OR REPLACE VIEW {quoted(name)} AS {sql}")

    def narrow(self, name: str, condition: str) -> None:
        """Of a view only the rows of which a condition of ours holds are there from now on."""
        whole = f"all_{name}"
        with self._told():
            self._connection.execute(f"ALTER VIEW {quoted(name)} RENAME TO {quoted(whole)}")
        self.view(name, f"SELECT * FROM {quoted(whole)} WHERE {condition}")

    def lock(self, folders: Iterable[Path] = (), files: Iterable[str] = ()) -> None:
        """From now on only these folders, and these files, can be read, and no setting can be changed."""
        listed = ", ".join(quoted_text(f"{folder}/") for folder in folders)
        paths = ", ".join(map(quoted_text, files))
        for setting in (f"SET allowed_directories=[{listed}]", f"SET allowed_paths=[{paths}]",
                        "SET enable_external_access=false", "SET lock_configuration=true"):
            self._connection.execute(setting)

    def read(self, sql: str, limit: int | None = None) -> ArrowTable:
        """The rows of a stranger's statement. QueryError where it does not only read, or cannot be answered."""
        try:
            statements = self._connection.extract_statements(sql)
        except self._duckdb.Error as error:
            raise QueryError(_words(error)) from None
        if len(statements) != 1:
            raise QueryError(f"one statement at a time: there are {len(statements)}")
        kind = statements[0].type.name
        if kind not in _READS:
            raise QueryError(f"a query reads: {kind} is not SELECT")
        if limit is not None and kind == "SELECT":
            sql = f"SELECT * FROM ({statements[0].query.strip().rstrip(';')}\n) LIMIT {limit:d}"
        return self._interruptible(lambda: self.rows(sql))

    def _interruptible(self, work: Callable[[], ArrowTable]) -> ArrowTable:
        """What ``work`` returns. It is done in a thread, so that Ctrl-C is heard at once, whatever DuckDB is at."""
        found: list[ArrowTable] = []
        failed: list[BaseException] = []
        done = threading.Event()

        def run() -> None:
            try:
                found.append(work())
            except BaseException as error:  # raised where it is waited for
                failed.append(error)
            done.set()

        threading.Thread(target=run, daemon=True).start()
        try:
            done.wait()
        except KeyboardInterrupt:
            self.interrupt()
            self._stuck = not done.wait(ENDS_WITHIN)
            raise
        if failed:
            raise failed[0]
        return found[0]

    def rows(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> ArrowTable:
        """The rows of a statement of ours."""
        with self._told():
            return self._connection.sql(sql, params=parameters or None).to_arrow_table()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """DuckDB's errors as ours."""
        try:
            yield
        except self._duckdb.Error as error:
            raise QueryError(_words(error)) from None


def quoted(name: str) -> str:
    """A name as it stands in SQL."""
    return '"' + name.replace('"', '""') + '"'


def quoted_text(text: str) -> str:
    """A text as it stands in SQL."""
    return "'" + text.replace("'", "''") + "'"


def _words(error: Exception) -> str:
    text = str(error).strip()
    hint = " (see `k2conn query --help` for --allow)" if "disabled by configuration" in text else ""
    return f"{text}{hint}"
