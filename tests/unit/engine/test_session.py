"""One connection's conversation, by scripts of input, time and output. Nothing sleeps."""

from __future__ import annotations

from typing import Any

import pytest

from k2conn.compiler.compiler import check_text
from k2conn.engine.conversation.end_causes import EndCause
from k2conn.engine.conversation.session import Close, Send
from k2conn.errors import SettingsError
from tests.paths import ROOT
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE, Script, plan_of, trade, trades

BTC, ETH = "BTC-USD", "ETH-USD"
BOTH = [BTC, ETH]


def connection(rest: str) -> str:
    return "connection:\n  url: wss://venue.example/ws\n" + rest


def script(rest: str, *symbols: str, streams: list[str] | None = None) -> Script:
    return Script(plan_of(connection(rest)), symbols, streams or ["trade"])


LOGIN = """
  steps:
    - name: log in
      send: {op: login}
      expect: {accepted: {op: login, ok: true}, refused: {op: login, ok: false}, reason: why, within: 3s}
    - name: subscribe
      send: {op: sub, symbols: $symbols}
      for: trade
      expect: {accepted: {op: sub, ok: true}, refused: {op: sub, ok: false}, symbol: s, reason: why}
"""


def test_a_step_waits_for_the_reply_to_the_one_before() -> None:
    on = script(LOGIN)
    assert on.open() == [{"op": "login"}]
    assert on.session.settled is False
    assert on.hear({"op": "login", "ok": True}) == [{"op": "sub", "symbols": BOTH}]
    on.hear({"op": "sub", "ok": True, "s": BTC})
    assert not on.session.settled
    on.hear({"op": "sub", "ok": True, "s": ETH})
    assert on.session.settled
    assert on.noted("settled") == [{"confirmed": 2, "pending": 0, "refused": 0, "unacknowledged": 0}]


def test_a_refused_set_up_step_ends_the_connection() -> None:
    on = script(LOGIN)
    on.open()
    assert on.hear({"op": "login", "ok": False, "why": "bad key"}) == []
    assert on.closed is not None
    assert (on.closed.cause, on.closed.detail) == ("refused", "log in: bad key")


def test_an_unanswered_set_up_step_ends_the_connection_in_its_time() -> None:
    on = script(LOGIN)
    on.open()
    on.wait(2.9)
    assert on.closed is None
    on.wait(0.2)
    assert on.closed is not None
    assert on.closed.cause == "unacknowledged"


def test_a_repeated_reply_to_the_login_changes_nothing() -> None:
    on = script(LOGIN)
    on.open()
    on.hear({"op": "login", "ok": True})
    assert on.hear({"op": "login", "ok": True}) == []
    assert not on.session.settled
    assert on.states() == {BTC: "pending", ETH: "pending"}


BATCHES = "  steps: [{send: {op: sub, symbols: $symbols, id: $counter}, for: trade, batch: 2, expect: %s}]\n"
REPLY_TO = "{accepted: {ok: true}, refused: {ok: false}, reply_to: id, within: 5s}"
FIFO = "{accepted: {ok: true}, refused: {ok: false}, within: 5s}"
FIVE = ("A-USD", "B-USD", "C-USD", "D-USD", "E-USD")


def test_batches_hold_so_many_symbols() -> None:
    on = script(BATCHES % REPLY_TO, *FIVE)
    assert on.open() == [
        {"op": "sub", "symbols": ["A-USD", "B-USD"], "id": 1},
        {"op": "sub", "symbols": ["C-USD", "D-USD"], "id": 2},
        {"op": "sub", "symbols": ["E-USD"], "id": 3},
    ]


def test_a_reply_is_for_the_frame_whose_counter_it_repeats() -> None:
    on = script(BATCHES % REPLY_TO, *FIVE)
    on.open()
    on.hear({"ok": True, "id": 2})
    assert on.states() == {"A-USD": "pending", "B-USD": "pending", "C-USD": "confirmed", "D-USD": "confirmed",
                           "E-USD": "pending"}
    on.hear({"ok": True, "id": 77})
    assert list(on.states().values()).count("confirmed") == 2


def test_a_reply_without_any_hint_is_for_the_oldest_frame() -> None:
    on = script(BATCHES % FIFO, *FIVE)
    on.open()
    on.hear({"ok": True})
    on.hear({"ok": True})
    assert on.states() == {"A-USD": "confirmed", "B-USD": "confirmed", "C-USD": "confirmed", "D-USD": "confirmed",
                           "E-USD": "pending"}


