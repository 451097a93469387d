"""Connections that replace each other, addresses that fail, replicas, streams that fall silent: over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

import k2conn.runner.connection_supervisor as timing
from k2conn.cli.loading import find
from k2conn.compiler.compiler import load_plan
from k2conn.engine.resilience.circuit_breaker import BreakerSettings
from k2conn.monitoring.process_status import process_status
from k2conn.plan import Plan
from k2conn.runner import Overrides
from k2conn.tools.mock.exchange import MockExchange
from tests.integration.test_runner import ids, says
from tests.support.plans import STREAMS, trade, trades
from tests.support.venues import CONNECTION, Run, Venue

NOTICE = CONNECTION.replace("reconnect: {", "reconnect: {when: {op: bye}, reason: why, delay: 0s, ")
QUICK = BreakerSettings(failures=2, seconds=0.6, successes=2)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "PROVE_WITHIN", 1.0)
    monkeypatch.setattr(timing, "DRAIN", 0.1)
    monkeypatch.setattr(timing, "LOOK", 0.05)
    monkeypatch.setattr(timing, "TRY_AGAIN", 0.3)


@pytest.fixture(scope="module")
def kraken() -> Plan:
    return load_plan(find("kraken"))


def published(run: Run) -> Counter[tuple[str, str]]:
    """How often each trade (symbol and id; symbols share ids) is in the sink."""
    found = [record for record in run.sink.records if "trade_id" in record]  # a gap is a record, too
    return Counter((record["symbol"], record["trade_id"]) for record in found)


def sent(exchange: MockExchange) -> set[tuple[str, str]]:
    """The trades that left."""
    pairs = [(native, one) for (stream, native), ids in exchange.sent.items() if stream == "trade" for one in ids]
    return {(native.replace("/", ""), f"KRAKEN-{one}") for native, one in pairs}


@asynccontextmanager
async def bystander(plan: Plan, exchange: MockExchange) -> AsyncIterator[None]:
    """Another client that stays, so that the exchange sends whether the one that is tested listens or not."""
    async with Run(plan, overrides=Overrides(urls=(exchange.url(),))) as other:
        await other.until(lambda: other.sink.taken)
        yield


async def settled(run: Run, exchange: MockExchange) -> None:
    """Nothing more is sent, and all that was has come."""
    exchange.pause()
    await run.until(lambda: set(published(run)) >= sent(exchange))


def test_a_rotation_loses_nothing_and_repeats_nothing(kraken: Plan) -> None:
    async def main() -> None:
        async with MockExchange(kraken, rate=100) as exchange:
            overrides = Overrides(urls=(exchange.url(),), max_age=0.6)
            async with Run(kraken, overrides=overrides) as run:
                await run.until(lambda: run.sink.taken)
                async with bystander(kraken, exchange):
                    await run.until(lambda: run.ledger.reconnects["rotation"] >= 4)
                    await settled(run, exchange)
                assert set(run.ledger.reconnects) == {"rotation"}
                assert set(published(run)) == sent(exchange)
                assert published(run).most_common(1)[0][1] == 1
                assert run.ledger.totals()["duplicates"] > 0, "the connections overlapped"
                assert len(sent(exchange)) > 300

    asyncio.run(main())


def test_the_old_connection_goes_when_the_new_one_has_shown_every_symbol() -> None:
    connect_limiter = asyncio.Event()
    open_now: list[int] = []

    async def first(socket: ServerConnection) -> None:
        await socket.send(trades(trade(1), trade(2, s="ETH-USD")))

    async def second(socket: ServerConnection) -> None:
        await socket.send(trades(trade(1)))
        await connect_limiter.wait()
        open_now.append(len(venue_sockets))
        await socket.send(trades(trade(3, s="ETH-USD")))

    venue_sockets: set[int] = set()

    async def main() -> None:
        timing.PROVE_WITHIN = 5.0
        async with (
            Venue(counted(first, venue_sockets), counted(second, venue_sockets)).open() as venue,
            Run(venue.plan(connection=NOTICE), overrides=Overrides(max_age=0.3)) as run,
        ):
            await run.until(lambda: venue.connects == 2)
            await asyncio.sleep(0.4)
            assert not run.ledger.reconnects
            assert run.runner.connectors[0].supervisors[0].replacing
            connect_limiter.set()
            await run.until(lambda: run.ledger.reconnects["rotation"] == 1)
            await run.until(lambda: len(venue_sockets) == 1)
            assert open_now[0] == 2
            assert ids(run.sink)[:3] == ["VENUE-1", "VENUE-2", "VENUE-3"]

    asyncio.run(main())


def counted(act: Any, sockets: set[int]) -> Any:
    async def acts(socket: ServerConnection) -> None:
        sockets.add(id(socket))
        socket_closed = asyncio.ensure_future(socket.wait_closed())
        socket_closed.add_done_callback(lambda _: sockets.discard(id(socket)))
        await act(socket)

    return acts


def test_the_bound_ends_the_wait_for_a_symbol_that_is_quiet() -> None:
    async def main() -> None:
        acts = says(trades(trade(1), trade(2, s="ETH-USD"))), says(trades(trade(3)))
        async with Venue(*acts).open() as venue, Run(venue.plan(), overrides=Overrides(max_age=0.3)) as run:
            await run.until(lambda: run.ledger.reconnects["rotation"] == 1)
            assert ids(run.sink) == ["VENUE-1", "VENUE-2", "VENUE-3"]

    asyncio.run(main())


def test_a_notice_opens_the_next_connection_before_the_old_one_goes() -> None:
    async def bye(socket: ServerConnection) -> None:
        await socket.send(trades(trade(1)))
        await socket.send('{"op":"bye","why":"maintenance"}')
        await asyncio.sleep(0.3)
        await socket.send(trades(trade(2)))

    async def main() -> None:
        acts = bye, says(trades(trade(3)))
        async with Venue(*acts).open() as venue, Run(venue.plan(connection=NOTICE)) as run:
            await run.until(lambda: run.ledger.reconnects["notice"] == 1)
            assert dict(run.ledger.reconnects) == {"notice": 1}
            assert sorted(ids(run.sink))[0] == "VENUE-1"
            assert "VENUE-3" in ids(run.sink)

    asyncio.run(main())


def test_where_the_venue_allows_no_more_connections_the_old_one_is_closed_first() -> None:
    async def main() -> None:
        connection = CONNECTION + "  limits: {connections: 1}\n"
        sockets: set[int] = set()
        most: list[int] = []

        async def act(socket: ServerConnection) -> None:
            most.append(len(sockets))
            await socket.send(trades(trade(1)))

        async with (
            Venue(counted(act, sockets)).open() as venue,
            Run(venue.plan(connection=connection), overrides=Overrides(max_age=0.3)) as run,
        ):
            await run.until(lambda: run.ledger.reconnects["rotation"] >= 2)
            assert max(most) == 1

    asyncio.run(main())


def test_a_replacement_that_cannot_be_made_leaves_the_old_connection_alone() -> None:
    async def main() -> None:
        async with (
            Venue(says(trades(trade(1))), says(then="drop"), says(trades(trade(2)))).open() as venue,
            Run(venue.plan(), overrides=Overrides(max_age=0.3)) as run,
        ):
            await run.until(lambda: run.ledger.reconnects["rotation"] >= 1)
            assert run.ledger.reconnects["lost"] == 1
            assert ids(run.sink) == ["VENUE-1", "VENUE-2"]

    asyncio.run(main())


def test_stopping_amid_a_replacement_stops_both() -> None:
    async def main() -> None:
        acts = says(trades(trade(1))), says()
        async with Venue(*acts).open() as venue, Run(venue.plan(), overrides=Overrides(max_age=0.2)) as run:
            await run.until(lambda: run.runner.connectors[0].supervisors[0].replacing and venue.connects == 2)
            assert (await run.end()).exit_code == 0
            assert run.runner.connectors[0].state == "stopped"
            await asyncio.sleep(0.1)
            assert sum(said["op"] == "unsub" for said in venue.heard) == 2

    asyncio.run(main())


# -- addresses


def test_a_breaker_really_opens() -> None:
    async def main() -> None:
        overrides = Overrides(breaker_settings=BreakerSettings(failures=2, seconds=1.2), base_delay=0.01)
        async with Run(Venue().plan(connection=CONNECTION % 1), overrides=overrides) as run:
            await run.until(lambda: run.ledger.reconnects["connect"] == 2)
            await asyncio.sleep(0.6)
            assert run.ledger.reconnects["connect"] == 2
            connector = run.runner.connectors[0]
            assert connector.endpoint_groups["main"].status(asyncio.get_running_loop().time())[0]["breaker"] == "open"
            await run.until(lambda: run.ledger.reconnects["connect"] == 3)

    asyncio.run(main())


@asynccontextmanager
async def returning(port: int, act: Any) -> AsyncIterator[Venue]:
    """A venue at a port that was free."""
    from websockets.asyncio.server import serve

    venue = Venue(act)
    async with serve(venue._serve, "127.0.0.1", port):
        venue.port = port
        yield venue


def test_the_next_address_is_used_while_the_first_is_out_of_order_and_then_the_first_again() -> None:
    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as gone:
            port = gone.port
        async with Venue(says(trades(trade(2)))).open() as second:
            plan = second.plan(connection=CONNECTION % port)
            overrides = Overrides(failover=(second.url,), base_delay=0.01, breaker_settings=QUICK)
            async with Run(plan, overrides=overrides) as run:
                await run.until(lambda: run.sink.taken)
                assert run.ledger.reconnects["connect"] == 2
                await asyncio.sleep(0.8)
                connector = run.runner.connectors[0]
                assert connector.state == "live", "a failed probe of the first leaves the second at work"
                async with returning(port, says(trades(trade(2), trade(3)))) as first:
                    await run.until(lambda: run.ledger.reconnects["failback"] == 1)
                    assert first.connects == 1
                    assert ids(run.sink) == ["VENUE-2", "VENUE-3"]
                    assert connector.supervisors[0].status()["state"] == "live"
                    states = [
                        one["breaker"]
                        for one in connector.endpoint_groups["main"].status(asyncio.get_event_loop().time())
                    ]
                    assert states == ["closed", "closed"]

    asyncio.run(main())


# -- replicas


def test_replicas_make_one_stream_and_say_what_each_missed(kraken: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k2conn.engine.resilience.replicas.GRACE_US", 300_000)

    async def main() -> None:
        async with MockExchange(kraken, rate=50) as exchange:
            overrides = Overrides(urls=(exchange.url(),), replicas=2, base_delay=0.01)
            async with Run(kraken, overrides=overrides) as run:
                sockets = run.runner.connectors[0].supervisors
                assert [socket.shard.name for socket in sockets] == ["main-0.0", "main-0.1"]
                await run.until(lambda: len(exchange.clients) == 2 and len(run.sink.taken) > 50)
                await exchange._drop(exchange.clients[0], None)
                await run.until(lambda: len(exchange.clients) == 2 and len(run.sink.taken) > 150)
                await settled(run, exchange)
                assert set(published(run)) == sent(exchange), "a record that one replica lost was published anyway"
                assert published(run).most_common(1)[0][1] == 1
                figures = [socket.status()["leg"] for socket in sockets]
                assert sum(one["first"] for one in figures) == len(run.sink.taken)
                assert all(one["late"] + one["first"] > 50 for one in figures)

    asyncio.run(main())


def test_a_leg_that_stalls_is_charged_with_what_it_missed(kraken: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k2conn.engine.resilience.replicas.GRACE_US", 300_000)

    async def main() -> None:
        async with (
            MockExchange(kraken, rate=50) as exchange,
            Run(kraken, overrides=Overrides(urls=(exchange.url(),), replicas=2)) as run,
        ):
            sockets = run.runner.connectors[0].supervisors
            # both have records; which of them is the late one is chance
            await run.until(lambda: all(
                socket.replica and socket.replica.tally.late + socket.replica.tally.first > 5 for socket in sockets))
            exchange.clients[0].subscribed.clear()
            await run.until(lambda: any(socket.replica and socket.replica.tally.missing > 10 for socket in sockets))
            missing = sorted(socket.replica.tally.missing for socket in sockets if socket.replica)
            assert missing[0] == 0

    asyncio.run(main())


# -- silence


def silent_streams(after: str) -> str:
    return STREAMS.replace("    when: {ch: trade}\n", f"    when: {{ch: trade}}\n    stale_after: {after}\n")


def test_a_stream_without_any_data_is_made_anew_whatever_else_comes() -> None:
    async def beats(socket: ServerConnection) -> None:
        await socket.send(trades(trade(1)))
        with contextlib.suppress(Exception):
            while True:
                await asyncio.sleep(0.05)
                await socket.send('{"ch":"beat"}')

    async def main() -> None:
        async with Venue(beats).open() as venue, Run(venue.plan(streams=silent_streams("300ms"))) as run:
            await run.until(lambda: run.ledger.reconnects["stale-stream"] >= 2)
            assert set(run.ledger.reconnects) == {"stale-stream"}

    asyncio.run(main())


def test_one_quiet_symbol_closes_nothing() -> None:
    async def one_speaks(socket: ServerConnection) -> None:
        with contextlib.suppress(Exception):
            await socket.send(trades(trade(0, s="ETH-USD")))
            for number in range(1, 1000):
                await asyncio.sleep(0.05)
                await socket.send(trades(trade(number)))

    async def main() -> None:
        async with Venue(one_speaks).open() as venue, Run(venue.plan(streams=silent_streams("300ms"))) as run:
            await run.until(lambda: len(run.sink.taken) > 15)
            assert not run.ledger.reconnects
            assert venue.connects == 1

    asyncio.run(main())


def test_a_stream_that_never_speaks_is_tried_ever_more_patiently() -> None:
    async def main() -> None:
        overrides = Overrides(breaker_settings=BreakerSettings(failures=100))
        async with (
            Venue(says()).open() as venue,
            Run(venue.plan(streams=silent_streams("100ms")), overrides=overrides) as run,
        ):
            await asyncio.sleep(2.0)
            assert 2 <= run.ledger.reconnects["stale-stream"] <= 5

    asyncio.run(main())


class Half(Venue):
    """Acknowledges one symbol of two, drops the line when told, and then wants nobody for a while."""

    def __init__(self) -> None:
        super().__init__(says(), admit=self.admitted)
        self.gone = asyncio.Event()

    def admitted(self, connection: ServerConnection, request: Request) -> Response | None:
        if not self.connects:
            return None
        response = connection.respond(HTTPStatus.TOO_MANY_REQUESTS, "slow down\n")
        response.headers["Retry-After"] = "30"
        return response

    async def _serve(self, socket: ServerConnection) -> None:
        self.connects += 1
        await socket.recv()
        await socket.send('{"op":"sub","ok":true,"s":["BTC-USD"]}')
        await socket.send(trades(trade(1)))
        await self.gone.wait()
        socket.transport.abort()


def test_symbols_are_watched_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k2conn.runner.silence_monitor.LOOK_EVERY", 0.05)
    monkeypatch.setattr("k2conn.runner.connector.LOOK_EVERY", 0.05)

    async def main() -> None:
        connection = CONNECTION.replace("within: 5s", "within: 200ms")
        async with Half().open() as venue, Run(venue.plan(connection=connection)) as run:
            assert isinstance(venue, Half)
            silence = run.runner.connectors[0].silence
            await run.until(lambda: silence.causes("trade") == {"unacknowledged": 1})
            assert silence.watch.states == {("trade", "BTCUSD"): "live", ("trade", "ETHUSD"): "unacknowledged"}
            assert process_status(run.runner)["ready"], "one symbol's silence is said, but stops nobody"
            venue.gone.set()
            await run.until(lambda: silence.causes("trade") == {"dead": 2})
            assert process_status(run.runner)["waiting_for"] == ["venue/main-0"]

    asyncio.run(main())
