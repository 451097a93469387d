"""CSV, as RFC 4180 has it: a row is an object of its columns' names, every value a text, an empty cell null.

The names are declared, or those of a header line. A row with another number of cells, with a quote out of place, with a
NUL or no UTF-8, is no message; its neighbours are. A quote that is never closed takes no other row with it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count, repeat

from k2conn import exactjson, native
from k2conn.codecs.component import FileFormat, Row, RowPosition, Setting, Settings
from k2conn.codecs.lines import ROW_BYTES, LineReader, malformed, text_of, too_large
from k2conn.codecs.quoted_cells import QuotedCells
from k2conn.errors import RecordError
from k2conn.plan import Json

_COMMA = ","
_COLUMNS = 1000
_START = RowPosition()


class Csv(FileFormat):
    """Comma-separated values."""

    description = "comma-separated values, a row a frame; the rows of [files](files.md)"
    text = True
    shallow = True
    settings = (
        Setting("columns", "the names of the columns, where no header line has them", required=False),
        Setting("header", "whether the first line names the columns; true where `columns` is not said", required=False),
        Setting("delimiter", "the character between two cells; a comma where not said", required=False),
    )

    def check(self, settings: Settings) -> None:
        """Whether there are columns, each once."""
        columns, header = _columns(settings), settings.get("header")
        if header not in (None, "true", "false"):
            raise ValueError("`header` is true or false")
        if columns is None and header == "false":
            raise ValueError("without a header line, `columns` names the columns")
        if columns is not None:
            _check(columns)
        if _delimiter(settings) in ('"', "\r", "\n", "\0") or len(_delimiter(settings)) != 1:
            raise ValueError("`delimiter` is one character, and neither a quote nor an end of line")

    def reader(self, settings: Settings, limit: int, position: RowPosition = _START) -> CsvReader:
        """See `FileFormat`."""
        return CsvReader(_columns(settings), _header(settings), _delimiter(settings), limit, position)

    def decoder(self, settings: Settings) -> Callable[[bytes], Json]:
        """One row; where there are header lines, that and one row."""

        def decode(data: bytes) -> Json:
            rows = self.reader(settings, ROW_BYTES).feed(data, True)
            if len(rows) != 1:
                raise ValueError(f"a frame is one row, not {len(rows)}")
            message = rows[0][2]
            if isinstance(message, RecordError):
                raise ValueError(message.detail)
            return message

        return decode

    def encoder(self, settings: Settings) -> Callable[[bytes], bytes | None]:
        """An object's values as a row; None for what is no object, or has other keys than the columns."""
        columns, header, delimiter = _columns(settings), _header(settings), _delimiter(settings)

        def encode(text: bytes) -> bytes | None:
            try:
                value = exactjson.decode(text)
            except exactjson.JsonError:
                return None
            if not isinstance(value, dict) or (columns is not None and not value.keys() <= set(columns)):
                return None
            names = list(columns or value)
            file = io.StringIO()
            writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
            if header:
                writer.writerow(names)
            cells = [value.get(name) for name in names]
            writer.writerow(["" if cell is None else cell if type(cell) is str else exactjson.spell(cell)
                             for cell in cells])
            return file.getvalue().removesuffix("\n").encode()

        return encode


