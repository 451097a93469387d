"""Files of rows: csv and JSON lines, in pieces of any size, and every way to break one."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn import native
from k2conn.codecs import CODECS, FileFormat, Row, RowPosition, RowReader
from k2conn.codecs.csv import CsvReader
from k2conn.codecs.decoding import decoder
from k2conn.codecs.encoding import encoder
from k2conn.codecs.jsonlines import JsonLineReader
from k2conn.codecs.lines import ROW_BYTES
from k2conn.compiler.compiler import check_text
from k2conn.errors import RecordError
from k2conn.plan import FrameEncoding
from tests.support.plans import HEAD

ABC = ("a", "b", "c")


def fed(reader: RowReader, data: bytes, piece: int = 1 << 18) -> list[Row]:
    """All rows of a file that comes in pieces."""
    rows: list[Row] = []
    for at in range(0, len(data), piece):
        rows += reader.feed(data[at : at + piece], False)
    return rows + reader.feed(b"", True)


def told(rows: list[Row]) -> list[Any]:
    """Line and message of rows, or what is wrong with them."""
    return [(line, f"{one.reason}: {one.detail}" if isinstance(one, RecordError) else one) for line, _, one in rows]


def test_rows_are_objects_of_texts_and_empty_cells_are_null() -> None:
    rows = fed(CsvReader(ABC), b"1,2,3\n\n4,,\r\n,,\n")
    assert told(rows) == [(1, {"a": "1", "b": "2", "c": "3"}), (3, {"a": "4", "b": None, "c": None}),
                          (4, {"a": None, "b": None, "c": None})]
    assert [raw for _, raw, _ in rows] == ["1,2,3", "4,,", ",,"]


def test_a_header_line_names_the_columns_wherever_it_stands() -> None:
    reader = CsvReader()
    assert told(fed(reader, b"\xef\xbb\xbf\n a ,b\n1,2\n")) == [(3, {"a": "1", "b": "2"})]
    assert (reader.columns, reader.position) == (("a", "b"), RowPosition(14, 3, 1, ("a", "b")))


@pytest.mark.parametrize(
    ("reader", "data", "why"),
    [
        (CsvReader(), b"a,a\n", "two columns are named 'a'"), (CsvReader(), b"a,\n", "a column has no name"),
        (CsvReader(), b"\xffa,b\n", "cannot be read: no UTF-8"), (CsvReader(), b'"a\n', "cannot be read: a quote"),
        (CsvReader(ABC, header=True), b"a,b\n", "names a, b, and `columns` a, b, c"),
        (CsvReader(ABC), "1,2,3\n".encode("utf-16"), "UTF-16"), (JsonLineReader(), "{}".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_file_that_is_none(reader: RowReader, data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        fed(reader, data)


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (b"1,2\n", "malformed-frame: the row has 2 cells, and there are 3 columns"),
        (b"1,2,3,4\n", "malformed-frame: the row has 4 cells, and there are 3 columns"),
        (b'1,"2,3\n', "malformed-frame: a quote that is not closed"),
        (b'1,2",3\n', "malformed-frame: a quote inside a cell that does not begin with one"),
        (b'1,"2"x,3\n', "malformed-frame: text behind a closing quote"),
        (b"1,\0,3\n", "malformed-frame: a NUL is in it"),
        (b"1,\xff,3\n", "malformed-frame: no UTF-8 text: invalid start byte at byte 2"),
        (b"1," + b"x" * ROW_BYTES + b",3\n", f"frame-too-large: a row has at most {ROW_BYTES} bytes"),
        (b'1,"' + (b"x" * 31 + b"\n") * (ROW_BYTES // 16), "malformed-frame: a quote that is not closed"),
    ],
    ids=["less", "more", "open", "inside", "behind", "nul", "utf8", "large", "large open"],
)
@pytest.mark.parametrize("piece", [50_000, 1 << 18])
def test_a_broken_row_takes_no_other_with_it(data: bytes, wrong: str, piece: int) -> None:
    good = {"a": "1", "b": "2", "c": "3"}
    reader = CsvReader(ABC)
    whole = b"1,2,3\n" + data + b"1,2,3\n"
    rows = told(fed(reader, whole, piece))
    assert rows[0] == (1, good)
    assert rows[1] == (2, wrong)
    assert rows[-1][1] == good
    assert (reader.position.row, reader.position.offset) == (len(rows), len(whole))
    assert rows[-1][0] == reader.position.line


def test_a_row_without_end_is_kept_in_part_only() -> None:
    reader = CsvReader(ABC)
    for _ in range(40):
        assert reader.feed(b"x" * (1 << 18), False) == []
    assert len(reader._rest) < 1 << 17
    ((line, raw, error),) = reader.feed(b"", True)
    assert (line, len(raw)) == (1, (1 << 16) + 1)
    assert isinstance(error, RecordError)
    assert reader.position == RowPosition(40 << 18, 1, 1, unended=True)


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=6)
TABLES = st.lists(st.tuples(CELLS, CELLS, CELLS).filter(lambda row: any(row)), max_size=12)


@given(TABLES, st.integers(1, 40), st.sampled_from(["\n", "\r\n"]))
def test_what_csv_writes_is_read_in_pieces_of_any_size(table: list[Any], piece: int, end: str) -> None:
    file = io.StringIO()
    csv.writer(file, lineterminator=end).writerows(table)
    data = file.getvalue().encode()
    if end == "\r\n":
        table = [tuple(cell.replace("\n", "\n") for cell in row) for row in table]
    reader = CsvReader(ABC)
    found = [message for _, _, message in fed(reader, data, piece)]
    assert found == [dict(zip(ABC, [cell or None for cell in row], strict=True)) for row in table]
    assert reader.position.offset == len(data)


def in_both(columns: tuple[str, ...], data: bytes, delimiter: str, piece: int) -> list[list[Row]]:
    """The rows by the part in C, and by Python."""
    found, table = [], native.table
    for native.table in (table, None):
        try:
            found.append(fed(CsvReader(columns, delimiter=delimiter), data, piece))
        finally:
            native.table = table
    return found


UNQUOTED = st.text(st.sampled_from("ab1,;\n\u00e5\U0001f600\u20ac "), max_size=60)


@pytest.mark.skipif(native.table is None, reason="k2conn/native is not built here (no C compiler)")
@given(UNQUOTED, st.integers(1, 40), st.sampled_from([",", ";", "\u00e5", "\u20ac"]), st.integers(1, 3))
def test_the_part_in_c_reads_the_same(text: str, piece: int, delimiter: str, width: int) -> None:
    in_c, in_python = in_both(ABC[:width], text.encode(), delimiter, piece)
    assert list(map(repr, in_c)) == list(map(repr, in_python))


@pytest.mark.skipif(native.table is None, reason="k2conn/native is not built here (no C compiler)")
@pytest.mark.parametrize("end", [b"", b"\n", b'\n"x"\n'])
def test_whichever_way_a_block_is_read_a_carriage_return_counts_alike(end: bytes) -> None:
    """A quote in the block makes it be read line by line."""
    def read(data: bytes) -> list[Any]:
        reader = CsvReader(("a",))
        return [*fed(reader, data), reader.position.line]

    assert read(b"1\n\r" + end) == [(1, "1", {"a": "1"}), *([(3, '"x"', {"a": "x"})] if b"x" in end else []),
                                     3 if b"x" in end else 2]
    assert read(b"\r\r" + end)[0] == (1, "\r", {"a": "\r"})


@pytest.mark.skipif(native.table is None, reason="k2conn/native is not built here (no C compiler)")
def test_what_the_part_in_c_says_no_to() -> None:
    assert native.table("1,,3\n4,5,6", ABC, ",", 7) == [
        (8, "1,,3", {"a": "1", "b": None, "c": "3"}), (9, "4,5,6", {"a": "4", "b": "5", "c": "6"}),
    ]
    assert native.table("", ABC, ",", 0) == []
    assert [native.table(text, ABC, ",", 0) for text in ("1,2", "1,2,3,4", "1,2,3\n\n4,5,6", "\n", ",,,")] == [None] * 5
    assert native.table("1", (), ",", 0) is None
    wrong: list[tuple[Any, ...]] = [
        (b"1,2,3", ABC, ",", 0), ("1", ["a"], ",", 0), ("1", ABC, ",,", 0), ("1", ([],), ",", 0), ()]
    for given_ in wrong:
        with pytest.raises(TypeError):
            native.table(*given_)


LINES = [b"1,2,3", b'"', b'x,"y', b"\0", b"\xff", b"", b'1,"2\n2",3', b'"""', b"\r"]


