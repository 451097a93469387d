"""The mock exchange: every shipped connector converses with it over a real socket, as it would with its venue."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from k2conn import exactjson
from k2conn.compiler.expressions.templates import compile_template
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import Action, Note, Send, Session, SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.sharding.shards import shards
from k2conn.errors import SettingsError
from k2conn.framing import LINES, cutter
from k2conn.net.answer_stream import AnswerStream
from k2conn.net.http import Call, call
from k2conn.plan import Plan, Symbol
from k2conn.scope import Scope
from k2conn.tools.mock.connection import MockConnection
from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.faults import Faults
from k2conn.tools.mock.frame_templates import encoded
from k2conn.tools.mock.number_formats import count_to, counted, spelled, tick
from k2conn.tools.mock.recordings import read_frames
from k2conn.tools.mock.request_recognition import RequestedSubscription, VenueSymbols
from k2conn.tools.mock.server import MockServer
from k2conn.tools.mock.symbol_substitution import substitute
from k2conn.tools.mock.template_matching import MatchCapture, ShapeMaker
from k2conn.tools.mock.time_formats import layout, near
from tests.support.plans import STREAMS, SUBSCRIBE, plan_of
from tests.support.shipped import plans

PLANS = {plan.name: plan for plan in plans()}
NAMES = list(PLANS)
SHOWN = [(plan.name, stream) for plan in PLANS.values() for stream in MockExchange(plan).streams]


class Listener:
    """The engine on one socket: its own session and mapping, and what came out of them."""

    def __init__(self, plan: Plan, symbols: tuple[str, ...], streams: tuple[str, ...] | None = None) -> None:
        self.plan = plan
        self.connector_state = ConnectorState(plan, streams)
        found = [plan.symbols.resolve(name) for name in symbols]
        context = SessionContext(lambda: str(uuid.uuid4()), {one.name: "a key" for one in plan.variables})
        self.pipelines = [
            (shard.connection.name, FramePipeline(self.connector_state, shard.connection, shard.symbols, context))
            for shard in shards(plan, self.connector_state.streams, [symbol for symbol in found if symbol])
        ]
        self.records: list[tuple[str, dict[str, Any]]] = []
        self.dead: list[bytes] = []
        self.notes: list[Note] = []
        self.frames: list[str | bytes] = []

    async def run(self, exchange: MockExchange) -> None:
        """Converses on all sockets of the connector until cancelled or the exchange closes one."""
        sockets = (self._socket(exchange.url(name), pipeline, exchange.before) for name, pipeline in self.pipelines)
        await asyncio.gather(*sockets)

    async def _socket(self, url: str, pipeline: FramePipeline, before: list[Any]) -> None:
        session = pipeline.session
        for request, answer in zip(session.connection.before, before, strict=False):
            session.captured(request.capture, answer)
        url = _asking(url, session)
        if session.connection.transport == "http" and session.connection.poll is not None:
            await self._ask(url, pipeline)
            return
        if session.connection.transport == "http":
            await self._answer(url, pipeline)
            return
        offered = [Subprotocol(name) for name in session.subprotocols(_wall())] or None
        async with connect(url, compression=None, proxy=None, close_timeout=0.2, subprotocols=offered) as socket:
            await self._act(socket, session.open(time.monotonic(), _wall()))
            while True:
                deadline = session.deadline
                wait = None if deadline is None else max(0.0, deadline - time.monotonic())
                try:
                    async with asyncio.timeout(wait):
                        frame = await socket.recv()
                except TimeoutError:
                    await self._act(socket, session.timer(time.monotonic(), _wall()))
                    continue
                except ConnectionClosed:
                    return
                await self._act(socket, self._heard(pipeline, [frame]))

    async def _ask(self, url: str, pipeline: FramePipeline) -> None:
        """The same, where frames are the answers to a question that is asked again and again: here, without waiting."""
        session = pipeline.session
        session.open(time.monotonic(), _wall())
        while True:
            answer, body = AnswerStream(Call("GET", url)), b""
            try:
                await answer.open()
                while data := await answer.read():
                    body += data
            finally:
                answer.close()
            self._heard(pipeline, [body.decode()])
            await asyncio.sleep(0.02)

    async def _answer(self, url: str, pipeline: FramePipeline) -> None:
        """The same, where the frames are an HTTP answer that goes on."""
        session = pipeline.session
        session.open(time.monotonic(), _wall())
        cut, answer = cutter(session.connection.framing or LINES, 1 << 20), AnswerStream(Call("GET", url))
        try:
            await answer.open()
            while data := await answer.read():
                self._heard(pipeline, cut.feed(data))
        finally:
            answer.close()

    def _heard(self, pipeline: FramePipeline, frames: list[str | bytes]) -> list[Action]:
        self.frames += frames
        envelopes, actions = pipeline.receive(frames, time.monotonic(), _wall())
        for envelope in envelopes:
            if envelope.schema is None:
                self.dead.append(envelope.value)
            else:
                stream = getattr(envelope.account, "stream", "")
                self.records.append((stream, envelope.schema.decode_plain(envelope.value)))
        return actions

    async def _act(self, socket: ClientConnection, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                await socket.send(action.frame)
            elif isinstance(action, Note):
                self.notes.append(action)

    def noted(self, kind: str) -> list[dict[str, Any]]:
        """The details of all notes of one kind."""
        return [note.detail for note in self.notes if note.kind == kind]

    def of(self, stream: str, symbol: str | None = None) -> list[dict[str, Any]]:
        """The records of one stream."""
        return [one for name, one in self.records if name == stream and symbol in (None, one["symbol"])]


def _asking(url: str, session: Session) -> str:
    """The mock's address with what the connector's own asks for, as a run has it."""
    connection = session.connection
    if not connection.url_uses_topics and connection.transport != "http":
        return url
    parts = urlsplit(session.url(0, _wall()))
    return url + parts.path + (f"?{parts.query}" if parts.query else "")


@asynccontextmanager
async def conversation(
    plan: Plan, exchange: MockExchange, symbols: tuple[str, ...], streams: tuple[str, ...] | None = None
) -> AsyncIterator[Listener]:
    """A listener at work beside the test."""
    listener = Listener(plan, symbols, streams)
    async with exchange:
        task = asyncio.create_task(listener.run(exchange))
        try:
            yield listener
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def run(test: Callable[[], Awaitable[None]]) -> None:
    """One asynchronous test, within a bound."""

    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(bounded())


def _wall() -> int:
    return time.time_ns() // 1000


def _shown(plan: Plan) -> tuple[str, ...]:
    """The streams that the connector's tests have frames of; whether that is all is the corpus's business."""
    return tuple(stream for name, stream in SHOWN if name == plan.name)


def _symbols(plan: Plan) -> tuple[str, ...]:
    return plan.symbols.default[:2]


def _sequence(plan: Plan, stream: str, record: dict[str, Any]) -> int | None:
    """The number in a record's id, where ids are numbers; or of the span of time that a record is about."""
    if (span := plan.stream(stream).span) is not None:
        return span.interval.number(record["open_time"])
    own = record.get("trade_id") or record.get("quote_id")
    text = str(own).removeprefix(plan.exchange + "-")
    return int(text) if plan.stream(stream).venue_id is not None and text.isdecimal() else None


