"""The first part of `k2conn demo`: mock exchanges played over real WebSockets into a sink, watched live."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from k2conn.cli.demo_topics import from_topics
from k2conn.cli.live_table import LiveTable, TimedRunner
from k2conn.cli.messages import show
from k2conn.cli.screen import Live, screen
from k2conn.consumer.settings import ConsumerSettings
from k2conn.runner import Job, Overrides
from k2conn.sinks.settings import SinkSettings
from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.server import MockServer

_REFRESH = 0.25
_LINES_EVERY = 2.0
_FIRST_WITHIN = 10.0
_ARRIVE = 0.3
"""Seconds for the last frames to arrive, once the mock exchanges are quiet."""


@dataclass(frozen=True, slots=True)
class Played:
    """What became of it. ``published`` records are durable in the sink; ``complete``: so is all that was sent."""

    published: int
    complete: bool
    exit_code: int


@dataclass(frozen=True, slots=True)
class DemoRoute:
    """Where records go: into ``sink``, or, with ``topics``, into Kafka, and from its topics into ``sink``."""

    sink: SinkSettings
    where: str
    """For people: into what."""
    kafka: SinkSettings | None = None
    topics: ConsumerSettings | None = None


async def played(exchanges: Sequence[MockExchange], seconds: float, route: DemoRoute, plain: bool) -> Played:
    """Plays the exchanges for so long, or until Ctrl-C, and says what both sides counted."""
    over, stop = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    async with MockServer(exchanges), from_topics(route.topics, route.sink) as reading:
        runner = TimedRunner([_job(exchange) for exchange in exchanges], route.kafka or route.sink)
        live_table = LiveTable(runner, f"k2conn demo: mock exchanges over WebSockets into {route.where}")
        running = asyncio.create_task(runner.run(stop))
        running.add_done_callback(lambda task: over.set())
        ending = asyncio.create_task(_end_after(seconds, runner, exchanges, over))
        await _watch(live_table, over, plain)
        ending.cancel()
        for exchange in exchanges:
            exchange.pause()
        await asyncio.sleep(_ARRIVE)
        stop.set()
        outcome = await running
        published = sum(one.connector_state.ledger.totals()["published"] for one in runner.connectors)
        complete = _told(runner, exchanges)
        if reading is not None:
            complete &= await reading.has_written(published)
    return Played(published, complete, outcome.exit_code)


async def _end_after(
    seconds: float, runner: TimedRunner, exchanges: Sequence[MockExchange], over: asyncio.Event
) -> None:
    """The time begins with the first record: before it a sink may be opened, and topics made."""
    await runner.opened.wait()
    with suppress(TimeoutError):
        await exchanges[0].wait_for(lambda: any(one.sent for one in exchanges), within=_FIRST_WITHIN)
    await asyncio.sleep(seconds)
    over.set()


def _job(exchange: MockExchange) -> Job:
    """A connector's job, pointed at its mock exchange."""
    streams = tuple(
        stream.name for stream in exchange.plan.streams if stream.name in exchange.streams and stream.default
    )
    overrides = Overrides(urls=(exchange.url(),), http_url=exchange.http_url, program=exchange.program)
    return Job(exchange.plan, streams=streams or exchange.streams, overrides=overrides)


async def _watch(live_table: LiveTable, over: asyncio.Event, plain: bool) -> None:
    """Shows the board until the time is over."""
    if plain:
        while not await _sleep(over, _LINES_EVERY):
            show(*live_table.text().split("\n"))
        return
    console = screen()
    with Live(live_table.table(console.width), console=console, refresh_per_second=1 / _REFRESH) as live:
        while not await _sleep(over, _REFRESH):
            live.update(live_table.table(console.width))  # whoever drags the window gets other columns


async def _sleep(over: asyncio.Event, seconds: float) -> bool:
    """Waits; true where it is over."""
    try:
        async with asyncio.timeout(seconds):
            await over.wait()
    except TimeoutError:
        return False
    return True


def _told(runner: TimedRunner, exchanges: Sequence[MockExchange]) -> bool:
    """Says the counts of both sides; whether they agree."""
    complete = True
    show("", "What the exchanges sent, and what became of it:")
    for exchange, connector in zip(exchanges, runner.connectors, strict=True):
        sent = sum(map(len, exchange.sent.values()))
        ledger = connector.connector_state.ledger
        totals = ledger.totals()
        complete &= sent == totals["received"] + totals["filtered"] and ledger.balanced()
        show(f"  {exchange.plan.name}: sent {sent}; {ledger.equation()}")
    return complete


def files_in(folder: Path) -> list[Path]:
    """The files of records below a folder."""
    return sorted(folder.rglob("*.avro"))
