"""Late trades, repeats, empty spans, corrections and bounds: what becomes of each."""

from __future__ import annotations

from typing import Any

import pytest

from k2conn.candles.aggregator import CandleAggregator
from k2conn.candles.envelopes import CandleEncoder
from k2conn.candles.settings import CandleSettings
from k2conn.candles.trades import Trade, TradeReading, trade_of_plain
from k2conn.errors import EncodeError, SettingsError
from tests.support.trade_data import BEGIN_US, trade

MINUTE = 60_000_000


def at(minute: float) -> int:
    return BEGIN_US + round(minute * MINUTE)


class Book:
    """An aggregator and what it says, as (minute, open, high, low, close, count)."""

    def __init__(self, **settings: Any) -> None:
        self.aggregator = CandleAggregator(CandleSettings(**{"names": ("1m",), "delay_us": 0, **settings}))
        self.encoder = CandleEncoder()
        self.records: list[dict[str, Any]] = []

    def add(self, *trades: Trade) -> list[tuple[Any, ...]]:
        self.refused = self.aggregator.add(trades)
        return self.look()

    def look(self) -> list[tuple[Any, ...]]:
        new = []
        for candle in self.aggregator.collect():
            envelope = self.encoder.envelope(candle)
            assert envelope.schema is not None
            new.append(envelope.schema.decode_plain(envelope.value))
        self.records += new
        names = ("open", "high", "low", "close", "trade_count")
        return [((one["open_time"] - BEGIN_US) // MINUTE, *(one[name] for name in names)) for one in new]


def test_a_span_is_over_when_a_later_trade_comes_and_the_delay_is_over() -> None:
    book = Book(delay_us=2_000_000)
    assert book.add(trade(1, at(0)), trade(2, at(0.5), "7")) == []
    assert book.add(trade(3, at(1))) == []
    assert book.add(trade(4, at(1) + 1_999_999)) == []
    assert book.add(trade(5, at(1) + 2_000_000)) == [(0, "100", "100", "7", "7", 2)]
    assert book.add(trade(6, at(1) + 2_000_001)) == []


def test_the_edges_the_beginning_belongs_to_a_span_and_its_end_to_the_next() -> None:
    book = Book()
    book.add(trade(1, at(1) - 1, "1"), trade(2, at(1), "2"), trade(3, at(2) - 1, "3"), trade(4, at(2), "4"))
    assert [(one["open_time"], one["close_time"]) for one in book.records] == [(at(0), at(1)), (at(1), at(2))]
    assert [(one["open"], one["close"]) for one in book.records] == [("1", "1"), ("2", "3")]


def test_a_late_trade_corrects_the_candle_under_another_id_and_the_same_key() -> None:
    book = Book()
    book.add(trade(1, at(0)), trade(2, at(1)))
    assert book.add(trade(3, at(0.5), "120", "2")) == [(0, "100", "120", "100", "120", 2)]
    first, second = book.records
    assert first["message_id"] != second["message_id"]
    assert (first["open_time"], first["is_closed"]) == (second["open_time"], second["is_closed"])
    assert second["volume"] == "3"
    assert book.aggregator.counts.corrections == 1


def test_the_same_trades_give_the_same_records_in_any_order_of_arrival_within_the_delay() -> None:
    trades = [trade(number, at(number / 10), str(100 + number % 7)) for number in range(40)]
    one, other = Book(delay_us=MINUTE), Book(delay_us=MINUTE)
    one.add(*trades)
    for pair in zip(trades[1::2], trades[::2], strict=True):
        other.add(*pair)
    assert one.records == other.records
    assert len(one.records) == 2


def test_a_repeat_is_not_counted_twice_while_trades_are_known_one_by_one() -> None:
    book = Book(lateness_us=MINUTE)
    book.add(trade(1, at(0)), trade(1, at(0)), trade(2, at(1)))
    assert [one["trade_count"] for one in book.records] == [1]
    assert book.add(trade(1, at(0))) == []
    assert book.aggregator.counts.repeated == 2
    book.add(trade(3, at(3)))
    assert book.add(trade(1, at(0))) == []
    assert [why for _, why in book.refused] == ["its span was closed for good before it came"]


def test_a_trade_later_than_the_lateness_is_refused_and_one_within_it_counts() -> None:
    book = Book(lateness_us=2 * MINUTE)
    book.add(trade(1, at(0)), trade(2, at(1)), trade(3, at(4.5)))
    assert book.add(trade(4, at(2.5), "9")) == [(2, "9", "9", "9", "9", 1)]
    assert book.add(trade(5, at(1.9), "8")) == []
    assert len(book.refused) == book.aggregator.counts.late == 1


def test_trades_of_one_microsecond_are_in_the_order_of_their_numbers_or_else_of_arrival() -> None:
    book = Book()
    book.add(trade(9, at(0), "9"), trade(7, at(0), "7"), trade(10, at(0), "10"), trade(11, at(1)))
    assert [(one["open"], one["close"]) for one in book.records] == [("7", "10")]
    book = Book()
    book.add(*(trade(number, at(0), str(number), trade_id=f"VENUE-x{number}") for number in (3, 1, 2)), trade(4, at(1)))
    assert [(one["open"], one["close"]) for one in book.records] == [("3", "2")]
    book = Book()
    book.add(*(trade(n, at(0), str(n), trade_id="VENUE-x", sequence=9 - n) for n in (3, 1, 2)), trade(4, at(1)))
    assert [(one["open"], one["close"]) for one in book.records] == [("3", "1")]


def test_empty_spans_are_left_out_or_have_the_last_price() -> None:
    trades = trade(1, at(0), "5"), trade(2, at(3), "6"), trade(3, at(4), "7")
    assert [one[0] for one in Book().add(*trades)] == [0, 3]
    book = Book(empty="repeat")
    assert book.add(*trades) == [
        (0, "5", "5", "5", "5", 1), (1, "5", "5", "5", "5", 0), (2, "5", "5", "5", "5", 0), (3, "6", "6", "6", "6", 1),
    ]
    empty = book.records[1]
    assert [empty[name] for name in ("volume", "quote_volume", "taker_buy_base")] == ["0", "0", "0"]


def test_a_late_trade_changes_the_empty_spans_behind_it_and_no_others() -> None:
    book = Book(empty="repeat")
    book.add(trade(1, at(0), "5"), trade(2, at(4), "6"), trade(3, at(6), "7"))
    assert book.add(trade(4, at(2.5), "8")) == [(2, "8", "8", "8", "8", 1), (3, "8", "8", "8", "8", 0)]
    assert book.add(trade(5, at(2.6), "8")) == [(2, "8", "8", "8", "8", 2)]
    assert len({one["message_id"] for one in book.records}) == len(book.records)


def test_empty_spans_go_on_after_the_lateness_too_and_their_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book(empty="repeat", lateness_us=MINUTE)
    book.add(trade(1, at(0), "5"))
    for minute in range(2, 20):
        book.aggregator.advance(at(minute))
        book.look()
    assert [one["close"] for one in book.records] == ["5"] * 19
    monkeypatch.setattr("k2conn.candles.series.MOST_REPEATED", 4)
    assert [one[0] for one in book.add(trade(2, at(1000)))] == [996, 997, 998, 999]


def test_a_longer_interval_is_added_up_of_what_is_forgotten_one_by_one() -> None:
    book = Book(names=("1m", "1h"), lateness_us=MINUTE)
    for minute in range(61):
        book.add(trade(minute, at(minute), str(100 + minute)))
    assert book.aggregator.held <= 3
    (hour,) = [one for one in book.records if one["interval"] == "1h"]
    assert [hour[name] for name in ("open", "high", "close", "trade_count")] == ["100", "159", "159", 60]


def test_intervals_that_are_no_multiples_of_each_other_share_their_parts() -> None:
    book = Book(names=("2m", "3m", "1w"))
    assert book.aggregator.settings.base_us == MINUTE
    book.add(*(trade(minute, at(minute)) for minute in range(7)))
    assert [(one["interval"], one["trade_count"]) for one in book.records] == [("2m", 2)] * 3 + [("3m", 3)] * 2


def test_where_one_trade_does_not_tell_who_bought_the_candle_does_not() -> None:
    book = Book()
    book.add(trade(1, at(0)), trade(2, at(0.1), side="UNKNOWN"), trade(3, at(1), side="SELL"), trade(4, at(2)))
    assert [(one["taker_buy_base"], one["taker_buy_quote"]) for one in book.records] == [(None, None), ("0", "0")]


def test_a_time_after_its_own_receipt_does_not_close_anything() -> None:
    book = Book()
    assert book.add(trade(1, at(0)), trade(2, at(500), received_us=at(0))) == []
    assert [why for _, why in book.refused] == ["its time is after its receipt"]


def test_symbols_have_candles_of_their_own_and_follow_the_exchange_when_told() -> None:
    book = Book()
    book.add(trade(1, at(0), symbol="RARE"), trade(2, at(0)), trade(3, at(1)))
    assert [one["symbol"] for one in book.records] == ["BTCUSDT"]
    book.aggregator.advance_to_latest()
    book.look()
    assert [one["symbol"] for one in book.records] == ["BTCUSDT", "RARE"]


def test_what_is_known_one_by_one_is_bounded() -> None:
    book = Book(most_trades=50, lateness_us=1000 * MINUTE)
    for number in range(200):
        book.add(trade(number, at(number / 10), str(number)))
    assert book.aggregator.held <= 60
    assert [one["open"] for one in book.records] == [str(10 * minute) for minute in range(19)]
    book.add(trade(300, at(2)))
    assert book.aggregator.counts.late == 1


@pytest.mark.parametrize("names", [("1d",), ("1w",), ("1h", "1d")])
def test_what_is_known_one_by_one_is_bounded_however_long_the_intervals_are(names: tuple[str, ...]) -> None:
    book = Book(names=names, lateness_us=MINUTE)
    for number in range(500):
        book.add(trade(number, at(number / 10)))
    assert book.aggregator.held <= 30
    (state, *_) = [one for one in book.aggregator.states() if one.interval.name == names[-1]]
    assert state.sums.count == 500


def test_what_is_known_one_by_one_is_bounded_within_a_minute_too() -> None:
    book = Book(most_trades=50)
    for number in range(500):
        book.add(trade(number, at(number / 1000)))
        assert book.aggregator.held <= 51
    book.add(trade(1000, at(1)))
    assert [one["trade_count"] for one in book.records] == [500]


def test_a_number_that_is_too_large_is_named() -> None:
    book = Book()
    with pytest.raises(EncodeError, match="does not fit"):
        book.add(*(trade(n, at(0), price="9999999999", quantity=str(10**9)) for n in range(100_001)), trade(0, at(1)))


def test_settings_that_cannot_be_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        CandleSettings(names=("1x", "2y"), empty="fill")
    assert len(caught.value.problems) == 3
    with pytest.raises(SettingsError, match="in the lateness"):
        CandleSettings(names=("1s",), lateness_us=7 * 86_400_000_000)


def test_larger_decimals_need_the_setting_and_plain_records_are_read() -> None:
    with pytest.raises(SettingsError, match="its price has 18 decimals, and this process 8: say K2_DECIMALS=38,18"):
        TradeReading(18, 8)
    plain = {
        "message_id": "m", "trade_id": "VENUE-1", "symbol": "S", "exchange": "VENUE", "asset_class": "crypto",
        "timestamp": 1, "price": "64000.1", "quantity": "0.00000001", "currency": "USD", "side": "SELL_SHORT",
        "source_sequence": None, "ingestion_timestamp": 2,
    }
    found = trade_of_plain(plain)
    assert (found.price, found.quantity, found.buys, found.number) == (6_400_010_000_000, 1, False, 1)
    for changed in ({"price": "0.000000001"}, {"price": "x"}, {"side": "?"}, {"timestamp": "1"}, {"symbol": None}):
        with pytest.raises(ValueError, match="no trade record"):
            trade_of_plain({**plain, **changed})
