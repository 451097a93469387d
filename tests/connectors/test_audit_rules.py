"""The audit rules that ship: with each venue's own frames, one trade in 10,000 is dropped at random, and every damaged
span is found and no other accused.
"""

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest

from k2conn.audit.auditor import AuditOutcome
from k2conn.audit.intake import AuditIntake
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.plan import Plan, Stream
from tests.connectors.test_mock import PLANS
from tests.paths import ROOT
from tests.support.venue_frames import VenueFrames, shown_symbols

TRADES, DROPPED = 10_000, 1
BEGIN_US = 1_767_312_000_000_000
STEP_US = 100_000
RULED = sorted(name for name, plan in PLANS.items() if any(stream.audit for stream in plan.streams))
BOTH = sorted(name for name, plan in PLANS.items() if {"trade", "candle"} <= {one.record for one in plan.streams})


def test_each_connector_with_trades_and_candles_has_a_rule_or_says_why_not() -> None:
    without = [name for name in BOTH if name not in RULED]
    assert len(RULED) >= 7
    for name in without:
        assert "No audit:" in (ROOT / "connectors" / f"{name}.yaml").read_text(), name


@pytest.mark.parametrize("name", RULED)
def test_every_rule_has_tests_of_a_proven_and_of_a_damaged_span(name: str) -> None:
    shown = {one["outcome"] for test in PLANS[name].tests for one in test.verdicts or ()}
    assert {"proven", "suspected"} <= shown


@pytest.mark.parametrize("seed", [1])
@pytest.mark.parametrize("name", RULED)
def test_one_trade_in_ten_thousand_is_dropped_at_random(name: str, seed: int) -> None:
    plan = PLANS[name]
    candle = next(stream for stream in plan.streams if stream.audit is not None)
    assert candle.audit is not None
    trade = next(stream for stream in plan.streams if stream.name == candle.audit.trades)
    chance = random.Random(seed)
    lost = set(chance.sample(range(TRADES), DROPPED))
    intake, damaged, spans = played(plan, trade, candle, chance, lost)
    intake.read()
    (audited,) = intake
    verdicts = audited.auditor.look(2**62)
    outcomes = defaultdict(set)
    for verdict in verdicts:
        outcomes[verdict.outcome].add(verdict.begin_us)
    assert outcomes[AuditOutcome.SUSPECTED] == outcomes[AuditOutcome.NAMED] == damaged
    assert outcomes[AuditOutcome.PROVEN] == spans - damaged
    assert outcomes.keys() == {AuditOutcome.SUSPECTED, AuditOutcome.NAMED, AuditOutcome.PROVEN}


def played(
    plan: Plan, trade: Stream, candle: Stream, chance: random.Random, lost: set[int]
) -> tuple[AuditIntake, set[int], set[int]]:
    """What a venue sends, but for the lost trades; the spans that these are in, and all that are over."""
    assert candle.span is not None
    length = candle.span.interval.length_us
    state = ConnectorState(plan, [trade.name, candle.name], window=0)
    candles = VenueFrames(plan, candle, shown_symbols(plan, trade))
    trades = VenueFrames(plan, trade, {candles.symbol})
    symbol = plan.symbols.resolve(trades.symbol)
    assert symbol is not None
    pipelines = {
        one.name: FramePipeline(state, next(c for c in plan.connections if one.name in c.streams), [symbol],
                                SessionContext(lambda: "0", {}))
        for one in (trade, candle)
    }
    intake = AuditIntake()
    intake.choose(state.streams)
    for one in intake:
        one.auditor.since_us = 0
    spans: dict[int, list[tuple[Decimal, Decimal]]] = defaultdict(list)
    damaged = set()

    def send(stream: Stream, text: str, now_us: int) -> None:
        envelopes, _ = pipelines[stream.name].receive([text], now_us / 1e6, now_us)
        intake.take(envelopes)

    for number in range(TRADES):
        edge = number % 600 == 0  # the first moment of a minute
        time_us = BEGIN_US + number * STEP_US + (0 if edge else chance.randrange(50) * 1000)
        price = Decimal(chance.randrange(10**6, 2 * 10**6)).scaleb(-2)
        amount = Decimal(chance.randrange(1, 10**6)).scaleb(-4)
        begin = time_us - time_us % length
        for done in sorted(one for one in spans if one < begin):
            send(candle, candles.text(wanted(candles, spans.pop(done), done)), done + length)
        spans[begin].append((price, amount))
        if number in lost:
            damaged.add(begin)
            continue
        send(trade, trades.text({"timestamp": time_us, "price": price, "quantity": amount, "venue_id": 10**6 + number}),
             time_us + 1000)
    (last,) = spans
    send(candle, candles.text(wanted(candles, spans[last], last)), last + length)
    says_so = candle.states is None or candle.states.closed is not None
    over = range(BEGIN_US, last + length * says_so, length)  # else the next one would close it
    return intake, damaged, set(over)


def wanted(frames: VenueFrames, rows: list[tuple[Decimal, Decimal]], begin: int) -> dict[str, Any]:
    prices = [price for price, _ in rows]
    all_of = {
        "open_time": begin, "open": prices[0], "high": max(prices), "low": min(prices), "close": prices[-1],
        "volume": sum(amount for _, amount in rows), "trade_count": len(rows),
        "quote_volume": sum(price * amount for price, amount in rows),
    }
    return {name: value for name, value in all_of.items() if frames.has(name)}