class CsvReader(LineReader):
    """The rows of one file. ``columns`` None: the header line's."""

    def __init__(
        self, columns: tuple[str, ...] | None = None, header: bool | None = None, delimiter: str = _COMMA,
        limit: int = ROW_BYTES, position: RowPosition = _START,
    ) -> None:
        super().__init__(limit, position)
        self.columns = position.columns or columns or ()
        self._declared = columns
        header = columns is None if header is None else header
        self._awaits_header = header and position.columns is None
        self._delimiter = delimiter

    def _rows(self, block: bytes, last: bool) -> tuple[list[Row], int]:
        odd = b'"' in block or b"\0" in block or block.endswith(b"\r")
        if self._awaits_header or odd or len(block) > self.limit:
            return self._careful(block, last)
        try:
            text = block.decode()
        except UnicodeDecodeError:
            return self._careful(block, last)
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        if (table := native.table) is not None:
            found: list[Row] | None = table(text, self.columns, self._delimiter, self._line)
            if found is not None:
                self._line += len(found)
                return found, len(block)
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        columns, delimiter, width, number = self.columns, self._delimiter, len(self.columns), self._line
        whole = [[cell or None for cell in line.split(delimiter, width)] for line in lines]
        if set(map(len, whole)) == {width} and all(lines):  # mostly; the loops of C are a third quicker
            self._line += len(lines)
            made = map(dict, map(zip, repeat(columns), whole))
            return list(zip(count(number + 1), lines, made, strict=False)), len(block)
        rows: list[Row] = []
        for line, cells in zip(lines, whole, strict=True):
            number += 1
            if len(cells) != width or not line:
                if line:
                    rows.append((number, line, self._miscounted(line.count(delimiter) + 1)))
                continue
            rows.append((number, line, dict(zip(columns, cells, strict=True))))
        self._line = number
        return rows, len(block)

    # -- rows that need a closer look

    def _careful(self, block: bytes, last: bool) -> tuple[list[Row], int]:
        """The same for any block: line by line, each judged by itself."""
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        rows: list[Row] = []
        at = used = 0
        while at < len(lines):
            taken, raw, cells = self._next(lines, at, last)
            if not taken:
                break
            if raw.removesuffix(b"\r"):
                self._take(rows, raw, cells)
            self._line += taken
            used += len(raw) + 1
            at += taken
        return rows, min(used, len(block))

    def _next(self, lines: list[bytes], at: int, last: bool) -> tuple[int, bytes, list[str] | RecordError]:
        """The row that begins at a line: how many lines it has (0: it goes on behind the block), its bytes, and its
        cells or what is wrong with it. What goes on too far, or never ends, is one line that is wrong.
        """
        cells, size = QuotedCells(self._delimiter), 0
        for end in range(at, len(lines)):
            size += len(lines[end]) + 1
            if size - 1 > self.limit:
                wrong = too_large(self.limit) if end == at else malformed("a quote that is not closed")
                return 1, lines[at], wrong
            try:
                if cells.add(text_of(lines[end]).removesuffix("\r")):
                    return end - at + 1, b"\n".join(lines[at : end + 1]), cells.cells
            except RecordError as error:
                return 1, lines[at], error if end == at else malformed("a quote that is not closed")
            except ValueError as error:
                wrong = malformed(str(error) if end == at else f"a quote that is not closed: {error}")
                return 1, lines[at], wrong
        if not last and size - 1 <= self.limit:
            return 0, b"", []
        return 1, lines[at], malformed("a quote that is not closed")

    def _take(self, rows: list[Row], raw: bytes, cells: list[str] | RecordError) -> None:
        """One row, or the header line."""
        if self._awaits_header:
            self._read_header(cells)
            return
        line = self._line + 1
        if isinstance(cells, RecordError):
            rows.append((line, _readable(raw), cells))
        elif len(cells) != len(self.columns):
            rows.append((line, _readable(raw), self._miscounted(len(cells))))
        else:
            given = [cell or None for cell in cells]
            rows.append((line, _readable(raw), dict(zip(self.columns, given, strict=True))))

    def _read_header(self, cells: list[str] | RecordError) -> None:
        if isinstance(cells, RecordError):
            raise ValueError(f"the header line cannot be read: {cells.detail}")
        names = tuple(cell.strip() for cell in cells)
        if self._declared is not None and names != self._declared:
            shown = ", ".join(names)[:200]
            raise ValueError(f"the header line names {shown}, and `columns` {', '.join(self._declared)[:200]}")
        try:
            _check(names)
        except ValueError as error:
            raise ValueError(f"the header line: {error}") from None
        self.columns = names
        self._awaits_header = False
        self.position = replace(self.position, columns=names)

    def _miscounted(self, count: int) -> RecordError:
        return malformed(f"the row has {count} cells, and there are {len(self.columns)} columns")


def _readable(raw: bytes) -> str | bytes:
    try:
        return raw.decode().removesuffix("\r")
    except UnicodeDecodeError:
        return raw


def _columns(settings: Settings) -> tuple[str, ...] | None:
    said = settings.get("columns")
    return said if isinstance(said, tuple) else None


def _header(settings: Settings) -> bool:
    return settings.get("header", "true" if "columns" not in settings else "false") == "true"


def _delimiter(settings: Settings) -> str:
    return str(settings.get("delimiter", _COMMA))


def _check(columns: Sequence[str]) -> None:
    """ValueError where columns have no names, or the same."""
    if len(columns) > _COLUMNS:
        raise ValueError(f"there are at most {_COLUMNS} columns")
    if "" in columns:
        raise ValueError("a column has no name")
    twice = next((name for name in columns if list(columns).count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two columns are named '{twice[:60]}'")


CODEC = Csv()
