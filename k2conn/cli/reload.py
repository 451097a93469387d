"""When a running process reads its connector files again: on SIGHUP, and with `--watch` whenever one changes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from k2conn.errors import SettingsError
from k2conn.runner import Job, Runner
from k2conn.runner.reload import Reloader

LOOK_EVERY = 1.0
"""Seconds between two looks at the files."""


async def keep_reloading(runner: Runner, jobs: Callable[[], Sequence[Job]], watch: bool) -> None:
    """Reloads when asked, until cancelled. ``jobs`` reads the files; it may exit as a command does, having printed
    what is wrong.
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    reloader = Reloader(runner, lambda: _read(jobs))
    with suppress(NotImplementedError, AttributeError):  # a system without SIGHUP has `--watch`
        loop.add_signal_handler(signal.SIGHUP, asked.set)
    seen = _stamps(runner)
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY if watch else None):
                await asked.wait()
        now = _stamps(runner)
        if asked.is_set() or (watch and now != seen):
            seen = now
            asked.clear()
            await reloader.reload()


def _read(jobs: Callable[[], Sequence[Job]]) -> Sequence[Job]:
    try:
        return jobs()
    except SystemExit:
        raise SettingsError("a connector file is wrong, as printed") from None


def _stamps(runner: Runner) -> dict[str, tuple[int, int] | None]:
    """What tells that a file has changed; None where it is not there (an editor is replacing it)."""
    found: dict[str, tuple[int, int] | None] = {}
    for connector in runner.connectors:
        try:
            stat = Path(connector.plan.path).stat()
            found[connector.plan.path] = (stat.st_mtime_ns, stat.st_size)
        except OSError:
            found[connector.plan.path] = None
    return found
