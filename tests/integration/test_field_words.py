"""The words for odd fields, as a user runs them: a connector file, its mock, a process, and the records in files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fastavro
import pytest

from k2conn.cli.explain import run as explain
from tests.integration.test_demo import end, start
from tests.support.plans import HEAD

VENUE = (Path(__file__).parent / "data" / "odd.yaml").read_text()
EXPLAINED = (
    "data, in it @, newest-first when type = snapshot, else oldest-first",
    "id cut by {_}/{value}: contiguous per $message.shard",
    "decimal(18,8), $key digits behind the point looked up in $state.digits_of",
    "time of day in iso8601, zone America/New_York, on the day nearest to its receipt",
    "time of day in ms, zone UTC, on that date",
    "; a record for each change", "ask_price, ask_quantity when gone = ask", "bid_price when b is null",
    "; equal ones are one record", "all zeros    drop",
)


@pytest.fixture
def venue(tmp_path: Path) -> Path:
    path = tmp_path / "odd.yaml"
    path.write_text(VENUE)
    return path


def records_of(folder: Path, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for file in sorted(folder.rglob("*.avro")):
        with file.open("rb") as stream:
            found += [one for one in fastavro.reader(stream) if isinstance(one, dict) and kind in one]
    return found


def test_every_word_is_explained(
    venue: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    assert explain(str(venue), None) == 0
    shown = capsys.readouterr().out
    assert [text for text in EXPLAINED if text not in shown] == [], shown


def test_the_file_is_right_by_its_own_tests(venue: Path) -> None:
    for command in ("validate", "test"):
        process = start(command, str(venue))
        out, err = end(process, 60)
        assert process.returncode == 0, out + err


def played(file: Path, folder: Path) -> None:
    """Records of a file's venue, played by a mock, in a folder, by a process."""
    mock = start("mock", str(file), "--rate", "100")
    assert mock.stdout is not None
    variables = dict([mock.stdout.readline().strip().split("=", 1)])
    try:
        run = start("run", str(file), "--sink", "file", "--folder", str(folder), "--max-records", "60", "--port", "-1",
                    **variables)
        _, err = end(run, 60)
        assert run.returncode == 0, err
    finally:
        mock.terminate()
        end(mock)


def test_from_a_file_by_a_mock_and_a_process_to_records(venue: Path, tmp_path: Path) -> None:
    before = datetime.now(UTC)
    played(venue, tmp_path / "data")
    trades = records_of(tmp_path / "data", "trade_id")
    assert {record["symbol"] for record in trades} == {"SPY261218C00650000", "F261218P00012500"}
    for record in trades:
        assert timedelta(minutes=-5) < record["timestamp"] - before < timedelta(minutes=5)
        assert record["price"] > 0
    assert records_of(tmp_path / "data", "quote_id")


COMMA = HEAD + """
connection: {url: "wss://venue.example/{$symbols}"}
streams:
  trade:
    when: {ch: trade}
    fields:
      symbol: s
      trade_id: i
      price: {from: p, thousands: ".", decimal: ","}
      quantity: {from: q, decimal: ","}
      timestamp: {from: t, unit: ms}
      side: {value: UNKNOWN}
tests:
  - name: a trade
    received: {ch: trade, s: BTC-USD, i: 7, p: "64.123,50", q: "1,2345", t: 1767323040000}
    records: [{price: "64123.5", quantity: "1.2345"}]
"""


def test_a_mock_writes_numbers_with_the_separators_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "venue.yaml"
    path.write_text(COMMA)
    played(path, tmp_path / "data")
    trades = [one for one in records_of(tmp_path / "data", "trade_id") if one["symbol"] == "BTCUSD"]
    prices = {record["price"] for record in trades}
    assert len(prices) > 1
    assert all(1000 < price < 1_000_000 for price in prices), "near where they were"
    assert len({record["quantity"] for record in trades}) > 1
    assert not list((tmp_path / "data").rglob("*.jsonl")), "nothing is a dead letter"


ROWS = """
connector: venue
exchange: VENUE
asset_class: equities
docs: https://docs.example/files
symbols: {default: [SAP], form: {form: "{base}", quote: EUR}}
connection:
  url: file://
  codec: {text: csv, delimiter: ";"}
streams:
  trade:
    when: "@"
    fields:
      symbol: name
      trade_id: {text: "{$file}-{$row}"}
      price: {from: price, decimal: ",", thousands: "."}
      quantity: {from: size, decimal: ",", thousands: "."}
      timestamp: {from: time, unit: iso8601, zone: Europe/Berlin}
      side: {value: UNKNOWN}
"""


@pytest.mark.parametrize("variables", [{}, {"K2CONN_PURE_PYTHON": "1"}])
def test_files_with_a_comma_before_the_decimals(tmp_path: Path, variables: dict[str, str]) -> None:
    (tmp_path / "venue.yaml").write_text(ROWS)
    rows = ["name;price;size;time", "SAP;1.234,56;1.000;2026-01-02T09:00:00", "SAP;99,5;10;2026-01-02T09:00:01",
            "SAP;99.5;10;2026-01-02T09:00:02"]
    (tmp_path / "day.csv").write_text("\n".join(rows) + "\n")
    process = start("load", str(tmp_path / "venue.yaml"), str(tmp_path / "day.csv"), "--sink", "file", "--folder",
                    str(tmp_path / "data"), "--state", str(tmp_path / "state"), **variables)
    out, err = end(process, 60)
    assert "dead letters: 1 bad-number" in out + err
    found = [(str(one["price"]), str(one["quantity"])) for one in records_of(tmp_path / "data", "trade_id")]
    assert found == [("1234.56000000", "1000.00000000"), ("99.50000000", "10.00000000")]
