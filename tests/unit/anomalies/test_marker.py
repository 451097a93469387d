"""Each kind of anomaly is found, and none of them in what is usual."""

from __future__ import annotations

import random
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from k2conn.anomalies.encoding import anomaly_topic
from k2conn.anomalies.kinds import UNITS, AnomalyKind
from k2conn.anomalies.settings import AnomalySettings
from k2conn.plan import Instrument
from tests.support.anomalies import BEGIN, LEDGER, UNIT, Looking, record, usual

LISTED = MappingProxyType({
    "BTCUSD": Instrument(Decimal("0.5"), Decimal("0.01"), "live", True),
    "ETHUSD": Instrument(Decimal("0.5"), Decimal("0.01"), "suspend", False),
})
AT = {"number": 1000}
SECOND = 1_000_000
CASES: dict[str, tuple[str, dict[str, Any], str | None, str | None]] = {
    "price-move": ("trade", {"price": 128_000 * UNIT, "received_us": BEGIN + 150 * SECOND}, "0.9999375", "0.01"),
    "size-spike": ("trade", {"quantity": 5_000 * UNIT}, "5000", None),
    "wide-spread": ("quote", {"bid_price": 60_000 * UNIT, "ask_price": 68_000 * UNIT}, "0.125", "0.01"),
    "crossed-quote": ("quote", {"bid_price": 64_001 * UNIT, "ask_price": 64_000 * UNIT}, "0.00001562", "0"),
    "locked-quote": ("quote", {"bid_price": 64_000 * UNIT, "ask_price": 64_000 * UNIT}, "64000", "64000"),
    "clock-ahead": ("trade", {"timestamp": BEGIN + 1003 * SECOND}, "3", "2"),
    "clock-behind": ("quote", {"timestamp": BEGIN + 900 * SECOND}, "100", "30"),
    "off-tick": ("trade", {"price": 64_000 * UNIT + 1}, "64000.00000001", "0.5"),
    "off-lot": ("quote", {"ask_quantity": UNIT + 1}, "1.00000001", "0.01"),
    "halted": ("trade", {"symbol": "ETHUSD"}, None, None),
    "not-listed": ("quote", {"symbol": "XRPUSD"}, None, None),
}


def looking(kind: str, **settings: Any) -> Looking:
    """One that knows what is usual, and the venue's list."""
    found = Looking(AnomalySettings(**settings))
    found.marker.know(LISTED, True)
    assert found.look(*usual(kind)) == []
    return found


@pytest.mark.parametrize("name", CASES)
def test_each_kind_is_found(name: str) -> None:
    kind, fields, observed, bound = CASES[name]
    odd = record(kind, 1000, **fields)
    (told,) = looking(kind).look(odd)
    assert (told["kind"], told["observed"], told["unit"]) == (name, observed, UNITS[AnomalyKind(name)])
    assert bound is None or told["bound"] == bound
    marked = odd.schema.decode_plain(odd.value)  # type: ignore[union-attr]  # a record has a schema
    assert told["record_message_id"] == marked["message_id"]
    for field in ("symbol", "exchange", "timestamp", "ingestion_timestamp", "price", "quantity", "bid_price"):
        assert told[field] == marked.get(field), field
    assert (told["count"], told["since_timestamp"], told["stream"]) == (1, odd.received_us, kind)
    assert told["detail"] == ("suspend" if name == "halted" else None)


@pytest.mark.parametrize("name", CASES)
def test_a_kind_that_is_off_is_not(name: str) -> None:
    kind, fields, _, _ = CASES[name]
    assert looking(kind, said=((name, "off"),)).look(record(kind, 1000, **fields)) == []


def test_every_kind_is_tried_here() -> None:
    assert set(CASES) == set(AnomalyKind)


@pytest.mark.parametrize(("name", "said", "found"), [
    ("price-move", "2", 0), ("price-move", "0.5", 1), ("wide-spread", "0.2", 0), ("size-spike", "1000", 0),
    ("clock-ahead", "5", 0), ("clock-behind", "200", 0),
])
def test_thresholds_are_settings(name: str, said: str, found: int) -> None:
    kind, fields, _, _ = CASES[name]
    assert len(looking(kind, said=((name, said),)).look(record(kind, 1000, **fields))) == found


