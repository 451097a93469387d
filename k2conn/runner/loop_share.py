"""What the frames of all connections may take of one turn of the event loop, together.

Each connection yields after some work (`k2conn.runner.frame_turns`), but the loop asks all of them in each of its
turns: twenty with long frames at once would keep everybody else, the health port among them, waiting for twenty times
that. So the work of a turn is added up. Once it is as much as one connection may take, whoever comes later in that turn
waits, first come, first served, and one of them goes on in each turn after it.
"""

from __future__ import annotations

import asyncio
from collections import deque

SMALL = 0.001
"""Seconds: less than this is not added up, for it happens with every read, and adding it up has a cost, too."""


class LoopShare:
    """The share of one event loop's turns. ``most``: seconds of work in a turn."""

    def __init__(self, most: float) -> None:
        self.used_up = False
        """Whether who receives frames now must wait for another turn; nobody overtakes those who wait already."""
        self._most = most
        self._spent = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._queued = 0
        """How many wait, or were called and go on in this turn."""
        self._renewing = False

    def spend(self, seconds: float) -> None:
        """Adds work that was done in this turn of the loop."""
        if seconds >= SMALL:
            self._spent += seconds
            self._look()
            self._renew_soon()

    async def turn(self) -> None:
        """Waits for a later turn of the loop that has room for the caller."""
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._queued += 1
        self.used_up = True
        self._renew_soon()
        try:
            await place
        finally:
            self._queued -= 1
            self._look()

    def _look(self) -> None:
        self.used_up = self._queued > 0 or self._spent >= self._most

    def _renew_soon(self) -> None:
        if not self._renewing:
            self._renewing = True
            asyncio.get_running_loop().call_soon(self._renew)

    def _renew(self) -> None:
        """Another turn of the loop begins. It is asked for its successor first, so that this stands in front of
        whatever the loop does then.
        """
        self._renewing = False
        self._spent = 0.0
        self._look()
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():  # else given up: its connection is at its end
                self._renew_soon()
                place.set_result(None)
                return
