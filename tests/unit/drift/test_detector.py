"""What is told, and what is not: streams of made messages with chance in them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from k2conn.drift.detector import MOST_FINDINGS, MOST_SHAPES, Drift, DriftDetector
from k2conn.drift.field_paths import field_paths
from k2conn.drift.habits import MOST_PATHS, Change
from k2conn.drift.structure import spelled
from k2conn.plan import Plan
from tests.support.plans import plan_of

STREAMS = """
streams:
  trade:
    when: {e: trade}
    each: data
    fields:
      symbol: {from: s}
      trade_id: {from: i}
      price: {from: p || px}
      quantity: {from: "q[0]"}
      side: {from: m, map: {buy: BUY, sell: SELL}}
      timestamp: {from: $message.ts, unit: ms}
    vendor_data: {venue: "to_string(x.y)"}
"""


@pytest.fixture
def plan() -> Plan:
    return plan_of(streams=STREAMS)


def message(number: int, **more: Any) -> dict[str, Any]:
    item = {"s": "BTC-USD", "i": number, "p": f"{number}.5", "q": ["1"], "m": "buy", "x": {"y": "z"}, **more}
    return {"e": "trade", "ts": 1_767_323_045_000 + number, "data": [{k: v for k, v in item.items() if v is not ...}]}


def fed(plan: Plan, messages: list[Any]) -> list[Drift]:
    detector = DriftDetector(plan.streams)
    return [one for each in messages for one in detector.see("trade", each)]


def usual(count: int = 300) -> list[Any]:
    return [message(number) for number in range(count)]


def test_where_fields_are_read_from(plan: Plan) -> None:
    found = {(one.field.name, spelled(one.path)) for one in field_paths(plan.streams[0])}
    assert {("price", "data[].p"), ("price", "data[].px"), ("price", "data.p"), ("quantity", "data[].q[0]"),
            ("timestamp", "ts"), ("venue", "data[].x.y"), ("symbol", "data[].s")} <= found


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"p": ..., "price": "5"}, {("new-key", "data[].price"), ("gone-key", "data[].p")}),
        ({"p": 5}, {("new-type", "data[].p")}),
        ({"m": "auction"}, {("new-word", "data[].m")}),
        ({"x": ...}, {("gone-key", "data[].x")}),
        ({"q": "1"}, {("new-type", "data[].q"), ("gone-key", "data[].q[0]")}),
        ({"new": 1}, {("new-key", "data[].new")}),
    ],
    ids=lambda one: "-".join(one) if isinstance(one, dict) else "",
)
def test_a_change_is_told_once_within_a_few_messages(plan: Plan, change: dict[str, Any], told: set[Any]) -> None:
    found = fed(plan, usual() + [message(number, **change) for number in range(300, 320)])
    assert {(str(one.change), one.path) for one in found} == told
    assert len(found) == len(told)
    again = fed(plan, usual() + [message(number, **change) for number in range(300, 2000)])
    assert len(again) == len(told)


def test_the_advice_names_the_field_and_its_new_place(plan: Plan) -> None:
    found = fed(plan, usual() + [message(number, p=..., price="5") for number in range(300, 320)])
    assert any("price" in one.fields and "data[].price" in one.advice for one in found)


@pytest.mark.parametrize("seed", range(20))
def test_what_comes_by_chance_is_not_told(plan: Plan, seed: int) -> None:
    """Members that come in one message of two to of a thousand, in runs, too; nothing changes for all that."""
    chance = random.Random(seed)
    rates = {"a": 0.5, "b": 0.1, "c": 0.02, "d": 0.005, "e": 0.001}
    messages = [message(number, **{name: 1 for name, rate in rates.items() if chance.random() < rate})
                for number in range(3000)]
    assert fed(plan, messages) == []


def test_a_message_that_no_rule_knows_is_told_by_its_form(plan: Plan) -> None:
    detector = DriftDetector(plan.streams)
    assert detector.see_unknown({"hello": 1}) == []
    for each in usual():
        assert detector.see("trade", each) == []
    assert detector.see_unknown({"hello": 2}) == []
    (found,) = detector.see_unknown({"e": "trade2", "ts": 1, "data": []})
    assert (found.change, found.stream, found.after) == (Change.NEW_MESSAGE, "", "data, e, ts")
    assert "`trade`" in found.advice
    assert detector.see_unknown({"e": "other", "ts": 1, "data": []}) == []


def test_whatever_a_venue_sends_memory_is_bounded(plan: Plan) -> None:
    detector = DriftDetector(plan.streams)
    for number in range(3000):
        detector.see("trade", message(number, **{f"k{number}\x1b[31m": number}))
        detector.see_unknown({f"u{number}": 1})
    habits = detector._habits["trade", False]
    assert len(list(habits.paths)) <= MOST_PATHS
    assert len(detector._shapes) <= MOST_SHAPES
    assert len(detector.findings) <= MOST_FINDINGS
    for one in detector.findings:
        assert all(text.isprintable() for text in (one.path, one.before, one.after, one.advice))
