"""JSON lines: an object a line, with exact numbers."""

from __future__ import annotations

from collections.abc import Callable

from k2conn import exactjson
from k2conn.codecs.component import FileFormat, Row, RowPosition, Settings
from k2conn.codecs.lines import LineReader, malformed, text_of, too_large
from k2conn.errors import RecordError
from k2conn.plan import Json


class JsonLines(FileFormat):
    """JSON objects, a line each."""

    description = "JSON objects, one a frame; the lines of [files](files.md)"
    text = True
    shallow = True

    def reader(self, settings: Settings, limit: int, position: RowPosition) -> JsonLineReader:
        """See `FileFormat`."""
        return JsonLineReader(limit, position)

    def decoder(self, settings: Settings) -> Callable[[bytes], Json]:
        """One line."""
        return _decoded

    def encoder(self, settings: Settings) -> Callable[[bytes], bytes]:
        """JSON text is what it is given."""
        return lambda text: text


class JsonLineReader(LineReader):
    """The lines of one file."""

    def _rows(self, block: bytes, last: bool) -> tuple[list[Row], int]:
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        rows: list[Row] = []
        for line in lines:
            self._line += 1
            if not (stripped := line.strip(b" \t\r")):
                continue
            try:
                message: Json | RecordError = _decoded(stripped) if len(line) <= self.limit else too_large(self.limit)
                raw: str | bytes = text_of(stripped)
            except RecordError as error:
                message, raw = error, stripped
            except ValueError as error:
                message, raw = malformed(str(error)), stripped.decode("utf-8", "replace")
            rows.append((self._line, raw, message))
        return rows, len(block)


def _decoded(data: bytes) -> Json:
    """The object of one line; ValueError where there is none."""
    try:
        found = exactjson.decode(data)
    except exactjson.JsonError as error:
        raise ValueError(str(error)) from None
    if type(found) is not dict:
        raise ValueError("a row is a JSON object")
    return found


CODEC = JsonLines()
