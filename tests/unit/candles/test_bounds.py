"""What a venue invents, symbols, spans and times, fills no memory: what candles and the audit know is bounded."""

from __future__ import annotations

import tracemalloc

import pytest

from k2conn.audit.auditor import Auditor, AuditOutcome
from k2conn.candles.aggregator import CandleAggregator
from k2conn.candles.settings import CandleSettings
from k2conn.intervals import Interval
from k2conn.plan import Audit
from tests.support.trade_data import BEGIN_US, trade

MINUTE = 60_000_000
FAR = 250_000_000_000_000_000
"""Microseconds, in the year 9892."""


def auditor(most: int) -> Auditor:
    made = Auditor(Audit("trade", fields=("trade_count",), settle=5.0), Interval("1m"), most=most)
    made.since_us = BEGIN_US
    return made


@pytest.mark.parametrize("begin_us", [BEGIN_US, FAR])
def test_candles_of_spans_without_end_take_no_more_memory_than_the_most(begin_us: int) -> None:
    audit = auditor(100)

    def invented(start: int) -> None:
        for number in range(start, start + 20_000):
            audit.candle(("VENUE", f"S{number}"), begin_us // MINUTE * MINUTE, {"trade_count": 1})

    invented(0)
    tracemalloc.start()
    invented(20_000)
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 100_000


def test_the_audit_goes_on_behind_what_was_invented() -> None:
    audit = auditor(100)
    for number in range(1000):
        audit.candle(("VENUE", f"S{number}"), FAR // MINUTE * MINUTE, {"trade_count": 1})
    audit.trades([trade(1, BEGIN_US + 1)])
    audit.candle(("VENUE", "BTCUSDT"), BEGIN_US, {"trade_count": 2})
    (verdict,) = audit.look(BEGIN_US + 2 * MINUTE)
    assert (verdict.outcome, verdict.missing) == (AuditOutcome.SUSPECTED, 1)


def test_trades_of_symbols_beyond_the_most_are_refused_and_the_others_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k2conn.candles.aggregator.MOST_SYMBOLS", 3)
    aggregator = CandleAggregator(CandleSettings(names=("1m",), delay_us=0))
    refused = aggregator.add([trade(number, BEGIN_US, symbol=f"S{number % 5}") for number in range(10)])
    assert [why for _, why in refused] == ["there are 3 other symbols"] * 4
    assert (aggregator.counts.trades, aggregator.counts.unknown) == (6, 4)