@pytest.mark.parametrize("name", ["price-move", "size-spike", "wide-spread", "locked-quote", "clock-behind"])
def test_nothing_is_usual_before_a_hundred(name: str) -> None:
    kind, fields, _, _ = CASES[name]
    found = Looking()
    assert found.look(*usual(kind, 90), record(kind, 1000, **fields)) == []


def test_a_move_is_judged_by_the_time_it_took() -> None:
    wild = [record("trade", number, price=(64_000 + number % 2 * 200) * UNIT) for number in range(150)]
    for seconds, count in ((1, 1), (10_000, 0)):
        found = Looking()
        found.look(*wild)
        assert len(found.look(record("trade", 149 + seconds, price=76_000 * UNIT))) == count


def test_what_is_always_so_is_not_odd() -> None:
    locked = [record("quote", number, bid_price=UNIT, ask_price=UNIT) for number in range(500)]
    late = [record("trade", number, timestamp=BEGIN + (number - 900) * SECOND) for number in range(500)]
    assert Looking().look(*locked, *late) == []


def test_a_quote_with_an_empty_side_has_no_spread() -> None:
    found = looking("quote")
    assert found.look(record("quote", 1000, bid_price=0), record("quote", 1001, ask_price=0)) == []


def test_prices_below_zero_are_no_shares_of_each_other() -> None:
    prices = [UNIT, -UNIT, 0, 5 * UNIT]
    assert Looking().look(*(record("trade", at, price=prices[at % 4]) for at in range(400))) == []


def test_records_of_the_past_and_of_other_types_are_left_out() -> None:
    found = looking("trade")
    looked = found.marker.looked
    assert found.look(record("trade", 1000, past=True, quantity=10_000 * UNIT), received(found)) == []
    assert found.marker.looked == looked


def received(found: Looking) -> Any:
    """An anomaly: it comes by, too."""
    other = Looking()
    other.marker.know(LISTED, True)
    (made,) = other.marker.look([record("trade", 1, symbol="ETHUSD")], BEGIN, lambda name: LEDGER.account("x", name))
    return made._replace(received_us=BEGIN)


def test_the_next_ones_are_counted_and_told_of_together() -> None:
    found = looking("quote")
    crossed: dict[str, Any] = {"bid_price": 64_001 * UNIT, "ask_price": 64_000 * UNIT}
    first = found.look(record("quote", 1000, **crossed))
    more = [one for number in range(1001, 1031) for one in found.look(record("quote", number, **crossed))]
    assert (len(first), more, found.due(BEGIN + 1059 * SECOND)) == (1, [], [])
    (told,) = found.due(BEGIN + 1060 * SECOND)
    assert (told["count"], told["since_timestamp"]) == (30, BEGIN + 1001 * SECOND)
    assert told["ingestion_timestamp"] == BEGIN + 1030 * SECOND
    assert found.due(BEGIN + 1120 * SECOND) == [], "nothing came since"
    assert len(found.look(record("quote", 1130, **crossed))) == 1, "so the next one is told at once again"
    found.look(record("quote", 1131, **crossed))
    (rest,) = found.due(BEGIN + 1131 * SECOND, last=True)
    assert rest["count"] == 1
    assert found.marker.reports.counts["quote", AnomalyKind.CROSSED_QUOTE] == 33


def test_a_long_record_is_not_kept_until_it_is_told_of() -> None:
    found = looking("quote")
    crossed: dict[str, Any] = {"bid_price": 64_001 * UNIT, "ask_price": 64_000 * UNIT}
    long = [record("quote", number, vendor_data={"x": "y" * 100_000}, **crossed) for number in (1000, 1001)]
    (first,) = found.look(long[0])
    assert found.look(long[1]) == []
    held = [one.latest for one in found.marker.reports._pending.values() if one.latest is not None]
    assert [one.body for one in held] == [b""]
    (second,) = found.due(BEGIN + 1060 * SECOND)
    same = ("kind", "observed", "bid_price", "ask_price", "symbol", "exchange", "currency")
    assert [first[name] for name in same] == [second[name] for name in same]
    assert second["record_message_id"] == "00000000-0000-5000-8000-000000001001"


