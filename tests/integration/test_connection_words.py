"""What a file says of a connection, as a user runs it: `k2conn mock` is the venue, and takes what its own file says."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from tests.integration.test_byte_mocks import DIALOGUE, ROW, STREAM, k2conn
from tests.integration.test_run import environment
from tests.support import warm_process
from tests.support.plans import HEAD

CONNECTION = """
connection:
  url: wss://venue.example/ws
  %s
  reconnect: {base: 50ms, cap: 100ms}
  steps:
    - send: {op: sub, symbols: $symbols}
      for: trade
      expect: {accepted: {op: sub, ok: true}, symbol: s, within: 5s}
"""


def written(folder: Path, words: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "venue.yaml"
    file.write_text(HEAD + CONNECTION % words + STREAM % "s" + DIALOGUE % ROW)
    return file


class Mock:
    """The venue of a file, in a process of its own."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        """Those that lead to it."""
        self.said = ""
        """All that it said on its standard error, once it has ended."""


@contextmanager
def mock(file: Path, *arguments: str) -> Iterator[Mock]:
    with warm_process.started(
        "mock", file.name, "--rate", "20", *arguments, cwd=file.parent,
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:
        found = Mock()
        try:
            assert process.stdout is not None
            for line in iter(process.stdout.readline, ""):
                name, _, value = line.strip().partition("=")
                found.variables[name] = value
                if name == "K2_VENUE_HTTP_URL" or "before:" not in file.read_text():
                    break
            yield found
        finally:
            process.send_signal(signal.SIGTERM)
            found.said = process.communicate()[1]


def run(file: Path, venue: Mock, duration: str = "60s") -> subprocess.CompletedProcess[str]:
    return k2conn(
        file, "run", file.name, "--sink", "console", "--port", "-1", "--max-records", "4", "--duration", duration,
        **venue.variables,
    )


ALL = """subprotocol: [other, tr_json2]
  send_as: binary
  compression: {server_max_window_bits: 12, server_no_context_takeover: true}"""


def test_a_venue_is_spoken_to_as_the_file_says(tmp_path: Path) -> None:
    file = written(tmp_path / "ours", ALL)
    with mock(written(tmp_path / "venue", ALL.replace("[other, tr_json2]", "tr_json2"))) as venue:
        done = run(file, venue)
    assert done.returncode == 0, done.stderr
    assert len([json.loads(line)["record"]["price"] for line in done.stdout.splitlines()]) == 4
    assert "this venue" not in venue.said
    explained = k2conn(file, "explain", file.name).stdout
    assert "subprotocol  other, tr_json2" in explained
    assert "sends as     binary frames" in explained
    assert "compression server_no_context_takeover, server_max_window_bits 12" in explained


def test_a_venue_that_is_spoken_to_otherwise_refuses(tmp_path: Path) -> None:
    with mock(written(tmp_path / "venue", ALL)) as venue:
        done = run(written(tmp_path / "ours", "subprotocol: tr_json2"), venue, "2s")
    assert done.stdout == ""
    assert "the server answered HTTP 400" in done.stderr
    assert "this venue wants server_no_context_takeover, server_max_window_bits for its compression" in venue.said


RENEWED = """
connection:
  url: wss://venue.example/ws
  reconnect: {base: 50ms, cap: 100ms}
  before: [{http: GET https://venue.example/token, capture: {token: token, seconds: expires_in}}]
  steps:
    - name: log in
      send: {op: login, token: $state.token}
      expect: {accepted: {op: login, ok: true}, refused: {op: login, ok: false}}
      renew: {every: 500ms, before: true}
    - send: {op: sub, symbols: $symbols}
      for: trade
      expect: {accepted: {op: sub, ok: true}, symbol: s, within: 5s}
"""
LOGIN = """
      - answered: {token: tok-12345678, expires_in: 600}
      - sent: {op: login, token: tok-12345678}
      - received: {op: login, ok: true}
"""


def test_a_token_is_renewed_on_the_open_connection(tmp_path: Path) -> None:
    file = tmp_path / "venue.yaml"
    dialogue = (DIALOGUE % ROW).replace("    dialogue:\n", f"    dialogue:{LOGIN}")
    file.write_text(HEAD + RENEWED + STREAM % "s" + dialogue)
    with mock(file) as venue:
        done = k2conn(
            file, "run", file.name, "--sink", "none", "--port", "-1", "--duration", "3s", **venue.variables
        )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("renewed") >= 2
    assert "connection lost" not in done.stderr
    assert "venue: 1 connections" in venue.said
    assert "0 frames not understood" in venue.said
    assert "every 500ms, after the calls of `before`" in k2conn(file, "explain", file.name).stdout


TALK = HEAD + """
connection:
  url: wss://venue.example/ws
  capture: [{when: {e: hello}, into: ms, value: every}]
  heartbeat: {every: "{$state.ms} ms", send: {op: ping}, answer: {op: pong}, within: 20s}
  steps:
    - {name: welcome, expect: {accepted: {e: hello}}}
    - {name: set up, send: {op: setup}, expect: {accepted: {op: setup}}}
    - {name: asked for more, expect: {accepted: {more: wanted}}}
    - send: '{"op":"sub","symbols":["{$symbols}"]}'
      later: {op: add, symbols: $symbols}
      batch: 1
      for: trade
      expect: {accepted: {op: [sub, add], ok: true}, symbol: s, within: 20s}
streams:
  trade:
    when: {ch: trade}
    each: from_json(data)
    fields:
      symbol: s
      trade_id: i
      price: {from: counter, scale: {divide_by: base}, on_overflow: round}
      quantity: base
      timestamp: {from: t, unit: ms}
      side: {value: UNKNOWN}
tests:
  - name: the conversation
    dialogue:
      - received: {e: hello, every: 1000}
      - sent: {op: setup}
      - received: {op: setup}
      - received: {more: wanted}
      - sent: {op: sub, symbols: [BTC-USD]}
      - sent: {op: add, symbols: [ETH-USD]}
      - received: {op: sub, ok: true, s: BTC-USD}
      - received: {op: add, ok: true, s: ETH-USD}
      - received: {ch: trade, data: '[{"s":"BTC-USD","i":1,"counter":"5232.00","base":"0.1","t":1767323045678}]'}
        records: [{symbol: BTCUSD, price: "52320", quantity: "0.1"}]
      - after: 1s
        sent: {op: ping}
      - received: {op: pong}
"""


def test_what_a_venue_says_by_itself_is_waited_for_in_its_place(tmp_path: Path) -> None:
    """A welcome with the period of pings, a question after the set-up, another frame for what is added."""
    file = tmp_path / "venue.yaml"
    file.write_text(TALK)
    assert k2conn(file, "test", file.name).returncode == 0
    with mock(file) as venue:
        ended = k2conn(file, "run", file.name, "--sink", "console", "--port", "-1", "--max-records", "80",
                       "--duration", "60s", **venue.variables)
    records = [json.loads(line)["record"] for line in ended.stdout.splitlines() if line.startswith("{")]
    assert {record["symbol"] for record in records} == {"BTCUSD", "ETHUSD"}, ended.stderr
    assert len({record["message_id"] for record in records}) == len(records) == 80
    found = re.search(r"(\d+) heartbeats answered, (\d+) frames not understood", venue.said)
    assert found is not None, venue.said
    assert int(found[1]) >= 1
    assert int(found[2]) == 0


BY_CODEC = HEAD + """
connection:
  url: %s
  send_as: codec
  framing: {length: 2, byte_order: big}
  codec:
    binary: layout
    layout:
      byte_order: big
      frame: {type: text 1, body: body}
      body: {by: type, of: {L: login, A: accepted, S: sub, R: beat, T: trades}}
      login: {user: text 6 spaces, password: text 10 spaces}
      accepted: {session: text 4}
      sub: {many: u16, names: {count: many, of: name}}
      name: {symbol: text 8}
      beat: {nothing: bytes}
      trades: {digits: i8, symbol: text 8, rows: {count: u8, of: row}}
      row: {match: u64, time: u48, price: {type: u32, exponent: digits}, size: u24}
  steps:
    - send: {type: L, body: {kind: login, user: me, password: open}}
      expect: {accepted: {type: A}}
    - send: {type: S, body: {kind: sub, many: $symbols.count, names: {$each_symbol: {symbol: $symbol}}}}
      for: trade
      expect: first-data
  heartbeat: {every: 1s, send: {type: R, body: {kind: beat, nothing: ""}}}
streams:
  trade:
    when: {type: T}
    each: body.rows
    fields:
      symbol: $message.body.symbol
      trade_id: match
      price: price
      quantity: size
      timestamp: {from: time, unit: ms}
      side: {value: UNKNOWN}
tests:
  - name: login, subscribe, trades
    dialogue:
      - sent: {type: L, body: {kind: login, user: me, password: open}}
      - received: {type: A, body: {kind: accepted, session: s1}}
      - sent: {type: S, body: {kind: sub, many: 2, names: [{symbol: BTC-USD}, {symbol: ETH-USD}]}}
      - received:
          type: T
          body:
            kind: trades
            digits: -3
            symbol: BTC-USD
            rows: [{match: 7, time: 1767323045678, price: 64000.125, size: 2}]
        records: [{trade_id: VENUE-7, symbol: BTCUSD, price: "64000.125", quantity: "2"}]
"""


def test_a_venue_that_speaks_and_is_spoken_to_in_bytes(tmp_path: Path) -> None:
    """Logins, requests and heartbeats as the codec writes them, over TCP; the mock reads them by the same file."""
    for name in ("ours", "venue"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "venue.yaml").write_text(BY_CODEC % "tcps://venue.example:7000")
    file = tmp_path / "ours" / "venue.yaml"
    passed = k2conn(file, "test", file.name)
    assert "1 passed, 0 failed" in passed.stdout, passed.stdout
    with mock(tmp_path / "venue" / "venue.yaml") as venue:
        done = run(file, venue)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line)["record"] for line in done.stdout.splitlines()]
    assert {one["symbol"] for one in records} <= {"BTCUSD", "ETHUSD"}
    assert all(60_000 < Decimal(one["price"]) < 70_000 for one in records if one["symbol"] == "BTCUSD")
    assert " 0 unrecognised" in venue.said or "unrecognised" not in venue.said, venue.said
    assert "sends as     its codec writes it" in k2conn(file, "explain", file.name).stdout
    shown = k2conn(file, "plan", file.name, "--frames", "--symbols", "BTC-USD").stdout
    assert '"many":1' in shown


def test_kinds_of_frames_mean_nothing_on_tcp(tmp_path: Path) -> None:
    file = tmp_path / "venue.yaml"
    file.write_text(BY_CODEC.replace("send_as: codec", "send_as: binary") % "tcps://venue.example:7000")
    assert "only `send_as: codec` says something there" in k2conn(file, "validate", file.name).stdout


POLLED_ROWS = HEAD + """
connection:
  url: "https://venue.example/rates?c={$symbols}"
  poll: 200ms
  codec: {text: csv, columns: [pair, time, price, size]}
  each: "@"
streams:
  trade:
    when: {pair: $present}
    identity: {distinct: [timestamp, price, quantity]}
    fields: {symbol: pair, price: price, quantity: size, timestamp: {from: time, unit: ms}, side: {value: UNKNOWN}}
tests:
  - name: one row, and several
    dialogue:
      - url: "https://venue.example/rates?c=BTC-USD,ETH-USD"
      - received: "BTC-USD,1767323045678,64000.5,2\\nETH-USD,1767323045679,3100.25,1\\n"
        records: [{symbol: BTCUSD, price: "64000.5"}, {symbol: ETHUSD, price: "3100.25"}]
      - received: [{pair: BTC-USD, time: "1767323045680", price: "64000.75", size: "3"}]
        records: [{symbol: BTCUSD, price: "64000.75", quantity: "3"}]
      - received: "BTC-USD,1767323045678\\n"
        dead_letters: [{reason: malformed-frame}]
"""


def test_an_answer_that_is_a_table(tmp_path: Path) -> None:
    """CSV of an address that is asked again and again: each answer is a list of rows, also of one."""
    for name in ("ours", "venue"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "venue.yaml").write_text(POLLED_ROWS)
    file = tmp_path / "ours" / "venue.yaml"
    passed = k2conn(file, "test", file.name)
    assert "1 passed, 0 failed" in passed.stdout, passed.stdout
    with mock(tmp_path / "venue" / "venue.yaml") as venue:
        done = run(file, venue)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4
