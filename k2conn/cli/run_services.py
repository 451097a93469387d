"""What stands beside a running process: its health page, and the reading of its files when asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from k2conn.ending_tasks import end_tasks
from k2conn.loopback import is_loopback
from k2conn.monitoring.console.web_console import WebConsole
from k2conn.monitoring.health import HealthServer, View
from k2conn.monitoring.tap.listening import Taps
from k2conn.runner.event_log import get_logger
from k2conn.settings.console import ConsoleSettings

REPORT = "https://github.com/k2conn/k2conn/issues"


def crash_report(name: str, crashes: int) -> str:
    """What is said at the end of a connector that bugs have ended; empty where there were none."""
    if not crashes:
        return ""
    return (f"{name}: a bug of k2conn ended this connector {crashes} times, and it was started again: please report it "
            f"with the traceback in the log ({REPORT})")


@asynccontextmanager
async def attended(
    view: View, host: str, port: int, reloading: Callable[[], Coroutine[Any, Any, None]], stop: asyncio.Event,
    console: ConsoleSettings, taps: Taps | None = None,
) -> AsyncIterator[None]:
    """Serves ``view`` and the ``console`` (a ``port`` below 0: not) and runs ``reloading`` until the block ends. A bug
    in it sets ``stop``, and is raised at the end.
    """
    shown = WebConsole(view, taps, console.token, is_loopback(host), console.hosts) if console.shown else None
    task = asyncio.create_task(reloading())
    task.add_done_callback(lambda _: stop.set())  # it only ends by a bug
    server = HealthServer(view, host, port, taps, shown) if port >= 0 else None
    try:
        if server is not None:
            await server.start()
            where = f"http://{f'[{host}]' if ':' in host else host}:{server.port}"
            get_logger().info("listening", metrics=f"{where}/metrics", **({"console": f"{where}/"} if shown else {}))
        yield
    finally:
        (ended,) = await end_tasks(task)
        if server is not None:
            await server.stop()
        if isinstance(ended, Exception):
            raise ended