# -- every shipped connector


@pytest.mark.parametrize("name", NAMES)
def test_it_acknowledges_and_every_subscription_gets_data(name: str) -> None:
    plan = PLANS[name]
    streams = _shown(plan)

    async def test() -> None:
        exchange = MockExchange(plan, rate=50, symbols=_symbols(plan))
        async with conversation(plan, exchange, _symbols(plan), streams) as listener:
            wanted = {(stream, symbol) for stream in streams for symbol in _records(plan)}

            def heard() -> set[tuple[str, str]]:
                return {(stream, record["symbol"]) for stream, record in listener.records}

            await exchange.wait_for(lambda: wanted <= heard() or exchange.warnings)
            await exchange.wait_for(lambda: all(i.session.settled for _, i in listener.pipelines))
            assert not exchange.warnings
            assert not listener.dead
            assert not listener.noted("unacknowledged")
            assert exchange.unrecognized == 0
            expected = any(s.expect and s.expect.accepted for c in plan.connections for s in c.steps if s.streams)
            assert not expected or listener.noted("confirmed")

    run(test)


def _records(plan: Plan) -> list[str]:
    return [symbol.record for name in _symbols(plan) if (symbol := plan.symbols.resolve(name))]


@pytest.mark.parametrize(("name", "stream"), SHOWN)
def test_fresh_frames_have_contiguous_ids_times_of_now_and_prices_that_move(name: str, stream: str) -> None:
    plan = PLANS[name]

    async def test() -> None:
        exchange = MockExchange(plan, rate=200, symbols=_symbols(plan))
        before = _wall()
        async with conversation(plan, exchange, _symbols(plan), (stream,)) as listener:
            first = _records(plan)[0]
            await exchange.wait_for(lambda: len(listener.of(stream, first)) >= 12)
            records = listener.of(stream, first)
            numbers = [_sequence(plan, stream, record) for record in records]
            if None not in numbers:
                assert numbers == list(range(numbers[0] or 0, (numbers[0] or 0) + len(numbers)))
            for record in records:
                # a venue's time may be as coarse as a second
                if not _of_span(plan, stream):
                    assert before - 1_100_000 <= record["timestamp"] <= _wall() + 1_000
            prices = [name for name in ("price", "bid_price", "ask_price", "close") if name in records[0]]
            assert len({tuple(record[name] for name in prices) for record in records}) > 1
            key = next(key for key in exchange.sent if plan.symbols.resolve(key[1]).record == first)  # type: ignore[union-attr]
            if plan.stream(stream).venue_id is not None:
                own = [str(record.get("trade_id") or record.get("quote_id")) for record in records]
                received = [text.removeprefix(plan.exchange + "-") for text in own]
                assert received == exchange.sent[key][: len(received)]

    run(test)


