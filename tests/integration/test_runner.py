"""The runner over real sockets: many connectors, one sink, every kind of trouble."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

import k2conn.runner.runner
from k2conn.envelope import Envelope
from k2conn.errors import MissingVariable, SettingsError, SinkError
from k2conn.runner import Job, Overrides, Runner
from k2conn.sinks.settings import SinkSettings
from tests.support.plans import intake_of, trade, trades
from tests.support.venues import CONNECTION, MemorySink, Run, Venue, says


def ids(sink: MemorySink) -> list[str]:
    return [record["trade_id"] for record in sink.records]


def test_records_arrive_and_the_ledger_balances() -> None:
    async def main() -> None:
        async with Venue(says(trades(trade(1), trade(2)))).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: len(run.sink.taken) == 2)
            assert run.runner.connectors[0].state == "live"
            outcome = await run.end()
            assert (outcome.exit_code, outcome.unsent, outcome.failed) == (0, 0, ())
            assert run.ledger.totals()["published"] == 2
            assert run.sink.topics.keys() == {"market.crypto.trades.venue", "market.crypto.trades.venue.dlq"}

    asyncio.run(main())


def test_one_connector_in_trouble_never_stops_the_others() -> None:
    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as good, Venue(says(then="drop")).open() as bad:
            dead = good.plan("dead", CONNECTION % 1)
            async with Run(good.plan(), bad.plan("bad"), dead) as run:
                tried = run.runner.connectors[2].connector_state.ledger.reconnects
                await run.until(lambda: len(run.sink.taken) == 1 and bad.connects > 2 and tried["connect"] > 1)
                states = {one.plan.name: one.state for one in run.runner.connectors}
                assert states["venue"] == "live"
                assert (await run.end()).exit_code == 0

    asyncio.run(main())


@pytest.mark.parametrize(("then", "cause"), [("drop", "lost"), ("close", "closed")])
def test_a_lost_connection_is_made_again_and_repeats_are_dropped(then: str, cause: str) -> None:
    async def main() -> None:
        acts = says(trades(trade(1), trade(2)), then=then), says(trades(trade(2), trade(3)))
        async with Venue(*acts).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: len(run.sink.taken) == 3)
            await run.end()
            assert ids(run.sink) == ["VENUE-1", "VENUE-2", "VENUE-3"]
            assert run.ledger.totals()["duplicates"] == 1
            assert run.ledger.reconnects == {cause: 1}
            assert run.ledger.connects == 2

    asyncio.run(main())


def test_garbage_becomes_dead_letters_and_its_neighbours_pass() -> None:
    async def main() -> None:
        frames = trades(trade(1)), "{ not json", b"\x00\xff", trades(trade(2, p="x"), trade(3)), '{"new": 1}'
        async with Venue(says(*frames)).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: len(run.sink.taken) == 5 and run.ledger.unrecognised)
            await run.end()
            assert ids(run.sink) == ["VENUE-1", "VENUE-3"]
            assert [letter["reason"] for letter in run.sink.dead] == ["malformed-frame"] * 2 + ["bad-number"]
            totals = run.ledger.totals()
            assert (totals["received"], totals["dead_letters"], totals["in_flight"]) == (5, 3, 0)

    asyncio.run(main())


def test_a_server_that_only_sends_garbage_is_approached_ever_more_slowly() -> None:
    async def main() -> None:
        async with Venue(says("garbage {", then="close")).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: run.runner.connectors[0].supervisors[0]._delays.attempts >= 3)
            assert venue.connects == 3

    asyncio.run(main())


def test_a_frame_larger_than_allowed_ends_the_connection_with_its_cause() -> None:
    async def main() -> None:
        connection = CONNECTION + "  max_frame: 2 KiB\n"
        async with Venue(says("x" * 5000)).open() as venue, Run(venue.plan(connection=connection)) as run:
            await run.until(lambda: run.ledger.reconnects["frame-too-large"])

    asyncio.run(main())


# -- stopping


def test_stopping_goes_in_order() -> None:
    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: run.sink.taken)
            await run.end()
            await asyncio.sleep(0.1)
            assert venue.heard[-1] == {"op": "unsub", "symbols": ["BTC-USD", "ETH-USD"]}
            assert run.sink.steps == ["open", "prepare", "flush", "close"]
            assert run.runner.connectors[0].state == "stopped"

    asyncio.run(main())


def test_what_cannot_be_sent_is_counted_in_the_exit_code() -> None:
    async def main() -> None:
        async with Venue(says(trades(trade(1), trade(2)))).open() as venue, Run(venue.plan(), stuck=True) as run:
            await run.until(lambda: len(run.sink.taken) == 2)
            outcome = await run.end()
            assert (outcome.unsent, outcome.exit_code) == (2, 1)
            assert run.ledger.totals()["in_flight"] == 2

    asyncio.run(main())


def test_a_number_of_records_may_be_enough() -> None:
    async def main() -> None:
        frames = [trades(trade(number)) for number in range(50)]
        async with Venue(says(*frames)).open() as venue, Run(venue.plan(), max_records=10) as run:
            assert (await run.end(ask=False)).exit_code == 0
            assert len(run.sink.taken) == 10
            assert run.ledger.totals()["published"] == len(run.sink.taken)

    asyncio.run(main())


def test_stopping_does_not_wait_for_a_connection_that_is_being_made() -> None:
    async def main() -> None:
        silence = asyncio.Event()

        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await silence.wait()
            writer.close()

        server = await asyncio.start_server(mute, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with Run(Venue(says()).plan(connection=CONNECTION % port)) as run:
            await run.until(lambda: run.runner.connectors[0].state == "connecting")
            await asyncio.sleep(0.1)
            start = time.monotonic()
            assert (await run.end()).exit_code == 0
            assert time.monotonic() - start < 8  # a connection may take ten
        silence.set()
        server.close()
        await asyncio.sleep(0.1)

    asyncio.run(main())


def test_stopping_does_not_wait_for_a_delay() -> None:
    async def main() -> None:
        connection = (CONNECTION % 1).replace("base: 50ms, cap: 100ms", "base: 60s, cap: 60s")
        async with Run(Venue(says()).plan(connection=connection)) as run:
            await run.until(lambda: run.ledger.reconnects)
            start = time.monotonic()
            await run.end()
            assert time.monotonic() - start < 30

    asyncio.run(main())


# -- our own bugs


class Raising(MemorySink):
    """A sink with a bug."""

    def put(self, envelope: Envelope) -> None:
        raise ZeroDivisionError("a bug of ours")


class RaisingLater(MemorySink):
    """A sink whose bug is in a callback of the loop."""

    def _settle(self) -> None:
        raise ZeroDivisionError("a bug of ours")


class Finished(MemorySink):
    """A sink that can never go on."""

    @property
    def crowded(self) -> bool:
        return True

    async def drain(self) -> None:
        raise SinkError("the output was closed")


@pytest.mark.parametrize(("sink", "error"), [
    (Raising, ZeroDivisionError), (RaisingLater, ZeroDivisionError), (Finished, SinkError)
])
def test_a_bug_of_the_sink_ends_the_run(sink: type[MemorySink], error: type[Exception]) -> None:
    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as venue, Run(venue.plan(), sink=sink) as run:
            with pytest.raises(error):
                await run.end(ask=False)
            assert venue.connects == 1
            assert run.sink.steps[-1] == "close"

    asyncio.run(main())


# What a bug inside a connector does is in test_isolation.py.


# -- what the environment changes


def test_silence_is_death_after_the_time_that_is_set() -> None:
    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as venue:
            async with Run(venue.plan(), overrides=Overrides(stale_after=0.3)) as run:
                await run.until(lambda: run.ledger.reconnects["stale"] >= 2)
            assert venue.connects >= 2

    asyncio.run(main())


def test_silence_may_be_no_death() -> None:
    connector = Runner(
        [Job(Venue().plan(connection=CONNECTION % 1), overrides=Overrides(stale_after=0, base_delay=7, attempts=3))],
        SinkSettings(kind="console"),
    ).connectors[0]
    connection = connector.plan.connections[0]
    assert connection.stale_after is None
    assert (connection.reconnect.base, connection.reconnect.cap, connection.reconnect.attempts) == (7, 7, 3)
    assert connector.supervisors[0].shard.connection is connection


def test_an_old_connection_is_replaced_without_delay() -> None:
    async def main() -> None:
        overrides = Overrides(max_age=0.3)
        async with Venue(says(trades(trade(1)))).open() as venue, Run(venue.plan(), overrides=overrides) as run:
            await run.until(lambda: run.ledger.reconnects["rotation"] >= 2)
            assert set(run.ledger.reconnects) == {"rotation"}
            assert run.runner.connectors[0].supervisors[0]._delays.attempts == 0

    asyncio.run(main())


def test_attempts_may_run_out() -> None:
    async def main() -> None:
        overrides = Overrides(attempts=2, base_delay=0.01)
        async with Run(Venue().plan(connection=CONNECTION % 1), overrides=overrides) as run:
            outcome = await run.end(ask=False)
            assert (outcome.failed, outcome.exit_code) == (("venue",), 69)
            assert run.ledger.reconnects["connect"] == 3

    asyncio.run(main())


def test_the_next_address_is_tried_where_one_fails() -> None:
    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as venue:
            overrides = Overrides(failover=(venue.url + "?second",), base_delay=0.01)
            async with Run(venue.plan(connection=CONNECTION % 1), overrides=overrides) as run:
                await run.until(lambda: run.sink.taken)
            assert venue.paths == ["/ws?second"]

    asyncio.run(main())


def test_an_address_that_names_symbols_keeps_them_behind_the_one_that_is_set() -> None:
    connection = "connection:\n  url: \"wss://venue.example/stream?s={$symbols}\"\n"
    plan = Venue().plan(connection=connection)
    runner = Runner([Job(plan, overrides=Overrides(urls=("ws://127.0.0.1:9/here",)))], SinkSettings(kind="console"))
    socket = runner.connectors[0].supervisors[0]
    assert socket.endpoint_group.url(intake_of(plan).session, 0, 0) == "ws://127.0.0.1:9/here/stream?s=BTC-USD,ETH-USD"


def test_a_missing_variable_is_reported_before_anything_starts() -> None:
    connection = CONNECTION % 1 + "  headers: {X-Key: \"{$env.K2_VENUE_KEY}\"}\n"
    with pytest.raises(MissingVariable, match="K2_VENUE_KEY"):
        Run(Venue().plan(connection=connection))
    Run(Venue().plan(connection=connection), environment={"K2_VENUE_KEY": "x"})


def test_symbols_no_rule_reads_are_named() -> None:
    plan = Venue().plan(connection=CONNECTION % 1)
    with pytest.raises(SettingsError, match=r"no symbol rule reads BTC/USD; this venue writes them like BTC-USD"):
        Runner([Job(plan, ("BTC/USD",))], SinkSettings(kind="console"))


# -- back-pressure and refusals


class Narrow(MemorySink):
    """A sink that wants a rest after ten envelopes."""

    def __init__(self, settle: Any, stuck: bool = False) -> None:
        super().__init__(settle, stuck)
        self.bound = 10


def test_a_crowded_sink_slows_the_socket_and_nothing_is_lost() -> None:
    async def main() -> None:
        frames = [trades(trade(number)) for number in range(500)]
        overrides = Overrides(stale_after=0.2)
        async with Venue(says(*frames)).open() as venue, Run(venue.plan(), sink=Narrow, overrides=overrides) as run:
            await run.until(lambda: len(run.sink.taken) > 10)
            await asyncio.sleep(0.6)
            assert len(run.sink.taken) == 11
            assert not run.ledger.reconnects
            run.sink.relief.set()
            await run.until(lambda: len(run.sink.taken) == 500)
            assert ids(run.sink) == [f"VENUE-{number}" for number in range(500)]

    asyncio.run(main())


class Choosy(MemorySink):
    """A sink that refuses what it is told to refuse, as Kafka refuses what is too large."""

    reject: Callable[[Envelope, str], None]
    letters_too = False

    def put(self, envelope: Envelope) -> None:
        if envelope.schema is not None or self.letters_too:
            asyncio.get_running_loop().call_soon(self.reject, envelope, "record-too-large")
            self.taken.append(envelope)
        else:
            super().put(envelope)


@pytest.mark.parametrize("letters_too", [False, True])
def test_what_the_sink_refuses_is_a_dead_letter_and_at_worst_counted_as_lost(letters_too: bool) -> None:
    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as venue, Run(venue.plan(), sink=Choosy) as run:
            sink = run.sink
            assert isinstance(sink, Choosy)
            sink.reject, sink.letters_too = run.runner._reject, letters_too
            await run.until(lambda: run.ledger.totals()["lost" if letters_too else "dead_letters"] == 1)
            assert run.ledger.totals()["in_flight"] == 0
            assert run.ledger.dead_reasons == {"record-too-large": 1}
            assert sink.dead[0]["reason"] == "record-too-large"

    asyncio.run(main())


def test_a_venue_that_asks_to_stay_away_is_left_alone() -> None:
    def admit(connection: ServerConnection, request: Request) -> Response | None:
        response = connection.respond(HTTPStatus.TOO_MANY_REQUESTS, "slow down\n")
        response.headers["Retry-After"] = "30"
        return response

    async def main() -> None:
        async with Venue(says(), admit=admit).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: run.ledger.reconnects)
            await asyncio.sleep(0.5)
            assert run.ledger.reconnects == {"http-429": 1}
            assert run.runner.connectors[0].state == "waiting"

    asyncio.run(main())


def test_all_symbols_refused_is_tried_again_with_backoff() -> None:
    class Refusing(Venue):
        async def _serve(self, socket: ServerConnection) -> None:
            self.connects += 1
            await socket.recv()
            await socket.send('{"op":"sub","ok":false,"s":["BTC-USD","ETH-USD"],"why":"closed"}')
            await socket.wait_closed()

    async def main() -> None:
        async with Refusing(says()).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: run.ledger.reconnects["refused"] >= 2)
            assert run.ledger.refused >= 4

    asyncio.run(main())


def test_the_sink_is_closed_where_it_cannot_be_prepared() -> None:
    class Unprepared(MemorySink):
        async def prepare(self, topics: Any) -> None:
            raise SinkError("the schema is refused")

    async def main() -> None:
        async with Run(Venue().plan(connection=CONNECTION % 1), sink=Unprepared) as run:
            with pytest.raises(SinkError):
                await run.end()
            assert run.sink.steps == ["open", "close"]

    asyncio.run(main())


def test_sockets_that_do_not_close_in_time_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(k2conn.runner.runner, "RECEIVE_WITHIN", 0.3)

    async def main() -> None:
        frames = trades(trade(1)), trades(trade(2))
        async with Venue(says(*frames)).open() as venue, Run(venue.plan(), sink=Narrow) as run:
            run.sink.bound = 0
            await run.until(lambda: len(run.sink.taken) == 1)
            start = time.monotonic()
            assert (await run.end()).exit_code == 0
            assert time.monotonic() - start < 30

    asyncio.run(main())
