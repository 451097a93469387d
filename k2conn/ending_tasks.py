"""Tasks are cancelled, and waited for until they have ended.

A task can miss a cancellation: `asyncio.wait_for` before Python 3.12 gives back a result that comes in the same
moment instead of raising, and libraries that wait in such a way do so as well. Then the task goes on, and
whoever waits for its end does so forever. So it is cancelled again, but not before it had time for what it does on its
way out, which a second cancellation would cut short.
"""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN = 10.0
"""Seconds: more than leaving a server takes that does not answer."""


async def end_tasks(*tasks: asyncio.Future[Any] | None, again: float = AGAIN) -> list[Any]:
    """Cancels tasks, and comes back once all have ended: with the result of each, or what it has raised
    (`asyncio.CancelledError` where it was that), as `asyncio.gather` gives them. None is left out.
    """
    all_of_them = [task for task in tasks if task is not None]
    running = {task for task in all_of_them if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=again)
    return await asyncio.gather(*all_of_them, return_exceptions=True)
