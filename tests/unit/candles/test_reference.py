"""A million trades, reordered and with repeats: every candle is equal to an independent reference, to the last digit.
"""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from typing import Any

import pytest

from k2conn.candles.aggregator import CandleAggregator
from k2conn.candles.envelopes import CandleEncoder
from k2conn.candles.settings import CandleSettings
from k2conn.candles.trades import Trade
from tests.support.trade_data import LENGTHS, many, parts, reference, shuffled

MINUTE = 60_000_000


def candles_of(trades: list[Trade], settings: CandleSettings, size: int) -> tuple[CandleAggregator, dict[Any, Any]]:
    """The latest record of each candle, as a reader who keeps one a key has it, also of those that are not over."""
    aggregator, encoder = CandleAggregator(settings), CandleEncoder()
    found: dict[Any, Any] = {}
    ids = set()
    for part in parts(trades, size):
        assert aggregator.add(part) == []
        for candle in aggregator.collect():
            record = decoded(encoder.envelope(candle))
            assert record["message_id"] not in ids
            ids.add(record["message_id"])
            found[record["symbol"], record["interval"], record["open_time"]] = record
    aggregator.advance_to_latest()
    for candle in (*aggregator.collect(), *aggregator.states()):
        record = decoded(encoder.envelope(candle))
        found[record["symbol"], record["interval"], record["open_time"]] = record
    return aggregator, found


def decoded(envelope: Any) -> dict[str, Any]:
    record: dict[str, Any] = envelope.schema.decode(envelope.value)
    return record


@pytest.mark.parametrize(("count", "size", "lateness"), [
    pytest.param(1_000_000, 2000, 5, marks=pytest.mark.deploy), pytest.param(40_000, 2000, 5, marks=pytest.mark.deploy),
    (20_000, 1, 1), (20_000, 7000, 300),
])
def test_every_candle_is_that_of_the_reference(count: int, size: int, lateness: int) -> None:
    trades = many(count, step_us=86_400 * 1_000_000 // count * 2)
    settings = CandleSettings(lateness_us=lateness * MINUTE)
    aggregator, found = candles_of(shuffled(trades, MINUTE), settings, size)
    counts = aggregator.counts
    assert (counts.trades, counts.repeated, counts.late) == (count, count // 50, 0)
    assert counts.corrections > 0 or size > 2000  # where much is looked at together, nothing was over before it
    compared = 0
    with localcontext(Context(prec=100)):
        for interval in LENGTHS:
            for (symbol, begin), expected in reference(trades, interval).items():
                record = found.pop((symbol, interval, begin))
                assert {name: record[name] for name in expected} == expected
                assert isinstance(record["quote_volume"], Decimal)
                compared += 1
    assert found == {}
    assert compared > 10_000