def _of_span(plan: Plan, stream: str) -> bool:
    """Whether the records' time is the end of a span, as the venue gives no other: spans do not wait for the clock."""
    at = {field.name: field for field in plan.stream(stream).fields}
    return plan.stream(stream).span is not None and at["timestamp"].expression == at["open_time"].expression


@pytest.mark.parametrize(
    ("name", "stream"),
    [("binance", "candle_1d"), ("okx", "candle_6h"), ("bybit-spot", "candle_1w"), ("kraken", "candle_1h"),
     ("gate-io", "candle_10s"), ("mexc", "candle_8h"), ("kucoin", "candle_12h")],
)
def test_intervals_that_no_test_shows_are_made_of_one_that_is_shown(name: str, stream: str) -> None:
    plan = PLANS[name]

    async def test() -> None:
        exchange = MockExchange(plan, rate=100, symbols=_symbols(plan))
        assert stream not in exchange.streams
        async with conversation(plan, exchange, _symbols(plan), (stream,)) as listener:
            first = _records(plan)[0]
            await exchange.wait_for(lambda: len(listener.of(stream, first)) >= 5)
            numbers = [_sequence(plan, stream, record) or 0 for record in listener.of(stream, first)]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            assert not listener.dead

    run(test)


@pytest.mark.parametrize("name", [n for n in NAMES if any(
    s.expect and s.expect.refused and s.streams for c in PLANS[n].connections for s in c.steps)])
def test_a_refused_symbol_is_reported(name: str) -> None:
    plan = PLANS[name]
    refused = _symbols(plan)[-1]

    async def test() -> None:
        exchange = MockExchange(plan, rate=50, symbols=_symbols(plan), faults=Faults(refuse=frozenset({refused})))
        async with conversation(plan, exchange, _symbols(plan)) as listener:
            await exchange.wait_for(lambda: refused in [detail["symbol"] for detail in listener.noted("refused")])
            assert refused not in {symbol for _, symbol in exchange.subscriptions}
            assert not listener.dead

    run(test)


