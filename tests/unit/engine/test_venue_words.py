"""What the venue says is heard, and belongs to the step and the frame that wait for it. Nothing sleeps."""

from __future__ import annotations

from typing import Any

import pytest

from k2conn.engine.accounting.venue_errors import VenueErrors
from k2conn.engine.conversation.retries import FIRST, LONGEST, SubscriptionRetries
from tests.support.plans import Script, plan_of

A, B, C = "A-USD", "B-USD", "C-USD"
LOGIN = "{name: log in, send: {op: login, id: $counter}, expect: {accepted: {ok: true}, refused: {ok: false}, %s}}"
SUBSCRIBE = "{send: {op: sub, s: $symbols, id: $counter}, for: trade, expect: {accepted: {ok: true}, %s}}"
NUMBERED = "refused: {ok: false}, reply_to: id, reason: why"
NAMED = "refused: {ok: false}, symbol: s, reason: why"


def script(*steps: str, symbols: tuple[str, ...] = (A, B), streams: list[str] | None = None) -> Script:
    text = "connection:\n  url: wss://venue.example/ws\n  stale_after: \"0\"\n  steps:\n"
    return Script(plan_of(text + "".join(f"    - {step}\n" for step in steps)), symbols, streams or ["trade"])


def settled(*steps: str, symbols: tuple[str, ...] = (A,)) -> Script:
    """A script all of whose steps were answered with yes."""
    on = script(*steps, symbols=symbols)
    on.open()
    for number in range(1, len(steps) + 1):
        on.hear({"ok": True, "id": number})
    assert on.session.settled
    return on


# -- errors on a settled connection


@pytest.mark.parametrize("steps", [
    [LOGIN % "reason: why", SUBSCRIBE % NUMBERED],
    [LOGIN % "reply_to: id, reason: why", SUBSCRIBE % NUMBERED],
    [SUBSCRIBE % "refused: {ok: false}, reason: why"],
])
def test_an_error_on_a_settled_connection_is_reported_and_closes_nothing(steps: list[str]) -> None:
    on = settled(*steps)
    for error in ({"ok": False, "why": "slow down"}, {"ok": False, "why": "slow down", "id": 99}):
        assert on.hear(error) == []
    assert on.noted("error") == [{"reason": "slow down"}] * 2
    assert on.closed is None
    assert on.states() == {A: "confirmed"}
    assert on.noted("refused") == []


def test_an_error_without_words_is_reported_whole() -> None:
    on = settled(SUBSCRIBE % "refused: {ok: false}")
    on.hear({"ok": False, "code": 7})
    assert on.noted("error") == [{"reason": '{"ok":false,"code":7}'}]


def test_errors_are_counted_and_told_apart_by_kind() -> None:
    errors = VenueErrors()
    assert errors.heard("rate limit: 101 of 100, request 5f3a9c017b22")
    assert not errors.heard("rate limit: 250 of 100, request 77aa01bb02cc")
    assert errors.heard("invalid JSON")
    assert (errors.count, errors.last) == (3, "invalid JSON")
    new = [errors.heard(f"words {'x' * number}") for number in range(200)]
    assert new.count(True) == 48
    assert errors.count == 203


# -- whose reply it is


def test_a_reply_is_for_the_step_that_sent_the_number_not_for_the_one_that_waits() -> None:
    on = script(LOGIN % "reply_to: id", SUBSCRIBE % NUMBERED)
    on.open()
    on.hear({"ok": True, "id": 1})
    on.hear({"ok": False, "id": 1, "why": "late words about the login"})
    assert on.closed is None
    assert on.states() == {A: "pending", B: "pending"}
    assert on.noted("error") == [{"reason": "late words about the login"}]


def test_an_answer_to_another_request_neither_confirms_nor_refuses() -> None:
    on = script(SUBSCRIBE % NUMBERED)
    on.open()
    on.hear({"ok": True, "id": 7})
    on.hear({"ok": False, "id": 7, "why": "about a ping"})
    on.hear({"ok": False, "why": "about nothing"})
    assert on.states() == {A: "pending", B: "pending"}
    assert [one["reason"] for one in on.noted("error")] == ["about a ping", "about nothing"]


def test_a_reply_without_its_number_is_believed_where_it_names_a_symbol() -> None:
    on = script(SUBSCRIBE % f"{NUMBERED}, symbol: s")
    on.open()
    on.hear({"ok": False, "s": B, "why": "delisted"})
    on.hear({"ok": True, "s": A})
    assert on.states() == {A: "confirmed", B: "refused"}


TOPICS = """
connection:
  url: wss://venue.example/ws
  stale_after: "0"
  steps:
    - send: {op: sub, args: $topics}
      expect:
        accepted: {event: sub}
        refused: {event: error}
        topic: [arg, {from: msg, pattern: "no channel {ch} of {s}."}]
        symbol: {from: msg, pattern: "{_} of {symbol}."}
        reason: msg
"""
STREAM = """
  {name}:
    topic: {{ch: {channel}, s: $symbol}}
    when: {{ch: {name}}}
    record: trade
    each: data
    fields: {{symbol: s, trade_id: i, price: p, quantity: q, timestamp: {{from: t, unit: ms}},
              side: {{from: d, map: {{buy: BUY, sell: SELL}}}}}}
"""


