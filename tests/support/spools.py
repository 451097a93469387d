"""What the tests of the spool share: an inner sink that does as it is told, and the spool before it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from k2conn.avro import load_schema
from k2conn.envelope import Envelope
from k2conn.sinks import Reject, Settle
from k2conn.sinks.settings import SpoolSettings
from k2conn.spool.sink import SpoolingSink
from tests.support.sinks import Book


class Inner:
    """Takes ``bound`` envelopes at a time; acknowledges them in order while it is ``up``."""

    name = "inner"

    def __init__(self, settle: Settle, reject: Reject) -> None:
        self.settle, self.reject = settle, reject
        self.taken: list[Envelope] = []
        self.waiting: list[Envelope] = []
        self.up = True
        self.bound = 1000
        self.trouble: dict[str, str] = {}
        self.refused: set[int] = set()
        self.bug: Exception | None = None
        self._room = asyncio.Event()

    async def open(self) -> None:
        pass

    async def prepare(self, topics: Mapping[str, Any]) -> None:
        pass

    def put(self, envelope: Envelope) -> None:
        self.taken.append(envelope)
        self.waiting.append(envelope)
        asyncio.get_running_loop().call_soon(self.send)

    def send(self) -> None:
        if not self.up:
            return
        batch = [one for one in self.waiting if one.topic not in self.trouble]
        self.waiting = [one for one in self.waiting if one.topic in self.trouble]
        refused = [one for one in batch if one.schema is not None and number_of(one) in self.refused]
        self.settle([one for one in batch if one not in refused])
        for envelope in refused:
            self.reject(envelope, "record-too-large")
        self._room.set()

    @property
    def crowded(self) -> bool:
        return len(self.waiting) > self.bound or self.bug is not None

    async def drain(self) -> None:
        while self.crowded:
            if self.bug is not None:
                raise self.bug
            self._room.clear()
            await self._room.wait()

    async def flush(self, within: float) -> int:
        end = asyncio.get_running_loop().time() + within
        while self.waiting and (left := end - asyncio.get_running_loop().time()) > 0:
            self._room.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), left)
        return len(self.waiting)

    def unsettled(self) -> Iterator[Envelope]:
        yield from self.waiting

    def withdraw(self, topic: str) -> list[Envelope]:
        of_topic = [one for one in self.waiting if one.topic == topic][2:]
        self.waiting = [one for one in self.waiting if not any(one is other for other in of_topic)]
        self._room.set()
        return of_topic

    async def close(self) -> None:
        self.up = False

    def status(self) -> dict[str, object]:
        return {
            "reachable": self.up, "queued": len(self.waiting), "errors": 0, "last_error": None, "trouble": self.trouble,
        }

    def back(self) -> None:
        """Up again."""
        self.up = True
        self.send()


class Spool:
    """A spool, its inner sink and the book of what was settled."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.book = Book()
        self._numbers: list[int] = []
        self.inner: Inner

        def make(settle: Settle, reject: Reject) -> Inner:
            self.inner = Inner(settle, reject)
            return self.inner

        given = SpoolSettings(folder=folder, **{"patience_ms": 0, **settings})
        self.sink = SpoolingSink(make, given, self._settled, self.book.reject)

    def _settled(self, batch: Sequence[Envelope]) -> None:
        self.book.settle(batch)
        for envelope in batch:
            if envelope.account is not None:
                envelope.account.settled(envelope.dead)

    @property
    def status(self) -> dict[str, Any]:
        found = self.sink.status()["spool"]
        assert isinstance(found, dict)
        return found

    @property
    def numbers(self) -> list[int]:
        """What was settled, in order; each is read once, for who waits asks again and again."""
        self._numbers += map(number_of, self.book.settled[len(self._numbers) :])
        return list(self._numbers)

    async def until(self, holds: Callable[[], bool], within: float = 60) -> None:
        end = asyncio.get_running_loop().time() + within
        while not holds():
            assert asyncio.get_running_loop().time() < end, self.sink.status()
            await asyncio.sleep(0.01)


@asynccontextmanager
async def opened(spool: Spool, kill: bool = False) -> AsyncIterator[Spool]:
    """The spool, open; at the end closed, or left as a killed process leaves it."""
    await spool.sink.open()
    try:
        yield spool
    finally:
        tasks = list(spool.sink._tasks)
        if kill:
            killed(spool.sink)
        else:
            await spool.sink.close()
        await asyncio.sleep(0.01)
        assert all(task.done() for task in tasks), "a task outlives the spool"


def killed(sink: SpoolingSink) -> None:
    """What is on the disk stays as it is; the lock is given back, as the system does."""
    for task in sink._tasks:
        task.cancel()
    sink._disk.end()
    if sink._buffers._lock is not None:
        os.close(sink._buffers._lock._lock)


def number_of(envelope: Envelope) -> int:
    number = load_schema("trade").decode(envelope.value)["source_sequence"]
    assert isinstance(number, int)
    return number


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await asyncio.wait_for(work(), 600)

    asyncio.run(main())
