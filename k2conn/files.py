"""Files that are this user's own, in folders that nobody else may write to; and files replaced as a whole, durably.

A folder that others may write to can hold links and files that somebody prepared. So what is kept for the next process
is in folders of this user (or of root) that not everybody may write to, and is opened without following a link. What
is found there and cannot be used is set aside by another name, never removed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
from pathlib import Path

FOLDER_MODE, FILE_MODE = 0o700, 0o600
ASIDE = ".unusable"
"""What a file's name ends with when it was set aside."""
ASIDES = 100
"""Files of one name that are set aside; the next one is left where it is."""
_SPECIAL = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class UnsafePathError(OSError):
    """Something is there that this user did not make, or that others can change."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(errno.EPERM, f"{path} {reason}")


def check_folder(path: Path, link: bool = False) -> None:
    """UnsafePathError where a folder is another user's or everybody may write to it, or where it is a link; with
    ``link``, one that this user or root put there is followed. OSError where there is none.
    """
    found = path.lstat()
    if link and stat.S_ISLNK(found.st_mode):
        _check_owner(path, found)
        found = path.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafePathError(path, "is no folder")
    _check_owner(path, found)
    if found.st_mode & stat.S_IWOTH:
        raise UnsafePathError(path, "is a folder that everybody may write to: chmod o-w")


def make_folder(path: Path, link: bool = False) -> None:
    """Makes a folder for this user alone, and those above it, where there is none; else see `check_folder`."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=FOLDER_MODE, parents=True)
    check_folder(path, link)


def open_own(path: Path, flags: int) -> int:
    """Opens (with O_CREAT makes) a file: its descriptor. UnsafePathError where it is a link, no plain file, another
    user's, or has another name beside this one.
    """
    try:
        file = os.open(path, flags | _SPECIAL, FILE_MODE)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise UnsafePathError(path, "is a link, or no plain file") from None
        raise
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise UnsafePathError(path, "is no plain file")
        if found.st_nlink > 1:
            raise UnsafePathError(path, "has another name elsewhere")
        _check_owner(path, found)
    except OSError:
        os.close(file)
        raise
    return file


def read_own(path: Path, most: int) -> bytes:
    """What is in a file (see `open_own`). UnsafePathError where it is larger than ``most`` bytes."""
    check_folder(path.parent, link=True)
    with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise UnsafePathError(path, f"is larger than {most} bytes")
    return data


def set_aside(path: Path) -> Path:
    """Gives what is there (a link itself, not what it leads to) a name that nothing uses; that name. OSError where that
    cannot be.
    """
    for number in range(1, ASIDES + 1):
        aside = path.with_name(f"{path.name}{ASIDE}" + (f"-{number}" if number > 1 else ""))
        if not os.path.lexists(aside):
            os.rename(path, aside)
            return aside
    raise OSError(errno.EEXIST, f"{ASIDES} others were set aside before it", str(path))


def write_whole(path: Path, data: bytes) -> None:
    """Replaces a file as a whole, durably, and makes its folder where need be. OSError where that fails."""
    beside = path.with_name(f"{path.name}.new")
    make_folder(path.parent, link=True)
    beside.unlink(missing_ok=True)  # what an earlier process did not finish
    with os.fdopen(open_own(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    with contextlib.suppress(OSError):  # not every system can
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes new names and renames in a folder durable. OSError where the system cannot."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock_file(path: Path) -> int | None:
    """The handle of a file (made where need be) that no other process has locked, locked until it is closed or the
    process ends; None where another has it. OSError where it cannot be opened.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def unwritable(folder: Path) -> str:
    """Why nothing could be written into a folder, which need not exist yet; empty where something could. Leaves
    nothing.
    """
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return f"{place} is no folder"
    if not os.access(place, os.W_OK | os.X_OK):
        return f"{place} cannot be written to"
    try:
        with tempfile.TemporaryFile(dir=place):
            return ""
    except OSError as error:
        return f"{place}: {error.strerror or error}"
def _check_owner(path: Path, found: os.stat_result) -> None:
    if found.st_uid not in (os.geteuid(), 0):
        raise UnsafePathError(path, f"belongs to another user (uid {found.st_uid})")