@pytest.mark.parametrize("name", [n for n in NAMES if any(
    c.heartbeat and c.heartbeat.send and c.heartbeat.answer for c in PLANS[n].connections)])
def test_heartbeats_are_answered(name: str) -> None:
    plan = PLANS[name]

    async def test() -> None:
        exchange = MockExchange(plan, rate=0, symbols=_symbols(plan))
        async with conversation(plan, exchange, _symbols(plan)) as listener:
            await exchange.wait_for(lambda: all(i.session.settled for _, i in listener.pipelines))
            for (_, pipeline), client in zip(listener.pipelines, exchange.clients, strict=True):
                beat = pipeline.session.connection.heartbeat
                if beat is None or beat.send is None or beat.answer is None:
                    continue
                control = pipeline.session.control
                out = pipeline.session.timer(
                    time.monotonic() + beat.every(pipeline.session.scope.state) + 0.001, _wall()
                )
                ping = next(action.frame for action in out if isinstance(action, Send))
                replies = client.mock_connection.respond(ping, exchange.faults).replies
                assert replies
                reply = client.mock_connection.encode(encoded(replies[0]))
                pipeline.receive([reply], time.monotonic(), _wall())
                assert pipeline.session.control == control + 1

    run(test)


@pytest.mark.parametrize("name", [n for n in NAMES if any(c.answer for c in PLANS[n].connections)])
def test_the_venues_own_pings_are_answered_rightly(name: str) -> None:
    plan = PLANS[name]

    async def test() -> None:
        exchange = MockExchange(plan, rate=0, symbols=_symbols(plan), ping_every=0.02)
        async with conversation(plan, exchange, _symbols(plan)):
            await exchange.wait_for(lambda: exchange.pongs >= 2)

    run(test)


# -- modes, faults and books


def test_recorded_frames_are_replayed_verbatim_for_their_subscribers_only() -> None:
    plan = PLANS["kraken"]
    frames = [
        '{"channel":"trade", "type":"update","data":[{"symbol":"ETH/USD","side":"buy","price":1.10,"qty":2.50,'
        '"ord_type":"limit","trade_id":7,"timestamp":"2023-09-25T07:48:36.925533Z"}]}',
        '{"channel":"heartbeat"}',
        '{"channel":"trade", "type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":9.90,"qty":1E-7,'
        '"ord_type":"limit","trade_id":8,"timestamp":"2023-09-25T07:48:37.925533Z"}]}',
    ]

    async def test() -> None:
        exchange = MockExchange(plan, rate=200, fresh=False, once=True, frames=frames)
        async with conversation(plan, exchange, ("BTC/USD",), ("trade",)) as listener:
            await exchange.wait_for(lambda: listener.records)
            assert listener.frames[-1] == frames[2]
            assert frames[0] not in listener.frames
            assert exchange.sent == {("trade", "BTC/USD"): ["8"]}

    run(test)


def test_numbers_keep_their_json_type_and_decimals() -> None:
    plan = PLANS["kraken"]

    async def test() -> None:
        exchange = MockExchange(plan, rate=0)
        async with conversation(plan, exchange, ("BTC/USD", "ETH/USD"), ("trade",)) as listener:
            await exchange.wait_for(lambda: len(exchange.subscriptions) == 2)
            await exchange.play("trade", "BTC/USD", 5)
            await exchange.play("trade", "ETH/USD", 5)
            await exchange.wait_for(lambda: len(listener.records) == 10)
            for frame in listener.frames[-10:]:
                number = exactjson.members(exactjson.members(frame)["data"][1:-1])["price"].decode()
                assert len(number.partition(".")[2]) == 2

    run(test)


def test_two_clients_get_the_same_trades() -> None:
    plan = PLANS["binance"]

    async def test() -> None:
        exchange = MockExchange(plan, rate=0)
        async with conversation(plan, exchange, ("BTCUSDT",), ("trade",)) as one:
            other = Listener(plan, ("BTCUSDT",), ("trade",))
            task = asyncio.create_task(other.run(exchange))
            await exchange.wait_for(lambda: sum(len(client.subscribed) for client in exchange.clients) == 2)
            await exchange.play("trade", "BTCUSDT", 20)
            await exchange.wait_for(lambda: len(one.records) == len(other.records) == 20)
            ids = [[record["message_id"] for _, record in listener.records] for listener in (one, other)]
            assert ids[0] == ids[1]
            await exchange.drop_clients()
            await task

    run(test)


