"""Set-up steps that are sent again on the open connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from k2conn.compiler.compiler import check_text
from k2conn.engine.conversation.session import CallAgain, Send, Session
from k2conn.tools.connector_tests import run_test
from tests.support.plans import HEAD, STREAMS, Script, plan_of

CONNECTION = """
connection:
  url: wss://venue.example/ws
  stale_after: "0"
  before: [{http: GET https://venue.example/token, capture: {token: token}}]
  capture: [{when: {op: login}, into: seconds, value: expires_in}]
  steps:
    - name: log in
      send: {op: login, token: $state.token, id: $counter}
      expect: {accepted: {op: login, ok: true}, refused: {op: login, ok: false}, reason: why, within: 5s}
      renew: %s
    - {send: {op: sub, symbols: $symbols}, for: trade, expect: first-data}
"""
LOGIN = {"op": "login", "token": "T1", "id": 1}
BOTH = ["BTC-USD", "ETH-USD"]


def opened(renew: str, **answer: Any) -> Script:
    """A connection that is logged in."""
    on = Script(plan_of(CONNECTION % renew, STREAMS))
    on.session.scope.state["token"] = "T1"
    assert on.open() == [LOGIN]
    assert on.hear({"op": "login", "ok": True, **answer}) == [{"op": "sub", "symbols": BOTH}]
    return on


def test_a_step_is_sent_again_and_again_and_nothing_else_is() -> None:
    on = opened("{every: 50m}")
    assert on.wait(3000) == [LOGIN | {"id": 2}]
    assert on.hear({"op": "login", "ok": True}) == []
    assert on.noted("renewed") == [{"step": "log in"}]
    assert on.wait(2999) == []
    assert on.wait(1) == [LOGIN | {"id": 3}]


def test_sooner_than_it_expires() -> None:
    on = opened('{every: "{$state.seconds} s", early: 30s}', expires_in=600)
    assert on.wait(569) == []
    assert on.wait(1) == [LOGIN | {"id": 2}]
    on.hear({"op": "login", "ok": True, "expires_in": 100})
    assert on.wait(70) == [LOGIN | {"id": 3}]


@pytest.mark.parametrize(("said", "seconds"), [(1, 10), (40, 10), (10**9, 86_370)])
def test_a_venue_makes_neither_a_storm_nor_a_stop(said: int, seconds: int) -> None:
    on = opened('{every: "{$state.seconds} s", early: 30s}', expires_in=said)
    assert on.wait(seconds - 1) == []
    assert len(on.wait(1)) == 1


def test_a_venue_that_says_nonsense_about_it() -> None:
    on = Script(plan_of(CONNECTION % '{every: "{$state.seconds} s"}', STREAMS))
    on.session.scope.state["token"] = "T1"
    on.open()
    on.hear({"op": "login", "ok": True, "expires_in": "soon"})
    assert on.closed is not None
    assert on.closed.cause == "settings"


def test_what_is_sent_then_may_be_another_frame() -> None:
    on = opened("{every: 50m, send: {op: refresh, token: $state.token}}")
    assert on.wait(3000) == [{"op": "refresh", "token": "T1"}]


def test_a_renewal_that_is_refused_ends_the_connection() -> None:
    on = opened("{every: 50m}")
    on.wait(3000)
    on.hear({"op": "login", "ok": False, "why": "expired"})
    assert on.closed is not None
    assert (on.closed.cause, on.closed.detail) == ("refused", "log in: expired")


def test_a_renewal_that_is_not_answered_ends_the_connection() -> None:
    on = opened("{every: 50m}")
    on.wait(3004)
    assert on.closed is None
    on.wait(1)
    assert on.closed is not None
    assert (on.closed.cause, on.closed.detail) == ("unacknowledged", "no answer to the renewal of log in in time")


def test_a_change_of_symbols_meanwhile_loses_no_answer() -> None:
    on = opened("{every: 50m}")
    on.wait(3000)
    on.session.carry([one.symbol for one in on.session.subscriptions.all[:1]], on.now, on.wall)
    on.hear({"op": "login", "ok": True})
    assert on.noted("renewed") == [{"step": "log in"}]
    on.wait(10)
    assert on.closed is None


def session_that_calls() -> tuple[Session, float]:
    on = opened("{every: 50m, before: true}")
    return on.session, on.now


def test_calls_are_made_first() -> None:
    session, now = session_that_calls()
    assert session.timer(now + 3000, 0) == [CallAgain()]
    assert session.timer(now + 3001, 0) == []
    session.scope.state["token"] = "T2"
    assert session.called(now + 3002, 0) == [Send('{"op":"login","token":"T2","id":2}')]


def test_calls_that_fail_are_made_again_after_a_growing_time() -> None:
    session, now = session_that_calls()
    now += 3000
    for delay in (30, 60, 120, 240, 480, 960, 1800, 1800):
        assert session.timer(now, 0) == [CallAgain()]
        session.calls_failed(now)
        assert session.deadline == now + delay
        now += delay
    assert session.timer(now, 0) == [CallAgain()]
    assert len(session.called(now, 0)) == 1


def test_nothing_is_sent_after_the_end() -> None:
    session, now = session_that_calls()
    session.timer(now + 3000, 0)
    session.retire(now + 3001, 0)
    assert session.called(now + 3002, 0) == []
    assert session.deadline is None


DIALOGUE = """
tests:
  - name: the token is renewed
    dialogue:
      - answered: {token: T1}
      - sent: {op: login, token: T1, id: 1}
      - received: {op: login, ok: true}
      - sent: {op: sub, symbols: [BTC-USD, ETH-USD]}
      - after: 50m
      - answered: {token: %s}
      - sent: {op: login, token: T2, id: 2}
      - received: {op: login, ok: true}
"""


@pytest.mark.parametrize(("token", "differences"), [("T2", 0), ("T3", 1)])
def test_a_file_can_test_it(token: str, differences: int) -> None:
    text = HEAD + CONNECTION % "{every: 50m, before: true}" + STREAMS.split("  quote:")[0] + DIALOGUE % token
    plan, problems = check_text("venue.yaml", text, Path())
    assert plan is not None, problems
    assert len(run_test(plan, plan.tests[0])) == differences
