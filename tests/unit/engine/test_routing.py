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
MANY = plan_of("""
connection:
  url: wss://venue.example/ws
  capture: [{when: {op: table}, into: known, key: id, value: ch}]
  steps: [{send: {sub: $symbols}, for: trade, expect: {accepted: {op: [sub, 0, 1], ok: true}, refused: {op: bad},
           within: 5s}}]
  heartbeat: {every: 20s, send: {op: ping}, answer: "type(@) == 'string' && @ != 'x'"}
  answer: [{when: "op == 'ping' && result[?n > `1`]", send: {op: pong}}]
  reconnect: {when: "id == result || (ok && op)"}
  ignore: [{id: [1, true, "1"]}, "id && result == `{}`", "[0] == `1`", {"[0]": $state.known}, "result > id", "result.n"]
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


many: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 2, "0", "1", "sub", "ping", "x", "", "x" * 300])
    | st.decimals(0, 2, places=1),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["op", "ok", "ch", "id", "result", "n"]), inner, max_size=4),
)


@given(st.lists(many, max_size=40), st.dictionaries(st.sampled_from(["0", "1", "x"]), st.just(1), max_size=2))
def test_memory_and_asking_agree_whatever_the_rules_compare(heard: list[Any], known: dict[str, Any]) -> None:
    one, asked = router(MANY), router(MANY)
    for captured in ({"known": known}, {"known": {}}, {}):
        scope = Scope(dict(captured))
        for message in [*heard, *heard]:
            assert one.route(message, scope) == asked._evaluate(message, scope)


def test_numbers_that_no_rule_asks_for_are_remembered_as_one() -> None:
    one = router(MANY)
    for number in range(2, 100):
        one.route({"id": number, "op": "new"}, Scope())
    (shape,) = one._shapes.values()
    assert len(shape.known) == 1