def test_what_was_sent_is_what_was_received() -> None:
    plan = PLANS["binance"]

    async def test() -> None:
        exchange = MockExchange(plan, rate=500, limit=100)
        async with conversation(plan, exchange, _symbols(plan)) as listener:
            await exchange.wait_for(lambda: sum(map(len, exchange.sent.values())) == len(listener.records) == 400)
            assert exchange.counts.total() == 400
            assert listener.connector_state.ledger.totals()["received"] == 400

    run(test)


def test_after_a_cut_the_ids_go_on() -> None:
    plan = PLANS["coinbase"]

    async def test() -> None:
        exchange = MockExchange(plan, rate=0)
        async with conversation(plan, exchange, ("BTC-USD",), ("trade",)) as listener:
            await exchange.wait_for(lambda: exchange.subscriptions)
            await exchange.play("trade", "BTC-USD", 3)
            await exchange.wait_for(lambda: len(listener.records) == 3)
            await exchange.drop_clients(None)
            await exchange.wait_for(lambda: not exchange.clients)
            task = asyncio.create_task(listener.run(exchange))
            listener.pipelines = Listener(plan, ("BTC-USD",), ("trade",)).pipelines
            await exchange.wait_for(lambda: exchange.subscriptions)
            await exchange.play("trade", "BTC-USD", 2)
            assert exchange.sent[("trade", "BTC-USD")] == ["10", "11", "12", "13", "14"]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    run(test)


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (Faults(duplicate_every=2), {"published": 10, "duplicates": 5, "dead": 0}),
        (Faults(garbage_every=5), {"published": 10, "duplicates": 0, "dead": 2}),
        (Faults(stall_after=4), {"published": 4, "duplicates": 0, "dead": 0}),
        (Faults(close_after=6), {"published": 6, "duplicates": 0, "dead": 0}),
        (Faults(silent=True), {"published": 10, "duplicates": 0, "dead": 0}),
    ],
    ids=["duplicates", "garbage", "stall", "close", "silent"],
)
def test_faults_happen_as_asked(faults: Faults, expected: dict[str, int]) -> None:
    plan = PLANS["binance"]

    async def test() -> None:
        exchange = MockExchange(plan, rate=0, faults=faults)
        async with conversation(plan, exchange, ("BTCUSDT",), ("trade",)) as listener:
            await exchange.wait_for(lambda: exchange.subscriptions)
            await exchange.play("trade", "BTCUSDT", 10)

            def found() -> dict[str, int]:
                duplicates = listener.connector_state.ledger.totals()["duplicates"]
                return {"published": len(listener.records), "duplicates": duplicates, "dead": len(listener.dead)}

            await exchange.wait_for(lambda: found() == expected)
            assert len(exchange.sent[("trade", "BTCUSDT")]) == expected["published"]
            assert bool(listener.noted("confirmed")) is not faults.silent

    run(test)


def test_an_unknown_frame_is_counted() -> None:
    plan = PLANS["binance"]

    async def test() -> None:
        async with MockExchange(plan) as exchange, connect(exchange.url(), proxy=None) as socket:
            await socket.send('{"method":"DANCE"}')
            await exchange.wait_for(lambda: exchange.unrecognized == 1)
            assert exchange.received[0] == {"method": "DANCE"}

    run(test)


def test_several_connectors_share_one_port() -> None:
    async def test() -> None:
        exchanges = [MockExchange(PLANS[name]) for name in ("binance", "kraken")]
        async with MockServer(exchanges) as server:
            for exchange in exchanges:
                assert exchange.url() == f"ws://127.0.0.1:{server.port}/{exchange.plan.name}"
                async with connect(exchange.url(), proxy=None) as socket:
                    await socket.ping()
                    assert exchange.connects == 1
            with pytest.raises(InvalidStatus, match="404"):
                await connect(f"ws://127.0.0.1:{server.port}/nowhere", proxy=None)

    run(test)


