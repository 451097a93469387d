"""Backfill on the shipped venues: trades are cut out of a stream, the venue's REST API (as it is documented) has them.

Of every venue the same is asked: what was cut out comes back, once, as the very records that the stream would have
given (but for vendor_data), and the gap is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from k2conn import exactjson
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.plan import Backoff
from k2conn.runner import Job, Overrides, Runner
from k2conn.runner.backfill_worker import RetryPolicy
from k2conn.sinks.settings import SinkSettings
from tests.support.plans import WORLD
from tests.support.rest import Answer, Asked, rest
from tests.support.shipped import load
from tests.support.venues import MemorySink

BEGIN_MS = 1_767_323_000_000
MANY = 1500
"""More than any venue answers at a time."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k2conn.engine.gaps.gap_tracker.GRACE_US", 50_000)
    monkeypatch.setattr("k2conn.engine.gaps.suspected_gaps.GRACE_US", 50_000)
    monkeypatch.setattr("k2conn.runner.connector.LOOK_EVERY", 0.02)
    monkeypatch.setattr("k2conn.runner.backfill_worker.RETRY_POLICY", RetryPolicy(lag=0.05, backoff=Backoff(base=0.02)))


@dataclass(frozen=True)
class Trade:
    """A trade of a venue, by its number."""

    number: int

    @property
    def ms(self) -> int:
        return BEGIN_MS + self.number * 10

    @property
    def price(self) -> str:
        return format(Decimal(100) + self.number * Decimal("0.01"), "f")

    @property
    def quantity(self) -> str:
        return format(self.number * Decimal("0.001"), "f")

    @property
    def buy(self) -> bool:
        return self.number % 2 == 0

    @property
    def iso(self) -> str:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self.ms)).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Venue:
    """How a venue says its trades, on the socket and over REST."""

    connector: str
    symbol: str
    frame: Callable[[Sequence[Any]], Any]
    answer: Callable[[Asked, Sequence[Any]], Any]
    path: str
    stream: str = "trade"
    environment: dict[str, str] = field(default_factory=dict)
    item: Callable[[int], Any] = Trade
    """What it sends, by its number."""


def _binance_frame(event: str, key: str) -> Callable[[Sequence[Trade]], Any]:
    def frame(trades: Sequence[Trade]) -> Any:
        (one,) = trades
        return {"stream": f"btcusdt@{event}", "data": {
            "e": event, "E": one.ms, "s": "BTCUSDT", key: one.number, "p": one.price, "q": one.quantity, "T": one.ms,
            "m": not one.buy, "M": True}}

    return frame


def _from_id(asked: Asked, trades: Sequence[Trade]) -> list[Trade]:
    """At most ``limit`` trades from ``fromId`` on, oldest first."""
    first, limit = int(asked.query["fromId"]), int(asked.query["limit"])
    assert asked.query["symbol"] == "BTCUSDT"
    assert 1 <= limit <= 1000
    return [one for one in trades if one.number >= first][:limit]


def _binance_trades(asked: Asked, trades: Sequence[Trade]) -> Any:
    assert asked.headers["X-MBX-APIKEY"] == "key"
    return [
        {"id": one.number, "price": one.price, "qty": one.quantity, "quoteQty": "1.0", "time": one.ms,
         "isBuyerMaker": not one.buy, "isBestMatch": True}
        for one in _from_id(asked, trades)
    ]


def _binance_agg(asked: Asked, trades: Sequence[Trade]) -> Any:
    return [
        {"a": one.number, "p": one.price, "q": one.quantity, "f": one.number, "l": one.number, "T": one.ms,
         "m": not one.buy, "M": True}
        for one in _from_id(asked, trades)
    ]


def _kraken_frame(trades: Sequence[Trade]) -> Any:
    return {"channel": "trade", "type": "update", "data": [
        {"symbol": "BTC/USD", "side": "buy" if one.buy else "sell", "price": Decimal(one.price),
         "qty": Decimal(one.quantity), "ord_type": "limit", "trade_id": one.number, "timestamp": one.iso}
        for one in trades]}