def test_a_refused_frame_is_halved_until_only_the_wrong_symbol_is_refused() -> None:
    on = script(BATCHES % FIFO, "A-USD", "B-USD")
    on.open()
    sent = on.hear({"ok": False})
    assert list(on.states().values()) == ["pending", "pending"]
    assert len(sent) == 2
    on.hear({"ok": False})
    on.hear({"ok": True})
    assert on.states() == {"A-USD": "refused", "B-USD": "confirmed"}


def test_one_frame_each_symbol() -> None:
    on = script("  steps: [{send: {sub: $symbol}, for: trade}]\n")
    assert on.open() == [{"sub": BTC}, {"sub": ETH}]


TOPICS = STREAMS.replace("when: {ch: trade}", 'topic: "{$symbol}@trade"\n    when: {ch: trade}').replace(
    "when: {ch: quote}", 'topic: "{$symbol}@quote"\n    when: {ch: quote}'
)


def test_topics_of_all_streams_in_one_frame_and_replies_by_topic() -> None:
    steps = "  steps: [{send: {sub: $topics}, expect: {accepted: {ok: true}, topic: topic, within: 5s}}]\n"
    on = Script(plan_of(connection(steps), TOPICS))
    assert on.open() == [{"sub": ["BTC-USD@trade", "ETH-USD@trade", "BTC-USD@quote", "ETH-USD@quote"]}]
    on.hear({"ok": True, "topic": "btc-usd@QUOTE"})
    assert on.states("quote") == {BTC: "confirmed", ETH: "pending"}
    on.hear({"ok": True, "topic": ["ETH-USD@quote", "BTC-USD@trade", "ETH-USD@trade"]})
    assert on.session.settled


def test_only_the_streams_that_run_are_asked_for() -> None:
    on = Script(plan_of(connection("  steps: [{send: {sub: $topics}}]\n"), TOPICS), streams=["quote"])
    assert on.open() == [{"sub": ["BTC-USD@quote", "ETH-USD@quote"]}]


def test_a_step_may_be_for_some_symbols() -> None:
    on = script("  steps: [{send: {sub: $symbols}, for: trade, symbols: \"base == 'ETH'\"}]\n")
    assert on.open() == [{"sub": [ETH]}]


def test_a_frame_too_long_for_the_venue_becomes_two() -> None:
    on = script("  limits: {frame: 30 B}\n  steps: [{send: {sub: $symbols}, for: trade}]\n", *FIVE)
    assert [frame["sub"] for frame in on.open()] == [["A-USD", "B-USD"], ["C-USD"], ["D-USD", "E-USD"]]


def test_the_venues_rate_is_kept() -> None:
    on = script("  limits: {send: 2 per 1s}\n  steps: [{send: {sub: $symbol}, for: trade}]\n", *FIVE)
    assert len(on.open()) == 2
    assert on.wait(0.99) == []
    assert len(on.wait(0.02)) == 2
    assert len(on.wait(1.0)) == 1


def test_a_pause_is_left_between_two_frames() -> None:
    on = script("  steps: [{send: {sub: $symbol}, for: trade, pause: 200ms}]\n", *FIVE[:3])
    assert len(on.open()) == 1
    assert len(on.wait(0.19)) == 0
    assert len(on.wait(0.02)) == 1
    assert len(on.wait(0.2)) == 1


def test_an_answer_goes_before_frames_that_wait() -> None:
    rest = "  limits: {send: 1 per 1s}\n  steps: [{send: {sub: $symbol}, for: trade}]\n"
    on = script(rest + "  answer: [{when: ping, send: {pong: $message.ping}}]\n", *FIVE[:3])
    on.open()
    on.hear({"ping": 7})
    assert on.wait(1.0) == [{"pong": 7}]


# -- replies


def subscribed() -> Script:
    on = Script(plan_of(SUBSCRIBE), streams=["trade"])
    assert on.open() == [{"op": "sub", "ch": "trade", "symbols": BOTH, "id": 1}]
    return on


def test_one_refused_symbol_leaves_the_others() -> None:
    on = subscribed()
    on.hear({"op": "sub", "ok": True, "s": BTC, "id": 1})
    on.hear({"op": "sub", "ok": False, "s": ETH, "id": 1, "why": "delisted"})
    assert on.states() == {BTC: "confirmed", ETH: "refused"}
    assert on.noted("refused") == [{"stream": "trade", "symbol": ETH, "reason": "delisted"}]
    assert on.session.settled
    assert on.closed is None