@pytest.mark.parametrize("name", [n for n in NAMES if any(c.before for c in PLANS[n].connections)])
def test_the_calls_before_a_connection_are_answered(name: str) -> None:
    plan = PLANS[name]

    async def test() -> None:
        async with MockExchange(plan, rate=0) as exchange:
            for connection in plan.connections:
                for number, request in enumerate(connection.before):
                    path = request.url_text.split("/", 3)[3]
                    answer = await call(Call(request.method, f"{exchange.http_url}/{path}"))
                    assert answer == exchange.before[number]
                    assert all(capture.value(answer, Scope()) is not None for capture in request.capture)

    run(test)


def test_frames_are_read_from_files(tmp_path: Path) -> None:
    plain, keyed = tmp_path / "plain.jsonl", tmp_path / "keyed.jsonl"
    plain.write_text('{"a": 1.10}\n\n[2]\n')
    keyed.write_text('{"at": 1, "raw": {"a":1.10}}\n{"raw": "[2]"}\n')
    assert read_frames([plain]) == ['{"a": 1.10}', "[2]"]
    assert read_frames([keyed], "raw") == ['{"a":1.10}', "[2]"]
    with pytest.raises(SettingsError, match=r"plain\.jsonl:1 has no 'raw'"):
        read_frames([plain], "raw")


# -- the small parts


@pytest.mark.parametrize(
    ("value", "micros", "later"),
    [
        (1672531199900, 1672531199900000, 1672531200900),
        (1672531199900123, 1672531199900123, 1672531200900123),
        (1672531199900123456, 1672531199900123, 1672531200900123000),
        ("1672531199.900123", 1672531199900123, "1672531200.900123"),
        (Decimal("1672531199.9"), 1672531199900000, Decimal("1672531200.9")),
        ("2022-12-31T23:59:59.9Z", 1672531199900000, "2023-01-01T00:00:00.9Z"),
        ("2022-12-31 23:59:59.900123456+00:00", 1672531199900123, "2023-01-01 00:00:00.900123000+00:00"),
        ("2023-01-01T08:59:59", 1672531199000000, "2023-01-01T09:00:00"),
    ],
)
def test_times_are_written_in_the_notation_they_were_read_in(value: Any, micros: int, later: Any) -> None:
    write = layout(value, micros)
    assert write is not None
    assert write(micros + 1_000_000) == later
    assert type(write(micros)) is type(value)


@pytest.mark.parametrize("value", ["soon", True, None, 42, "64000.10"])
def test_what_is_no_time_of_that_moment_has_no_notation(value: Any) -> None:
    assert layout(value, 1672531199900000) is None
    assert near(value, 1672531199900000) is None


@pytest.mark.parametrize(
    ("value", "step"),
    [("64000.10", "0.01"), ("16500.00", "0.01"), ("25.35190000", "0.0001"), (7, "1"), (Decimal("0.5147"), "0.0001"),
     ("0.0162522200", "1e-8"), (Decimal("5860832.0"), "0.1")],
)
def test_a_number_moves_by_its_last_digit(value: Any, step: str) -> None:
    assert tick(value) == Decimal(step)
    assert spelled(Decimal(str(value)), value) == value


@pytest.mark.parametrize(
    ("value", "number", "expected"),
    [(41, 42, 42), ("41", 42, "42"), ("0041", 42, "0042"), ("T-41-x", 42, "T-42-x")],
)
def test_ids_count_in_their_own_spelling(value: Any, number: int, expected: Any) -> None:
    assert count_to(value, number, "seed") == expected
    assert counted(value) == 41


def test_ids_without_a_number_keep_their_shape_and_differ() -> None:
    for text in ("9e450397-1ac1-5e19-8382-341ee56666a6", "62fade002e113d292303a18b"):
        made = [str(count_to(text, number, "seed")) for number in range(100)]
        assert len(set(made)) == 100
        assert {len(one) for one in made} == {len(text)}
        assert counted(text) is None