def _kraken(asked: Asked, trades: Sequence[Trade]) -> Any:
    """Trades later than ``since`` (nanoseconds), oldest first, at most ``count``."""
    assert asked.query["pair"] == "BTC/USD"
    since, count = int(asked.query["since"]), int(asked.query["count"])
    found = [one for one in trades if one.ms * 1_000_000 > since][:count]
    rows = [[one.price, one.quantity, Decimal(one.ms) / 1000, "b" if one.buy else "s", "l", "", one.number]
            for one in found]
    return {"error": [], "result": {"BTC/USD": rows, "last": str((found[-1].ms if found else 0) * 1_000_000)}}


def _coinbase_frame(trades: Sequence[Trade]) -> Any:
    (one,) = trades
    return {"type": "match", "trade_id": one.number, "sequence": one.number * 7, "maker_order_id": "a",
            "taker_order_id": "b", "time": one.iso, "product_id": "BTC-USD", "size": one.quantity, "price": one.price,
            "side": "sell" if one.buy else "buy"}


def _coinbase(asked: Asked, trades: Sequence[Trade]) -> Any:
    """Trades older than ``after``, newest first; the side is the maker's."""
    after, limit = int(asked.query["after"]), int(asked.query["limit"])
    assert 1 <= limit <= 1000
    found = [one for one in reversed(trades) if one.number < after][:limit]
    return [{"trade_id": one.number, "side": "sell" if one.buy else "buy", "size": one.quantity, "price": one.price,
             "time": one.iso} for one in found]


def _okx_item(one: Trade) -> dict[str, str]:
    return {"instId": "BTC-USDT", "tradeId": str(one.number), "px": one.price, "sz": one.quantity,
            "side": "buy" if one.buy else "sell", "ts": str(one.ms)}


def _okx(asked: Asked, trades: Sequence[Trade]) -> Any:
    """Trades older than the tradeId ``after``, newest first, at most 100."""
    assert (asked.query["instId"], asked.query["type"]) == ("BTC-USDT", "1")
    limit = min(int(asked.query["limit"]), 100)
    found = [one for one in reversed(trades) if one.number < int(asked.query["after"])][:limit]
    return {"code": "0", "msg": "", "data": [_okx_item(one) for one in found]}


def _bybit_frame(trades: Sequence[Trade]) -> Any:
    return {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": trades[-1].ms, "data": [
        {"T": one.ms, "s": "BTCUSDT", "S": "Buy" if one.buy else "Sell", "v": one.quantity, "p": one.price,
         "L": "PlusTick", "i": f"id-{one.number}", "BT": False} for one in trades]}


