"""What goes on when a connector is replaced: one state for each plan, which share all that means the same."""

from __future__ import annotations

from typing import Any

import pytest

from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.subscriptions import SubscriptionState
from k2conn.engine.resilience.silence_detection import SilenceDetector, SilenceReading
from k2conn.plan import Plan
from tests.support.plans import STREAMS, SUBSCRIBE, plan_of

KEY = ("trade", "BTCUSD")
COUNTED = "each: data\n    sequence: {from: SOURCE, rule: RULE, per: symbol}"
CALL = '\n    backfill: {http: "GET https://v.example/t?from={$first}", page: {size: 3, by: first}, limit: LIMIT}'


def plan(
    source: str = "i", rule: str = "contiguous", replicas: int = 1, connect: str = "2 per 10s", call: str = ""
) -> Plan:
    limits = f"connection:\n  replicas: {replicas}\n  limits: {{connect: {connect}}}\n"
    counted = COUNTED.replace("SOURCE", source).replace("RULE", rule) + call
    return plan_of(SUBSCRIBE.replace("connection:\n", limits), STREAMS.replace("each: data", counted, 1))


def state_of(plan: Plan) -> ConnectorState:
    return ConnectorState(plan, ["trade"], backfill=True)


def after(state: ConnectorState, plan: Plan) -> ConnectorState:
    return state.for_plan(plan, ["trade"], backfill=True)


def test_what_does_not_depend_on_the_plan_is_the_same() -> None:
    old = state_of(plan())
    new = after(old, plan("j", "monotonic"))
    assert new.ledger is old.ledger
    assert (next(old.epochs), next(new.epochs), next(old.epochs)) == (1, 2, 3)
    assert new.mappings["trade"].window is old.mappings["trade"].window


@pytest.mark.parametrize(("other", "same"), [(plan(), True), (plan("j"), False), (plan(rule="monotonic"), False)])
def test_numbers_go_on_where_they_are_counted_in_the_same_way(other: Plan, same: bool) -> None:
    old = state_of(plan())
    new = after(old, other)
    assert (new.mappings["trade"].gaps is old.mappings["trade"].gaps) is same
    assert old.goes_on_in(new) is same


def test_a_stream_that_does_not_run_any_more_goes_on_nowhere() -> None:
    old = ConnectorState(plan(), ["trade", "quote"])
    assert not old.goes_on_in(after(old, plan()))
    assert old.goes_on_in(old.for_plan(plan(), ["trade", "quote"]))


def test_both_connectors_together_keep_the_limit_on_connecting_each_by_its_own_plan() -> None:
    old = state_of(plan(connect="2 per 10s"))
    new = after(old, plan(connect="3 per 10s"))
    waits = [one.connect_limiters["main"].wait(0.0) for one in (old, new, new, old)]
    assert waits == [0.0, 0.0, 0.0, 10.0]


def test_both_connectors_together_keep_the_limit_on_calls() -> None:
    old = state_of(plan(call=CALL.replace("LIMIT", "1 per 10s")))
    new = after(old, plan(call=CALL.replace("LIMIT", "1 per 20s")))
    waits = [one.pending_backfills.limiter(one.gaps.backfills["trade"][0]).wait(0.0) for one in (old, new)]
    assert waits == [0.0, 20.0]


def test_replicas_are_counted_on_as_long_as_there_are_as_many() -> None:
    old = state_of(plan(replicas=2))
    before = old.replica_set(old.plan.connections[0], 0)
    alike, other = after(old, plan(replicas=2)), after(old, plan(replicas=3))
    assert alike.replica_set(alike.plan.connections[0], 0) is before
    assert other.replica_set(other.plan.connections[0], 0).count == 3
    alike.keep_replica_sets(set())
    assert alike.replica_set(alike.plan.connections[0], 0) is not before
    assert old.replica_set(old.plan.connections[0], 0) is before


def test_what_is_usual_for_a_symbol_is_known_to_the_next_connector_and_how_it_does_now_is_not() -> None:
    old = state_of(plan())
    watch, received = SilenceDetector(old.baselines), 0

    def reading(since: float) -> Any:
        return SilenceReading(since, SubscriptionState.CONFIRMED, received)

    for second in range(0, 200, 2):
        received += 1
        watch.look(KEY, reading(0.0), float(second))
    following = SilenceDetector(after(old, plan()).baselines)
    assert following.states == {}
    assert following.look(KEY, reading(0.0), 220.0) == "live"
    assert following.look(KEY, reading(0.0), 250.0) == "quiet"
    following.forget(set())
    assert watch.states == {KEY: "live"}
