"""Texts that are put together, tables beside the file, local times: as the rows of files need them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from k2conn import exactjson
from k2conn.codecs import RowPosition
from k2conn.codecs.decoding import row_reader
from k2conn.compiler.compiler import check_text
from k2conn.compiler.converters.times import times
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.row_pipeline import RowPipeline, bare_name
from k2conn.errors import RecordError
from k2conn.plan import Plan
from tests.support.in_c import both_ways

in_c = both_ways("Mapper")

SPEC = """
connector: files
exchange: VENUE
asset_class: equities
docs: https://docs.example/files
tables:
  names: {file: names.csv, key: id, value: symbol}
symbols: {default: [BHP], form: {form: "{base}", quote: AUD}, record: "{base}"}
connection: {url: "file://", codec: {text: csv, columns: [d, t, p, q]}}
streams:
  trade:
    when: "@"
    fields:
      symbol: {from: $file, look_up: $table.names}
      trade_id: {from: d, pattern: "{month}/{day}/{year}", text: "{$file}-{year}{month}{day}-{$row}"}
      price: p
      quantity: q
      timestamp: {from: d, pattern: "{month}/{day}/{year}", text: "{year}-{month}-{day}T{t}", unit: iso8601,
                  zone: Australia/Sydney}
      side: {value: UNKNOWN}
    vendor_data: {company: $file, row: $row}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "names.csv").write_text("id,symbol\n7078,BHP\n7458,RIO\n")
    return tmp_path


def compiled(folder: Path, *changes: tuple[str, str]) -> Plan:
    text = SPEC
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    plan, problems = check_text("files.yaml", text, folder)
    assert not problems
    assert plan is not None
    return plan


def mapped(plan: Plan, file: str, *rows: str) -> list[Any]:
    """The records and dead letters of the rows of a file."""
    state = ConnectorState(plan)
    pipeline = RowPipeline(state, plan.connections[0])
    pipeline.begin(file, 0)
    read = row_reader(plan.connections[0].codec, RowPosition()).feed("\n".join(rows).encode(), True)
    found = pipeline.receive(read, 1)
    assert state.ledger.balanced()
    assert state.ledger.totals()["received"] == len(rows)
    return [one.schema.decode_plain(one.value) if one.schema else exactjson.decode(one.value) for one in found]


def moment(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)


def test_a_record_has_its_place_in_its_id(folder: Path) -> None:
    rows = mapped(compiled(folder), "/data/7078.csv.gz", *["03/10/2014,10:00:00.004,1.5,2"] * 2,
                  "07/01/2014,10:00:00,1.5,2")
    assert [row["trade_id"] for row in rows] == ["VENUE-7078-20140310-1", "VENUE-7078-20140310-2",
                                                "VENUE-7078-20140701-3"]
    assert len({row["message_id"] for row in rows}) == 3
    assert [row["timestamp"] for row in rows] == [moment("2014-03-09T23:00:00.004")] * 2 + [moment("2014-07-01T00:00")]
    assert rows[2]["vendor_data"] == {"native_symbol": "BHP", "base_asset": "BHP", "quote_asset": "AUD",
                                      "company": "7078", "row": "3"}
    assert (rows[0]["symbol"], rows[0]["currency"]) == ("BHP", "AUD")


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        ("2014-03-10,10:00:00,1.5,2", "timestamp", "missing-field"), (",10:00:00,1.5,2", "timestamp", "missing-field"),
        ("03/10/2014,,1.5,2", "timestamp", "missing-field"), ("03/10/2014,25:00:00,1.5,2", "timestamp", "bad-time"),
        ("03/10/2014,10:00:61,1.5,2", "timestamp", "bad-time"), ("03/40/2014,10:00:00,1.5,2", "timestamp", "bad-time"),
        ("03/10/2014,10:00:00,x,2", "price", "bad-number"), ("03/10/2014,10:00:00,1.5,", "quantity", "missing-field"),
        ("03/10/2014,10:00:00,1.5", "row", "malformed-frame"),
    ],
)
def test_a_row_that_makes_no_record_says_where_it_stands(folder: Path, row: str, field: str, reason: str) -> None:
    good = "03/10/2014,10:00:00,1.5,2"
    first, dead, last = mapped(compiled(folder), "in/7458.csv", good, row, good)
    assert (dead["field"], dead["reason"], dead["frame"]) == (field, reason, row)
    assert (dead["file"], dead["line"], dead["row"]) == ("in/7458.csv", 2, 2)
    assert (first["trade_id"], last["trade_id"]) == ("VENUE-7458-20140310-1", "VENUE-7458-20140310-3")


