"""A subscription of all symbols of a venue: what confirms it."""

from __future__ import annotations

from typing import Any

import pytest

from k2conn.symbols import EVERY, Symbol
from tests.support.plans import STREAMS, Script, plan_of, trade

CONNECTION = """
connection:
  url: wss://venue.example/ws
  steps:
    - name: subscribe
      send: {sub: %s}
      for: [trade, quote]
      expect: %s
      undo: {unsub: %s}
"""
ACCEPTED = "{accepted: {ok: true}, refused: {ok: false}, %s within: 5s}"
STREAMS_WITH_TOPICS = STREAMS.replace("when: {ch: trade}", 'when: {ch: trade}\n    topic: "T.{$symbol}"').replace(
    "when: {ch: quote}", 'when: {ch: quote}\n    topic: "Q.{$symbol}"'
)
DATA = {"ch": "trade", "data": [trade(1, s="ANY-USD")]}


def opened(sent: str, expect: str, streams: str = STREAMS) -> tuple[Script, list[Any]]:
    on = Script(plan_of(CONNECTION % (sent, expect, sent), streams))
    on.session.carry([Symbol("*", EVERY, EVERY, EVERY)], on.now, on.wall)
    return on, on.open()


def states(on: Script) -> dict[str, str]:
    return {one.stream: one.state for one in on.session.subscriptions.all}


@pytest.mark.parametrize("reply", [{"ok": True}, {"ok": True, "s": "*"}, {"ok": True, "s": ["*"]}])
def test_a_reply_that_names_the_word(reply: dict[str, Any]) -> None:
    on, sent = opened("$symbols", ACCEPTED % "symbol: s,")
    assert sent == [{"sub": ["*"]}]
    on.hear(reply)
    assert states(on) == {"trade": "confirmed", "quote": "confirmed"}
    assert on.session.settled


def test_replies_by_topic() -> None:
    on, sent = opened("$topics", ACCEPTED % "topic: t,", STREAMS_WITH_TOPICS)
    assert sent == [{"sub": ["T.*", "Q.*"]}]
    on.hear({"ok": True, "t": "T.*"})
    assert states(on) == {"trade": "confirmed", "quote": "pending"}


def test_data_of_any_symbol_confirms_its_stream() -> None:
    on, _ = opened("$symbols", "first-data")
    assert len(on.hear(DATA)) == 0
    assert states(on) == {"trade": "confirmed", "quote": "pending"}
    assert on.noted("first-data") == [{"stream": "trade", "symbol": "ANY-USD"}]
    assert [envelope.schema is not None for envelope in on.envelopes] == [True]


def test_data_in_place_of_a_reply() -> None:
    on, _ = opened("$symbols", ACCEPTED % "symbol: s,")
    on.wait(6)
    assert on.closed is not None, "nothing was answered, and nothing came"
    on, _ = opened("$symbols", ACCEPTED % "symbol: s,")
    on.hear(DATA)
    on.wait(6)
    assert on.closed is None
    assert states(on) == {"trade": "confirmed", "quote": "unacknowledged"}


def test_it_is_unsubscribed_as_it_was_subscribed() -> None:
    on, _ = opened("$symbols", "first-data")
    assert on.retire() == [{"unsub": ["*"]}]