@pytest.mark.parametrize(("rows", "why"), [
    ([{"s": "BTC-USD", "i": 1, "p": "1", "q": "1", "t": 1, "d": "buy"}], None),
    ([{"s": "BTC-USD", "i": 1, "p": "1", "q": "1", "t": 1, "d": "buy"}, {"s": "BTC-USD", "old": True}],
     "in each that the tests show, an item makes no record"),
    (None, "no frame of stream 'trade' is known for BTC-USD"),
])
def test_a_mock_says_why_it_has_no_data(rows: list[dict[str, Any]] | None, why: str | None) -> None:
    streams = STREAMS.replace("    each: data\n", "    each: data\n    drop_when: old\n")
    frame = exactjson.encode({"ch": "trade", "data": rows}).decode()
    tests = f"tests:\n  - {{name: a, received: {frame}, records: [{{price: '1'}}]}}\n" if rows else ""
    plan = plan_of(SUBSCRIBE, streams + tests)
    connection = MockConnection(plan, plan.connections[0], VenueSymbols(plan), {})
    symbol = plan.symbols.resolve("BTC-USD")
    assert symbol is not None
    found = connection.frame_source(RequestedSubscription("trade", symbol))
    assert (found is None) is (why is not None)
    assert (why or "") in "".join(connection.warnings)


@pytest.mark.parametrize(
    ("template", "frame", "rows"),
    [
        ({"ch": "market.{$symbol.lower}.trade"}, {"ch": "market.btcusdt.trade"}, [{"native.lower": "btcusdt"}]),
        ({"topic": "/match:{$symbols}"}, {"topic": "/match:A-B,C-D"}, [{"native": "A-B"}, {"native": "C-D"}]),
        ("/v3/{$env.ACCOUNT}/stream?key={$state.key}&names={$symbols}", "/v3/1/stream?key=2&names=A-B,C-D",
         [{"native": "A-B"}, {"native": "C-D"}]),
        ("/v3/stream?names={$symbols}&key={$env.KEY}", "/v3/stream?names=A-B,C-D&key=2",
         [{"native": "A-B"}, {"native": "C-D"}]),
        ("/{$symbols.base}/to/{$symbols.quote}", "/A,C/to/B,D",
         [{"base": "A", "quote": "B"}, {"base": "C", "quote": "D"}]),
        ('{"n": {$symbols.count}, "of": 1, "ids": [{$symbols}]}', '{"n": 2, "of": 1, "ids": [A-B,C-D]}',
         [{"native": "A-B"}, {"native": "C-D"}]),
        ({"ask": "{$topics.count}1:{$topics}"}, {"ask": "121:a,b"}, [{"topic": "a"}, {"topic": "b"}]),
        ({"ask": "{$topics.count}1:{$topics}"}, {"ask": "122:a,b"}, None),
        ([{"ticket": "$uuid"}, {"codes": "$symbols"}], [{"ticket": "x"}, {"codes": ["A", "B"]}],
         [{"native": "A"}, {"native": "B"}]),
        ({"args": {"$each_symbol": {"base": "$symbol.base", "to": "$symbol.quote"}}, "id": "$counter"},
         {"args": [{"base": "A", "to": "B"}], "id": 7}, [{"base": "A", "quote": "B"}]),
        ({"args": "$topics", "t": "$now_ms"}, {"args": [{"c": "t", "i": "A"}], "t": 5},
         [{"topic": {"c": "t", "i": "A"}}]),
        ({"a": "$symbol", "b": "$symbol"}, {"a": "A", "b": "B"}, None),
        ({"a": True}, {"a": 1}, None),
    ],
)
def test_a_frame_gives_back_what_its_template_was_rendered_with(
    template: Any, frame: Any, rows: list[dict[str, Any]] | None
) -> None:
    shape = ShapeMaker((), ("key",)).shape(compile_template(template).render)
    found = MatchCapture()
    assert shape is not None
    assert shape.match(frame, found) is (rows is not None)
    if rows is not None:
        made = ("uuid", "counter", "now", "count")
        common = {name: value for name, value in found.common.items() if name not in made}
        assert (found.rows or [common]) == rows


