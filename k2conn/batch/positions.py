"""Where each file has come to, on the disk: a small file for each connector, file and destination.

A position is written when everything before it is durable in the sink, and as a whole: a process that is killed leaves
the one before. With it stands a digest of all bytes before it, so a file is known again by what is in it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k2conn import exactjson
from k2conn.codecs import RowPosition
from k2conn.errors import SettingsError, SinkError
from k2conn.files import lock_file, make_folder, read_own, write_whole

_FORMAT = 1
_MOST = 1 << 17
"""Bytes of such a file."""


@dataclass(frozen=True, slots=True)
class SavedPosition:
    """A position, and what stands before it."""

    position: RowPosition
    digest: str


class Positions:
    """The positions of one connector's files in one destination. ``folder`` None: nothing is kept."""

    def __init__(self, folder: Path | None, connector: str, destination: str) -> None:
        self._folder = folder
        self._connector = connector
        self._destination = destination
        self._locks: list[int] = []

    def claim(self, file: Path) -> None:
        """Keeps other processes from the same file. SettingsError where one is at it, or the folder is not to be used.
        """
        if self._folder is None:
            return
        try:
            make_folder(self._folder, link=True)
            lock = lock_file(self._path(file).with_suffix(".lock"))
        except OSError as error:
            raise SettingsError(f"--state {self._folder}: {error.strerror or error}") from None
        if lock is None:
            raise SettingsError(f"another process loads {file} into {self._destination}")
        self._locks.append(lock)

    def release(self) -> None:
        """Lets go of all files."""
        for lock in self._locks:
            os.close(lock)
        self._locks.clear()

    def find(self, file: Path) -> SavedPosition | None:
        """Where an earlier process came to. SettingsError for what is no position."""
        if self._folder is None or not (path := self._path(file)).exists():
            return None
        try:
            return _read(exactjson.decode(read_own(path, _MOST)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = f"{type(error).__name__}: {error}"
            raise SettingsError(f"{path} is no position of a file ({why}): remove it to load {file} anew") from None

    def forget(self, file: Path) -> None:
        """Nothing of a file counts as loaded."""
        if self._folder is not None:
            self._path(file).unlink(missing_ok=True)

    def save(self, file: Path, position: RowPosition, digest: str) -> None:
        """All before a position is durable. SinkError where that cannot be written."""
        if self._folder is None:
            return
        document = {
            "format": _FORMAT, "connector": self._connector, "file": str(file), "destination": self._destination,
            "offset": position.offset, "line": position.line, "row": position.row, "columns": position.columns,
            "unended": position.unended, "sha256": digest,
        }
        path = self._path(file)
        try:
            write_whole(path, exactjson.encode(document) + b"\n")
        except OSError as error:
            raise SinkError(f"the position of {file} cannot be written to {path}: {error.strerror or error}") from None

    def _path(self, file: Path) -> Path:
        assert self._folder is not None
        told = "\0".join((self._connector, self._destination, str(file)))
        return self._folder / f"load-{self._connector}-{hashlib.sha256(told.encode()).hexdigest()[:20]}.json"


def _read(found: Any) -> SavedPosition:
    form, offset, line, row = numbers = [found[name] for name in ("format", "offset", "line", "row")]
    if any(type(one) is not int or one < 0 for one in numbers) or form != _FORMAT:
        raise ValueError("numbers that are none")
    columns = found["columns"]
    if columns is not None and not all(type(one) is str for one in columns):
        raise ValueError("columns without names")
    if type(found["unended"]) is not bool or type(found["sha256"]) is not str:
        raise ValueError("a word of a wrong type")
    names = None if columns is None else tuple(columns)
    return SavedPosition(RowPosition(offset, line, row, names, found["unended"]), found["sha256"])
