"""The board of `k2conn run`, beside the runner in one process: there where a person looks, and never in its way."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from k2conn.cli.board.sources import BoardSource
from k2conn.cli.messages import show
from k2conn.cli.run_options import RunOptions
from k2conn.ending_tasks import end_tasks
from k2conn.runner.event_log import get_logger

if TYPE_CHECKING:
    from k2conn.cli.board.application import BoardApp

NEEDED = "pip install 'k2conn[top]'"
"""What brings the board where it is not there."""
_GOES_WITHIN = 3.0
"""Seconds that the board has to give the terminal back."""


def is_there() -> bool:
    """Whether the library that draws it is installed."""
    return find_spec("textual") is not None


def on_a_terminal(environment: Mapping[str, str]) -> bool:
    """Whether a person looks: at a terminal that can place its cursor, and can type into it."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(one is not None and one.isatty() for one in streams) and environment.get("TERM", "dumb") != "dumb"


def with_board(options: RunOptions, environment: Mapping[str, str], sink: str) -> bool:
    """Whether a run shows a board: on a terminal that nobody else writes to, unless it is told not to. Where only the
    library for it is missing, says so once.
    """
    form = environment.get("K2_LOG_FORMAT", "").strip().lower()
    if not options.board or options.daemon or form == "json" or sink == "console" or not on_a_terminal(environment):
        return False
    if not is_there():
        get_logger().info("no board", hint=f"{NEEDED} shows one here; --no-board leaves this line out")
        return False
    return True


@asynccontextmanager
async def board_while(source: BoardSource, stop: asyncio.Event) -> AsyncIterator[None]:
    """A board until the block ends. Leaving it sets ``stop``; a second time ends the process at once. A board that
    fails is no reason to stop: what runs goes on without it.
    """
    from k2conn.cli.board.application import BoardApp

    app = BoardApp(source, lambda: _leave(app, stop), with_log=True)
    showing = asyncio.ensure_future(_show(app, stop))
    try:
        yield
    finally:
        app.exit()
        _, late = await asyncio.wait({showing}, timeout=_GOES_WITHIN)
        await end_tasks(*late)
        show(*app.said, error=True)


def _leave(app: BoardApp, stop: asyncio.Event) -> None:
    """The first time stops in order."""
    if stop.is_set():
        app.exit(return_code=130)
    stop.set()


async def _show(app: BoardApp, stop: asyncio.Event) -> None:
    await app.run_async()
    if app.return_code == 130:
        os._exit(130)
    if app.fault is not None:
        get_logger().warning("the board met a bug", detail="what runs goes on without it", exc_info=app.fault)
