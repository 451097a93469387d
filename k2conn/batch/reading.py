"""The rows of one file, from where an earlier process came to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from k2conn.batch.positions import SavedPosition
from k2conn.batch.prefix import PrefixDigest
from k2conn.codecs import Row, RowPosition
from k2conn.codecs.decoding import row_reader
from k2conn.plan import FrameEncoding
from k2conn.transports.file.source import FileSource, UnreadableFile

_PIECE = 32 * 1024
"""Bytes whose rows are Python's at a time: what they take stays in the processor's caches until it is mapped."""


class RowSource:
    """Reads one file. `position` and `digest` are those behind the rows that were given last."""

    def __init__(self, path: Path, encoding: FrameEncoding, saved: SavedPosition | None) -> None:
        """Opens the file and goes to the position. UnreadableFile where that cannot be, or what stands before it is not
        what stood there.
        """
        self._source = FileSource(path)
        self._digest = PrefixDigest()
        self.position = saved.position if saved is not None else RowPosition()
        self._behind = b""
        self._reader = row_reader(encoding, self.position)
        try:
            if saved is not None:
                self._go_to(saved)
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return self._source.size

    @property
    def done(self) -> int:
        """... of which so many were read."""
        return self._source.done

    @property
    def digest(self) -> str:
        """Of all before the position."""
        return self._digest.digest

    def close(self) -> None:
        """Lets go of the file."""
        self._source.close()

    def pieces(self) -> Iterator[list[Row]]:
        """The rows, some hundred at a time. UnreadableFile where the file cannot be read on; the rows before have been
        given then.
        """
        data = self._behind or self._source.read()
        while data:
            for at in range(0, len(data), _PIECE):
                piece = data[at : at + _PIECE]
                self._digest.add(piece)
                yield self._fed(piece, False)
            data = self._source.read()
        yield self._fed(b"", True)

    def _fed(self, data: bytes, last: bool) -> list[Row]:
        try:
            rows = self._reader.feed(data, last)
        except ValueError as error:
            raise UnreadableFile(str(error)) from None
        self.position = self._reader.position
        self._digest.move(self.position.offset)
        return rows

    def _go_to(self, saved: SavedPosition) -> None:
        offset, at, data = saved.position.offset, 0, b""
        while at < offset:
            data = self._source.read()
            if not data:
                raise UnreadableFile(f"is shorter than what was loaded of it ({offset} bytes): {_AGAIN}")
            self._digest.add(data[: offset - at])
            at += len(data)
        self._digest.move(offset)
        self._behind = data[len(data) - (at - offset) :]
        if self.digest != saved.digest:
            raise UnreadableFile(f"has changed in what was loaded of it ({offset} bytes): {_AGAIN}")


_AGAIN = "--again loads it from its beginning"