def test_the_same_record_gives_the_same_anomaly() -> None:
    odd = record("quote", 1000, bid_price=64_001 * UNIT, ask_price=64_000 * UNIT)
    assert Looking().look(odd) == Looking().look(odd) != []


def test_symbols_are_bounded() -> None:
    found = Looking(most=10)
    crossed: dict[str, Any] = {"bid_price": 2 * UNIT, "ask_price": UNIT}
    told = found.look(*(record("quote", number, symbol=f"S{number}", **crossed) for number in range(30)))
    assert (len(told), found.marker.looked, found.marker.passed_over) == (10, 10, 20)


def test_a_list_that_was_cut_says_nothing_of_who_is_missing() -> None:
    found = Looking()
    found.marker.know(LISTED, False)
    assert found.look(record("trade", 1, symbol="XRPUSD")) == []


def test_the_list_is_about_the_connectors_own_asset_class() -> None:
    found = Looking()
    found.marker.know(LISTED, True)
    assert found.look(record("trade", 1, symbol="XRPUSD", asset_class="futures")) == []


def test_a_list_that_comes_later_or_changes_holds_from_then_on() -> None:
    found = Looking()
    assert found.look(record("trade", 1, price=UNIT // 4)) == []
    found.marker.know(LISTED, True)
    assert [one["kind"] for one in found.look(record("trade", 2, price=UNIT // 4))] == ["off-tick"]
    found.marker.know({"BTCUSD": Instrument(Decimal("0.25"))}, True)
    found.look(record("trade", 3, price=UNIT // 4))
    assert found.due(BEGIN + 1000 * SECOND, last=True) == []


def test_a_step_finer_than_the_records_is_not_compared() -> None:
    found = Looking()
    found.marker.know({"BTCUSD": Instrument(Decimal("0.000000003"), Decimal("1E+3"))}, True)
    (told,) = found.look(record("trade", 1, price=UNIT // 4, quantity=1500 * UNIT))
    assert (told["kind"], told["bound"]) == ("off-lot", "1000")


def test_numbers_that_do_not_fit_are_the_largest_that_do() -> None:
    found = looking("trade")
    (told,) = found.look(record("trade", 1000, price=9_999_999_999 * UNIT, timestamp=BEGIN + 1000 * SECOND))
    assert told["kind"] == "price-move"
    (told,) = Looking().look(record("quote", 1, timestamp=BEGIN + 10**17))
    assert told["observed"] == "9999999999.99999999"


def test_their_topic_is_one_for_each_asset_class() -> None:
    assert anomaly_topic("VENUE", "crypto") == "market.crypto.anomalies.venue"
    topics = Looking().marker.topics()
    assert {name: schema.name for name, schema in topics.items()} == {"market.crypto.anomalies.venue": "anomaly"}


def test_a_market_with_fat_tails_is_seldom_odd() -> None:
    """Moves of a Student's t with three degrees of freedom, sizes of a Pareto tail of 1.5: 100,000 trades."""
    chance, found, price = random.Random(7), Looking(), 64_000 * UNIT
    for begin in range(0, 100_000, 1000):
        some = []
        for number in range(begin, begin + 1000):
            spread = sum(chance.gauss(0, 1) ** 2 for _ in range(3)) / 3
            price = max(UNIT, round(price * (1 + 0.0002 * chance.gauss(0, 1) / spread**0.5)))
            some.append(record("trade", number, price=price, quantity=round(UNIT * chance.paretovariate(1.5))))
        found.look(*some)
    odd = sum(found.marker.reports.counts.values())
    assert odd <= 15, found.marker.reports.counts
