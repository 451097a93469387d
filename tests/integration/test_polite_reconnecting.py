"""A venue is not asked ever more often, whatever it does; and what it says is in the log. Over real sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection, serve

import k2conn.engine.conversation.retries as retries
import k2conn.runner.runner as runner_module
from k2conn import exactjson
from k2conn.engine.resilience.circuit_breaker import BreakerSettings
from k2conn.plan import POLITE_CONNECTS
from k2conn.runner import Overrides
from tests.integration.test_runner import says
from tests.paths import ROOT
from tests.support import warm_process
from tests.support.plans import HEAD, STREAMS, plan_of, trade, trades
from tests.support.venues import CONNECTION, Run, Venue

GROWING = CONNECTION.replace("base: 50ms, cap: 100ms", "base: 100ms, cap: 30s, factor: 3")
REPLACED = GROWING.replace("{base", "{when: {ch: leave}, base")


@pytest.mark.parametrize("code", [1000, 1001, 1008, 4008])
def test_a_moment_of_data_does_not_make_the_delay_short_again(code: int) -> None:
    number = 0

    async def leave(client: ServerConnection) -> None:
        nonlocal number
        number += 1
        await client.send(trades(trade(number)))
        await client.close(code, "rate limit exceeded")

    async def main() -> None:
        async with Venue(leave).open() as venue, Run(venue.plan(connection=GROWING)) as run:
            await asyncio.sleep(2)
            assert venue.connects <= 7
            await run.until(lambda: run.ledger.totals()["published"] == venue.connects > 1)
            assert (await run.end()).exit_code == 0

    asyncio.run(main())


def test_a_venue_that_asks_for_a_new_connection_again_and_again_is_not_overrun() -> None:
    async def ask_to_leave(client: ServerConnection) -> None:
        await client.send(trades(trade(1)))
        await client.send(exactjson.encode({"ch": "leave"}).decode())

    async def main() -> None:
        async with Venue(ask_to_leave).open() as venue, Run(venue.plan(connection=REPLACED)) as run:
            await run.until(lambda: venue.connects > 1)
            await asyncio.sleep(2)
            assert venue.connects <= 8

    asyncio.run(main())


def test_a_connector_without_a_limit_keeps_to_the_polite_one() -> None:
    async def main() -> None:
        async with Venue(stay).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: venue.connects)
            (limiter,) = run.runner.connectors[0].connector_state.connect_limiters.values()
            now = time.monotonic()
            waits = [limiter.wait(now) for _ in range(POLITE_CONNECTS.count + 1)]
            assert waits[-1] > POLITE_CONNECTS.seconds - 10

    asyncio.run(main())


async def stay(client: ServerConnection) -> None:
    return


def test_again_in_says_what_the_breaker_costs() -> None:
    async def main() -> None:
        with capture_logs() as logs:
            plan = Venue(stay).plan(connection=CONNECTION % 1)
            given = Overrides(breaker_settings=BreakerSettings(failures=2, seconds=2.0))
            async with Run(plan, overrides=given) as run:
                await run.until(lambda: sum(run.ledger.reconnects.values()) > 2)
        waits = [float(line["again_in"].split()[0]) for line in logs if line["event"] == "connection lost"]
        assert waits[0] < 0.2
        assert 1 < waits[1] < 2.2

    asyncio.run(main())


# -- what the venue says


def test_a_late_error_is_said_once_a_kind_counted_and_closes_nothing() -> None:
    async def complain(client: ServerConnection) -> None:
        for number in range(5):
            error = {"op": "sub", "ok": False, "why": f"too many requests, {number} in a second"}
            await client.send(exactjson.encode(error).decode())
        await client.send(exactjson.encode({"op": "sub", "ok": False, "why": "maintenance soon"}).decode())
        await client.send(trades(trade(1)))

    async def main() -> None:
        with capture_logs() as logs:
            async with Venue(complain).open() as venue, Run(venue.plan()) as run:
                await run.until(lambda: run.sink.taken)
                assert run.ledger.conversation()["venue_errors"] == 6
                assert run.ledger.refused == 0
                assert venue.connects == 1
                assert (await run.end()).exit_code == 0
        warned = [line for line in logs if line["event"] == "error" and line["log_level"] == "warning"]
        assert [line["reason"] for line in warned] == ["too many requests, 0 in a second", "maintenance soon"]

    asyncio.run(main())


def test_what_is_refused_for_the_moment_is_asked_for_again_on_the_same_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retries, "FIRST", 0.2)
    asked: list[Any] = []

    async def talk(client: ServerConnection) -> None:
        async for frame in client:
            said = exactjson.decode(frame)
            if said["op"] != "sub":
                continue
            asked.append(said["symbols"])
            for symbol in said["symbols"]:
                taken = symbol == "BTC-USD" or len(asked) > 2
                reply = {"op": "sub", "ok": taken, "s": symbol, "why": "busy"}
                await client.send(exactjson.encode(reply).decode())
                if taken:
                    await client.send(trades(trade(len(asked), s=symbol)))

    async def main() -> None:
        with capture_logs() as logs:
            async with serve(talk, "127.0.0.1", 0) as server:
                port = next(iter(server.sockets)).getsockname()[1]
                async with Run(Venue().plan(connection=CONNECTION % port)) as run:
                    await run.until(lambda: len(run.sink.taken) == 2)
                    assert run.ledger.connects == 1
                    assert run.ledger.refused == 2
        assert asked == [["BTC-USD", "ETH-USD"], ["ETH-USD"], ["ETH-USD"]]
        refused = [line for line in logs if line["event"] == "refused"]
        assert [line["log_level"] for line in refused] == ["warning", "debug"]

    asyncio.run(main())


# -- the exit code


def test_a_run_in_which_no_connection_stood_does_not_end_with_0() -> None:
    async def main() -> None:
        with capture_logs() as logs:
            plan = Venue(stay).plan(connection=CONNECTION % 1)
            async with Run(plan, Venue(stay).plan("other", CONNECTION % 2)) as run:
                await run.until(lambda: sum(run.ledger.reconnects.values()))
                assert (await run.end()).exit_code == 69
        assert {"connect"} == set(*(line["causes"] for line in logs if line["event"] == "no connection ever stood"))

    asyncio.run(main())


def test_a_connection_that_is_subscribed_and_quiet_stands() -> None:
    async def main() -> None:
        async with Venue(stay).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: run.runner.connectors[0].state == "live")
            assert (await run.end()).exit_code == 0

    asyncio.run(main())


def test_a_run_that_waits_in_vain_for_a_handshake_does_not_end_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            plan = Venue(stay).plan(connection=CONNECTION % silent.getsockname()[1])
            async with Run(plan) as run:
                await run.until(lambda: run.runner.connectors[0].supervisors)
                assert (await run.end()).exit_code == 0, "there was no time yet"
            monkeypatch.setattr(runner_module, "_TIME_TO_STAND", 0.1)
            async with Run(plan) as run:
                await asyncio.sleep(0.3)
                assert (await run.end()).exit_code == 69

    asyncio.run(main())


def test_the_whole_process_says_it_with_its_exit_code(tmp_path: Path) -> None:
    spec = tmp_path / "venue.yaml"
    spec.write_text(HEAD + CONNECTION % 1 + STREAMS)
    kept = {name: text for name, text in os.environ.items() if not name.startswith("K2_")}
    with warm_process.started(
        "run", str(spec), "--port", "-1", "--sink", "file", "--folder", "out",
        cwd=tmp_path, env={**kept, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
    ) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "connection lost" in line:
                process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 69, "".join(lines)
    assert any("no connection ever stood" in line for line in lines)


def test_what_a_venue_counts_by_ip_address_is_kept_to_by_all_connectors_together() -> None:
    async def main() -> list[float]:
        connection = CONNECTION + "  limits: {connect: 1 per 700ms, per: ip}\n"
        async with Venue(says(trades(trade(1)))).open() as venue:
            plans = [venue.plan(name, connection) for name in ("venue", "other", "third")]
            async with Run(*plans) as run:
                await run.until(lambda: venue.connects == 3)
                return run.runner.connectors[0].connector_state.connect_limiters["main"]._attempts.times[:3]

    times = asyncio.run(main())
    assert min(later - sooner for sooner, later in pairwise(times)) > 0.7 - 1e-6


def test_no_more_requests_wait_for_an_answer_than_the_venue_allows() -> None:
    waiting: list[str] = []
    most: list[int] = []

    async def answer(client: ServerConnection, symbol: str) -> None:
        await asyncio.sleep(0.05)
        waiting.remove(symbol)
        await client.send(exactjson.encode({"op": "sub", "ok": True, "s": symbol}).decode())

    async def venue(client: ServerConnection) -> None:
        answers = []
        async for frame in client:
            said = exactjson.decode(frame)
            if said["op"] != "sub":
                continue
            waiting.append(said["symbol"])
            most.append(len(waiting))
            answers.append(asyncio.create_task(answer(client, waiting[-1])))

    async def main() -> None:
        async with serve(venue, "127.0.0.1", 0) as server:
            connection = CONNECTION % next(iter(server.sockets)).getsockname()[1]
            connection = connection.replace("symbols: $symbols", "symbol: $symbol") + "  limits: {unanswered: 3}\n"
            plan, names = plan_of(connection, STREAMS), tuple(f"{letter}-USD" for letter in "ABCDEFGHIJ")
            plan = replace(plan, symbols=replace(plan.symbols, default=names))
            async with Run(plan) as run:
                await run.until(lambda: run.runner.connectors[0].state == "live" and len(most) == 10 and not waiting)

    asyncio.run(main())
    assert max(most) == 3