def test_all_refused_ends_the_connection() -> None:
    on = subscribed()
    on.hear({"op": "sub", "ok": False, "s": [BTC, ETH], "id": 1, "why": "closed"})
    assert on.closed is not None
    assert (on.closed.cause, on.closed.detail) == ("refused", "closed")


def test_no_reply_at_all_ends_the_connection() -> None:
    on = subscribed()
    on.wait(5.1)
    assert on.closed is not None
    assert on.closed.cause == "unacknowledged"


def test_some_replies_missing_is_noted_and_goes_on() -> None:
    on = subscribed()
    on.hear({"op": "sub", "ok": True, "s": BTC, "id": 1})
    on.wait(5.1)
    assert on.closed is None
    assert on.states() == {BTC: "confirmed", ETH: "unacknowledged"}
    assert on.noted("unacknowledged") == [{"step": "subscribe trades", "symbols": [ETH]}]
    assert on.session.settled


def test_a_late_reply_confirms() -> None:
    on = subscribed()
    on.hear({"op": "sub", "ok": True, "s": BTC, "id": 1})
    on.wait(5.1)
    on.hear({"op": "sub", "ok": True, "s": ETH, "id": 1})
    assert on.states()[ETH] == "confirmed"


TWO = """
  steps:
    - {name: one, send: {sub: $symbols, id: $counter}, for: trade, expect: &x}
    - {name: two, send: {sub: $symbols, id: $counter, k: quote}, for: quote, expect: &x}
""".replace("&x", "{accepted: {ok: true}, reply_to: id, symbol: s, within: 5s}")


def test_a_late_reply_to_an_earlier_step_is_known_by_its_counter() -> None:
    on = Script(plan_of(connection(TWO)))
    on.open()
    on.hear({"ok": True, "s": BTC, "id": 1})
    assert on.wait(5.1) == [{"sub": BOTH, "id": 2, "k": "quote"}]
    on.hear({"ok": True, "s": ETH, "id": 1})
    assert on.states("trade")[ETH] == "confirmed"
    assert on.states("quote") == {BTC: "pending", ETH: "pending"}


def test_data_after_a_missing_reply_confirms() -> None:
    on = subscribed()
    on.hear({"op": "sub", "ok": True, "s": BTC, "id": 1})
    on.wait(5.1)
    on.hear(trades(trade(1, s=ETH)))
    assert on.states()[ETH] == "confirmed"
    assert on.noted("first-data") == [{"stream": "trade", "symbol": ETH}]


def test_first_data_stands_for_the_reply_and_the_next_step_goes_out_at_once() -> None:
    rest = TWO.replace("reply_to: id, symbol: s, within: 5s", "symbol: s, within: 5s")
    on = Script(plan_of(connection(rest)))
    on.open()
    assert on.hear(trades(trade(1), trade(2, s=ETH))) == [{"sub": BOTH, "id": 2, "k": "quote"}]
    assert on.states("trade") == {BTC: "confirmed", ETH: "confirmed"}


def test_every_symbol_of_a_frame_is_heard() -> None:
    on = script("  steps: [{send: {sub: $symbols}, for: trade, expect: first-data}]\n")
    on.open()
    assert on.session.settled
    assert on.states() == {BTC: "pending", ETH: "pending"}
    on.hear(trades(trade(1), trade(1, s=ETH), trade(2)))
    assert on.states() == {BTC: "confirmed", ETH: "confirmed"}


def test_a_dead_item_of_no_known_symbol_confirms_nobody() -> None:
    on = script("  steps: [{send: {sub: $symbols}, for: trade, expect: first-data}]\n")
    on.open()
    on.hear(trades(trade(1)))
    on.hear(trades({"s": "what is this"}))
    assert on.states() == {BTC: "confirmed", ETH: "pending"}


def test_data_before_the_reply_is_kept() -> None:
    on = subscribed()
    on.hear(trades(trade(1), trade(2)))
    assert len(on.envelopes) == 2


# -- heartbeats and silence


BEAT = "  heartbeat: {every: 30s, send: {ping: $counter}, answer: {pong: $present}, within: 10s}\n"


def test_a_heartbeat_is_sent_in_its_time_and_its_answer_is_no_data() -> None:
    on = script(BEAT)
    on.open()
    assert on.wait(29.9) == []
    assert on.wait(0.2) == [{"ping": 1}]
    on.hear({"pong": 1})
    assert on.wait(30) == [{"ping": 2}]
    assert on.closed is None
    assert on.session.control == 1


