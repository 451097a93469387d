"""Numbers inside texts, and numbers that count within something else than a symbol."""

from __future__ import annotations

from typing import Any

import pytest

from k2conn.compiler.compiler import check_text
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.gaps.gap_tracker import GapTracker
from k2conn.engine.planning.inseparable_symbols import bundles
from k2conn.plan import Plan
from tests.paths import ROOT
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE, intake_of, plan_of, trade, trades


def numbered(sequence: str, more: str = "") -> Plan:
    return plan_of(SUBSCRIBE, STREAMS.replace("    each: data\n", f"    each: data\n    sequence: {sequence}\n{more}"))


def tracker_of(pipeline: FramePipeline) -> GapTracker:
    gaps = pipeline.connector_state.mappings["trade"].gaps
    assert gaps is not None
    return gaps


def gaps_of(plan: Plan, *items: dict[str, Any], **message: Any) -> list[tuple[str, int | None, int | None]]:
    """What is missing: within what, from and to."""
    pipeline = intake_of(plan)
    for item in items:
        pipeline.receive([trades(item, **message)], 0.0, 1)
    return [(gap.key, gap.first, gap.last) for gap in tracker_of(pipeline).due(10**15)]


PART = '{from: i, pattern: "{_}:{value}", rule: contiguous, per: symbol}'


def test_a_number_inside_a_text() -> None:
    plan = numbered(PART)
    assert gaps_of(plan, *(trade(1, i=f"BTC-USD:{number}") for number in (7, 8, 11))) == [("BTCUSD", 9, 10)]
    assert gaps_of(plan, *(trade(1, i=f"BTC-USD:{number}") for number in (7, 8, 9))) == []


@pytest.mark.parametrize("text", ["7", "BTC:x", "BTC:", 7])
def test_a_text_without_a_number_says_nothing(text: Any) -> None:
    pipeline = intake_of(numbered(PART))
    pipeline.receive([trades(trade(1, i=text))], 0.0, 1)
    assert tracker_of(pipeline).last == {}


def test_the_number_before_is_inside_a_text_too() -> None:
    plan = numbered('{from: i, previous: b, pattern: "n{value}", rule: linked, per: symbol}')
    rows = [trade(1, i="n7", b="n6"), trade(1, i="n9", b="n7"), trade(1, i="n12", b="n10")]
    assert gaps_of(plan, *rows) == [("BTCUSD", 9, 10)]


def test_numbers_of_a_channel_of_many_symbols() -> None:
    plan = numbered("{from: i, rule: contiguous, per: shard}")
    rows = [trade(1, shard="a"), trade(2, shard="a", s="ETH-USD"), trade(1, shard=2), trade(3, shard="a"),
            trade(4, shard=2, s="ETH-USD")]
    assert gaps_of(plan, *rows) == [("2", 2, 3)]
    assert gaps_of(numbered("{from: i, rule: contiguous, per: $message.shard}"), trade(1), trade(3), shard="x") == [
        ("x", 2, 2)
    ]


def test_what_does_not_say_its_channel_is_not_counted() -> None:
    pipeline = intake_of(numbered("{from: i, rule: contiguous, per: shard}"))
    pipeline.receive([trades(trade(1), trade(2, shard="x" * 201), trade(3, shard=None))], 0.0, 1)
    assert tracker_of(pipeline).last == {}
    assert tracker_of(pipeline).unreadable == 3


def test_a_list_counts_within_all_of_it() -> None:
    pipeline = intake_of(numbered("{from: i, rule: contiguous, per: [connection, symbol, shard]}"))
    pipeline.session.scope.epoch = 3
    pipeline.receive([trades(trade(1, shard="a"))], 0.0, 1)
    pipeline.session.scope.epoch = 4
    pipeline.receive([trades(trade(5, shard="a"))], 0.0, 1)
    assert tracker_of(pipeline).last == {"3|BTCUSD|a": 1, "4|BTCUSD|a": 5}
    assert list(tracker_of(pipeline).due(10**15)) == []


def test_of_channels_of_connections_only_the_latest_are_known() -> None:
    plan = numbered("{from: i, rule: contiguous, per: [connection, shard]}")
    rule = plan.streams[0].sequence
    assert rule is not None
    tracker = GapTracker("trade", rule, 10)
    for epoch in range(30):
        tracker.see(f"{epoch}|a", 5, None, 1, epoch)
    assert list(tracker.last) == [f"{epoch}|a" for epoch in range(20, 30)]


def test_symbols_that_are_counted_together_stay_in_one_process() -> None:
    names = ["BTC-USD", "ETH-USD"]
    for per, together in (("shard", [names]), ("symbol", [["BTC-USD"], ["ETH-USD"]])):
        plan = numbered(f"{{from: i, rule: contiguous, per: {per}}}")
        assert bundles(plan, plan.streams[:1], names) == together


def test_rows_of_a_backfill_have_their_number_in_a_text() -> None:
    plan = numbered(PART, "    backfill: {http: 'GET https://venue.example/t?from={$first}'}\n")
    number = plan.streams[0].backfill[0].number
    assert number is not None
    assert number({"i": "BTC-USD:12"}, intake_of(plan).session.scope) == 12
    more = "    backfill: {http: 'GET https://venue.example/t?from={$first}', number: {from: n, pattern: 'x{value}'}}\n"
    number = numbered(PART, more).streams[0].backfill[0].number
    assert number is not None
    assert number({"n": "x9"}, intake_of(plan).session.scope) == 9


@pytest.mark.parametrize(
    ("sequence", "told"),
    [
        ('{from: i, pattern: "{_}", rule: contiguous, per: symbol}', "has {value} once"),
        ("{from: i, rule: contiguous, per: 'a ='}", "cannot be read"),
        ("{from: i, rule: contiguous, per: [symbol, 'a =']}", "cannot be read"),
        ("{from: i, rule: contiguous, per: $shard}", "unknown name $shard"),
        ("{from: i, rule: contiguous}", "'per' is missing"),
    ],
)
def test_what_cannot_be_meant_is_refused(sequence: str, told: str) -> None:
    text = STREAMS.replace("    each: data\n", f"    each: data\n    sequence: {sequence}\n")
    _, problems = check_text("venue.yaml", HEAD + SUBSCRIBE + text, ROOT)
    assert any(told in problem.text for problem in problems), problems


def test_a_call_is_for_a_symbol_and_so_are_its_numbers() -> None:
    text = STREAMS.replace("    each: data\n", """    each: data
    sequence: {from: i, rule: contiguous, per: shard}
    backfill: {http: 'GET https://venue.example/t?from={$first}'}
""")
    _, problems = check_text("venue.yaml", HEAD + SUBSCRIBE + text, ROOT)
    assert [problem.text for problem in problems] == ["a call is made for one symbol: the sequence is `per: symbol`"]
