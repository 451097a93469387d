"""Messages that are more than one thing: of two streams, a reply and data, data that something is captured from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from k2conn.compiler.compiler import check_text
from k2conn.engine.conversation.session import Send
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.mapping.slices import AT_ONCE
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE, intake_of, plan_of

BOTH = """
streams:
  trade:
    when: {ch: ticks}
    each: data
    fields:
      {symbol: s, trade_id: i, price: p, quantity: q, timestamp: {from: t, unit: ms},
       side: {from: d, map: {buy: BUY, sell: SELL}}}
  quote:
    when: {ch: ticks}
    also: true
    each: data
    fields:
      {symbol: s, quote_id: i, timestamp: {from: t, unit: ms}, bid_price: b, bid_quantity: B, ask_price: a,
       ask_quantity: A}
"""
ROW = '{"s":"BTC-USD","i":%d,"p":1.5,"q":2,"t":1767323045678,"d":"buy","b":1.4,"B":3,"a":1.6,"A":4}'
PLAIN = SUBSCRIBE.replace("for: trade", "for: [trade, quote]")


def frame(*numbers: int, ch: str = "ticks", more: str = "") -> str:
    return f'{{"ch":"{ch}"{more},"data":[{",".join(ROW % number for number in numbers)}]}}'


def records(pipeline: FramePipeline, text: str, at: float = 1.0) -> list[dict[str, Any]]:
    envelopes, _ = pipeline.receive([text], at, 1_767_323_046_000_000)
    return [one.schema.decode_plain(one.value) for one in envelopes if one.schema is not None]


def test_one_message_is_a_trade_and_a_quote() -> None:
    pipeline = intake_of(plan_of(PLAIN, BOTH))
    found = records(pipeline, frame(1, 2))
    assert [(one.get("price"), one.get("bid_price")) for one in found] == [("1.5", None)] * 2 + [(None, "1.4")] * 2
    assert records(pipeline, frame(3))[1]["ask_price"] == "1.6", "by what is remembered of the first message, too"
    books = pipeline.connector_state.ledger.by_stream()
    assert {name: (one["received"], one["in_flight"]) for name, one in books.items()} == {
        "trade": (3, 3), "quote": (3, 3)
    }


def test_without_the_word_the_first_stream_has_it() -> None:
    pipeline = intake_of(plan_of(PLAIN, BOTH.replace("    also: true\n", "")))
    assert [one["price"] for one in records(pipeline, frame(1))] == ["1.5"]


def test_the_word_alone_takes_nothing_from_others() -> None:
    """What only the stream that says `also` recognises is its own; a control message stays one."""
    streams = BOTH.replace("when: {ch: ticks}\n    also", "when: {ch: [ticks, quotes]}\n    also")
    ignoring = PLAIN + "  ignore: [{ch: ticks, type: heartbeat}]\n"
    pipeline = intake_of(plan_of(ignoring, streams))
    assert [one["bid_price"] for one in records(pipeline, frame(1, ch="quotes"))] == ["1.4"]
    assert records(pipeline, frame(2, more=',"type":"heartbeat"')) == []
    assert pipeline.session.control == 1


def test_a_message_of_very_many_items_is_whole_for_both() -> None:
    pipeline = intake_of(plan_of(PLAIN, BOTH))
    many = 2 * AT_ONCE + 7
    assert len(records(pipeline, frame(*range(many)))) == 2 * many


def test_a_reply_that_is_also_data() -> None:
    said = SUBSCRIBE.replace("        accepted: {op: sub, ok: true}", "        accepted: {ch: trade, first: true}\n"
                             "        data: true")
    pipeline = intake_of(plan_of(said, STREAMS), streams=["trade"])
    pipeline.session.open(0.0, 0)
    reply = frame(1, ch="trade", more=',"first":true,"s":"BTC-USD","id":1')
    assert [one["price"] for one in records(pipeline, reply)] == ["1.5"]
    assert pipeline.session.subscriptions.count("confirmed") == 1
    without = intake_of(plan_of(said.replace("        data: true", ""), STREAMS), streams=["trade"])
    without.session.open(0.0, 0)
    assert records(without, reply) == []


def test_what_is_captured_from_data_is_there_for_its_record() -> None:
    captures = PLAIN + "  capture: [{when: {ch: ticks}, into: name, value: venue, data: true}]\n"
    streams = BOTH + "    vendor_data: {from_venue: $state.name}\n"
    pipeline = intake_of(plan_of(captures, streams))
    found = records(pipeline, frame(1, more=',"venue":"XNAS"'))
    assert found[1]["vendor_data"]["from_venue"] == "XNAS"
    again = records(pipeline, frame(2))
    assert again[1]["vendor_data"]["from_venue"] == "XNAS", "kept for messages that do not say it"


def test_a_refusal_beside_first_data() -> None:
    said = """
connection:
  url: wss://venue.example/ws
  steps:
    - send: {op: sub, s: $symbol}
      for: trade
      expect: {accepted: first-data, refused: {op: error}, symbol: s, reason: why}
"""
    pipeline = intake_of(plan_of(said, STREAMS), streams=["trade"])
    sent = pipeline.session.open(0.0, 0)
    assert len([one for one in sent if isinstance(one, Send)]) == 2
    assert pipeline.session.settled, "nothing is waited for"
    row = frame(1, ch="trade")
    assert [one["price"] for one in records(pipeline, row)] == ["1.5"]
    pipeline.receive(['{"op":"error","s":"ETH-USD","why":"no such pair"}'], 2.0, 2)
    assert {one.symbol.native: one.state for one in pipeline.session.subscriptions.all} == {
        "BTC-USD": "confirmed", "ETH-USD": "refused"
    }
    _, actions = pipeline.receive(['{"op":"error","why":"busy"}'], 3.0, 3)
    assert pipeline.session.subscriptions.count("confirmed") == 1, "who has data is refused nothing"
    assert actions, "the venue's words are reported"


@pytest.mark.parametrize(
    ("connection", "word"),
    [
        (PLAIN + "  ignore: [{ch: ticks}]\n", "ignore"),
        (PLAIN.replace("accepted: {op: sub, ok: true}", 'accepted: "ch == \'ticks\'"'), "accepted"),
        (PLAIN + "  errors: {when: {ch: $present}}\n", "errors"),
    ],
)
def test_a_stream_that_would_never_have_a_record_is_warned_of(connection: str, word: str) -> None:
    plan, problems = check_text("venue.yaml", HEAD + connection + BOTH, Path())
    assert plan is not None, problems
    assert any(f"are taken by `{word}`" in one for one in plan.warnings), plan.warnings


def test_a_stream_beside_an_acknowledgement_of_its_channel_is_no_reason_to_warn() -> None:
    said = PLAIN.replace("accepted: {op: sub, ok: true}", "accepted: {ch: ticks, type: subscribed}")
    plan, _ = check_text("venue.yaml", HEAD + said + BOTH, Path())
    assert plan is not None
    assert not any("taken by" in one for one in plan.warnings)
