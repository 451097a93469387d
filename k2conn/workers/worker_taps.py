"""The worker's side of `/tap`: what passes here, for each listener of the leading process.

The leading process opens a tap with the query of the listener's request, and says how much it has read; no more than a
window of bytes is under way. While a listener reads slower than that, the tap's own queue takes what passes, and then
loses it, counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

from k2conn.monitoring.tap.passing import Tap
from k2conn.monitoring.tap.query import Compile, asked_tap
from k2conn.observe import Observers, SessionPlace
from k2conn.workers.channel import TAP, Channel

_LOG = logging.getLogger(__name__)


class WorkerTaps:
    """The taps of one worker. ``captured``: what is known on a connection, by its place."""

    def __init__(
        self, worker: int, channel: Channel, observers: Observers, compile_condition: Compile,
        captured: Callable[[SessionPlace], Mapping[str, Any]],
    ) -> None:
        self._beside = {"worker": worker}
        self._channel = channel
        self._observers = observers
        self._compile = compile_condition
        self._captured = captured
        self._open: dict[int, _OpenTap] = {}

    def take(self, message: Mapping[str, Any]) -> None:
        """What the leading process says about one of them: that it begins, what has been read, that it ends."""
        number = message[TAP]
        if "query" in message:
            wanted = asked_tap(message["query"], self._compile)
            tap = Tap(wanted, self._observers, self._captured, self._beside)
            self._open[number] = _OpenTap(number, self._channel, tap, message["window"])
        elif (one := self._open.get(number)) is not None:
            if "read" in message:
                one.read_to(message["read"])
            else:
                del self._open[number]
                one.close()

    async def close(self) -> None:
        """Ends them all."""
        sending = [one.close() for one in self._open.values()]
        self._open.clear()
        await asyncio.gather(*sending, return_exceptions=True)


class _OpenTap:
    """One tap, and the task that sends its lines."""

    def __init__(self, number: int, channel: Channel, tap: Tap, window: int) -> None:
        self._number = number
        self._channel = channel
        self._tap = tap
        self._window = window
        self._sent = self._read = 0
        self._room = asyncio.Event()
        self._room.set()
        tap.begin()
        self._sending = asyncio.create_task(self._send())
        self._sending.add_done_callback(self._ended)

    def read_to(self, read: int) -> None:
        """The leading process has read so many bytes, all in all."""
        self._read = read
        if self._sent - read < self._window:
            self._room.set()

    def close(self) -> asyncio.Task[None]:
        """Ends it; the task that is then soon over."""
        self._tap.end()
        self._sending.cancel()
        return self._sending

    async def _send(self) -> None:
        tap, told = self._tap, (0, 0)
        async with aclosing(tap.batches()) as batches:
            async for batch in batches:
                if batch or told != (tap.lost, tap.sampled):
                    told = tap.lost, tap.sampled
                    lines = b"".join(batch)
                    self._sent += len(lines)
                    self._channel.send({TAP: self._number, "lines": lines.decode(), "lost": tap.lost,
                                        "sampled": tap.sampled})
                if self._sent - self._read >= self._window:
                    self._room.clear()
                    await self._room.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A bug here is the listener's and not the feed's."""
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._tap.end()
            _LOG.error("a tap met a bug and ends in this worker", exc_info=bug)
