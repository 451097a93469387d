"""Backfill of candles on the shipped venues: some are cut out, the venue's REST API (as it is documented) has them.

Where a venue has a candle for every interval, a hole between two of them is a gap. Where it has none for an interval
without a trade, only a reconnect makes one suspect. Of every venue the same is asked: what was cut out comes back,
once, as the stream would have given it (but for vendor_data, and the time of the report, which history has not).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from tests.connectors.test_backfill_venues import Outcome, Venue, _quick, direct, run
from tests.support.rest import Answer, Asked

quick = _quick
BEGIN_MS = 1_767_312_000_000
"""A multiple of every interval here."""
MANY = 1100
"""More than any of these venues answers at a time."""


@dataclass(frozen=True)
class Candle:
    """A candle of a venue, by its number; of so many minutes."""

    number: int
    minutes: int = 1

    @property
    def ms(self) -> int:
        return BEGIN_MS + self.number * self.minutes * 60_000

    @property
    def end_ms(self) -> int:
        return self.ms + self.minutes * 60_000

    @property
    def iso(self) -> str:
        return datetime.fromtimestamp(self.ms / 1000, UTC).isoformat().replace("+00:00", ".000000000Z")

    @property
    def prices(self) -> tuple[str, str, str, str]:
        """Open, high, low, close."""
        begin = Decimal(100) + self.number * Decimal("0.01")
        return str(begin), str(begin + 2), str(begin - 1), str(begin + 1)

    @property
    def volume(self) -> str:
        return str(self.number * Decimal("0.001"))

    @property
    def amount(self) -> str:
        return str(self.number * Decimal("0.1"))


def _binance_frame(candles: Sequence[Candle]) -> Any:
    (one,) = candles
    first, high, low, last = one.prices
    return {"stream": "btcusdt@kline_1m", "data": {"e": "kline", "E": one.end_ms + 12, "s": "BTCUSDT", "k": {
        "t": one.ms, "T": one.end_ms - 1, "s": "BTCUSDT", "i": "1m", "f": 1, "L": 9, "o": first, "c": last, "h": high,
        "l": low, "v": one.volume, "n": one.number, "x": True, "q": one.amount, "V": one.volume, "Q": one.amount,
        "B": "0"}}}


def _binance(asked: Asked, candles: Sequence[Candle]) -> Any:
    """Candles that open from ``startTime`` to ``endTime``, oldest first, at most ``limit``."""
    assert (asked.query["symbol"], asked.query["interval"]) == ("BTCUSDT", "1m")
    begin, end, limit = (int(asked.query[name]) for name in ("startTime", "endTime", "limit"))
    assert 1 <= limit <= 1000
    return [
        [one.ms, *one.prices, one.volume, one.end_ms - 1, one.amount, one.number, one.volume, one.amount, "0"]
        for one in candles if begin <= one.ms <= end
    ][:limit]


def _bybit_frame(candles: Sequence[Candle]) -> Any:
    (one,) = candles
    first, high, low, last = one.prices
    return {"topic": "kline.1.BTCUSDT", "type": "snapshot", "ts": one.end_ms + 5, "data": [{
        "start": one.ms, "end": one.end_ms - 1, "interval": "1", "open": first, "close": last, "high": high,
        "low": low, "volume": one.volume, "turnover": one.amount, "confirm": True, "timestamp": one.end_ms + 4}]}


def _bybit(asked: Asked, candles: Sequence[Candle]) -> Any:
    """Candles that open from ``start`` to ``end``, newest first, of these the newest ``limit``."""
    assert (asked.query["category"], asked.query["interval"]) == ("spot", "1")
    begin, end, limit = (int(asked.query[name]) for name in ("start", "end", "limit"))
    assert 1 <= limit <= 1000
    rows = [[str(one.ms), *one.prices, one.volume, one.amount] for one in reversed(candles) if begin <= one.ms <= end]
    return {"retCode": 0, "retMsg": "OK", "result": {"category": "spot", "symbol": "BTCUSDT", "list": rows[:limit]}}


def _okx_row(one: Candle) -> list[str]:
    return [str(one.ms), *one.prices, one.volume, one.amount, one.amount, "1"]


def _okx(asked: Asked, candles: Sequence[Candle]) -> Any:
    """Candles that open before ``after``, newest first, at most 100."""
    assert (asked.query["instId"], asked.query["bar"]) == ("BTC-USDT", "1m")
    limit = min(int(asked.query["limit"]), 100)
    found = [one for one in reversed(candles) if one.ms < int(asked.query["after"])][:limit]
    return {"code": "0", "msg": "", "data": [_okx_row(one) for one in found]}


def _kraken_frame(candles: Sequence[Candle]) -> Any:
    (one,) = candles
    first, high, low, last = map(Decimal, one.prices)
    return {"channel": "ohlc", "type": "update", "data": [{
        "symbol": "BTC/USD", "interval": 1, "interval_begin": one.iso, "open": first, "high": high, "low": low,
        "close": last, "volume": Decimal(one.volume), "vwap": first, "trades": one.number}]}


def _kraken(asked: Asked, candles: Sequence[Candle]) -> Any:
    """Candles later than ``since`` (seconds), oldest first, of these the latest 720; the last one is not over."""
    assert (asked.query["pair"], asked.query["interval"]) == ("BTC/USD", "1")
    found = [one for one in candles if one.ms // 1000 > int(asked.query["since"])][-720:]
    rows = [[one.ms // 1000, *one.prices, one.prices[0], one.volume, one.number] for one in found]
    return {"error": [], "result": {"XXBTZUSD": rows, "last": found[-1].ms // 1000 if found else 0}}


def _coinbase_frame(candles: Sequence[Candle]) -> Any:
    (one,) = candles
    first, high, low, last = one.prices
    return {"channel": "candles", "client_id": "", "timestamp": one.iso, "sequence_num": 1, "events": [
        {"type": "update", "candles": [{"start": str(one.ms // 1000), "high": high, "low": low, "open": first,
                                        "close": last, "volume": one.volume, "product_id": "BTC-USD"}]}]}


def _coinbase(asked: Asked, candles: Sequence[Candle]) -> Any:
    """Candles that open from ``start`` to ``end`` (seconds), newest first; more than 350 are refused."""
    begin, end = int(asked.query["start"]), int(asked.query["end"])
    assert asked.query["granularity"] == "FIVE_MINUTE"
    assert 0 <= end - begin < 350 * 300
    rows = []
    for one in reversed(candles):
        if begin <= one.ms // 1000 <= end:
            first, high, low, last = one.prices
            rows.append({"start": str(one.ms // 1000), "low": low, "high": high, "open": first, "close": last,
                         "volume": one.volume})
    return {"candles": rows}


FIVE = partial(Candle, minutes=5)
COUNTED = [
    Venue("binance", "BTCUSDT", _binance_frame, _binance, "/api/v3/klines", "candle_1m", item=Candle),
    Venue("bybit-spot", "BTCUSDT", _bybit_frame, _bybit, "/v5/market/kline", "candle_1m", item=Candle),
    Venue("okx", "BTC-USDT", lambda candles: {"arg": {"channel": "candle1m", "instId": "BTC-USDT"},
                                             "data": [_okx_row(one) for one in candles]},
          _okx, "/api/v5/market/history-candles", "candle_1m", item=Candle),
]
SPARSE = [
    Venue("kraken", "BTC/USD", _kraken_frame, _kraken, "/0/public/OHLC", "candle_1m", item=Candle),
    Venue("coinbase-advanced", "BTC-USD", _coinbase_frame, _coinbase,
          "/api/v3/brokerage/market/products/BTC-USD/candles", "candle_5m", item=FIVE),
]


def ids(venue: Venue) -> str:
    return venue.connector


def assert_recovered(
    venue: Venue, found: Outcome, missing: Iterable[int], all_of: Iterable[int], held: bool = False
) -> None:
    """Every candle once; those that were missing as the stream would have given them, and marked. ``held``: the venue's
    last one of these is over only when the one after it opens.
    """
    by_id = {record["message_id"]: record for record in found.trades}
    assert len(by_id) == len(found.trades)
    assert by_id.keys() == direct(venue, [*all_of, *_one_more(all_of, held)]).keys()
    own = direct(venue, [*missing, *_one_more(missing, held)])
    fetched = {key: record for key, record in by_id.items() if record["vendor_data"].get("backfill") == "true"}
    assert fetched.keys() == own.keys()
    for key, record in fetched.items():
        assert record["timestamp"] == record["close_time"]
        for apart in ("vendor_data", "ingestion_timestamp", "timestamp"):
            del record[apart], own[key][apart]
        assert record == own[key]
    assert found.totals["backfilled"] == len(own)
    assert found.totals["missing"] == 0
    assert found.totals["in_flight"] == 0
    assert found.totals["conflicts"] == 0


def _one_more(numbers: Iterable[int], held: bool) -> list[int]:
    return [max(numbers) + 1] if held else []


def answering(
    venue: Venue, history: Sequence[Candle], asked_for: list[Asked] | None = None
) -> Callable[[Asked], Answer]:
    def answer(asked: Asked) -> Answer:
        assert asked.path == venue.path
        if asked_for is not None:
            asked_for.append(asked)
        return Answer(venue.answer(asked, history))

    return answer


def closed(now: Outcome) -> bool:
    return any(gap["status"] == "CLOSED" for gap in now.gaps)


@pytest.mark.parametrize("venue", COUNTED, ids=ids)
def test_a_missing_open_time_is_a_gap_and_is_filled(venue: Venue) -> None:
    history = [venue.item(number) for number in range(1, MANY + 200)]
    sent = [90, 91, *range(91 + MANY, 91 + MANY + 5)]
    found = run(venue, [sent], answering(venue, history), closed)
    assert_recovered(venue, found, range(92, 91 + MANY), range(90, 91 + MANY + 5))
    opened, filled = found.gaps
    assert (opened["status"], opened["missing"], opened["stream"]) == ("OPEN", MANY - 1, "candle_1m")
    assert (filled["status"], filled["missing"], filled["recovered"]) == ("CLOSED", 0, MANY - 1)
    number = BEGIN_MS // 60_000 + 92
    assert (filled["first_sequence"], filled["last_sequence"]) == (number, number + MANY - 2)
    assert (opened["from_timestamp"], opened["to_timestamp"]) == (
        venue.item(91).end_ms * 1000, venue.item(91 + MANY).end_ms * 1000
    )


@pytest.mark.parametrize("venue", SPARSE, ids=ids)
def test_what_a_reconnect_missed_is_asked_for(venue: Venue) -> None:
    history = [venue.item(number) for number in range(1, 36)]
    found = run(
        venue, [range(10, 20), range(30, 35)], answering(venue, history),
        closed,
    )
    # 19 and 34 had begun, and no later one came on the same connection
    assert_recovered(venue, found, range(19, 30), range(10, 34), held=True)
    (gap,) = found.gaps
    assert (gap["status"], gap["count"], gap["recovered"], gap["cause"]) == ("CLOSED", 11, 11, "reconnect")


@pytest.mark.parametrize("venue", SPARSE, ids=ids)
def test_an_interval_without_a_trade_is_no_gap(venue: Venue) -> None:
    asked_for: list[Asked] = []
    found = run(venue, [[10, 11, 14, 15]], answering(venue, [], asked_for), lambda now: len(now.trades) == 3)
    assert (found.gaps, asked_for) == ([], [])


def test_more_than_an_answer_holds_is_asked_for_window_by_window() -> None:
    venue = SPARSE[1]
    history = [venue.item(number) for number in range(1, 1200) if not 400 < number < 900]
    asked_for: list[Asked] = []
    found = run(
        venue, [range(10, 20), range(1100, 1105)], answering(venue, history, asked_for),
        closed,
    )
    missing = [number for number in range(19, 1100) if not 400 < number < 900]
    assert found.totals["backfilled"] == len(missing)
    assert len(asked_for) == 4


def test_the_latest_that_do_not_reach_back_leave_a_gap_of_unknown_size() -> None:
    venue = SPARSE[0]
    history = [venue.item(number) for number in range(1, 1000)]
    found = run(
        venue, [range(10, 20), range(995, 999)], answering(venue, history),
        lambda now: any(gap["backfill"] == "failed" for gap in now.gaps),
    )
    (gap,) = found.gaps
    assert (gap["status"], gap["missing"], gap["backfill"]) == ("OPEN", None, "failed")
    assert gap["recovered"] == 995 - 280
