"""`k2conn mock`: connectors' venues on a loopback port."""

from __future__ import annotations

import asyncio
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from k2conn.cli.loading import load_connected
from k2conn.cli.messages import show
from k2conn.cli.option_values import lasting, listed
from k2conn.errors import SettingsError
from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.faults import Faults
from k2conn.tools.mock.recordings import read_frames
from k2conn.tools.mock.server import MockServer
from k2conn.variables import prefix_of


@dataclass(frozen=True, slots=True)
class MockOptions:
    """What the command line says."""

    connectors: Sequence[str]
    port: int = 0
    rate: float = 10.0
    fresh: bool = True
    frames: Sequence[Path] = ()
    frame_key: str | None = None
    once: bool = False
    limit: int | None = None
    duration: str | None = None
    symbols: str | None = None
    ping_every: str | None = None
    seed: int = 0
    faults: Faults = field(default_factory=Faults)


def run(options: MockOptions) -> int:
    """Serves until interrupted or the time is over; returns the exit code."""
    limit = lasting("--duration", options.duration)
    exchanges = exchanges_for(options)
    asyncio.run(_serve(exchanges, options.port, limit))
    for exchange in exchanges:
        show(summary(exchange), error=True)
    return 0


def exchanges_for(options: MockOptions) -> list[MockExchange]:
    """A mock exchange for each connector."""
    plans = [load_connected(name) for name in options.connectors]
    if len({plan.name for plan in plans}) < len(plans):
        raise SettingsError("a connector is named twice")
    if len(plans) > 1 and (options.frames or options.symbols):
        raise SettingsError("--frames and --symbols are for one connector")
    frames = read_frames(options.frames, options.frame_key)
    return [
        MockExchange(
            plan,
            rate=options.rate,
            fresh=options.fresh,
            frames=frames,
            symbols=listed("--symbols", options.symbols or None),
            once=options.once,
            limit=options.limit,
            ping_every=lasting("--ping-every", options.ping_every),
            faults=options.faults,
            keep=False,
            seed=options.seed,
        )
        for plan in plans
    ]


def variables(exchange: MockExchange) -> list[str]:
    """What to put into the environment of `k2conn run`, so that it talks to a mock exchange."""
    prefix = prefix_of(exchange.plan.name)
    program = exchange.program
    found = [f"{prefix}ALLOW_EXEC={shlex.join(program)}" if program else f"{prefix}WEBSOCKET_URL={exchange.url()}"]
    return [*found, f"{prefix}HTTP_URL={exchange.http_url}"] if exchange.http_url else found


def summary(exchange: MockExchange) -> str:
    """One line about what a mock exchange did."""
    return (
        f"{exchange.plan.name}: {exchange.connects} connections, {exchange.counts.total()} data frames, "
        f"{exchange.pings} heartbeats answered, {exchange.unrecognized} frames not understood"
    )


async def _serve(exchanges: Sequence[MockExchange], port: int, limit: float | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with MockServer(exchanges, port):
        for exchange in exchanges:
            show(*variables(exchange))
        if limit is not None:
            loop.call_later(limit, stop.set)
        said: set[str] = set()
        while not stop.is_set():
            _warn(exchanges, said)
            try:
                async with asyncio.timeout(0.5):
                    await stop.wait()
            except TimeoutError:
                continue
        _warn(exchanges, said)


def _warn(exchanges: Sequence[MockExchange], said: set[str]) -> None:
    for exchange in exchanges:
        for text in exchange.warnings:
            line = f"{exchange.plan.name}: {text}"
            if line not in said:
                said.add(line)
                show(line, error=True)
