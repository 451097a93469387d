"""The words for odd fields, as a user runs them: a connector file, its mock, a process, and the records in files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fastavro
import pytest

from k2conn.cli.explain import run as explain
from tests.integration.test_demo import end, start

VENUE = """
connector: odd
exchange: ODD
asset_class: options
docs: https://example.com/docs

symbols:
  default: ["O:SPY261218C00650000", "O:F261218P00012500"]
  form: {form: "O:{base}{expiry}{right}{strike}", quote: USD, record: "{base}{expiry}{right}{strike}"}
  parts: {base: upper, expiry: yymmdd, right: [C, P], strike: {characters: digits, width: 8}}

connection:
  url: wss://odd.example.com/ws
  steps:
    - send: {op: trades, symbol: $symbol}
      for: trade
      expect: {accepted: {op: trades, digits: $present}, symbol: symbol}
    - send: {op: top, symbol: $symbol}
      for: quote
      expect: {accepted: {op: top}, symbol: symbol}
  capture: [{when: {op: trades}, into: digits_of, key: symbol, value: digits}]

streams:
  trade:
    when: {ch: trades}
    each: [data, "@"]
    order: {newest_first: {type: snapshot}}
    snapshot: {type: snapshot}
    sequence: {from: id, pattern: "{_}/{value}", rule: contiguous, per: $message.shard}
    fields:
      symbol: $key
      trade_id: id
      price: {from: p, scale: {digits: $key, look_up: $state.digits_of}}
      quantity: {from: q, thousands: ","}
      timestamp: {from: t, unit: iso8601, zone: America/New_York, date: nearest}
      side: {value: UNKNOWN}
  quote:
    when: {ch: top}
    carry:
      per: symbol
      begin: {type: snapshot}
      nulls: clear
      clear: [{when: {gone: ask}, fields: [ask_price, ask_quantity]}]
      publish: changed
    empty: drop
    identity: {distinct: [timestamp, bid_price, bid_quantity, ask_price, ask_quantity]}
    fields:
      symbol: s
      timestamp: {from: t, unit: ms, zone: UTC, date: {from: day}}
      bid_price: {from: b, absent: 0}
      bid_quantity: {from: B, absent: 0}
      ask_price: {from: a, absent: 0}
      ask_quantity: {from: A, absent: 0}
    unmapped: drop

tests:
  - name: trades of several symbols, a snapshot first
    symbols: ["O:SPY261218C00650000", "O:F261218P00012500"]
    streams: [trade]
    received_at: "2026-03-05T05:00:00.100Z"
    dialogue:
      - sent: {op: trades, symbol: "O:SPY261218C00650000"}
      - sent: {op: trades, symbol: "O:F261218P00012500"}
      - received: {op: trades, symbol: "O:SPY261218C00650000", digits: 2}
      - received: {op: trades, symbol: "O:F261218P00012500", digits: 3}
      - received: {ch: trades, type: snapshot, shard: a, data: {"O:SPY261218C00650000": [{id: x/2, p: 12345, q: "1,500", t: "23:59:59.900"}, {id: x/1, p: 12300, q: "10", t: "23:59:59.800"}]}}
        records:
          - {trade_id: ODD-x/1, price: "123", quantity: "10", timestamp: "2026-03-05T04:59:59.800Z"}
          - {trade_id: ODD-x/2, price: "123.45", quantity: "1500", timestamp: "2026-03-05T04:59:59.900Z", vendor_data: {snapshot: "true", right: C, strike: "00650000"}}
      - received: {ch: trades, type: update, shard: a, data: {"O:SPY261218C00650000": [{id: x/3, p: 12345, q: "1", t: "00:00:00.050"}], "O:F261218P00012500": [{id: x/4, p: 12345, q: "2", t: "00:00:00.060"}]}}
        records:
          - {symbol: SPY261218C00650000, price: "123.45", timestamp: "2026-03-05T05:00:00.050Z"}
          - {symbol: F261218P00012500, price: "12.345", quantity: "2"}
  - name: a trade of each, for the mock
    symbols: ["O:SPY261218C00650000"]
    streams: [trade]
    dialogue:
      - sent: {op: trades, symbol: "O:SPY261218C00650000"}
      - received: {op: trades, symbol: "O:SPY261218C00650000", digits: 2}
      - received: {ch: trades, type: update, shard: a, data: {"O:SPY261218C00650000": [{id: x/3, p: 12345, q: "1,000", t: "09:30:00.050"}]}}
        records: [{price: "123.45", quantity: "1000"}]
  - name: quotes
    symbols: ["O:SPY261218C00650000"]
    streams: [quote]
    dialogue:
      - sent: {op: top, symbol: "O:SPY261218C00650000"}
      - received: {op: top, symbol: "O:SPY261218C00650000"}
      - received: {ch: top, type: snapshot, s: "O:SPY261218C00650000", t: 52200000, day: "2026-03-04", b: "1.5", B: "10", a: "1.6", A: "20"}
        records: [{bid_price: "1.5", ask_price: "1.6", timestamp: "2026-03-04T14:30:00Z"}]
      - received: {ch: top, type: update, s: "O:SPY261218C00650000", t: 52201000, day: 20260304, b: "1.5"}
        records: []
      - received: {ch: top, type: update, s: "O:SPY261218C00650000", t: 52202000, day: 20260304, gone: ask}
        records: [{bid_price: "1.5", bid_quantity: "10", ask_price: "0", ask_quantity: "0"}]
      - received: {ch: top, type: update, s: "O:SPY261218C00650000", t: 52203000, day: 20260304, b: null, B: null}
        records: []
      - received: {ch: top, type: update, s: "O:SPY261218C00650000", t: 52204000, day: 20260304, b: "1.4", B: "5"}
        records: [{bid_price: "1.4", bid_quantity: "5", ask_price: "0"}]
"""
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


def test_every_word_is_explained(venue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(str(venue), None) == 0
    shown = capsys.readouterr().out
    assert [text for text in EXPLAINED if text not in shown] == [], shown


def test_the_file_is_right_by_its_own_tests(venue: Path) -> None:
    for command in ("validate", "test"):
        process = start(command, str(venue))
        out, err = end(process, 60)
        assert process.returncode == 0, out + err


def test_from_a_file_by_a_mock_and_a_process_to_records(venue: Path, tmp_path: Path) -> None:
    mock = start("mock", str(venue), "--rate", "100")
    assert mock.stdout is not None
    variables = dict([mock.stdout.readline().strip().split("=", 1)])
    try:
        before = datetime.now(UTC)
        run = start("run", str(venue), "--sink", "file", "--folder", str(tmp_path / "data"), "--max-records", "60",
                    "--port", "-1", **variables)
        _, err = end(run, 60)
        assert run.returncode == 0, err
    finally:
        mock.terminate()
        end(mock)
    trades = records_of(tmp_path / "data", "trade_id")
    assert {record["symbol"] for record in trades} == {"SPY261218C00650000", "F261218P00012500"}
    for record in trades:
        assert timedelta(minutes=-5) < record["timestamp"] - before < timedelta(minutes=5)
        assert record["price"] > 0
    assert records_of(tmp_path / "data", "quote_id")
