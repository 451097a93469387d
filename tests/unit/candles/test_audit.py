"""The audit: every span with a missing trade is found, no other is accused, and what is late or fetched closes it."""

from __future__ import annotations

import random
from decimal import Context, Decimal
from typing import Any

import pytest

from k2conn.audit.auditor import Auditor, AuditOutcome, Verdict
from k2conn.candles.trades import Trade
from k2conn.intervals import Interval
from k2conn.plan import Audit
from tests.support.trade_data import BEGIN_US, many, parts, reference, shuffled, trade

MINUTE = 60_000_000
FIELDS = ("volume", "quote_volume", "trade_count", "high", "low")
SYMBOL = ("VENUE", "BTCUSDT")


def values(sums: dict[str, Any]) -> dict[str, int | None]:
    """The venue's candle as a record's unscaled values."""
    scales = dict.fromkeys(("volume", "quote_volume", "taker_buy_base", "taker_buy_quote"), 18)
    scales |= dict.fromkeys(("open", "high", "low", "close"), 8) | {"trade_count": 0}
    exact = Context(prec=100)
    return {name: None if value is None else int(Decimal(value).scaleb(scales[name], exact))
            for name, value in sums.items()}


def auditor(interval: str = "1m", **changed: Any) -> Auditor:
    made = Auditor(Audit("trade", **{"fields": FIELDS, "settle": 5.0, **changed}), Interval(interval))
    made.since_us = BEGIN_US
    return made