def _bybit(asked: Asked, trades: Sequence[Trade]) -> Any:
    """The latest trades, newest first; and the list of instruments."""
    if "symbol" not in asked.query:
        listed = {"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "status": "Trading"}
        return {"retCode": 0, "retMsg": "OK", "result": {"category": asked.query["category"], "list": [listed]}}
    assert asked.query["symbol"] == "BTCUSDT"
    found = list(reversed(trades))[: int(asked.query["limit"])]
    rows = [{"execId": f"id-{one.number}", "symbol": "BTCUSDT", "price": one.price, "size": one.quantity,
             "side": "Buy" if one.buy else "Sell", "time": str(one.ms), "isBlockTrade": False} for one in found]
    return {"retCode": 0, "retMsg": "OK", "result": {"category": asked.query["category"], "list": rows},
            "retExtInfo": {}, "time": 1}


NUMBERED = [
    Venue("binance", "BTCUSDT", _binance_frame("trade", "t"), _binance_trades, "/api/v3/historicalTrades",
          environment={"K2_BINANCE_API_KEY": "key"}),
    Venue("binance", "BTCUSDT", _binance_frame("aggTrade", "a"), _binance_agg, "/api/v3/aggTrades", "agg_trade"),
    Venue("kraken", "BTC/USD", _kraken_frame, _kraken, "/0/public/Trades"),
    Venue("coinbase", "BTC-USD", _coinbase_frame, _coinbase, "/products/BTC-USD/trades"),
    Venue("okx", "BTC-USDT", lambda trades: {"arg": {"channel": "trades-all", "instId": "BTC-USDT"},
                                             "data": [_okx_item(one) for one in trades]},
          _okx, "/api/v5/market/history-trades", "trade_all"),
]
RECENT = [
    Venue("bybit", "BTCUSDT", _bybit_frame, _bybit, "/v5/market/recent-trade"),
    Venue("bybit-spot", "BTCUSDT", _bybit_frame, _bybit, "/v5/market/recent-trade"),
]


def text(value: Any) -> str:
    return exactjson.encode(value).decode()


def direct(venue: Venue, numbers: Iterable[int]) -> dict[str, dict[str, Any]]:
    """The records that the stream itself makes of trades, by their ids."""
    plan = load(venue.connector)
    symbol = plan.symbols.resolve(venue.symbol)
    connection = next(one for one in plan.connections if venue.stream in one.streams)
    pipeline = FramePipeline(
        ConnectorState(plan, [venue.stream], 100_000), connection, [symbol] if symbol else [], WORLD
    )
    found = {}
    for number in numbers:
        for envelope in pipeline.receive([text(venue.frame([venue.item(number)]))], 0.0, 1)[0]:
            assert envelope.schema is not None
            record = envelope.schema.decode_plain(envelope.value)
            found[record["message_id"]] = record
    return found


@dataclass
class Outcome:
    """What came out of a run."""

    trades: list[dict[str, Any]]
    gaps: list[dict[str, Any]]
    totals: dict[str, int]
    equation: str


def run(
    venue: Venue, connections: Sequence[Sequence[int]], answer: Callable[[Asked], Answer],
    until: Callable[[Outcome], bool], backfill: bool = True,
) -> Outcome:
    """Runs the shipped connector against a socket that sends these numbers, connection by connection."""

    async def main() -> Outcome:
        plan, served = load(venue.connector), iter(connections)
        made: list[MemorySink] = []

        async def talk(socket: ServerConnection) -> None:
            numbers = next(served, None)
            if numbers is None:
                await socket.wait_closed()
                return
            for number in numbers:
                await socket.send(text(venue.frame([venue.item(number)])))
            await asyncio.sleep(0.05)
            if numbers is not connections[-1]:
                await socket.close()
            await socket.wait_closed()

        def make(settings: SinkSettings, settle: Any, reject: Any) -> Any:
            made.append(MemorySink(settle))
            return made[0]

        with rest(answer) as api:
            async with serve(talk, "127.0.0.1", 0) as server:
                url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
                overrides = Overrides(urls=(url,), http_url=api.url, base_delay=0.01, backfill=backfill)
                job = Job(plan, (venue.symbol,), (venue.stream,), overrides)
                runner = Runner([job], SinkSettings(kind="file"), open_sink=make, environment=venue.environment)
                stop = asyncio.Event()
                task = asyncio.create_task(runner.run(stop))
                try:
                    async with asyncio.timeout(60):
                        while not until(outcome(runner, made[0])):
                            await asyncio.sleep(0.02)
                            if task.done():
                                task.result()
                finally:
                    stop.set()
                assert (await task).exit_code == 0
        return outcome(runner, made[0])

    def outcome(runner: Runner, sink: MemorySink) -> Outcome:
        ledger = runner.connectors[0].connector_state.ledger
        records = sink.records
        return Outcome(
            [record for record in records if "gap_id" not in record],
            [record for record in records if "gap_id" in record],
            ledger.totals(venue.stream),
            ledger.equation(),
        )

    return asyncio.run(main())


def assert_recovered(venue: Venue, found: Outcome, missing: Iterable[int], all_of: Iterable[int]) -> None:
    """Every trade once; those that were missing as the stream would have given them, and marked."""
    by_id = {record["message_id"]: record for record in found.trades}
    assert len(by_id) == len(found.trades)
    assert by_id.keys() == direct(venue, all_of).keys()
    own = direct(venue, missing)
    fetched = {key: record for key, record in by_id.items() if record["vendor_data"].get("backfill") == "true"}
    assert fetched.keys() == own.keys()
    for key, record in fetched.items():
        for apart in ("vendor_data", "ingestion_timestamp"):
            del record[apart], own[key][apart]
        assert record == own[key]
    assert found.totals["backfilled"] == len(own)
    assert found.totals["missing"] == 0
    assert found.totals["in_flight"] == 0


@pytest.mark.parametrize("venue", NUMBERED, ids=lambda venue: f"{venue.connector}-{venue.stream}")
def test_a_gap_is_filled_number_by_number(venue: Venue) -> None:
    history = [Trade(number) for number in range(1, MANY + 200)]

    def answer(asked: Asked) -> Answer:
        assert asked.path == venue.path
        return Answer(venue.answer(asked, history))

    sent = [90, 91, *range(91 + MANY, 91 + MANY + 5)]
    missing = range(92, 91 + MANY)
    found = run(venue, [sent], answer, lambda now: any(gap["status"] == "CLOSED" for gap in now.gaps))
    assert_recovered(venue, found, missing, range(90, 91 + MANY + 5))
    opened, closed = found.gaps
    assert (opened["status"], opened["missing"], opened["backfill"]) == ("OPEN", len(missing), "pending")
    assert (closed["status"], closed["missing"], closed["recovered"]) == ("CLOSED", 0, len(missing))
    assert (closed["first_sequence"], closed["last_sequence"], closed["backfill"]) == (92, 90 + MANY, "done")
    assert closed["gap_id"] == opened["gap_id"]
    assert closed["message_id"] != opened["message_id"]


@pytest.mark.parametrize("venue", RECENT, ids=lambda venue: venue.connector)
def test_what_a_reconnect_missed_is_among_the_latest(venue: Venue) -> None:
    history = [Trade(number) for number in range(1, 41)]
    found = run(
        venue, [range(10, 20), range(30, 35)], lambda asked: Answer(venue.answer(asked, history)),
        lambda now: bool(now.gaps),
    )
    assert_recovered(venue, found, range(20, 30), range(10, 35))
    (gap,) = found.gaps
    assert (gap["status"], gap["count"], gap["recovered"], gap["cause"]) == ("CLOSED", 10, 10, "reconnect")
    assert (gap["first_sequence"], gap["backfill"]) == (None, "done")


@pytest.mark.parametrize("venue", RECENT, ids=lambda venue: venue.connector)
def test_a_reconnect_that_missed_nothing_is_no_gap(venue: Venue) -> None:
    history = [Trade(number) for number in range(1, 41)]
    asked_for: list[Asked] = []

    def answer(asked: Asked) -> Answer:
        if asked.path == venue.path:  # not the list of instruments
            asked_for.append(asked)
        return Answer(venue.answer(asked, history))

    found = run(venue, [range(10, 20), range(20, 25)], answer, lambda now: bool(asked_for))
    assert found.gaps == []
    assert len(found.trades) == 15


def test_the_latest_that_do_not_reach_back_leave_a_gap_of_unknown_size() -> None:
    venue = RECENT[1]
    history = [Trade(number) for number in range(1, 301)]
    found = run(
        venue, [range(10, 20), range(298, 301)], lambda asked: Answer(venue.answer(asked, history)),
        lambda now: bool(now.gaps),
    )
    (gap,) = found.gaps
    assert (gap["status"], gap["missing"], gap["recovered"], gap["backfill"]) == ("OPEN", None, 57, "failed")


def test_without_the_key_that_a_call_needs_gaps_are_reported_only() -> None:
    venue = Venue("binance", "BTCUSDT", NUMBERED[0].frame, NUMBERED[0].answer, "")
    found = run(venue, [[1, 5]], lambda asked: Answer([], 401), lambda now: bool(now.gaps))
    (gap,) = found.gaps
    assert (gap["status"], gap["missing"], gap["backfill"]) == ("OPEN", 3, "none")


def test_backfill_may_be_off() -> None:
    venue = NUMBERED[3]
    found = run(venue, [[1, 5]], lambda asked: Answer([], 500), lambda now: bool(now.gaps), False)
    assert [gap["backfill"] for gap in found.gaps] == ["none"]