def test_a_missing_answer_ends_the_connection() -> None:
    on = script(BEAT)
    on.open()
    on.wait(35)
    on.hear({"something": "else"})
    on.wait(5.1)
    assert on.closed is not None
    assert on.closed.cause == "heartbeat"


def test_the_period_may_be_learnt() -> None:
    rest = """
  before: [{http: "GET https://venue.example/token", capture: {ms: pingInterval}}]
  heartbeat: {every: "{$state.ms} ms", send: {op: ping}}
"""
    on = script(rest)
    on.session.captured(on.session.connection.before[0].capture, {"pingInterval": 18000})
    on.open()
    assert on.wait(17.9) == []
    assert on.wait(0.2) == [{"op": "ping"}]


WELCOMED = """  capture: [{when: {e: hello}, into: ms, value: interval}]
  heartbeat: {every: "{$state.ms} ms", send: {op: ping}, answer: {op: pong}, within: 5s}
"""


def test_a_period_that_a_welcome_says_counts_from_the_welcome() -> None:
    on = script(WELCOMED)
    on.open()
    assert on.wait(20) == []
    assert on.hear({"e": "hello", "interval": 18000}) == []
    assert on.wait(17.9) == []
    assert on.wait(0.2) == [{"op": "ping"}]
    on.hear({"op": "pong"})
    on.hear({"e": "hello", "interval": 1000})
    assert on.wait(17.7) == []
    assert on.closed is None


def test_a_welcome_that_says_no_period_ends_the_connection() -> None:
    on = script(WELCOMED)
    on.open()
    on.hear({"e": "hello", "interval": "soon"})
    assert on.closed is not None
    assert on.closed.cause == "settings"


def test_a_websocket_ping_cannot_wait_for_its_period() -> None:
    rest = WELCOMED.replace("send: {op: ping}, answer: {op: pong}, ", "")
    _, problems = check_text("venue.yaml", HEAD + connection(rest) + STREAMS, ROOT)
    assert [problem.code for problem in problems] == ["unknown-state"]
    assert "WebSocket ping's period is known before" in problems[0].text


@pytest.mark.parametrize(
    ("answer", "frame", "expected"),
    [
        ("{when: ping, send: {pong: $message.ping}}", {"ping": 1767323045678}, {"pong": 1767323045678}),
        ("{when: {op: ping}, send: {op: pong, args: $message.args}}", {"op": "ping", "args": ["1"]},
         {"op": "pong", "args": ["1"]}),
        ("{when: \"@ == 'ping'\", send: pong}", "ping", "pong"),
    ],
)
def test_a_servers_ping_is_answered(answer: str, frame: Any, expected: Any) -> None:
    on = script(f"  answer: [{answer}]\n")
    on.open()
    assert on.hear(frame) == [expected]


def test_a_pong_in_plain_text_is_known() -> None:
    on = script("  heartbeat: {every: 20s, send: ping, answer: \"@ == 'pong'\", within: 5s}\n")
    on.open()
    assert on.wait(20.1) == ["ping"]
    on.hear("pong")
    assert on.wait(10) == []
    assert on.closed is None
    assert on.envelopes == []


def test_a_plain_text_that_nobody_knows_is_malformed() -> None:
    on = script("")
    on.open()
    on.hear("hello")
    assert [envelope.dead for envelope in on.envelopes] == [True]
    assert on.pipeline.connector_state.ledger.malformed == 1


def test_silence_ends_the_connection() -> None:
    on = script("  stale_after: 45s\n")
    on.open()
    on.wait(44)
    on.hear({"anything": 1})
    on.wait(44)
    assert on.closed is None
    on.wait(2)
    assert on.closed is not None
    assert on.closed.cause == "stale"


def test_silence_may_be_allowed() -> None:
    on = script("  stale_after: 0s\n")
    on.open()
    assert on.session.deadline is None
    on.wait(86400)
    assert on.closed is None


def test_what_was_not_read_was_no_silence() -> None:
    on = script("  stale_after: 45s\n" + BEAT)
    on.open()
    on.wait(30.1)
    on.now += 300
    on.session.resume(300)
    assert on.session.timer(on.now, on.wall) != []  # the ping that is due
    assert on.closed is None
    on.wait(9)
    assert on.closed is None
    on.wait(2)
    assert on.closed is not None


# -- what is learnt, and what the venue says of itself


