"""`k2conn status`: what a running process says of itself, and the exit code that goes with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from k2conn import exactjson
from k2conn.cli.status import run as status
from k2conn.engine.resilience.silence_detection import SilenceState
from k2conn.errors import SettingsError, Unreachable
from k2conn.monitoring.health import HealthServer
from k2conn.runner import Overrides
from tests.integration.test_health import get
from tests.support.plans import trade, trades
from tests.support.venues import Run, Venue, says


def asked(capsys: pytest.CaptureFixture[str], form: str, look: Any = None, *acts: Any) -> tuple[int, str]:
    """The answer of `status` about a run, and what it prints; ``look`` sees the run and its port first."""

    async def main() -> int:
        venue_acts = acts or (says(trades(trade(1), trade(2, s="ETH-USD"))),)
        async with Venue(*venue_acts).open() as venue, Run(venue.plan(), overrides=Overrides(replicas=2)) as run:
            await run.until(lambda: run.runner.connectors[0].state == "live" and run.sink.taken)
            await asyncio.sleep(0.05)
            server = HealthServer(run.runner, "127.0.0.1", 0)
            await server.start()
            try:
                if look is not None:
                    await look(run, server.port)
                return await asyncio.to_thread(status, "127.0.0.1", server.port, form)
            finally:
                await server.stop()

    return asyncio.run(main()), capsys.readouterr().out


def test_a_run_in_good_order(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = asked(capsys, "text")
    assert code == 0
    for part in ("ok, k2conn", "sink: ", "venue: live; received", "main-0.1", "127.0.0.1 closed", "first 2, late 0"):
        assert part in text, text


def test_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = asked(capsys, "json")
    state = exactjson.decode(next(line for line in text.splitlines() if line.startswith("{")))
    assert (code, state["status"]) == (0, "ok")
    assert state["connectors"]["venue"]["endpoints"] == {
        "main": [{"host": "127.0.0.1", "breaker": "closed", "opened": 0}]
    }


def test_a_silent_stream_is_named_with_its_cause_in_every_place(capsys: pytest.CaptureFixture[str]) -> None:
    async def silence(run: Run, port: int) -> None:
        connector = run.runner.connectors[0]
        watch = connector.silence.watch
        watch.states = {("trade", "BTCUSD"): SilenceState.QUIET, ("trade", "ETHUSD"): SilenceState.UNACKNOWLEDGED}
        code, _, body = await get(port, "/ready")
        assert code == 503
        assert exactjson.decode(body) == {
            "ready": False,
            "waiting_for": ["venue/trade: never acknowledged"],
            "silence": {"venue/trade": {"quiet": 1, "unacknowledged": 1}},
        }
        _, _, metrics = await get(port, "/metrics")
        for state, number in (("quiet", 1), ("unacknowledged", 1), ("live", 0)):
            labels = f'connector="venue",exchange="VENUE",state="{state}",stream="trade"'
            assert f"k2conn_subscriptions{{{labels}}} {number}.0" in metrics.decode()
        assert 'k2conn_breaker{connection="main",connector="venue",endpoint="0"' in metrics.decode()
        assert 'k2conn_leg_records_total{connector="venue",copy="late"' in metrics.decode()

    code, text = asked(capsys, "text", silence)
    assert code == 1
    assert "trade ETHUSD: never acknowledged" in text
    assert "trade BTCUSD: gone quiet against its habit" in text


def test_one_quiet_symbol_among_others_is_reported_and_nothing_more(capsys: pytest.CaptureFixture[str]) -> None:
    async def silence(run: Run, port: int) -> None:
        states = {("trade", "BTCUSD"): SilenceState.QUIET, ("trade", "ETHUSD"): SilenceState.LIVE}
        run.runner.connectors[0].silence.watch.states = states
        assert (await get(port, "/ready"))[0] == 200

    code, text = asked(capsys, "text", silence)
    assert code == 0
    assert "BTCUSD: gone quiet" in text


def test_nobody_there_and_somebody_else() -> None:
    with pytest.raises(Unreachable, match=r"no k2conn answers on 127\.0\.0\.1:1"):
        status("127.0.0.1", 1, "text")
    with pytest.raises(SettingsError, match="did you mean 'json'"):
        status("127.0.0.1", 1, "jsn")
    assert Unreachable.exit_code == 69


def test_something_that_is_no_k2conn() -> None:
    async def main() -> None:
        async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
            writer.close()

        server = await asyncio.start_server(other, "127.0.0.1", 0)
        with pytest.raises(Unreachable, match="is no k2conn"):
            await asyncio.to_thread(status, "127.0.0.1", server.sockets[0].getsockname()[1], "text")
        server.close()

    asyncio.run(main())
