"""Bad data over real sockets and in the whole process: what the log, /ready, /health and the books say of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from k2conn import exactjson
from k2conn.monitoring.health import HealthServer
from k2conn.runner import Overrides
from tests.integration.test_health import get
from tests.integration.test_run import environment
from tests.servers.process import free_port
from tests.support import warm_process
from tests.support.plans import HEAD, STREAMS, trade, trades
from tests.support.venues import CONNECTION, Run, Venue, says

SEQUENCE = "    sequence: {from: i, rule: contiguous, per: symbol}\n"
NUMBERED = STREAMS.replace("    each: data\n", f"    each: data\n{SEQUENCE}", 1)
KEYED = CONNECTION.replace("symbols: $symbols, id: $counter", "symbols: $symbols, id: $counter, key: $env.K2_VENUE_KEY")
UNKNOWN = [json.dumps({"event": "system", "msg": "maintenance", "n": n, "key": "s3cr3t-key"}) for n in range(50)]


async def health(port: int) -> tuple[int, dict[str, Any]]:
    """/ready's status, and what /health says."""
    return (await get(port, "/ready"))[0], exactjson.decode((await get(port, "/health"))[2])


async def process(folder: Path, port: int, *frames: str | bytes, seconds: int = 3, **variables: str) -> tuple[int, str]:
    """`k2conn run` against a venue that sends these frames; its exit code and its log."""
    async with Venue(says(*frames)).open() as venue:
        (folder / "venue.yaml").write_text(HEAD + KEYED % venue.port + NUMBERED)
        running = await warm_process.executed(
            "run", "venue.yaml", "--duration", f"{seconds}s", "--port", port, "--summary", "summary.json",
            cwd=folder, env=environment(K2_VENUE_KEY="s3cr3t-key", K2_VENUE_STREAMS="trade", **variables),
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await asyncio.wait_for(running.communicate(), 60)
        assert running.returncode is not None
        return running.returncode, errors.decode()


def lines(log: str, event: str) -> list[str]:
    return [line for line in log.splitlines() if f"] {event} " in line]


def test_the_log_of_a_venue_that_sends_all_kinds_of_bad_data(tmp_path: Path) -> None:
    frames = [
        *UNKNOWN, *(trades(trade(n, p="1,5")) for n in range(1, 9)), trades(trade(2**64 - 1)),
        trades(trade(100), trade(100, p="1"), trade(100, p="2")),
        *(trades(trade(n)) for n in range(200, 2000, 2)),
    ]
    code, log = asyncio.run(process(tmp_path, -1, *frames, seconds=5))
    assert code == 0, log
    assert len(lines(log, "unknown message")) == 3
    assert "maintenance" in lines(log, "unknown message")[0]
    (dead,) = lines(log, "dead letter")
    for word in ("connector=venue", "stream=trade", "symbol=BTCUSD", "field=price", "id=1", "reason=bad-number", "1,5"):
        assert word in dead
    assert "count=7" in lines(log, "dead letter: more of them")[0]
    assert len(lines(log, "id conflict")) == 1
    assert len(lines(log, "gap")) == 10
    assert "count=" in lines(log, "gap: more of them")[0]
    assert len(log.splitlines()) < 50
    assert "s3cr3t-key" not in log
    ledger = json.loads((tmp_path / "summary.json").read_text())["connectors"]["venue"]
    assert (ledger["conflicts"], ledger["unrecognised"], ledger["dead_letters"]) == (2, 50, 8)
    assert ledger["balanced"]


def test_a_stream_of_which_nothing_can_be_published_is_not_ready(tmp_path: Path) -> None:
    async def main() -> None:
        act = says(*(trades(trade(n, q="1e99")) for n in range(20)))
        async with Venue(act).open() as venue, Run(venue.plan()) as run:
            server = HealthServer(run.runner, "127.0.0.1", 0)
            await server.start()
            await run.until(lambda: run.ledger.totals()["dead_letters"] == 20)
            ready, state = await health(server.port)
            assert (ready, state["status"]) == (503, "degraded")
            assert state["waiting_for"] == ["venue/trade: all 20 records are dead letters"]
            (trouble,) = state["connectors"]["venue"]["troubles"]
            assert trouble["detail"]["value"] == "1e99"
            await server.stop()

    asyncio.run(main())


@pytest.mark.parametrize(("share", "status"), [(0.05, "degraded"), (0.5, "ok")])
def test_how_much_bad_data_is_too_much_is_settable(share: float, status: str) -> None:
    async def main() -> None:
        act = says(*(trades(trade(n)) for n in range(30)), *(trades(trade(n, q="x")) for n in range(10)), *UNKNOWN[:10])
        async with Venue(act).open() as venue, Run(venue.plan(), overrides=Overrides(bad_data_share=share)) as run:
            server = HealthServer(run.runner, "127.0.0.1", 0)
            await server.start()
            await run.until(lambda: run.ledger.totals()["dead_letters"] == 10 and run.ledger.unrecognised == 10)
            ready, state = await health(server.port)
            assert (ready, state["status"]) == (200, status)
            assert len(state["degraded_by"]) == (2 if status == "degraded" else 0)
            await server.stop()

    asyncio.run(main())


def test_a_connector_is_ok_only_once_something_came() -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def act(socket: ServerConnection) -> None:
            await go.wait()
            await socket.send(trades(trade(1)))

        async with Venue(act).open() as venue, Run(venue.plan()) as run:
            server = HealthServer(run.runner, "127.0.0.1", 0)
            await server.start()
            await run.until(lambda: run.runner.connectors[0].state == "live")
            ready, state = await health(server.port)
            assert (ready, state["status"], state["degraded_by"]) == (200, "degraded", ["venue: no data yet"])
            go.set()
            await run.until(lambda: run.ledger.totals()["published"] == 1)
            assert (await health(server.port))[1]["status"] == "ok"
            await server.stop()

    asyncio.run(main())


def invalid_text() -> Callable[[ServerConnection], Awaitable[None]]:
    async def act(socket: ServerConnection) -> None:
        await socket.send(trades(trade(1)))
        await socket.send(b"\xff\xfe", text=True)

    return act


def cut_in_the_middle() -> Callable[[ServerConnection], Awaitable[None]]:
    async def act(socket: ServerConnection) -> None:
        await socket.send(trades(trade(1)))
        socket.transport.write(b"\x81\x7e\x01\x00half of it")
        await asyncio.sleep(0.05)
        socket.transport.close()

    return act


@pytest.mark.parametrize(("act", "cause"), [(invalid_text, "no-text"), (cut_in_the_middle, "lost")])
def test_a_frame_that_is_no_text_or_breaks_off_has_an_account(act: Any, cause: str) -> None:
    async def main() -> None:
        async with Venue(act(), says(trades(trade(2)))).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: run.ledger.totals()["published"] == 2)
            assert run.ledger.reconnects == {cause: 1}
            figures = run.ledger.conversation()
            assert figures["discarded"] == 1
            assert figures["frames"] == figures["control"] + figures["discarded"] + 2

    asyncio.run(main())


def test_status_shows_the_last_errors(tmp_path: Path) -> None:
    async def main() -> str:
        port = free_port()
        frames = [trades(trade(n, p="1,5")) for n in range(1, 9)]
        running = asyncio.ensure_future(process(tmp_path, port, *frames, seconds=6))
        async with asyncio.timeout(60):
            while True:
                asked = await warm_process.executed(
        "status", "--port", str(port), env=environment(),
                    stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                )
                text, _ = await asked.communicate()
                if b"dead letter" in text and b"all 8 records" in text:
                    break
        assert asked.returncode == 1
        await running
        return text.decode()

    text = asyncio.run(main())
    assert "waiting for venue/trade: all 8 records are dead letters" in text
    assert "price" in text
    assert "value 1,5" in text
