"""Which rule a message falls under: control words before streams, and remembered ways agree with asking."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn.engine.conversation.routing import ANSWER, IGNORE, NOTICE, PONG, REPLY, STREAM, UNKNOWN, Router
from k2conn.scope import Scope
from tests.support.plans import plan_of

PLAN = plan_of("""
connection:
  url: wss://venue.example/ws
  steps: [{send: {sub: $symbols}, for: trade, expect: {accepted: {op: sub, ok: true}, refused: {op: sub, ok: false},
           within: 5s}}]
  heartbeat: {every: 20s, send: {op: ping}, answer: {op: pong}}
  answer: [{when: {op: ping}, send: {op: pong}}]
  reconnect: {when: {op: bye}}
  ignore: [{ch: status}, {id: $present, result: null}, {deep.result: null}, {deep.id: one, deep.other: $missing}]
""")
CONDITIONS = plan_of("""
connection:
  url: wss://venue.example/ws
  ignore: ["starts_with(ch, 'st')"]
""")

CASES: list[tuple[Any, int]] = [
    ({"op": "sub", "ok": True}, REPLY),
    ({"op": "sub", "ok": False, "why": "x"}, REPLY),
    ({"op": "sub"}, UNKNOWN),
    ({"op": "sub", "ok": 1}, UNKNOWN),
    ({"op": "ping"}, ANSWER),
    ({"op": "pong"}, PONG),
    ({"op": "bye"}, NOTICE),
    ({"ch": "status"}, IGNORE),
    ({"id": 7, "result": None}, IGNORE),
    ({"id": 8}, UNKNOWN),
    ({"deep": {"result": None}}, IGNORE),
    ({"deep": {}}, UNKNOWN),
    ({"deep": {"id": "one"}}, IGNORE),
    ({"deep": {"id": "one", "other": None}}, UNKNOWN),
    ({"deep": {"id": "1"}}, UNKNOWN),
    ({"ch": "trade", "data": []}, STREAM),
    ({"ch": "quote"}, STREAM),
    ({"ch": "trade", "op": "ping"}, ANSWER),
    ({"ch": ["trade"]}, UNKNOWN),
    ({"ch": {"trade": 1}}, UNKNOWN),
    ([], UNKNOWN),
    (7, UNKNOWN),
    ("pong", UNKNOWN),
    (None, UNKNOWN),
]


def router(plan: Any = PLAN) -> Router:
    return Router(plan.connections[0], plan.streams)


@pytest.mark.parametrize(("message", "kind"), CASES)
def test_the_rule_of_a_message(message: Any, kind: int) -> None:
    assert router().route(message, Scope())[0] == kind


def test_what_is_remembered_stays_right() -> None:
    one = router()
    for _ in range(3):
        assert [one.route(message, Scope())[0] for message, _ in CASES] == [kind for _, kind in CASES]


def test_conditions_are_asked_in_order() -> None:
    assert router(CONDITIONS).route({"ch": "state"}, Scope())[0] == IGNORE
    assert router(CONDITIONS).route({"ch": "trade"}, Scope()) == (STREAM, 0)


values: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, 1, "sub", "ping", "trade", "status", "quote", "", [], {}, "x" * 300]
)
messages = st.dictionaries(st.sampled_from(["op", "ok", "ch", "id", "result"]), values, max_size=5)


@given(st.lists(messages, max_size=40))
def test_memory_and_asking_agree(heard: list[dict[str, Any]]) -> None:
    one = router()
    for message in [*heard, *heard]:
        assert one.route(message, Scope()) == router().route(message, Scope())