@pytest.mark.parametrize("refusal", [
    {"event": "error", "arg": {"s": A, "ch": "AGG"}, "msg": f"no channel AGG of {A}."},
    {"event": "error", "msg": f"no channel AGG of {A}."},
])
def test_a_refusal_of_one_channel_leaves_the_other(refusal: dict[str, Any]) -> None:
    streams = "streams:" + STREAM.format(name="raw", channel="RAW") + STREAM.format(name="agg", channel="AGG")
    on = Script(plan_of(TOPICS, streams), (A, B), ["raw", "agg"])
    on.open()
    on.hear(refusal)
    assert on.states("agg") == {A: "refused", B: "pending"}
    assert on.states("raw") == {A: "pending", B: "pending"}


def test_a_refusal_that_names_a_symbol_alone_is_for_all_of_it() -> None:
    streams = "streams:" + STREAM.format(name="raw", channel="RAW") + STREAM.format(name="agg", channel="AGG")
    on = Script(plan_of(TOPICS, streams), (A, B), ["raw", "agg"])
    on.open()
    on.hear({"event": "error", "msg": f"delisted, all of {A}."})
    assert on.states("agg") == on.states("raw") == {A: "refused", B: "pending"}


# -- later steps


def test_later_steps_leave_out_what_was_refused() -> None:
    later = "{send: {op: beat, s: $symbols}, for: [trade, quote]}"
    on = script(SUBSCRIBE % NAMED, later, symbols=(A, B, C))
    on.open()
    on.hear({"ok": False, "s": B})
    on.hear({"ok": True, "s": A})
    assert on.hear({"ok": True, "s": C}) == [{"op": "beat", "s": [A, C]}]


# -- asking again


def refused_once(*more: str) -> Script:
    on = script(SUBSCRIBE % ", ".join((NAMED, *more)))
    on.open()
    on.hear({"ok": True, "s": A})
    on.hear({"ok": False, "s": B, "why": "busy"})
    assert on.session.settled
    return on


def test_what_was_refused_is_asked_for_again_after_a_delay_that_grows() -> None:
    on = refused_once()
    asked = []
    for _ in range(4):
        start = on.now
        while not (sent := on.wait(1.0)):
            assert on.now < start + 600
        asked.append(round(on.now - start))
        assert [one["s"] for one in sent] == [[B]]
        on.hear({"ok": False, "s": B, "why": "busy"})
        assert on.states() == {A: "confirmed", B: "refused"}
    assert asked == [30, 60, 120, 240]
    assert [one.get("times") for one in on.noted("refused")] == [None, 2, 3, 4, 5]
    on.wait(480)
    on.hear({"ok": True, "s": B})
    assert on.states() == {A: "confirmed", B: "confirmed"}
    assert on.noted("confirmed")[-1]["after_failures"] == 5
    assert on.wait(7200) == []


def test_a_refusal_that_is_final_is_not_asked_again() -> None:
    on = refused_once("final: {why: busy}")
    assert on.wait(7200) == []


def test_the_venue_may_refuse_in_other_words_for_the_moment() -> None:
    on = refused_once("final: {why: delisted}")
    assert [one["s"] for one in on.wait(31)] == [[B]]


def test_what_was_not_answered_is_asked_for_again() -> None:
    on = script(SUBSCRIBE % NAMED)
    on.open()
    on.hear({"ok": True, "s": A})
    on.wait(10)
    assert on.states() == {A: "confirmed", B: "unacknowledged"}
    assert [one["s"] for one in on.wait(30)] == [[B]]
    on.wait(10)
    assert on.closed is None
    assert on.states() == {A: "confirmed", B: "unacknowledged"}


def test_later_steps_are_asked_again_with_it() -> None:
    on = script(SUBSCRIBE % NAMED, "{send: {op: beat, s: $symbols}, for: trade}")
    on.open()
    on.hear({"ok": False, "s": B})
    on.hear({"ok": True, "s": A})
    on.wait(31)
    assert on.hear({"ok": True, "s": B}) == [{"op": "beat", "s": [B]}]


@pytest.mark.parametrize(
    ("said", "asked", "last"),
    [
        ("{after: 10s}", [10, 20, 40, 80], {}),
        ("{after: 10s, longest: 25s}", [10, 20, 25, 25], {}),
        ("{after: 2h, attempts: 2}", [7200, 7200], {"final": True}),
        ("{attempts: 0}", [], {"final": True}),
    ],
)
def test_a_file_says_when_and_how_often(said: str, asked: list[int], last: dict[str, bool]) -> None:
    on = script(SUBSCRIBE % f"{NAMED}, retry: {said}")
    on.open()
    on.hear({"ok": True, "s": A})
    for seconds in asked:
        on.hear({"ok": False, "s": B})
        assert on.wait(seconds - 1) == []
        assert [one["s"] for one in on.wait(1)] == [[B]]
    on.hear({"ok": False, "s": B})
    assert {key: value for key, value in on.noted("refused")[-1].items() if key == "final"} == last
    assert bool(on.wait(100_000)) != bool(last)


def test_the_delays_of_subscriptions_are_their_own() -> None:
    retries = SubscriptionRetries()
    for _ in range(100):
        retries.failed(("trade", A), 0.0, final=False)
    retries.failed(("trade", B), 10.0, final=False)
    assert retries.deadline == 10.0 + FIRST
    assert retries.take_due(39.0) == set()
    assert retries.take_due(40.0) == {("trade", B)}
    assert retries.deadline == LONGEST
    retries.settle(("trade", A))
    assert retries.deadline is None
    assert retries.failures(("trade", A)) == 0
