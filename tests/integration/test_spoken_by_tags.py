"""Sources that speak in tags and values, sign what they were challenged with, or name their events: against the mock of
the same file, as a user would try them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.test_byte_mocks import k2conn
from tests.integration.test_connection_words import mock
from tests.support.plans import HEAD

TAGS = """connection:
  url: %s
  framing: {delimiter: "\\n"}
  codec: {text: tagvalue, separator: ";"}
  send_as: codec
  steps:
    - send: {"35": A, "553": $env.K2_VENUE_USER}
      expect: {accepted: {'"35"': A}}
    - send: {"35": V, "146": "{$symbols.count}", "55": $symbols}
      for: trade
      expect: first-data
  answer: [{when: {'"35"': "1"}, send: {"35": "0", "112": '$message."112"'}}]
  capture: [{when: {'"35"': d}, into: places, key: '"55"', value: '"869"'}]
streams:
  trade:
    when: {'"35"': X}
    fields:
      symbol: '"55"'
      trade_id: '"278"'
      timestamp: {from: '"273"', unit: iso8601, zone: UTC, date: {from: '"272"'}}
      price: {from: '["270"][] | [0]', scale: {digits: '"55"', look_up: $state.places}}
      quantity: '["271"][] | [0]'
      side: {value: UNKNOWN}
tests:
  - name: logon, request, trade
    env: {K2_VENUE_USER: me}
    dialogue:
      - sent: {"35": A, "553": me}
      - received: "35=A;108=30;"
      - sent: {"35": V, "146": "2", "55": [BTC-USD, ETH-USD]}
      - received: "35=d;55=BTC-USD;869=2;"
      - received: "35=1;112=abc;"
      - sent: {"35": "0", "112": abc}
      - received: "35=X;55=BTC-USD;278=t7;272=20260102;273=03:04:05.678;270=6400010;271=2;270=1;271=1;"
        records: [{trade_id: VENUE-t7, price: "64000.1", quantity: "2", timestamp: "2026-01-02T03:04:05.678Z"}]
"""
CHALLENGED = """connection:
  url: %s
  sign: {over: "{$state.nonce}", key: $env.K2_VENUE_USER}
  capture: [{when: {e: challenge}, into: nonce, value: nonce}]
  steps:
    - expect: {accepted: {e: challenge}}
    - send: {e: login, response: $signature}
      expect: {accepted: {e: login, ok: true}}
    - {send: {e: sub, names: $symbols}, for: trade, expect: first-data}
streams:
  trade:
    when: {e: t}
    fields: {symbol: s, trade_id: i, price: p, quantity: q, timestamp: $received_at, side: {value: UNKNOWN}}
tests:
  - name: challenge, login, trade
    dialogue:
      - received: {e: challenge, nonce: n1}
      - sent: {e: login, response: $any}
      - received: {e: login, ok: true}
      - sent: {e: sub, names: [BTC-USD, ETH-USD]}
      - received: {e: t, s: BTC-USD, i: 7, p: "64000.1", q: "2"}
        records: [{trade_id: VENUE-7}]
"""
EVENTS = """connection:
  url: "%s/stream?names={$symbols}"
  framing: named-events
  ignore: [{event: hello}]
streams:
  trade:
    when: {event: trade}
    each: data
    fields: {symbol: s, trade_id: $message.id, price: p, quantity: q, timestamp: $received_at, side: {value: UNKNOWN}}
tests:
  - name: one event
    received: {event: trade, id: "17", data: {s: BTC-USD, p: "64000.1", q: "2"}}
    records: [{trade_id: VENUE-17}]
"""


@pytest.mark.parametrize(
    ("text", "url"),
    [(TAGS, "tcps://venue.example:7000"), (CHALLENGED, "wss://venue.example/ws"), (EVENTS, "https://venue.example")],
    ids=["tags", "challenged", "events"],
)
def test_what_the_mock_of_a_file_says_becomes_records(text: str, url: str, tmp_path: Path) -> None:
    for name in ("ours", "venue"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "venue.yaml").write_text(HEAD + text % url)
    file = tmp_path / "ours" / "venue.yaml"
    passed = k2conn(file, "test", file.name)
    assert "1 passed, 0 failed" in passed.stdout, passed.stdout
    with mock(tmp_path / "venue" / "venue.yaml") as venue:
        run = k2conn(file, "run", file.name, "--sink", "console", "--max-records", "10", "--port", "-1",
                     K2_VENUE_USER="somebody", **venue.variables)
    assert run.returncode == 0, run.stderr
    assert "published 10" in run.stderr, run.stderr
    assert "unrecognised 0" in run.stderr, run.stderr
