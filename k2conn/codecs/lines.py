"""What the formats of rows have in common: a file in pieces becomes whole lines, bounded, with their place counted.

Lines end with LF or CRLF. A byte order mark before the first is no part of it. Empty lines are no rows.
"""

from __future__ import annotations

from abc import abstractmethod
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from dataclasses import replace

from k2conn.codecs.component import Row, RowPosition, RowReader
from k2conn.errors import RecordError

ROW_BYTES = 1 << 20
"""Bytes that a row may have, unless its connector says less."""
_KEPT = 1 << 16
"""Bytes of a larger one that are kept for its dead letter, and one more to show that it is cut."""


class LineReader(RowReader):
    """Cuts a file into blocks of whole lines; a format says what rows are in a block."""

    def __init__(self, limit: int = ROW_BYTES, position: RowPosition = RowPosition()) -> None:  # noqa: B008 - frozen
        self.limit = min(limit, ROW_BYTES)
        self.position = position
        self._rest = b""
        self._began = position.offset > 0
        self._skipped = 0
        """Bytes of a row that is too large and not yet over."""

    def feed(self, data: bytes, last: bool) -> list[Row]:
        """See `RowReader`."""
        data = self._rest + data if self._rest else data
        if not self._began:
            if len(data) < len(BOM_UTF8) and not last:
                self._rest = data
                return []
            data = self._begin(data)
        rows: list[Row] = []
        if self._skipped:
            data = self._skip(data, last, rows)
            if self._skipped:
                return rows
        if self.position.unended and data:
            data = self._go_on(data, last, rows)
        cut = len(data) if last else data.rfind(b"\n") + 1
        if cut:
            rows += self._block(data[:cut], last or len(data) - cut > self.limit)
        used = self._used if cut else 0
        self._rest = data[used:] if used else data
        if len(self._rest) > self.limit and not self._skipped and b"\n" not in self._rest:
            self._skipped, self._rest = len(self._rest), self._rest[: _KEPT + 1]
        return rows

    @abstractmethod
    def _rows(self, block: bytes, last: bool) -> tuple[list[Row], int]:
        """The rows of a block of whole lines (of the last one, the end may be missing), and the bytes that they take:
        all, or all up to a row that goes on behind the block (not with ``last``: nothing that comes can end it).
        `_line` is the line before the block, and is moved on.
        """

    _line = 0
    _used = 0

    def _block(self, block: bytes, last: bool) -> list[Row]:
        self._line = self.position.line
        rows, used = self._rows(block, last)
        self._used = used
        self.position = replace(
            self.position, offset=self.position.offset + used, line=self._line, row=self.position.row + len(rows),
            unended=last and used > 0 and block[used - 1 : used] != b"\n",
        )
        return rows

    def _begin(self, data: bytes) -> bytes:
        """The data without its byte order mark; ValueError for one of another encoding."""
        self._began = True
        if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
            raise ValueError("is UTF-16: save it as UTF-8")
        if not data.startswith(BOM_UTF8):
            return data
        self.position = replace(self.position, offset=len(BOM_UTF8))
        return data[len(BOM_UTF8) :]

    def _skip(self, data: bytes, last: bool, rows: list[Row]) -> bytes:
        """Goes over what is left of a row that is too large; what comes behind it."""
        kept, fresh = len(self._rest), data[len(self._rest) :]
        end = fresh.find(b"\n") + 1
        if not end and not last:
            self._skipped += len(fresh)
            self._rest = data[:kept]
            return b""
        end = end or len(fresh)
        size, self._skipped, self._rest = self._skipped + end, 0, b""
        self._single(rows, data[:kept], size, last and end == len(fresh) and not fresh.endswith(b"\n"),
                     too_large(self.limit))
        return fresh[end:]

    def _go_on(self, data: bytes, last: bool, rows: list[Row]) -> bytes:
        """The end of a line whose beginning was taken for a row, when the file ended there."""
        self.position = replace(self.position, unended=False)
        end = data.find(b"\n") + 1 or len(data)
        if data[:end] in (b"\n", b"\r\n"):
            self.position = replace(self.position, offset=self.position.offset + end)
        else:
            error = malformed("stands behind a row that was read when its line had no end yet")
            self._single(rows, data[:end][: _KEPT + 1], end, last and not data[:end].endswith(b"\n"), error, lines=0)
        return data[end:]

    def _single(
        self, rows: list[Row], raw: bytes, size: int, unended: bool, error: RecordError, lines: int = 1
    ) -> None:
        position = self.position
        rows.append((position.line + 1 if lines else position.line, raw, error))
        self.position = replace(position, offset=position.offset + size, line=position.line + lines,
                                row=position.row + 1, unended=unended)


def malformed(detail: str) -> RecordError:
    """Why a row is no message."""
    return RecordError("row", None, None, "malformed-frame", detail)


def too_large(limit: int) -> RecordError:
    """... because of its size."""
    return RecordError("row", None, None, "frame-too-large", f"a row has at most {limit} bytes")


def text_of(line: bytes) -> str:
    """The text of a line; RecordError where it is none."""
    if b"\0" in line:
        raise malformed("a NUL is in it")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise malformed(f"no UTF-8 text: {error.reason} at byte {error.start}") from None
