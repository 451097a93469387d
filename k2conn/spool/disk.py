"""The spool's files: written, forced to the disk, read and removed in one thread, off the event loop.

With one thread the order of the calls is the order of what happens. Every write says where in the file it goes, so
one that failed half way is simply made again.
"""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from struct import Struct
from typing import TypeVar

from k2conn.files import sync_folder
from k2conn.spool.segment import SpoolSegment

MARK = "mark"
_MARK = Struct("<QQ")
_SUM = Struct("<I")

T = TypeVar("T")


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

    def write(self, parts: Sequence[tuple[SpoolSegment, bytes]]) -> None:
        """Append to segments; all of it is with the operating system when this returns. OSError where it is not."""
        for segment, data in parts:
            file, at = self._file(segment), segment.written
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
            file = self._files.pop(segment, None)
            if file is not None:
                os.close(file)
            self._unsynced.discard(segment)
            segment.path.unlink(missing_ok=True)

    def cut(self, segment: SpoolSegment, size: int) -> None:
        """Take the torn end off a file."""
        os.ftruncate(self._file(segment), size)

    def mark(self, folder: Path, number: int, offset: int) -> None:
        """Note that everything before ``offset`` of segment ``number`` is done with.

        Not forced to the disk: an old mark costs repeats, which readers tell by their message_id.
        """
        body = _MARK.pack(number, offset)
        file = os.open(folder / MARK, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(file, body + _SUM.pack(zlib.crc32(body)), 0)
        finally:
            os.close(file)

    def _file(self, segment: SpoolSegment) -> int:
        file = self._files.get(segment)
        if file is None:
            file = self._files[segment] = os.open(segment.path, os.O_RDWR | os.O_CREAT, 0o644)
            self._new_in.add(segment.path.parent)
        return file

    def _close_all(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()


def read_mark(folder: Path) -> tuple[int, int]:
    """What ``mark`` noted; nothing (0, 0) where it is missing or torn."""
    try:
        data = (folder / MARK).read_bytes()
    except OSError:
        return 0, 0
    body, total = data[: _MARK.size], data[_MARK.size :]
    if len(total) != _SUM.size or _SUM.unpack(total)[0] != zlib.crc32(body):
        return 0, 0
    number, offset = _MARK.unpack(body)
    return number, offset
