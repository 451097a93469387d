"""Words for venues with channel ids, several sockets and several kinds of contract."""

from __future__ import annotations

from pathlib import Path

from k2conn.compiler.compiler import check_text
from k2conn.tools.connector_tests import run_test
from tests.support.plans import HEAD, STREAMS, Script, plan_of, trade, trades

_CAPTURED = """
connection:
  url: wss://venue.example/ws
  capture:
    - {when: {op: sub, kind: trades}, into: trades_of, key: id, value: pair}
    - {when: {op: hello}, into: session, value: name}
streams:
  trade:
    when: {id: $state.trades_of}
    each: data
    identity: [timestamp, price]
    fields:
      symbol: {from: $message.id, look_up: $state.trades_of}
      price: p
      quantity: q
      timestamp: {from: t, unit: ms}
      side: {value: UNKNOWN}
  quote:
    when: {of: [$state.session, everyone]}
    fields:
      {symbol: s, quote_id: i, timestamp: $received_at, bid_price: b, bid_quantity: b, ask_price: b, ask_quantity: b}
"""

_TWO_SOCKETS = """
connections:
  - name: dollars
    symbols: {quote: USD}
    url: wss://venue.example/usd
    heartbeat: {every: 20s, send: ping-dollars}
  - name: others
    symbols: quote != 'USD'
    url: wss://venue.example/rest
    heartbeat: {every: 20s, send: ping-others}
    ignore: {op: hello}
"""


def test_a_channel_is_known_once_its_number_is_learnt() -> None:
    item = {"p": "1", "q": "1", "t": 1767323045678}
    script = Script(plan_of(_CAPTURED, ""))
    script.open()
    script.hear({"id": 7, "data": [item]})
    assert script.envelopes == []
    script.hear({"op": "sub", "kind": "trades", "id": 7, "pair": "BTC-USD"})
    script.hear({"id": 7, "data": [item]})
    script.hear({"id": 8, "data": [item]})
    assert [one.key for one in script.envelopes] == [b"BTCUSD"]


def test_a_captured_value_is_compared_and_may_stand_beside_others() -> None:
    quote = {"s": "BTC-USD", "b": 1}
    script = Script(plan_of(_CAPTURED, ""))
    script.open()
    script.hear(quote | {"of": "me", "i": 1})
    script.hear({"op": "hello", "name": "me"})
    for number, name in enumerate(("me", "you", "everyone"), 2):
        script.hear(quote | {"of": name, "i": number})
    found = [one.schema.decode_plain(one.value)["quote_id"] for one in script.envelopes]
    assert found == ["VENUE-2", "VENUE-4"]


def test_a_name_that_nothing_captures_is_no_value_to_compare_with() -> None:
    text = _CAPTURED.replace("{id: $state.trades_of}", "{id: $state.trade_of}")
    _, problems = check_text("venue.yaml", HEAD + text, Path())
    assert [one.code for one in problems] == ["unknown-state"]
    assert "did you mean" in str(problems[0])


def test_what_is_dropped_by_declaration_needs_no_symbol_that_is_known() -> None:
    streams = STREAMS.replace("    each: data\n", "    each: data\n    drop_when: {x: FUND}\n")
    script = Script(plan_of(streams=streams))
    script.open()
    script.hear(trades(trade(1, s="?", x="FUND"), trade(2, s="?"), trade(3)))
    assert [one.schema is not None for one in script.envelopes] == [False, True]


def test_a_form_may_have_a_spelling_of_its_own() -> None:
    forms = """[{form: "{base}-{quote}", record: "{base}{quote}-PERP"},
        {form: "{base}-{quote}-{expiry}", record: native}, "{base}/{quote}"]"""
    head = HEAD.replace('"{base}-{quote}"', forms)
    plan, _ = check_text("venue.yaml", head + _TWO_SOCKETS + STREAMS, Path())
    assert plan
    found = [plan.symbols.resolve(name) for name in ("BTC-USD", "BTC-USD-260327", "BTC/USD")]
    assert [one.record for one in found if one] == ["BTCUSD-PERP", "BTC-USD-260327", "BTCUSD"]


def test_a_form_s_own_spelling_has_only_parts_that_the_form_gives() -> None:
    head = HEAD.replace('"{base}-{quote}"', '{form: "{base}-{quote}", record: "{base}-{expiry}"}')
    _, problems = check_text("venue.yaml", head + _TWO_SOCKETS + STREAMS, Path())
    assert [one.code for one in problems] == ["form"]


def test_a_topic_may_be_an_object_and_is_answered_with_its_keys_in_any_order() -> None:
    connection = """
connection:
  url: wss://venue.example/ws
  steps:
    - {send: {op: sub, args: $topics}, for: trade, expect: {accepted: {op: ok}, topic: arg}}
"""
    streams = STREAMS.replace("  trade:\n", "  trade:\n    topic: {channel: trade, name: $symbol}\n")
    script = Script(plan_of(connection, streams))
    script.open()
    script.hear({"op": "ok", "arg": {"name": "ETH-USD", "channel": "trade"}})
    assert script.states() == {"BTC-USD": "pending", "ETH-USD": "confirmed"}


def test_a_turn_may_name_its_socket() -> None:
    tests = """
tests:
  - name: each socket pings for itself
    symbols: [BTC-USD, BTC-EUR]
    dialogue:
      - {socket: others, received: {op: hello}, records: []}
      - {socket: others, after: 20s, sent: ping-others}
      - {socket: others, sent: ping-dollars}
"""
    plan = plan_of(_TWO_SOCKETS, STREAMS + tests)
    assert [one.expected for one in run_test(plan, plan.tests[0])] == ["ping-dollars"]


def test_a_turn_names_a_socket_that_is_there() -> None:
    tests = "tests: [{name: a, dialogue: [{socket: other, received: {op: hello}}]}]"
    _, problems = check_text("venue.yaml", HEAD + _TWO_SOCKETS + STREAMS + tests, Path())
    assert [(one.code, "others" in str(one)) for one in problems] == [("value", True)]
