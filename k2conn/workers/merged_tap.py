"""`/tap` of the leading process: the taps of all workers, as one.

Lines come in the order in which they arrive. Of each worker no more than its part of a window waits here or is under
way: a worker goes on when the listener has been sent that. A process that takes a worker's place opens the tap anew;
what the one before it had lost stays counted, as far as it was told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from itertools import count
from typing import Any, Protocol

from k2conn.monitoring.tap.pace import TapPace
from k2conn.monitoring.tap.passing import LOOK
from k2conn.monitoring.tap.query import TapFilter
from k2conn.workers.channel import TAP, Channel

WINDOW = 8 * 1024 * 1024
"""Bytes of lines of all workers that wait here for one listener, or are under way; each has an equal part of it, and
may go beyond it by one batch.
"""
LEAST_WINDOW = 64 * 1024
_NUMBERS = count(1)


class TapFeed:
    """What one worker gives to one listener, from the processes that are that worker one after the other."""

    def __init__(self, number: int, query: str, window: int, some: Callable[[], object]) -> None:
        """``some`` is called whenever there is something."""
        self.number = number
        self._query = query
        self._window = window
        self._some = some
        self._channel: Channel | None = None
        self._received = 0
        """Bytes from the process at work."""
        self._waiting: list[bytes] = []
        self._missed = self._missed_before = (0, 0)
        """Lost and sampled: by the process at work, and by those before it."""

    @property
    def missed(self) -> tuple[int, int]:
        """What was lost, and lines beyond the rate, so far."""
        (lost, sampled), (before, sampled_before) = self._missed, self._missed_before
        return lost + before, sampled + sampled_before

    def open(self, channel: Channel) -> None:
        """Begins in the process at the other end, which knows nothing of it yet."""
        self._missed, self._missed_before = (0, 0), self.missed
        self._channel, self._received = channel, 0
        channel.send({TAP: self.number, "query": self._query, "window": self._window})

    def close(self) -> None:
        """Ends in the process at work."""
        if self._channel is not None:
            self._channel.send({TAP: self.number})

    def take(self, message: Mapping[str, Any]) -> None:
        """Lines from the process at work."""
        lines = message["lines"].encode()
        self._received += len(lines)
        self._waiting += lines.splitlines(keepends=True)
        self._missed = message["lost"], message["sampled"]
        self._some()

    def taken(self) -> tuple[list[bytes], Callable[[], None]]:
        """All lines that wait, and what is to be called when they have been read."""
        lines, self._waiting = self._waiting, []
        channel, received = self._channel, self._received

        def read() -> None:
            if channel is not None and lines:
                channel.send({TAP: self.number, "read": received})

        return lines, read


class TappedWorker(Protocol):
    """A worker, as far as it is tapped."""

    def attach(self, feed: TapFeed) -> None:
        """From now on its processes feed it."""

    def detach(self, feed: TapFeed) -> None:
        """From now on they do not."""


class MergedTap:
    """What passes in all workers, as one listener wants it; a `TapSource`."""

    def __init__(self, wanted: TapFilter, workers: Sequence[TappedWorker]) -> None:
        self._workers = workers
        self._some = asyncio.Event()
        self._sampled = 0
        self._pace = TapPace(wanted.rate, len(workers))
        number, window = next(_NUMBERS), max(LEAST_WINDOW, WINDOW // len(workers))
        self._feeds = [TapFeed(number, wanted.query, window, self._some.set) for _ in workers]

    @property
    def lost(self) -> int:
        """See `TapSource`."""
        return sum(feed.missed[0] for feed in self._feeds)

    @property
    def sampled(self) -> int:
        """See `TapSource`."""
        return self._sampled + sum(feed.missed[1] for feed in self._feeds)

    def begin(self) -> None:
        """See `TapSource`."""
        for worker, feed in zip(self._workers, self._feeds, strict=True):
            worker.attach(feed)

    def end(self) -> None:
        """See `TapSource`."""
        for worker, feed in zip(self._workers, self._feeds, strict=True):
            worker.detach(feed)

    async def batches(self) -> AsyncGenerator[list[bytes], None]:
        """See `TapSource`."""
        while True:
            try:
                async with asyncio.timeout(LOOK):
                    await self._some.wait()
            except TimeoutError:
                yield []
                continue
            self._some.clear()
            for source, feed in enumerate(self._feeds):
                lines, read = feed.taken()
                shown = [line for line in lines if self._pace.allows(source)]
                self._sampled += len(lines) - len(shown)
                yield shown
                read()
