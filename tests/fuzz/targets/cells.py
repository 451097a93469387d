"""CSV rows: any bytes in any blocks, read by the fast ways (C, Python) and line by line, give the same rows; rows
without quotes are also the cells that the standard library finds.

Run by libFuzzer, what is written in C is instrumented (`c/python_host.c`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

from k2conn import native
from k2conn.codecs.component import Row
from k2conn.codecs.csv import CsvReader
from k2conn.errors import RecordError
from tests.fuzz.draws import Draws

LIMIT = 200
COLUMNS = (("a", "b", "c"), ("a",), ("price", "\u00e9", "time", "side"), tuple(f"c{at}" for at in range(12)))
DELIMITERS = (",", ";", "\t", "\u00e9", "\U0001f600", "1")
TABLE = native.table
WORDS = (
    b"\n", b"\r\n", b",,", b'"', b'""', b"\0", b"\r", "\u00e9".encode(), "\U0001f600".encode(), b"\xff", b"1,2,3\n",
)


def seeds() -> Iterator[bytes]:
    """Columns, delimiter, bytes of the first block; the text."""
    for at, columns in enumerate(COLUMNS):
        for number, delimiter in enumerate(DELIMITERS):
            row = delimiter.join("64000.10" if name != "time" else "" for name in columns)
            for end in ("\n", "\r\n"):
                yield bytes((at, number, 9)) + (row + end).encode() * 3
    yield bytes((0, 0, 40)) + 'a,"b\n,c",d\n1,2\n1,2,3,4\n\n\u00e9,\U0001f600,\n"x'.encode()
    yield bytes((0, 0, 255)) + b"1,2,3\n\xff,2,3\n\0,2,3\n" + b"x" * 300 + b",2,3\n1,2,3"


def target(data: bytes) -> None:
    """One text in two blocks."""
    draws = Draws(data)
    columns, delimiter, first = draws.of(COLUMNS), draws.of(DELIMITERS), draws.below(256)
    text = draws.rest()
    blocks = [text[:first], text[first:]]
    given = rows(CsvReader(columns, delimiter=delimiter, limit=LIMIT), blocks)
    native.table = None
    try:
        assert given == rows(CsvReader(columns, delimiter=delimiter, limit=LIMIT), blocks), "C and Python differ"
    finally:
        native.table = TABLE
    assert given == rows(Careful(columns, delimiter=delimiter, limit=LIMIT), blocks), "the quick and the careful differ"
    if TABLE is not None:
        directly(columns, delimiter, text.decode("utf-8", "surrogateescape"))


class Careful(CsvReader):
    """One that looks at each line by itself."""

    def _rows(self, block: bytes, last: bool) -> tuple[list[Row], int]:
        return self._careful(block, last)


def rows(reader: CsvReader, blocks: list[bytes]) -> list[Any]:
    """All rows, errors by what they say, and where the reader stands; or why it is no file of rows."""
    try:
        found = [*reader.feed(blocks[0], False), *reader.feed(blocks[1], True)]
    except ValueError as error:
        return [str(error)]
    for number, line, message in found:
        assert number > 0
        assert isinstance(line, (str, bytes))
        assert isinstance(message, RecordError) or tuple(message) == reader.columns
    said = [(number, line, str(one) if isinstance(one, RecordError) else one) for number, line, one in found]
    return [*said, reader.position]


def directly(columns: tuple[str, ...], delimiter: str, text: str) -> None:
    """What C makes of a text, or that it leaves it to others."""
    found = TABLE(text, columns, delimiter, 7)
    lines = text.split("\n")[: None if text and not text.endswith("\n") else -1]
    cells = [line.split(delimiter) for line in lines]
    if not all(lines) or any(len(one) != len(columns) for one in cells):
        assert found is None
        return
    assert found == [
        (8 + at, line, dict(zip(columns, (cell or None for cell in one), strict=True)))
        for at, (line, one) in enumerate(zip(lines, cells, strict=True))
    ]
    if not any(odd in text for odd in '"\r\0'):
        again = list(csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE))
        assert [[cell or "" for cell in row.values()] for _, _, row in found] == again