@given(st.lists(st.sampled_from(LINES), max_size=12), st.integers(1, 30), st.data())
def test_pieces_and_going_on_change_nothing(lines: list[bytes], piece: int, data: st.DataObject) -> None:
    """A file in one piece, in small ones, and from any position on: the same rows, with the same numbers."""
    whole = b"\n".join(lines)
    expected = fed(CsvReader(ABC), whole)
    assert told(fed(CsvReader(ABC), whole, piece)) == told(expected)
    reader, rows = CsvReader(ABC), list[Row]()
    for at in range(0, len(whole), piece):
        rows += reader.feed(whole[at : at + piece], False)
        if data.draw(st.booleans()):
            position = reader.position
            reader = CsvReader(ABC, position=position)
            reader.feed(whole[position.offset : at + piece], False)
            assert reader.position == position
    assert told(rows + reader.feed(b"", True)) == told(expected)


def test_a_file_that_grows_behind_a_row_without_end() -> None:
    reader = CsvReader(ABC)
    assert len(fed(reader, b"1,2,3\n4,5,6")) == 2
    assert reader.position.unended
    again = CsvReader(ABC, position=reader.position)
    assert told(fed(again, b"\n7,8,9\n")) == [(3, {"a": "7", "b": "8", "c": "9"})]
    cut = CsvReader(ABC, position=reader.position)
    rows = told(fed(cut, b"66\n7,8,9\n"))
    assert rows == [(2, "malformed-frame: stands behind a row that was read when its line had no end yet"),
                    (3, {"a": "7", "b": "8", "c": "9"})]


