"""`k2conn top`: the board of a running process."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from k2conn.cli.board.beside import NEEDED, is_there, on_a_terminal
from k2conn.cli.board.sources import RemoteBoard
from k2conn.errors import SettingsError

if TYPE_CHECKING:
    from k2conn.cli.board.application import BoardApp


def run(at: str) -> int:
    """Shows it until the user leaves; the exit code."""
    if not is_there():
        raise SettingsError(f"k2conn top needs the extra top: {NEEDED}; k2conn status prints the state once")
    if not on_a_terminal(os.environ):
        raise SettingsError("k2conn top needs a terminal; k2conn status prints the state once, /board has it as JSON")
    from k2conn.cli.board.application import BoardApp

    app = BoardApp(RemoteBoard(at))
    return asyncio.run(_shown(app))


async def _shown(app: BoardApp) -> int:
    await app.run_async()
    if app.fault is not None:
        raise app.fault
    return app.return_code or 0
