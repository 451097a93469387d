"""Now and then every connector looks at what time alone brings: gaps whose grace is over, symbols that are silent.

A timer for each connector would wake a process with many of them hundreds of times a second. So they all wait for the
same moment, and then look one after the other, each in a turn of the event loop of its own: what comes from sockets
meanwhile has to wait for one of them at most.
"""

from __future__ import annotations

import asyncio
from collections import deque


class LookRounds:
    """The rounds of one process. ``every``: seconds between two of them."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._waiting: deque[asyncio.Future[None]] = deque()
        """For the next round."""
        self._looking: deque[asyncio.Future[None]] = deque()
        """Of this one, who has not had its turn."""
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self) -> None:
        """Waits for the caller's turn in the next round."""
        loop = asyncio.get_running_loop()
        place = loop.create_future()
        self._waiting.append(place)
        if self._timer is None:
            self._timer = loop.call_later(self._every, self._begin)
        await place

    def _begin(self) -> None:
        self._timer = None
        self._looking += self._waiting
        self._waiting.clear()
        self._next()

    def _next(self) -> None:
        while self._looking:
            place = self._looking.popleft()
            if not place.done():  # else its connector has ended
                place.set_result(None)
                break
        if self._looking:
            asyncio.get_running_loop().call_soon(self._next)