def test_a_value_is_captured_and_gone_with_the_connection() -> None:
    rest = """
  capture: [{when: {ev: hello}, into: token, value: token}]
  steps: [{send: {op: hi}, expect: {accepted: {ev: hello}, within: 5s}},
          {send: {op: sub, token: $state.token, s: $symbols}, for: trade}]
"""
    plan = plan_of(connection(rest))
    on = Script(plan, streams=["trade"])
    on.open()
    assert on.hear({"ev": "hello", "token": 12345678901234567890}) == [
        {"op": "sub", "token": 12345678901234567890, "s": BOTH}
    ]
    assert Script(plan).session.scope.state == {}


def test_a_table_is_captured_row_by_row() -> None:
    on = script("  capture: [{when: {ev: sub}, into: name_of, key: id, value: pair}]\n  ignore: [{ev: sub}]\n")
    on.open()
    on.hear({"ev": "sub", "id": 17, "pair": "BTCUSD"})
    on.hear({"ev": "sub", "id": 18, "pair": "ETHUSD"})
    assert on.session.scope.state["name_of"] == {"17": "BTCUSD", "18": "ETHUSD"}


def test_a_value_that_is_not_there_yet_ends_the_connection_for_a_while() -> None:
    on = script("""
  capture: [{when: {ev: hello}, into: token, value: token}]
  steps: [{send: {op: sub, token: $state.token, s: $symbols}, for: trade}]
""")
    assert on.open() == []
    assert on.closed is not None
    assert on.closed.cause == "settings"
    assert on.closed.delay == 60


def test_a_missing_variable_ends_the_connection_and_is_named() -> None:
    on = script("  steps: [{send: {op: login, key: $env.K2_VENUE_NOT_SET}}]\n")
    on.open()
    assert on.closed is not None
    assert "K2_VENUE_NOT_SET" in on.closed.detail
    known = script("  steps: [{send: {op: login, key: $env.K2_VENUE_KEY}}]\n")
    assert known.open() == [{"op": "login", "key": "secret"}]


NOTICES = """
  reconnect: {when: {event: bye}, reason: text, delay: 15s}
  errors: {when: {event: error}, reason: text}
"""


def test_the_venue_asks_for_a_new_connection_after_a_while() -> None:
    on = script(NOTICES)
    on.open()
    on.hear({"event": "bye", "text": "maintenance"})
    assert on.closed is not None
    assert (on.closed.cause, on.closed.detail, on.closed.delay) == ("notice", "maintenance", 15)
    on.hear({"event": "bye", "text": "once more"})
    assert on.session.deadline is not None, "the conversation goes on until another connection stands"


def test_an_error_of_the_venue_is_noted_and_the_connection_stays() -> None:
    on = script(NOTICES)
    on.open()
    on.hear({"event": "error", "text": "slow down"})
    assert on.noted("error") == [{"reason": "slow down"}]
    assert on.closed is None
    assert on.pipeline.connector_state.ledger.control == 1


def test_what_nobody_knows_is_counted_and_the_first_few_are_shown() -> None:
    on = script("")
    on.open()
    for number in range(9):
        on.hear({"new": number})
    assert on.pipeline.connector_state.ledger.unrecognised == 9
    assert [note["message"] for note in on.noted("unrecognised")] == [f'{{"new":{number}}}' for number in range(5)]


def test_several_messages_in_a_frame() -> None:
    on = script("  each: \"@\"\n  ignore: [{ch: status}]\n")
    on.open()
    one = {"ch": "trade", "data": [trade(1)]}
    on.hear([one, {"ch": "status"}, {"ch": "trade", "data": [trade(2), trade(3)]}, {"what": 1}])
    ledger = on.pipeline.connector_state.ledger
    assert len(on.envelopes) == 3
    assert (ledger.frames, ledger.control, ledger.unrecognised) == (1, 1, 1)


def test_a_word_that_cannot_be_answered_does_not_cost_the_records_beside_it() -> None:
    on = script("  each: \"@\"\n  answer: [{when: {op: ping}, send: {pong: $env.K2_VENUE_NOT_SET}}]\n")
    on.open()
    on.hear([{"ch": "trade", "data": [trade(1)]}, {"op": "ping"}, {"ch": "trade", "data": [trade(2)]}])
    assert len(on.envelopes) == 2
    assert on.closed is not None
    assert on.closed.cause == "settings"


# -- the end


