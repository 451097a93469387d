"""The bytes of one file, decompressed, in bounded pieces.

gzip and zstd are told by their first bytes. Whatever a file says of itself, a piece has at most `PIECE` bytes.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import Any, Protocol

from k2conn.errors import SettingsError

PIECE = 1 << 18
"""Bytes of a piece."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_ZSTD_WINDOW = 1 << 27
"""The largest window of a zstd file: what zstd itself takes without being asked."""
_GZIP_PIECE, _ZSTD_PIECE = 1 << 12, 1 << 8
"""Compressed bytes that are taken at a time: they become at most a thousand times as many (gzip), or 32,000 times."""
_GZIP_FORMAT = 31
"""zlib's word for a gzip header before and a checksum behind."""


class UnreadableFile(Exception):
    """A file cannot be read, or read on; the text says why."""


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


class FileSource:
    """One file. ``offset`` counts the bytes given, decompressed."""

    def __init__(self, path: Path) -> None:
        """Opens it. UnreadableFile where it is no plain file, or cannot be opened."""
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise UnreadableFile(error.strerror or str(error)) from None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise UnreadableFile("is no plain file")
        self.size = os.fstat(handle).st_size
        """Bytes on the disk."""
        self.offset = 0
        self._file = os.fdopen(handle, "rb")
        try:
            self._reader = _reader(self._file)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()

    @property
    def done(self) -> int:
        """Bytes on the disk that were read."""
        return self._file.tell()

    def read(self) -> bytes:
        """The next piece; empty at the end. UnreadableFile where the file is damaged, or the disk is."""
        try:
            data = self._reader.read(PIECE)
        except (OSError, EOFError) as error:
            raise UnreadableFile(getattr(error, "strerror", None) or str(error)) from None
        self.offset += len(data)
        return data


def _reader(file: BufferedReader) -> _Reader:
    """What gives a file's bytes decompressed."""
    start = file.peek(4)[:4]
    if start.startswith(_GZIP):
        return _Members(file, lambda: zlib.decompressobj(_GZIP_FORMAT), zlib.error, _GZIP_PIECE)
    if start == _ZSTD:
        return _zstd(file)
    return file


class _Members:
    """A compressed file of one member or several, one behind the other."""

    def __init__(self, file: BufferedReader, make: Callable[[], Any], errors: type[Exception], piece: int) -> None:
        """``make``: a decompressor as zlib's; ``piece``: bytes it is given at a time, which bound what it gives."""
        self._file = file
        self._make = make
        self._errors = errors
        self._piece = piece
        self._member: Any = None
        self._rest = b""
        self._ready = b""

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; empty at the end. EOFError where the file ends too early."""
        while not self._ready:
            data = self._rest or self._file.read(self._piece)
            self._rest = b""
            if not data:
                if self._member is None:
                    return b""
                raise EOFError("the compressed file is cut off")
            if self._member is None:
                if not data.strip(b"\0"):  # what some tools fill blocks up with
                    continue
                self._member = self._make()
            try:
                self._ready = self._member.decompress(data)
            except self._errors as error:
                raise OSError(str(error)) from None
            if self._member.eof:
                self._rest, self._member = self._member.unused_data, None
        found, self._ready = self._ready[:size], self._ready[size:]
        return found


def _zstd(file: BufferedReader) -> _Reader:
    try:
        import zstandard
    except ImportError:
        raise SettingsError("a file is compressed with zstd: pip install 'k2conn[zstd]'") from None
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    return _Members(file, decompressor.decompressobj, zstandard.ZstdError, _ZSTD_PIECE)
