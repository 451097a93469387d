"""The command's own part: the page until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from k2conn.cli.event_loop import on_event_loop, until_stopped
from k2conn.cli.messages import show
from k2conn.cli.playground.server import HOST, PlaygroundServer
from k2conn.cli.playground.sharing import begins_with
from k2conn.cli.playground.workshop import Workshop


def run(file: str | None, frames: Path | None, port: int) -> int:
    """Serves the page until it is told to stop; returns the exit code."""
    first = begins_with(file, frames)
    return on_event_loop(
        lambda: until_stopped(lambda stop: _served(PlaygroundServer(Workshop(os.environ), port, first), stop))
    )


async def _served(server: PlaygroundServer, stop: asyncio.Event) -> int:
    await server.start()
    try:
        show(f"the playground is at http://{HOST}:{server.port}/ until Ctrl-C; only this machine can reach it")
        await stop.wait()
    finally:
        await server.stop()
    return 0
