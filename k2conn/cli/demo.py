"""`k2conn demo`: mock exchanges over real WebSockets into files, watched live. No network, no Kafka, no settings."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from k2conn.cli.hints import program, python
from k2conn.cli.live_table import LiveTable, TimedRunner
from k2conn.cli.loading import load, shipped
from k2conn.cli.messages import show
from k2conn.cli.option_values import lasting, listed
from k2conn.cli.screen import Live, screen
from k2conn.errors import SettingsError
from k2conn.plan import Plan
from k2conn.resources import connectors_folder
from k2conn.runner import Job, Overrides, RunOutcome
from k2conn.runner.event_log import configure
from k2conn.sinks.file import FileSettings
from k2conn.sinks.settings import SinkSettings
from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.server import MockServer

_REFRESH = 0.25
_LINES_EVERY = 2.0
_ARRIVE = 0.3
"""Seconds for the last frames to arrive, once the mock exchanges are quiet."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line says."""

    duration: str = "15s"
    rate: float = 20.0
    folder: Path | None = None
    connectors: str | None = None
    plain: bool = False


def run(options: DemoOptions) -> int:
    """Runs the demo; 0 where all that the mock exchanges sent is on disk."""
    seconds = lasting("--duration", options.duration) or 0.0
    names = listed("--connectors", options.connectors) if options.connectors else shown_by_default()
    configure("error", False)
    exchanges = [MockExchange(load(name), rate=options.rate) for name in names]
    for exchange in exchanges:
        if not exchange.streams:
            raise SettingsError(f"{exchange.plan.name} has no tests with records, so nothing can be played")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="k2conn-demo-"))
    return asyncio.run(_demo(exchanges, seconds, folder, options.plain or not sys.stdout.isatty()))


def shown_by_default() -> list[str]:
    """The connectors of the demo: the lines of `connectors/demo.txt`."""
    return (connectors_folder() / "demo.txt").read_text(encoding="utf-8").split()


async def _demo(exchanges: Sequence[MockExchange], seconds: float, folder: Path, plain: bool) -> int:
    over, stop = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    async with MockServer(exchanges):
        files = SinkSettings(kind="file", options=FileSettings(folder=folder))
        runner = TimedRunner([_job(exchange) for exchange in exchanges], files)
        live_table = LiveTable(runner)
        running = asyncio.create_task(runner.run(stop))
        running.add_done_callback(lambda task: over.set())
        loop.call_later(seconds, over.set)
        await _watch(live_table, over, plain)
        for exchange in exchanges:
            exchange.pause()
        await asyncio.sleep(_ARRIVE)
        stop.set()
        outcome = await running
    return _report(runner, exchanges, outcome, folder)


def _job(exchange: MockExchange) -> Job:
    """A connector's job, pointed at its mock exchange."""
    streams = tuple(
        stream.name for stream in exchange.plan.streams if stream.name in exchange.streams and stream.default
    )
    overrides = Overrides(urls=(exchange.url(),), http_url=exchange.http_url)
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


def _report(runner: TimedRunner, exchanges: Sequence[MockExchange], outcome: RunOutcome, folder: Path) -> int:
    """The counts of both sides, and where the records are."""
    complete = True
    show("", "What the exchanges sent, and what became of it:")
    for exchange, connector in zip(exchanges, runner.connectors, strict=True):
        sent = sum(map(len, exchange.sent.values()))
        totals = connector.connector_state.ledger.totals()
        complete &= sent == totals["received"] + totals["filtered"] and connector.connector_state.ledger.balanced()
        show(f"  {exchange.plan.name}: sent {sent}; {connector.connector_state.ledger.equation()}")
    files = sorted(folder.rglob("*.avro"))
    show("", f"{len(files)} files of records (Avro, the v2 schema inside):")
    for file in files:
        show(f"  {file}  {file.stat().st_size:,} bytes")
    _say_what_next(exchanges[0].plan, files)
    if not complete:
        show("the two sides do not agree", error=True)
    return outcome.exit_code or (0 if complete else 70)


def _say_what_next(plan: Plan, files: Sequence[Path]) -> None:
    """Commands to go on with."""
    own = program()
    name = plan.name if plan.name in [path.stem for path in shipped()] else shlex.quote(plan.path)
    if files:
        show("", "Read one:", f"  {python()} -m fastavro {shlex.quote(str(files[-1]))}")
    show("", "Next:", f"  {own} list", f"  {own} explain {name}")
    show("With a way to the exchange itself:", f"  {own} run {name} --sink console --max-records 10")
    show("And with Kafka and a schema registry on this machine:", f"  {own} run {name} --kafka localhost:9092 "
         "--registry http://localhost:8081")


