"""Odd protocols over real sockets, in the real runner: the whole dialogue, a refused symbol, silence, reconnect.

The exchange is the mock made from the same connector file; only its periods are shortened, so that nothing here waits
for half a minute.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from k2conn.plan import Plan
from k2conn.runner import Job, Overrides, Runner
from k2conn.sinks import SinkSettings
from k2conn.sinks.file import FileSettings
from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.faults import Faults
from tests.support.shipped import load

ODD = ("bitfinex", "htx", "kucoin", "deribit", "upbit", "crypto-com", "mexc", "gate-io", "bybit")
ANSWERED = ("bitfinex", "kucoin", "upbit", "mexc", "gate-io", "bybit")
"""Those whose answer to our heartbeat is waited for; with the others only silence ends a connection."""
REFUSING = ("bitfinex", "htx", "kucoin", "deribit", "crypto-com", "mexc", "gate-io", "bybit")
"""Those that answer subscriptions one by one, so that they can refuse one."""
BEAT = 0.3


def quickened(plan: Plan) -> Plan:
    """The plan with short periods: heartbeats, their answers, delays between attempts."""
    connections = []
    for one in plan.connections:
        beat = one.heartbeat
        if beat is not None:
            beat = replace(beat, every=lambda state: BEAT, within=BEAT if beat.answer else None)
        connections.append(
            replace(
                one,
                heartbeat=beat,
                reconnect=replace(one.reconnect, base=0.05, cap=0.1),
                limits=replace(one.limits, connect=None),
            )
        )
    return replace(plan, connections=tuple(connections))


@asynccontextmanager
async def running(plan: Plan, folder: Path, faults: Faults, stale: float | None = None,
                  symbols: tuple[str, ...] | None = None) -> AsyncIterator[tuple[Runner, MockExchange]]:
    """The connector in the runner, against its own mock."""
    async with MockExchange(plan, rate=50, faults=faults) as exchange:
        url = exchange.url(plan.connections[0].name)
        overrides = Overrides(urls=(url,), http_url=exchange.http_url, stale_after=stale)
        files = SinkSettings(kind="file", options=FileSettings(folder=folder))
        runner = Runner([Job(plan, symbols, None, overrides)], files, environment={})
        stop = asyncio.Event()
        task = asyncio.create_task(runner.run(stop))
        try:
            yield runner, exchange
        finally:
            stop.set()
            outcome = await task
        assert outcome.unsent == 0
        assert runner.connectors[0].connector_state.ledger.balanced()


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that is a coroutine, run with a bound on its time."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 30))

    return run


async def until(condition: Callable[[], bool], within: float = 60.0) -> None:
    """Waits for a fact."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  # the engine has no event for every fact a test may wait for
            await asyncio.sleep(0.01)


def received(runner: Runner) -> int:
    return runner.connectors[0].connector_state.ledger.totals()["received"]


@pytest.mark.parametrize("name", ODD)
@in_a_loop
async def test_the_whole_dialogue_ends_in_records_and_no_dead_letter(name: str, tmp_path: Path) -> None:
    plan = quickened(load(name))
    async with running(plan, tmp_path, Faults()) as (runner, exchange):
        await until(lambda: all(socket.state == "live" for socket in runner.connectors[0].supervisors))
        await until(lambda: received(runner) > 20)
        if any(one.heartbeat is not None and one.heartbeat.send is not None for one in plan.connections):
            await until(lambda: exchange.pings > 1)
        ledger = runner.connectors[0].connector_state.ledger
        assert ledger.totals()["dead_letters"] == 0, dict(ledger.dead_reasons)
        assert not ledger.reconnects


@pytest.mark.parametrize("name", ODD)
@in_a_loop
async def test_a_cut_connection_is_made_again_and_state_starts_afresh(name: str, tmp_path: Path) -> None:
    plan = quickened(load(name))
    async with running(plan, tmp_path, Faults()) as (runner, exchange):
        await until(lambda: received(runner) > 5)
        await exchange.drop_clients(None)
        ledger = runner.connectors[0].connector_state.ledger
        await until(lambda: bool(ledger.reconnects))
        before = received(runner)
        await until(lambda: received(runner) > before + 5)
        assert ledger.totals()["dead_letters"] == 0, dict(ledger.dead_reasons)


@pytest.mark.parametrize("name", ODD)
@in_a_loop
async def test_an_exchange_that_falls_silent_is_left(name: str, tmp_path: Path) -> None:
    plan = quickened(load(name))
    plan = replace(plan, connections=tuple(replace(one, heartbeat=None) for one in plan.connections))
    async with running(plan, tmp_path, Faults(stall_after=3), stale=0.4) as (runner, exchange):
        ledger = runner.connectors[0].connector_state.ledger
        await until(lambda: ledger.reconnects["stale"] > 0)
        exchange.faults.stall_after = None
        before = received(runner)
        await until(lambda: received(runner) > before + 5)


def test_which_answer_heartbeats_and_which_refuse_a_subscription() -> None:
    """The two tests below try all of them."""
    connections = {name: load(name).connections for name in ODD}
    beats = {name: [one.heartbeat for one in connections[name] if one.heartbeat] for name in ODD}
    steps = {name: [step for one in connections[name] for step in one.steps] for name in ODD}
    assert [name for name in ODD if any(one.answer and one.send for one in beats[name])] == list(ANSWERED)
    assert [name for name in ODD if any(one.expect and one.expect.refused for one in steps[name])] == list(REFUSING)


@pytest.mark.parametrize("name", ANSWERED)
@in_a_loop
async def test_a_missed_heartbeat_ends_the_connection(name: str, tmp_path: Path) -> None:
    plan = quickened(load(name))
    async with running(plan, tmp_path, Faults(no_pong=True)) as (runner, exchange):
        ledger = runner.connectors[0].connector_state.ledger
        await until(lambda: ledger.reconnects["heartbeat"] > 0)
        exchange.faults.no_pong = False
        before = received(runner)
        await until(lambda: received(runner) > before + 5)


@pytest.mark.parametrize("name", REFUSING)
@in_a_loop
async def test_a_refused_symbol_does_not_stop_the_others(name: str, tmp_path: Path) -> None:
    plan = quickened(load(name))
    bad = plan.symbols.default[0]
    async with running(plan, tmp_path, Faults(refuse=frozenset({bad}))) as (runner, _):
        await until(lambda: received(runner) > 5)
        ledger = runner.connectors[0].connector_state.ledger
        await until(lambda: ledger.refused > 0 and received(runner) > 20)
        states = {(one.symbol.native, one.state) for socket in runner.connectors[0].supervisors if socket.pipeline
                  for one in socket.pipeline.session.subscriptions.all}
        assert {name for name, state in states if state == "refused"} == {bad}
        assert {name for name, state in states if state == "confirmed"} >= set(plan.symbols.default[1:])
