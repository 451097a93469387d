"""The spool's files: written, forced to the disk, read and removed in one thread, off the event loop.

With one thread the order of the calls is the order of what happens. Every write says where in the file it goes, so
one that failed half way is simply made again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from struct import Struct
from typing import TypeVar

from k2conn.files import UnsafePathError, open_own, set_aside, sync_folder
from k2conn.spool.names import LAST_NUMBER, MARK
from k2conn.spool.segment import SpoolSegment

_MARK = Struct("<QQ")
_SUM = Struct("<I")

T = TypeVar("T")

log = logging.getLogger("k2conn.spool")


class Disk:
    """The files of the segments in any number of folders."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._files: dict[SpoolSegment, int] = {}
        self._unsynced: set[SpoolSegment] = set()
        self._new_in: set[Path] = set()

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Do ``work`` (one of the methods below, or a function) in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def end(self) -> None:
        """Close the files and end the thread, once it has done what it was asked. Blocks."""
        self._thread.submit(self._close_all).result()
        self._thread.shutdown()

    # --- in the thread

    def write(self, parts: Sequence[tuple[SpoolSegment, bytes]]) -> tuple[int, OSError | None]:
        """Append to segments, as far as the disk takes it. How many parts are with the operating system as a whole, and
        why the next one is not.
        """
        for count, (segment, data) in enumerate(parts):
            try:
                self._append(segment, data)
            except OSError as error:
                return count, error.with_traceback(None)  # which would keep the data for as long as the error is kept
        return len(parts), None

    def _append(self, segment: SpoolSegment, data: bytes) -> None:
        file, at = self._file(segment, True), segment.written
        self._unsynced.add(segment)
        rest = memoryview(data)
        while rest:
            count = os.pwrite(file, rest, at)
            rest, at = rest[count:], at + count

    def sync(self) -> None:
        """Force what was written to the disk, new files' names too."""
        for segment in tuple(self._unsynced):
            if segment in self._files:
                os.fdatasync(self._files[segment])
            self._unsynced.discard(segment)
        for folder in tuple(self._new_in):
            sync_folder(folder)
            self._new_in.discard(folder)

    def read(self, segment: SpoolSegment, at: int, size: int) -> bytes:
        """Up to ``size`` bytes of a segment."""
        return os.pread(self._file(segment), size, at)

    def remove(self, segments: Sequence[SpoolSegment]) -> None:
        """Remove files; those that are gone already are not missed."""
        for segment in segments:
            self._close(segment)
            segment.path.unlink(missing_ok=True)

    def set_aside(self, segment: SpoolSegment) -> Path:
        """Give a file that cannot be used another name; that name. OSError where that cannot be."""
        self._close(segment)
        return set_aside(segment.path)

    def open(self, segment: SpoolSegment) -> int:
        """Open a file that an earlier process left; its size. OSError where that cannot be."""
        file = self._files[segment] = open_own(segment.path, os.O_RDWR)
        return os.fstat(file).st_size

    def cut(self, segments: Sequence[SpoolSegment]) -> None:
        """Take off what a failed write left behind the last whole one."""
        for segment in segments:
            if segment in self._files:
                os.ftruncate(self._files[segment], segment.written)

    def mark(self, folder: Path, number: int, offset: int) -> None:
        """Note that everything before ``offset`` of segment ``number`` is done with.

        Not forced to the disk: an old mark costs repeats, which readers tell by their message_id.
        """
        body = _MARK.pack(number, offset)
        file = open_own(folder / MARK, os.O_WRONLY | os.O_CREAT)
        try:
            os.pwrite(file, body + _SUM.pack(zlib.crc32(body)), 0)
        finally:
            os.close(file)

    def _file(self, segment: SpoolSegment, new: bool = False) -> int:
        file = self._files.get(segment)
        if file is None:
            flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if new and not segment.written else 0)
            try:
                file = open_own(segment.path, flags)
            except FileExistsError:
                log.error("spool: %s was in the way, it is %s now", segment.path, set_aside(segment.path).name)
                file = open_own(segment.path, flags)
            self._files[segment] = file
            self._new_in.add(segment.path.parent)
        return file

    def _close(self, segment: SpoolSegment) -> None:
        file = self._files.pop(segment, None)
        if file is not None:
            os.close(file)
        self._unsynced.discard(segment)

    def _close_all(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()


def read_mark(folder: Path) -> tuple[int, int]:
    """What ``mark`` noted; nothing (0, 0) where it is missing or damaged. What is there and cannot be one is set aside.
    OSError where that cannot be.
    """
    path = folder / MARK
    try:
        file = open_own(path, os.O_RDONLY)
    except FileNotFoundError:
        return 0, 0
    except UnsafePathError:
        return _no_mark(path)
    try:
        data = os.read(file, _MARK.size + _SUM.size + 1)
    finally:
        os.close(file)
    if len(data) > _MARK.size + _SUM.size:
        return _no_mark(path)
    body, total = data[: _MARK.size], data[_MARK.size :]
    if len(total) == _SUM.size and _SUM.unpack(total)[0] == zlib.crc32(body):
        number, offset = _MARK.unpack(body)
        if number <= LAST_NUMBER:
            return number, offset
    if data:
        log.error("spool: %s is damaged; records that were acknowledged may be sent again", path)
    return 0, 0


def _no_mark(path: Path) -> tuple[int, int]:
    log.error("spool: %s is none of ours, it is %s now", path, set_aside(path).name)
    return 0, 0
