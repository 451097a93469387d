"""Waiting for something that a stop cuts short."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from k2conn.ending_tasks import end_tasks


async def unless_stopped(work: Awaitable[object], stop: asyncio.Event) -> bool:
    """Does the work to its end, unless ``stop`` is set before: then it is cancelled. Whether it was done; raises what
    it raises.
    """
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return True
        return False
    finally:
        await end_tasks(working, stopping)
