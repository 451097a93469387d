"""The part of the spool's folder that one process has for itself, by a lock that the system releases at its end."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from k2conn.spool.segment import SUFFIX

PARTS = 100
"""Processes that may share one folder."""


class ProcessLock:
    """A locked folder."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self._lock = lock

    def release(self) -> None:
        """Give it back; a folder with nothing left in it goes away."""
        if not _segments(self.folder):
            _remove_tree(self.folder)
            with suppress(OSError):
                self.folder.parent.rmdir()
        os.close(self._lock)


def left_over(base: Path) -> ProcessLock | None:
    """The first part with something left in it by a process that is gone; None where there is none."""
    for folder in _folders(base):
        if _segments(folder) and (lock := _locked(folder)) is not None:
            return lock
    return None


def fresh(base: Path) -> ProcessLock:
    """The first free part with nothing left in it, made if need be. OSError where the folder cannot be written to."""
    for number in range(PARTS):
        lock = _locked(base / str(number))
        if lock is None:
            continue
        if not _segments(lock.folder):
            return lock
        lock.release()
    raise OSError(f"{PARTS} processes share it already")


def abandoned(base: Path) -> list[Path]:
    """Parts with something left in them that no process has."""
    found = []
    for folder in _folders(base):
        if _segments(folder) and (lock := _locked(folder)) is not None:
            found.append(folder)
            lock.release()
    return found


def _folders(base: Path) -> list[Path]:
    return sorted(path for path in base.glob("*") if path.name.isdecimal()) if base.is_dir() else []


def _segments(folder: Path) -> bool:
    return any(folder.rglob(f"*{SUFFIX}"))


def _locked(folder: Path) -> ProcessLock | None:
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_nlink:  # else its last owner removed it meanwhile
            return ProcessLock(folder, lock)
    except BlockingIOError:
        pass
    os.close(lock)
    return None


def _remove_tree(folder: Path) -> None:
    for path in _deepest_first(folder):
        with suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()


def _deepest_first(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.rglob("*"), reverse=True)
    yield folder