@pytest.mark.parametrize(("seed", "fields"), [(1, FIELDS), (3, ("volume",))])
def test_one_trade_in_ten_thousand_is_dropped_at_random(seed: int, fields: tuple[str, ...]) -> None:
    sent = many(100_000, seed, step_us=100_000)
    chance = random.Random(seed)
    dropped = {one.message_id for one in sent if chance.random() < 0.0001 and one.quantity}
    damaged = {(one.symbol, BEGIN_US + (one.time_us - BEGIN_US) // MINUTE * MINUTE) for one in sent
               if one.message_id in dropped}
    assert len(damaged) > 2
    candles = sorted(reference(sent, "1m").items(), key=lambda item: item[0][1])
    audit = auditor(fields=fields)
    verdicts: list[Verdict] = []
    received = shuffled([one for one in sent if one.message_id not in dropped], 4_000_000, seed)
    for part in parts(received, 1000):
        audit.trades(part)
        now = max(one.time_us for one in part)
        while candles and candles[0][0][1] + MINUTE + 1_000_000 <= now:  # the venue's comes a second after its end
            (symbol, begin), sums = candles.pop(0)
            audit.candle(("VENUE", symbol), begin, values(sums))
        verdicts += audit.look(now)
    for (symbol, begin), sums in candles:
        audit.candle(("VENUE", symbol), begin, values(sums))
    verdicts += audit.look(BEGIN_US + 10**12)
    found = {(one.symbol[1], one.begin_us) for one in verdicts if one.outcome is AuditOutcome.SUSPECTED}
    named = {(one.symbol[1], one.begin_us) for one in verdicts if one.outcome is AuditOutcome.NAMED}
    assert found == named == damaged
    proven = [one for one in verdicts if one.outcome is AuditOutcome.PROVEN]
    assert len(proven) == len(reference(sent, "1m")) - len(damaged)
    assert {one.outcome for one in verdicts} == {AuditOutcome.PROVEN, AuditOutcome.SUSPECTED, AuditOutcome.NAMED}
    if fields == FIELDS:
        assert sum(one.missing or 0 for one in verdicts if one.outcome is AuditOutcome.NAMED) == len(dropped)


def spans(audit: Auditor, sent: list[Trade], received: list[Trade]) -> list[Verdict]:
    for (symbol, begin), sums in reference(sent, audit.interval.name).items():
        audit.candle(("VENUE", symbol), begin, values(sums))
    audit.trades(received)
    return audit.look(BEGIN_US + 10 * MINUTE)


def test_what_comes_late_or_is_fetched_closes_it() -> None:
    sent = [trade(number, BEGIN_US + number * 1_000_000) for number in range(120)]
    audit = auditor()
    first = spans(audit, sent, [one for one in sent if one.trade_id not in ("VENUE-3", "VENUE-4")])
    assert [(one.outcome, one.missing) for one in first] == [(AuditOutcome.SUSPECTED, 2), (AuditOutcome.PROVEN, None)]
    audit.trades([sent[3]])
    (second,) = audit.look(BEGIN_US + 10 * MINUTE + 1)
    assert (second.outcome, second.missing) == (AuditOutcome.SUSPECTED, 1)
    audit.trades([sent[4], sent[4]])
    (third,) = audit.look(BEGIN_US + 10 * MINUTE + 2)
    assert (third.outcome, third.differences) == (AuditOutcome.CLOSED, ())
    assert audit.look(BEGIN_US + 100 * MINUTE) == []


def test_nothing_is_said_before_the_time_to_settle_is_over() -> None:
    sent = [trade(1, BEGIN_US)]
    audit = auditor()
    audit.candle(SYMBOL, BEGIN_US, values(reference(sent, "1m")["BTCUSDT", BEGIN_US]))
    assert audit.look(BEGIN_US + MINUTE + 4_999_999) == []
    audit.trades(sent)
    assert [one.outcome for one in audit.look(BEGIN_US + MINUTE + 5_000_000)] == [AuditOutcome.PROVEN]


def test_the_edge_is_as_the_venue_has_it() -> None:
    sent = [trade(1, BEGIN_US + 30_000_000), trade(2, BEGIN_US + MINUTE), trade(3, BEGIN_US + 2 * MINUTE - 1)]
    theirs = [one._replace(time_us=one.time_us - 1) for one in sent]
    assert {one.outcome for one in spans(auditor(edge="end"), theirs, sent)} == {AuditOutcome.PROVEN}
    assert {one.outcome for one in spans(auditor(), theirs, sent)} == {AuditOutcome.SURPLUS, AuditOutcome.SUSPECTED}


def test_the_tolerance_is_the_venue_s_rounding() -> None:
    sent = [trade(1, BEGIN_US, quantity="0.00000004")]
    sums = reference(sent, "1m")["BTCUSDT", BEGIN_US]
    for tolerance, outcome in ((4, AuditOutcome.PROVEN), (3, AuditOutcome.SUSPECTED)):
        audit = auditor(fields=("volume",), tolerance={"volume": (tolerance, 8)})
        audit.candle(SYMBOL, BEGIN_US, values({**sums, "volume": sums["volume"] * 2}))
        audit.trades(sent)
        assert [one.outcome for one in audit.look(BEGIN_US + 2 * MINUTE)] == [outcome]


def test_a_span_of_which_nothing_came_is_found_and_one_without_trades_is_proven() -> None:
    audit = auditor()
    some = values(reference([trade(1, BEGIN_US)], "1m")["BTCUSDT", BEGIN_US])
    audit.candle(SYMBOL, BEGIN_US, some)
    audit.candle(SYMBOL, BEGIN_US + MINUTE, {**some, "volume": 0, "quote_volume": 0, "trade_count": 0})
    found = audit.look(BEGIN_US + 5 * MINUTE)
    assert [(one.begin_us, one.outcome, one.missing) for one in found] == [
        (BEGIN_US, AuditOutcome.SUSPECTED, 1), (BEGIN_US + MINUTE, AuditOutcome.PROVEN, None),
    ]


def test_what_the_venue_does_not_tell_is_not_compared() -> None:
    audit = auditor()
    audit.candle(SYMBOL, BEGIN_US, {"volume": None, "trade_count": None})
    audit.candle(SYMBOL, BEGIN_US - MINUTE, {"volume": 1})
    assert [one.outcome for one in audit.look(BEGIN_US + 2 * MINUTE)] == [AuditOutcome.UNJUDGED]


def test_a_correction_of_the_venue_s_is_compared_again() -> None:
    sent = [trade(1, BEGIN_US)]
    sums = values(reference(sent, "1m")["BTCUSDT", BEGIN_US])
    audit = auditor()
    audit.trades(sent)
    audit.candle(SYMBOL, BEGIN_US, {**sums, "trade_count": 2})
    assert [one.outcome for one in audit.look(BEGIN_US + 2 * MINUTE)] == [AuditOutcome.SUSPECTED]
    audit.candle(SYMBOL, BEGIN_US, sums)
    assert [one.outcome for one in audit.look(BEGIN_US + 2 * MINUTE)] == [AuditOutcome.CLOSED]


def test_what_was_suspected_is_named_when_it_has_to_make_room() -> None:
    audit = Auditor(Audit("trade", ("trade_count",), 0.0), Interval("1m"), most=3)
    audit.since_us = BEGIN_US
    for minute in range(6):
        audit.candle(SYMBOL, BEGIN_US + minute * MINUTE, {"trade_count": 1})
        found = audit.look(BEGIN_US + (minute + 1) * MINUTE)
        told = [(one.begin_us, one.outcome) for one in found]
        assert (BEGIN_US + minute * MINUTE, AuditOutcome.SUSPECTED) in told
        assert ((BEGIN_US + (minute - 3) * MINUTE, AuditOutcome.NAMED) in told) == (minute >= 3)