def test_what_is_in_no_table(folder: Path) -> None:
    (dead,) = mapped(compiled(folder), "9999.csv", "03/10/2014,10:00:00,1.5,2")
    assert (dead["reason"], dead["detail"]) == ("missing-field", "'9999' is not in the table names")
    other = compiled(folder, ("look_up: $table.names}", "look_up: $table.names, absent: XXX}"))
    (row,) = mapped(other, "9999.csv", "03/10/2014,10:00:00,1.5,2")
    assert row["symbol"] == "XXX"


def test_a_symbol_in_a_column_and_an_id_of_the_venue(folder: Path) -> None:
    """The rows of a loader's own format: the same row again is a repeat."""
    plan = compiled(folder, ("columns: [d, t, p, q]", "columns: [s, i, d, p, q]"),
                    ("symbol: {from: $file, look_up: $table.names}", "symbol: s"),
                    ('trade_id: {from: d, pattern: "{month}/{day}/{year}", text: "{$file}-{year}{month}{day}-{$row}"}',
                     "trade_id: i"),
                    ('{from: d, pattern: "{month}/{day}/{year}", text: "{year}-{month}-{day}T{t}", unit: iso8601,\n'
                     "                  zone: Australia/Sydney}", "{from: d, unit: iso8601}"))
    state_rows = mapped(plan, "x.csv", "BHP,7,2026-01-02T03:04:05Z,1,2", "BHP,7,2026-01-02T03:04:05Z,1,2",
                        "RIO,7,2026-01-02T03:04:05Z,1,2")
    assert [(row["symbol"], row["trade_id"]) for row in state_rows] == [("BHP", "VENUE-7"), ("RIO", "VENUE-7")]


@pytest.mark.parametrize(
    ("path", "name"),
    [("a/7078.csv", "7078"), ("7078.csv.gz", "7078"), ("BHP.AX.csv.zst", "BHP.AX"), ("x", "x"), (".csv", ".csv")],
)
def test_the_bare_name_of_a_file(path: str, name: str) -> None:
    assert bare_name(path) == name


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("$table.names", "$table.name", "there is no table 'name'; did you mean 'names'?"),
        ("file: names.csv", "file: ../names.csv", "say its name without a folder"),
        ("file: names.csv", "file: gone.csv", "is no file of at most 1 MiB beside this one"),
        ("key: id", "key: no", "names.csv has no column 'no'"),
        ("file: names.csv", "file: twice.csv", "twice.csv, line 3: '1' stands there twice"),
        ("file: names.csv", "file: odd.csv", "odd.csv, line 2: the row has 1 cells, and there are 2 columns"),
        ("file: names.csv", "file: empty.csv", "empty.csv, line 2: the symbol is empty"),
        ("-{$row}\"", "-{$rows}\"", "unknown name $rows"),
        ("{year}{month}{day}-{$row}", "{$row}", "uses no part of the pattern"),
        ("-{$row}\"", "-{$row\"", "has a brace that belongs to no {name}"),
        ('text: "{$file}-{year}{month}{day}-{$row}"', 'text: "x"', "has 1 to 16 places"),
        ('pattern: "{month}/{day}/{year}", text: "{$file}-', 'text: "{$file}-', "`from` and `pattern` stand together"),
        (" zone: Australia/Sydney", " ambiguous: later", "`ambiguous` is about local times"),
    ],
)
def test_what_cannot_be(folder: Path, before: str, after: str, problem: str) -> None:
    (folder / "twice.csv").write_text("id,symbol\n1,A\n1,B\n")
    (folder / "odd.csv").write_text("id,symbol\n1\n")
    (folder / "empty.csv").write_text("id,symbol\n1,\n")
    assert SPEC.count(before) == 1
    plan, problems = check_text("files.yaml", SPEC.replace(before, after), folder)
    assert plan is None
    assert any(problem in one.text for one in problems), problems