ORDERED = """connection:
  url: wss://venue.example/ws
  steps:
    - name: welcome
      expect: {accepted: {e: hello}}
    - send: {op: setup}
      expect: {accepted: {op: setup}}
    - name: asked for a key
      expect: {accepted: {auth: needed}}
    - name: more
      expect: {accepted: {auth: soon}}
    - send: '{"op":"sub","ids":[{$symbols}]}'
      for: trade
      expect: {accepted: {op: sub}}
"""
SHOWN_ORDER = """tests:
  - name: in their order
    symbols: [BTC-USD]
    dialogue:
      - received: {e: hello, v: 1}
      - sent: {op: setup}
      - received: {op: setup, ok: true}
      - received: {auth: needed, realm: x}
      - received: {auth: soon}
"""


def _mock(head: str, rest: str) -> tuple[Plan, MockConnection]:
    plan = plan_of(head, rest)
    return plan, MockConnection(plan, plan.connections[0], VenueSymbols(plan), {})


def test_what_steps_wait_for_comes_in_its_place() -> None:
    """A step without `send` waits for a message that comes by itself: at first, or after the step before it."""
    _, connection = _mock(ORDERED, STREAMS + SHOWN_ORDER)
    assert connection.welcome == [{"e": "hello", "v": 1}]
    replies = connection.respond('{"op":"setup"}', Faults()).replies
    assert replies == [{"op": "setup", "ok": True}, {"auth": "needed", "realm": "x"}, {"auth": "soon"}]
    _, connection = _mock(ORDERED, STREAMS)  # no test shows them: they are made of what is waited for
    assert connection.welcome == [{"e": "hello"}]
    assert connection.respond('{"op":"setup"}', Faults()).replies[1:] == [{"auth": "needed"}, {"auth": "soon"}]
    assert connection.respond('{"op":"setup"}', Faults(silent=True)).replies == []


def test_a_frame_that_the_file_writes_as_text_is_known() -> None:
    _, connection = _mock(ORDERED, STREAMS)
    asked = connection.respond('{"op":"sub","ids":[BTC-USD,ETH-USD]}', Faults())
    assert [one.symbol.native for one in asked.made] == ["BTC-USD", "ETH-USD"]


def test_json_within_json_is_made_new_and_rewritten() -> None:
    """Ids, times and prices in text that is JSON itself, for another symbol than the test's."""
    streams = STREAMS.replace("each: data", "each: from_json(data)")
    item = '{"s":"BTC-USD","i":7,"p":"1.50","q":"2.0","t":1767323045000,"d":"buy"}'
    frame = exactjson.encode({"ch": "trade", "data": f"[{item}]"}).decode()
    rest = f"tests:\n  - {{name: a, received: '{frame}', records: [{{price: '1.5'}}]}}\n"
    plan, connection = _mock(SUBSCRIBE, streams + rest)
    symbol = plan.symbols.resolve("ETH-USD")
    assert symbol is not None
    source = connection.frame_source(RequestedSubscription("trade", symbol))
    assert source is not None
    found = [source.next(1_800_000_000_000_000 + at) for at in range(3)]
    items = [exactjson.decode(exactjson.decode(one.text)["data"])[0] for one in found if one is not None]
    assert [one["s"] for one in items] == ["ETH-USD"] * 3
    assert [one["i"] for one in items] == [7, 8, 9]
    assert [one["t"] for one in items] == [1_800_000_000_000] * 3
    assert all(one["p"] != "1.50" for one in items)


def test_a_symbol_of_digits_is_also_a_number() -> None:
    old, new = (RequestedSubscription("trade", Symbol(name, name, name, "USD")) for name in ("408065", "884737"))
    frame = {"token": 408065, "text": "408065", "quantity": 40, "list": [408065, 1.5]}
    assert substitute(frame, old, new) == {"token": 884737, "text": "884737", "quantity": 40, "list": [884737, 1.5]}
