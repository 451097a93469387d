"""Compiles ``tables:``: CSV files beside the connector file, in which fields look values up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any

from k2conn.codecs.csv import CsvReader
from k2conn.compiler.language.document import Path
from k2conn.compiler.language.problems import known, short
from k2conn.compiler.sections.beside import file_beside
from k2conn.compiler.sections.context import CompileContext
from k2conn.errors import RecordError
from k2conn.plan import Getter, Json

Tables = Mapping[str, Mapping[str, str]]
"""By the table's name: from key to value."""


class TableCompiler:
    """Reads the tables of one connector; ``folder`` is where they lie."""

    def __init__(self, note: CompileContext, folder: FilePath) -> None:
        self.note = note
        self.folder = folder

    def tables(self, said: Mapping[str, Any]) -> Tables:
        """All tables that can be read; the others are empty, and noted."""
        return {name: self._table(one, ("tables", name)) for name, one in said.items() if self.note.sound(
            ("tables", name))}

    def _table(self, said: Mapping[str, Any], path: Path) -> dict[str, str]:
        data = file_beside(said["file"], (*path, "file"), self.folder, self.note)
        if data is None:
            return {}
        try:
            reader = CsvReader(tuple(said["columns"]) if "columns" in said else None)
            rows = reader.feed(data, True)
        except ValueError as error:
            self.note((*path, "file"), "value", f"{short(said['file'])}: {error}")
            return {}
        for word in ("key", "value"):
            if said[word] not in reader.columns:
                text = f"{short(said['file'])} has no column '{short(said[word])}'{known(said[word], reader.columns)}"
                self.note((*path, word), "value", text)
                return {}
        found: dict[str, str] = {}
        for line, _, message in rows:
            row: Json = message
            if (problem := _problem(row, said["key"], said["value"], found)) is not None:
                self.note((*path, "file"), "value", f"{short(said['file'])}, line {line}: {problem}")
                return {}
            found[row[said["key"]]] = row[said["value"]]
        return found


def _problem(row: Json, key: str, value: str, found: Mapping[str, str]) -> str | None:
    """What is wrong with one row of a table."""
    if isinstance(row, RecordError):
        return row.detail
    for column in (key, value):
        if row[column] is None:
            return f"the {column} is empty"
    return f"'{short(row[key])}' stands there twice" if row[key] in found else None


def looked_up_in(get: Getter, name: str, table: Mapping[str, str], spell: Callable[[Json], str]) -> Getter:
    """The value beside a key in a table."""

    def look_up(item: Any, scope: Any) -> str | None:
        key = get(item, scope)
        if key is None or key == "":
            return None
        found = table.get(key if type(key) is str else spell(key))
        if found is None:
            detail = f"'{spell(key)[:40]}' is not in the table {name}"
            raise RecordError(None, None, None, "missing-field", detail)
        return found

    return look_up