def test_json_lines_are_objects_with_exact_numbers() -> None:
    data = b'\xef\xbb\xbf{"p":64000.10}\r\n\n[1]\n{"p":\n{"s":"\xff"}\n{"n":1}'
    rows = told(fed(JsonLineReader(), data, 7))
    assert rows[0] == (1, {"p": Decimal("64000.10")})
    assert rows[1] == (3, "malformed-frame: a row is a JSON object")
    assert [line for line, _ in rows] == [1, 3, 4, 5, 6]
    assert all("malformed-frame" in str(one) for _, one in rows[1:4])
    assert rows[4] == (6, {"n": 1})


def test_a_frame_is_one_row() -> None:
    declared = FrameEncoding(("csv",), ("csv",), settings={"columns": ABC, "delimiter": ";"})
    assert decoder(declared)("1;2;") == {"a": "1", "b": "2", "c": None}
    encoded = encoder(declared)(b'{"a":"x;\\"y","b":1.50}')
    assert decoder(declared)(encoded) == {"a": 'x;"y', "b": "1.50", "c": None}
    named = FrameEncoding(("csv",), ("csv",))
    assert decoder(named)("a,b\n1,2") == {"a": "1", "b": "2"}
    assert encoder(named)(b'{"a":true,"b":null}') == b"a,b\ntrue,"
    for frame in ("1;2", "1;2;3\n4;5;6", ""):
        with pytest.raises(RecordError):
            decoder(declared)(frame)


def test_every_format_of_rows_is_one_file() -> None:
    assert [name for name in CODECS.built_in if isinstance(CODECS.get(name), FileFormat)] == ["csv", "jsonlines"]


STREAM = """
streams:
  trade:
    when: "@"
    fields: {symbol: s, trade_id: i, price: p, quantity: q, timestamp: {from: t, unit: ms}, side: {value: UNKNOWN}}
"""


@pytest.mark.parametrize(
    ("connection", "problem"),
    [
        ("url: file:///etc/passwd\n  codec: csv", "the command line says: write `url: file://` and nothing behind it"),
        ("url: file://", "files say what their rows are: `codec: {text: FORMAT}`"),
        ("url: file://\n  codec: json", "files say what their rows are"),
        ("url: file://\n  codec: {text: gzip+csv}", "'gzip' does not read text frames"),
        ("url: file://\n  codec: {text: csv, binary: csv}", "leave `binary` out"),
        ("url: file://\n  codec: csv\n  heartbeat: {every: 3s}", "`heartbeat` means nothing beside `url: file://`"),
        ("url: file://\n  codec: {text: csv, columns: [a, a]}", "two columns are named 'a'"),
        ("url: file://\n  codec: {text: csv, header: false}", "without a header line, `columns` names the columns"),
        ('url: file://\n  codec: {text: csv, delimiter: "\\""}', "`delimiter` is one character"),
        ("url: file://\n  codec: {text: jsonlines, columns: [a]}", "`columns` is for the codec `csv`"),
    ],
)
def test_what_a_connector_of_files_cannot_say(connection: str, problem: str, tmp_path: Any) -> None:
    plan, problems = check_text("venue.yaml", f"{HEAD}connection:\n  {connection}\n{STREAM}", tmp_path)
    assert plan is None
    assert any(problem in one.text for one in problems), problems