UNDO = """
  steps:
    - {send: {sub: $symbols}, for: trade, undo: {unsub: $symbols}, expect: {accepted: {ok: true}, refused: {ok: false},
       symbol: s, within: 5s}}
    - {send: {sub2: $symbols}, for: quote, undo: {unsub2: $symbols}}
"""


def test_retiring_takes_back_what_was_asked_for() -> None:
    on = Script(plan_of(connection(UNDO)))
    on.open()
    assert on.retire() == [{"unsub": BOTH}]
    assert on.session.deadline is None


def test_retiring_takes_nothing_back_that_was_refused() -> None:
    on = Script(plan_of(connection(UNDO)))
    on.open()
    on.hear({"ok": True, "s": BTC})
    on.hear({"ok": False, "s": ETH})
    assert on.retire() == [{"unsub": [BTC]}, {"unsub2": BOTH}]


BINARY = """
  send_as: binary
  heartbeat: {every: 20s, send: ping}
  answer: [{when: {ping: $present}, send: {pong: $message.ping}}]
  steps: [{send: {sub: $symbols}, for: trade, expect: first-data, undo: {unsub: $symbols}}]
"""


def test_all_that_is_sent_is_of_the_kind_that_the_file_says() -> None:
    session = script(BINARY, BTC).session
    assert session.open(1000.0, 0)[-1:] == [Send(b'{"sub":["BTC-USD"]}')]
    assert session.timer(1020.0, 0) == [Send(b"ping")]
    message = {"ping": 7}
    assert session.respond(message, session.router.route(message, session.scope)) == [Send(b'{"pong":7}')]
    assert session.retire(1021.0, 0) == [Send(b'{"unsub":["BTC-USD"]}')]


BY_CODEC = """
  send_as: codec
  codec:
    binary: layout
    layout:
      byte_order: big
      frame: {type: text 1, body: body}
      body: {by: type, of: {L: login, S: sub, R: beat}}
      login: {user: text 6 spaces}
      sub: {symbols: {count: u8, of: name}}
      name: {symbol: text 8}
      beat: {nothing: bytes}
  heartbeat: {every: 20s, send: {type: R, body: {kind: beat, nothing: ""}}}
  answer: [{when: {ping: $present}, send: pong}]
  steps:
    - send: {type: L, body: {kind: login, user: %s}}
    - send: {type: S, body: {kind: sub, symbols: {$each_symbol: {symbol: $symbol}}}}
      for: trade
      expect: first-data
"""


def test_what_is_sent_may_be_what_the_codec_writes() -> None:
    session = script(BY_CODEC % "me", BTC).session
    assert session.open(1000.0, 0)[-2:] == [Send(b"Lme    "), Send(b"S\1BTC-USD\0")]
    assert session.timer(1020.0, 0) == [Send(b"R")]
    message = {"ping": 7}
    answered = session.respond(message, session.router.route(message, session.scope))
    assert answered == [Send("pong")], "a bare text is sent as it stands"


def test_what_the_codec_cannot_say_ends_the_connection_and_is_not_sent() -> None:
    session = script(BY_CODEC % "much_too_long", BTC).session
    with pytest.raises(SettingsError, match="`send_as: codec`: layout cannot say"):
        session.frames(0)
    actions = session.open(1000.0, 0)
    assert not [one for one in actions if isinstance(one, Send)]
    (end,) = [one for one in actions if isinstance(one, Close)]
    assert (end.cause, "layout cannot say" in end.detail) == (EndCause.SETTINGS, True)


def test_a_session_that_was_not_opened_has_nothing_to_take_back() -> None:
    assert Script(plan_of(connection(UNDO))).retire() == []


def test_after_the_end_nothing_is_sent() -> None:
    on = script(NOTICES + "  answer: [{when: ping, send: {pong: 1}}]\n")
    on.open()
    on.retire()
    on.hear({"event": "bye"})
    assert on.closed is None
    assert on.hear({"ping": 1}) == []
    assert on.wait(1000) == []


# -- the address


def test_the_address_may_name_topics() -> None:
    plan = plan_of("connection:\n  url: \"wss://venue.example/stream?streams={$topics}\"\n", TOPICS)
    assert Script(plan).session.url(0, 0).startswith("wss://venue.example/stream?streams=BTC-USD")


def test_addresses_take_turns() -> None:
    plan = plan_of(connection("  failover: [\"wss://b.example\"]\n"))
    session = Script(plan).session
    assert [session.url(at, 0) for at in range(3)] == [
        "wss://venue.example/ws", "wss://b.example", "wss://venue.example/ws"
    ]
