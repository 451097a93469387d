"""When a running process reads its connector files again: on SIGHUP, and with `--watch` whenever one changes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
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
    reloader = Reloader(runner, partial(read_again, jobs))
    await keep_asking(reloader.reload, lambda: [connector.plan.path for connector in runner.connectors], watch)


async def keep_asking(reload: Callable[[], Awaitable[bool]], files: Callable[[], Sequence[str]], watch: bool) -> None:
    """Calls ``reload`` on SIGHUP, and with ``watch`` whenever one of ``files`` changes, until cancelled."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError, AttributeError):  # a system without SIGHUP has `--watch`
        loop.add_signal_handler(signal.SIGHUP, asked.set)
    seen = _stamps(files())
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY if watch else None):
                await asked.wait()
        now = _stamps(files())
        if asked.is_set() or (watch and now != seen):
            seen = now
            asked.clear()
            await reload()


def read_again(jobs: Callable[[], Sequence[Job]]) -> Sequence[Job]:
    """The jobs as the files say them now; SettingsError where a file is wrong, once that is printed."""
    try:
        return jobs()
    except SystemExit:
        raise SettingsError("a connector file is wrong, as printed") from None


def _stamps(files: Sequence[str]) -> dict[str, tuple[int, int] | None]:
    """What tells that a file has changed; None where it is not there (an editor is replacing it)."""
    found: dict[str, tuple[int, int] | None] = {}
    for file in files:
        try:
            stat = Path(file).stat()
            found[file] = (stat.st_mtime_ns, stat.st_size)
        except OSError:
            found[file] = None
    return found
