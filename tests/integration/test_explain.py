"""`explain` and `plan` leave nothing out: what a file says is what they show, whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from k2conn.cli.explain import run as explain
from k2conn.cli.plan import run as plan
from k2conn.compiler.language.document import read_document
from k2conn.resources import connectors_folder

SHIPPED = sorted(connectors_folder().glob("*.yaml"))
LONG = " || ".join(f"a_rather_long_key_number_{at}" for at in range(30))
ALL = f"""
connector: venue
exchange: VENUE
asset_class: crypto
docs: https://docs.example/ws
symbols: {{default: [BTC-USD], form: "{{base}}-{{quote}}"}}
connection:
  url: wss://venue.example/ws
  each: parts
  codec: {{text: json, binary: gzip+json}}
  compression: false
  max_frame: 2 MiB
  stale_after: 47s
  limits: {{connect: 3 per 7s, send: 5 per 2s, topics: 90, connections: 4, lifetime: 23h, frame: 4 KiB,
    unanswered: 6, per: ip}}
  reconnect: {{base: 3s, factor: 4, cap: 77s, attempts: 9}}
  hosts: ["*.venue.example"]
  before: [{{http: POST https://venue.example/token, capture: {{token: data.token}}, within: 3s}}]
  steps:
    - {{name: log in, send: {{op: login}}, renew: {{every: 50m, early: 17s, before: true, send: {{op: again}}}}}}
    - name: subscribe
      send: {{op: sub, symbols: $symbols, id: $counter, token: $state.token}}
      for: [trade, quote]
      batch: 33
      pause: 6s
      expect:
        accepted: {{ok: yes_it_is}}
        refused: {{ok: no_it_is_not}}
        final: code == 'gone'
        symbol: {{from: text, pattern: "about {{symbol}}."}}
        topic: [arg.first, arg.second]
        reply_to: req_id
        reason: why
        within: 8s
        retry: {{after: 91s, longest: 92m, attempts: 6}}
  capture: [{{into: names, when: {{op: names}}, key: the.key, value: the.value, data: true}}]
  heartbeat: {{every: 13s, send: ping, answer: {{"@": pong}}, within: 4s}}
streams:
  trade:
    when: {{ch: trade}}
    each: data
    order: newest-first
    drop_when: {{zero: true}}
    snapshot: {{when: {{first: true}}, action: skip}}
    first_batch: tag
    sequence: {{from: seq, previous: prev, rule: linked, per: symbol}}
    stale_after: 9m
    backfill:
      - http: GET https://venue.example/trades?from={{$from_ms}}&to={{$to_ms}}&s={{$symbol}}
        each: rows
        limit: 11 per 3s
        page: {{size: 500, by: last}}
        fields: {{price: row_price}}
    fields:
      symbol: {LONG}
      trade_id: i
      price: {{from: p, scale: {{by_symbol: [{{when: {{quote: USD}}, scale: 0.1}}, {{scale: 2}}]}}}}
      quantity: q
      timestamp: {{from: t, unit: ms}}
      side: {{from: d, map: {{buy: BUY, sell: SELL}}, invert_when: role == 'maker'}}
  quote:
    also: true
    message_id: random
    when: {{ch: trade}}
    identity: [bid_price, ask_price]
    carry: {{per: symbol, begin: {{first: true}}}}
    fields:
      symbol: s
      timestamp: {{from: t, unit: ms}}
      bid_price: b
      bid_quantity: {{from: bq, absent: 0}}
      ask_price: a
      ask_quantity: aq
"""
SHOWN = (
    "messages by parts", "text json; binary gzip > json", "2097152 bytes, compression off", "47 s without a frame",
    "connect 3 per 7 s", "send 5 per 2 s", "topics 90", "connections 4", "lifetime 82800 s", "frame 4096 bytes",
    "unanswered 6", "counted by IP address", "every 50m, 17 s sooner, after the calls of `before`: {\"op\":\"again\"}",
    "retried    after 91 s, at most 5520 s apart, 6 times",
    "after 3 s, times 4 each time, at most 77 s, 9 attempts", "*.venue.example", "within 3 s, keeps $state.token",
    "batches of 33", "6 s between frames", "ok = yes_it_is   within 8 s", "ok = no_it_is_not", "code == 'gone'",
    "about {symbol}.", '["arg.first","arg.second"]', "reply_to   req_id", "reason     why",
    "$state.names = the.value by the.key when op = names, of data too",
    "every 13s: ping, answered by @ = pong within 4 s",
    "data, newest-first", "when zero = true", "when first = true: skip", "connection: tag",
    "seq, after prev: linked per symbol", "540 s without data", "message id   random",
    "identity     bid_price, ask_price",
    "rows rows; 11 per 3 s; pages of 500 by last", "rows have  symbol $symbol, price row_price",
    LONG, "0.1 when {\"quote\":\"USD\"}, 2",
    "inverted when role == 'maker'", "also         takes",
    "bid_price, bid_quantity, ask_price, ask_quantity; afresh when",
)
OF_PLAN = ("connections 4", "77 s, 9 attempts", "47 s without a frame", "ok = yes_it_is   within 8 s",
           "ok = no_it_is_not", "about {symbol}.", "req_id")


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def spec(folder: Path) -> str:
    path = folder / "venue.yaml"
    path.write_text(ALL)
    return str(path)


def test_every_word_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(spec(tmp_path), None) == 0
    shown = capsys.readouterr().out
    assert [text for text in SHOWN if text not in shown] == [], shown


def test_plan_shows_limits_and_what_is_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan(spec(tmp_path), None, None, False)
    shown = capsys.readouterr().out
    assert [text for text in OF_PLAN if text not in shown] == [], shown


EXPRESSIONS = ("each", "from", "previous", "order", "drop_when", "invert_when", "symbol", "topic", "reply_to", "reason",
               "accepted", "refused", "final")
"""The keys whose texts are expressions or words."""


def expressions(value: Any, key: str = "") -> Iterator[str]:
    """The texts of a file that are expressions, outside its tests."""
    if isinstance(value, dict):
        for name, one in value.items():
            if name not in ("send", "undo"):
                yield from expressions(one, name)
    elif isinstance(value, list):
        for one in value:
            yield from expressions(one, key)
    elif isinstance(value, str) and "$interval" not in value and key in EXPRESSIONS:
        yield value


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_expression_of_a_shipped_file_is_shown_whole(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explain(file.stem, None)
    shown = capsys.readouterr().out
    said = read_document(file.name, file.read_text()).value
    wanted = [*expressions(said.get("connection", said.get("connections")))]
    for stream in said["streams"].values():
        wanted += expressions({key: one for key, one in stream.items() if key not in ("topic", "backfill")})
    missing = [text for text in wanted if text not in shown]
    assert missing == []
