"""The files of one recorder: one after the other, by size and age; the oldest go where there would be too much.

A folder is one recorder's at a time. Files are named by the moment they were begun, so that their names' order is
theirs. Only files with such names are ever removed.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from k2conn.clock import monotonic, wall_us
from k2conn.errors import SettingsError
from k2conn.files import UnsafePathError, lock_file, make_folder, open_own
from k2conn.recording.blocks import best, block

MiB = 1024 * 1024
NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z\.jsonl\.(zst|gz)")


@dataclass(frozen=True, slots=True)
class Bounds:
    """``file_bytes`` and ``file_seconds``: when a file is over; ``total_bytes``: of all files of the folder."""

    file_bytes: int = 64 * MiB
    file_seconds: float = 3600.0
    total_bytes: int = 4096 * MiB

    def __post_init__(self) -> None:
        """Refuse bounds that bound nothing."""
        names = [one for one in ("file_bytes", "file_seconds", "total_bytes") if getattr(self, one) <= 0]
        problems = [f"{one} must be above 0" for one in names]
        if not names and self.total_bytes < self.file_bytes:
            problems.append("total_bytes must not be below file_bytes: one file is always kept")
        if problems:
            raise SettingsError(*problems)


class RecordingFolder:
    """Writes blocks into a folder's files. Everything may raise OSError."""

    def __init__(self, folder: Path, bounds: Bounds) -> None:
        """Makes the folder. SettingsError where it cannot be used."""
        self.folder, self._bounds, self._suffix = folder, bounds, best()
        self._file: FileIO | None = None
        self._path = folder
        self._size = 0
        self._began = 0.0
        self.removed = 0
        """Old files that went."""
        try:
            make_folder(folder, link=True)
            self._lock = lock_file(folder / ".lock")
        except (OSError, UnsafePathError) as error:
            raise SettingsError(f"the recording's folder {folder}: {error.strerror or error}") from None
        if self._lock is None:
            raise SettingsError(f"the recording's folder {folder}: another process records into it")

    @property
    def fresh(self) -> bool:
        """Whether the next block begins a file."""
        over = self._size >= self._bounds.file_bytes or monotonic() - self._began >= self._bounds.file_seconds
        return self._file is None or over

    def write(self, lines: bytes, count: int, first: int, last: int) -> None:
        """A block, as a whole or (where that fails) not at all."""
        if self.fresh:
            self._next()
        assert self._file is not None
        rest = memoryview(block(self._suffix, lines, count, first, last))
        size = len(rest)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            with suppress(OSError):  # then the reader sees a cut
                self._file.truncate(self._size)
            self.leave()
            raise
        self._size += size
        self._make_room()

    def leave(self) -> None:
        """Ends the file; the next block begins another one."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def close(self) -> None:
        """Ends the recording."""
        self.leave()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _next(self) -> None:
        self.leave()
        moment = wall_us()
        while True:
            name = datetime.fromtimestamp(moment // 1_000_000, UTC).strftime("%Y%m%dT%H%M%S")
            self._path = self.folder / f"{name}.{moment % 1_000_000:06d}Z{self._suffix}"
            try:
                handle = open_own(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
                break
            except FileExistsError:
                moment += 1
        self._file, self._size, self._began = FileIO(handle, "w"), 0, monotonic()

    def _make_room(self) -> None:
        """Lets the oldest files go, never the one that is written."""
        files = files_of(self.folder)
        sizes = {path: path.stat().st_size for path in files}
        total = sum(sizes.values())
        for path in files:
            if total <= self._bounds.total_bytes or path == self._path:
                return
            path.unlink()
            total -= sizes[path]
            self.removed += 1


def files_of(folder: Path) -> list[Path]:
    """The files of a recording in a folder, in their order."""
    return sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name))