# -- clocks that are changed


@pytest.mark.parametrize(
    ("zone", "text", "utc"),
    [
        ("Australia/Sydney", "2014-03-10T10:00:00.004", "2014-03-09T23:00:00.004"),
        ("Australia/Sydney", "2014-04-06T01:59:59.999999", "2014-04-05T14:59:59.999999"),
        ("Australia/Sydney", "2014-04-06T03:00:00", "2014-04-05T17:00:00"),
        ("Australia/Sydney", "2014-10-05T01:59:59", "2014-10-04T15:59:59"),
        ("Australia/Sydney", "2014-10-05T03:00:00", "2014-10-04T16:00:00"),
        ("Australia/Lord_Howe", "2014-10-05T02:30:00", "2014-10-04T15:30:00"),
        ("America/New_York", "2014-03-09T03:00:00", "2014-03-09T07:00:00"),
        ("Asia/Tokyo", "2014-03-10 10:00:00.1234567", "2014-03-10T01:00:00.123456"),
        ("Africa/Monrovia", "1972-01-06T23:59:59", "1972-01-07T00:44:29"),
        ("Australia/Sydney", "2014-03-10T10:00:00Z", "2014-03-10T10:00:00"),
        ("Australia/Sydney", "2014-03-10T10:00:00+01:00", "2014-03-10T09:00:00"),
    ],
)
def test_local_times(zone: str, text: str, utc: str) -> None:
    convert = times("iso8601", zone)
    assert [convert(text), convert(text)] == [moment(utc)] * 2  # the second one of what is remembered


@pytest.mark.parametrize("text", ["2014-10-05T02:00:00", "2014-10-05T02:30:00", "2014-10-05T02:59:59.999"])
def test_a_time_that_no_clock_showed(text: str) -> None:
    for ambiguous in (None, "earlier", "later"):
        with pytest.raises(RecordError, match="never shown by clocks of Australia/Sydney") as caught:
            times("iso8601", "Australia/Sydney", ambiguous)(text)  # type: ignore[arg-type]
        assert caught.value.reason == "bad-time"


@pytest.mark.parametrize("text", ["2014-04-06T02:00:00", "2014-04-06T02:59:59.999"])
def test_a_time_that_clocks_showed_twice(text: str) -> None:
    with pytest.raises(RecordError, match=r"shown twice .* `ambiguous` says which is meant"):
        times("iso8601", "Australia/Sydney")(text)
    earlier, later = (times("iso8601", "Australia/Sydney", one) for one in ("earlier", "later"))  # type: ignore[arg-type]
    assert [later(text) - earlier(text)] * 2 == [3_600_000_000, later(text) - earlier(text)]
    assert earlier(text) == moment(text) - 11 * 3_600_000_000


def test_remembered_minutes_are_no_other_times() -> None:
    convert = times("iso8601", "Australia/Sydney")
    assert convert("2014-03-10T10:00:00") == moment("2014-03-09T23:00:00")
    for text in ("2014-03-10T10:00:60x", "2014-03-10T10:00:0", "2014-03-10T10:00:", "2014-03-10T10:00:00.",
                 "2014-03-10T10:00:\u0660\u0660", "2014-03-10T10:00:00.1234567890123"):
        with pytest.raises(RecordError):
            convert(text)
    assert convert("2014-03-10T10:00:60") == moment("2014-03-09T23:01:00")
    assert convert("2014-03-10T10:00:59.5+11:00") == moment("2014-03-09T23:00:59.5")
