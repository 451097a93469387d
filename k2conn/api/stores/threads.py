"""A store whose queries block, in a bounded number of threads: each query has so long, its waiting included.

A query that has not ended in time is told so and keeps its thread until it ends: no further one begins meanwhile than
there are threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from k2conn.api.asked import Asked, Row
from k2conn.api.store import Counted, KnownSymbol, TooSlow, Traded

Result = TypeVar("Result")
WAITING = 4
"""Queries for each thread that may run or wait; further ones are refused at once."""


class BlockingStore(Protocol):
    """`Store` without an event loop; its methods are called in several threads at a time."""

    place: str

    def open(self) -> None:
        """See `Store`."""

    def records(self, asked: Asked) -> Sequence[Row]:
        """See `Store`."""

    def traded(self, asked: Asked) -> Sequence[Traded]:
        """See `Store`."""

    def symbols(self, most: int) -> Sequence[KnownSymbol]:
        """See `Store`."""

    def counts(self) -> Sequence[Counted]:
        """See `Store`."""

    def answers(self) -> None:
        """See `Store`."""

    def close(self) -> None:
        """See `Store`."""


class ThreadedStore:
    """A `Store` made of a blocking one. ``within``: seconds for a query."""

    def __init__(self, store: BlockingStore, queries: int, within: float) -> None:
        self._store = store
        self._within = within
        self._threads = ThreadPoolExecutor(queries, thread_name_prefix="k2-api-query")
        self._most = queries * WAITING
        self._running = 0

    @property
    def place(self) -> str:
        """See `Store`."""
        return self._store.place

    async def open(self) -> None:
        """See `Store`; this may take as long as it takes."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._store.open)

    async def records(self, asked: Asked) -> Sequence[Row]:
        """See `Store`."""
        return await self._run(lambda: self._store.records(asked))

    async def traded(self, asked: Asked) -> Sequence[Traded]:
        """See `Store`."""
        return await self._run(lambda: self._store.traded(asked))

    async def symbols(self, most: int) -> Sequence[KnownSymbol]:
        """See `Store`."""
        return await self._run(lambda: self._store.symbols(most))

    async def counts(self) -> Sequence[Counted]:
        """See `Store`."""
        return await self._run(self._store.counts)

    async def answers(self) -> None:
        """See `Store`."""
        await self._run(self._store.answers)

    async def close(self) -> None:
        """See `Store`. Queries that run are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._store.close()

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._running >= self._most:
            raise TooSlow(f"{self.place}: {self._running} queries run or wait already")
        self._running += 1
        future = self._threads.submit(work)
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: _later(loop, self._ended))
        try:
            async with asyncio.timeout(self._within):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise TooSlow(f"{self.place}: no answer within {self._within:g} s") from None

    def _ended(self) -> None:
        self._running -= 1


def _later(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(work)
