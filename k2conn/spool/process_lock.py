"""The part of the spool's folder that one process has for itself, by a lock that the system releases at its end.

Of a part only what is named like ours (see `k2conn.spool.names`) is used and, in the end, removed; all else in it
stays, and the folders that it is in.
"""

from __future__ import annotations

import fcntl
import logging
import os
from contextlib import suppress
from pathlib import Path

from k2conn.files import FOLDER_MODE, UnsafePathError, check_folder, make_folder, open_own
from k2conn.spool.names import LOCK, MAIN, MARK, PARTS, TOPICS, parts, queue_folders, segment_numbers

log = logging.getLogger("k2conn.spool")


class ProcessLock:
    """A locked folder."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self._lock = lock

    def release(self) -> None:
        """Give it back; a folder with nothing left in it goes away."""
        if not _left(self.folder):
            _remove(self.folder)
        os.close(self._lock)


def left_over(base: Path) -> ProcessLock | None:
    """The first part with something left in it by a process that is gone; None where there is none. OSError where the
    folder is not safe to use.
    """
    for folder in _parts(base):
        if _left(folder) and (lock := _locked_safely(folder)) is not None:
            return lock
    return None


def fresh(base: Path) -> ProcessLock:
    """The first free part with nothing left in it, made if need be. OSError where the folder cannot be written to, or
    is not safe to use.
    """
    make_folder(base, link=True)
    for number in range(PARTS):
        lock = _locked_safely(base / str(number))
        if lock is None:
            continue
        if not _left(lock.folder):
            return lock
        lock.release()
    raise OSError(f"{PARTS} processes share it already")


def abandoned(base: Path) -> list[Path]:
    """Parts with something left in them that no process has. OSError where the folder is not safe to use."""
    found = []
    for folder in _parts(base):
        if _left(folder) and (lock := _locked_safely(folder)) is not None:
            found.append(folder)
            lock.release()
    return found


def _parts(base: Path) -> list[Path]:
    try:
        check_folder(base, link=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return parts(base)


def _left(part: Path) -> bool:
    return any(segment_numbers(folder) for folder in queue_folders(part))


def _locked_safely(folder: Path) -> ProcessLock | None:
    try:
        return _locked(folder)
    except UnsafePathError as error:
        log.warning("spool: a part of the folder is left alone: %s", error.strerror)
        return None


def _locked(folder: Path) -> ProcessLock | None:
    make_folder(folder)
    folder.chmod(FOLDER_MODE)  # an earlier version let others read
    for inner in (folder / MAIN, folder / TOPICS):
        if os.path.lexists(inner):
            check_folder(inner)
    lock = open_own(folder / LOCK, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_nlink:  # else its last owner removed it meanwhile
            return ProcessLock(folder, lock)
    except BlockingIOError:
        pass
    os.close(lock)
    return None


def _remove(part: Path) -> None:
    """Removes what is ours and the folders that are empty then."""
    for folder in list(queue_folders(part)):
        _remove_queue(folder)
    with suppress(OSError):
        (part / TOPICS).rmdir()
    with suppress(OSError):
        if os.listdir(part) == [LOCK]:
            (part / LOCK).unlink()
            part.rmdir()
            part.parent.rmdir()


def _remove_queue(folder: Path) -> None:
    with suppress(OSError):
        os.close(open_own(folder / MARK, os.O_RDONLY))
        (folder / MARK).unlink()
    with suppress(OSError):
        folder.rmdir()
