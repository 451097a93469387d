"""The taps of several workers as one: over real sockets, with the worker's side as it is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from k2conn import exactjson
from k2conn.cli.tap_conditions import compiled_condition
from k2conn.monitoring.tap import passing
from k2conn.monitoring.tap.listening import Taps
from k2conn.observe import Observer, Observers, SessionPlace
from k2conn.workers import merged_tap
from k2conn.workers.channel import TAP, Channel
from k2conn.workers.merged_tap import MergedTap, TapFeed
from k2conn.workers.worker_taps import WorkerTaps

PLACE = SessionPlace("venue", "main-0", 1)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


class Process:
    """A worker: its observers, and both ends of its channel."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.feeds: dict[int, TapFeed] = {}
        self.others: list[Any] = []
        """Messages to the parent that are about no tap."""

    async def start(self) -> None:
        self.observers = Observers()
        ours, theirs = socket.socketpair()
        self.parents, self.own = await Channel.over(ours), await Channel.over(theirs)
        taps = WorkerTaps(self.index, self.own, self.observers, compiled_condition, lambda place: {})
        self.tasks = [asyncio.create_task(self._work(taps)), asyncio.create_task(self._listen())]
        for feed in self.feeds.values():
            feed.open(self.parents)

    async def die(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.own.close()
        await self.parents.close()

    async def _work(self, taps: WorkerTaps) -> None:
        try:
            while (message := await self.own.receive()) is not None:
                taps.take(message)
        finally:
            await taps.close()

    async def _listen(self) -> None:
        while (message := await self.parents.receive()) is not None:
            if TAP not in message:
                self.others.append(message)
            elif (feed := self.feeds.get(message[TAP])) is not None:
                feed.take(message)

    def attach(self, feed: TapFeed) -> None:
        self.feeds[feed.number] = feed
        feed.open(self.parents)

    def detach(self, feed: TapFeed) -> None:
        del self.feeds[feed.number]
        feed.close()

    def read(self, *frames: str) -> None:
        """Frames pass in it, if anybody looks."""
        self.observers.tell(Observer.received, PLACE, frames, 1.0, 1)

    async def watched(self, times: int = 1) -> None:
        await until(lambda: len(self.observers.watching) == times)


@asynccontextmanager
async def processes(count: int = 2) -> AsyncIterator[list[Process]]:
    found = [Process(index) for index in range(count)]
    for one in found:
        await one.start()
    yield found
    for one in found:
        await one.die()


def lines_of(workers: list[Process], query: str) -> AsyncGenerator[bytes, None]:
    return Taps(lambda wanted: MergedTap(wanted, workers), compiled_condition).listener(query).lines()


async def some(lines: AsyncGenerator[bytes, None], count: int) -> list[dict[str, Any]]:
    return [exactjson.decode(await anext(lines)) for _ in range(count)]


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 30))


def test_lines_of_all_say_whose_they_are_and_nobody_is_watched_without_need() -> None:
    async def main() -> None:
        async with processes() as both:
            assert all(one.observers.watching == () for one in both)
            async with aclosing(lines_of(both, "kind=received&count=4")) as lines:
                first = asyncio.ensure_future(anext(lines))
                for one in both:
                    await one.watched()
                    one.read("a", f"of {one.index}")
                found = [exactjson.decode(await first), *await some(lines, 3)]
                with pytest.raises(StopAsyncIteration):
                    await anext(lines)
            assert sorted((one["worker"], one["text"]) for one in found) == [
                (0, "a"), (0, "of 0"), (1, "a"), (1, "of 1")]
            for one in both:
                await one.watched(0)

    run(main)


def test_filters_hold_in_every_worker() -> None:
    async def main() -> None:
        async with processes() as both:
            query = "kind=received&connector=venue&where=worker+%3D%3D+%601%60+%26%26+text+%21%3D+'x'"
            async with aclosing(lines_of(both, query)) as lines:
                first = asyncio.ensure_future(anext(lines))
                for one in both:
                    await one.watched()
                    one.read("x", "y")
                found = exactjson.decode(await first)
                assert (found["worker"], found["text"]) == (1, "y")

    run(main)


def test_a_slow_listener_loses_and_holds_up_neither_feed_nor_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged_tap, "WINDOW", 0)
    monkeypatch.setattr(merged_tap, "LEAST_WINDOW", 50_000)
    monkeypatch.setattr(passing, "WAITING", 20)
    monkeypatch.setattr(passing, "SHARE", 1.0)

    async def main() -> None:
        async with processes() as both, aclosing(lines_of(both, "kind=received&rate=10000")) as lines:
            first = asyncio.ensure_future(anext(lines))
            for one in both:
                await one.watched()
            frame = "x" * 10_000
            both[0].read("first")
            await first
            sent = 1
            for _ in range(50):  # nobody reads meanwhile
                for one in both:
                    for _ in range(2):
                        one.read(frame)
                sent += 4
                await asyncio.sleep(0.005)
            both[1].own.send({"number": 1, "answer": "well"})
            await asyncio.sleep(0.2)
            assert both[1].others == [{"number": 1, "answer": "well"}]
            waiting = [sum(map(len, feed._waiting)) for one in both for feed in one.feeds.values()]
            assert all(50_000 <= one < 50_000 + 2 * passing.BATCH for one in waiting), waiting
            shown, lost = 1, 0
            while shown + lost < sent:
                line = exactjson.decode(await anext(lines))
                if line["kind"] == "lost":
                    lost = line["lost"]
                else:
                    shown += 1
            assert shown + lost == sent, "each is shown or counted"
            assert lost > 20

    run(main)


def test_a_process_that_takes_anothers_place_is_listened_to() -> None:
    async def main() -> None:
        async with processes() as both:
            async with aclosing(lines_of(both, "kind=received")) as lines:
                first = asyncio.ensure_future(anext(lines))
                for one in both:
                    await one.watched()
                both[0].read("before")
                await first
                await both[0].die()
                both[1].read("meanwhile")
                assert (await some(lines, 1))[0]["text"] == "meanwhile"
                await both[0].start()
                await both[0].watched()
                both[0].read("after")
                assert (await some(lines, 1))[0]["text"] == "after"
            for one in both:
                await one.watched(0)

    run(main)


def test_what_earlier_processes_lost_stays_counted() -> None:
    async def main() -> None:
        async with processes(1) as (worker,):
            feed = TapFeed(7, "kind=received", 1000, lambda: None)
            worker.attach(feed)
            feed.take({"lines": "", "lost": 3, "sampled": 4})
            await worker.die()
            await worker.start()
            assert feed.missed == (3, 4)
            feed.take({"lines": "", "lost": 1, "sampled": 0})
            assert feed.missed == (4, 4)

    run(main)


def test_a_bug_of_a_tap_ends_it_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with processes(1) as (worker,):
            monkeypatch.setattr(passing, "_frame", lambda frame: 1 // 0)
            async with aclosing(lines_of([worker], "kind=received,sent")) as lines:
                first = asyncio.ensure_future(anext(lines))
                await worker.watched()
                worker.read("a")
                await worker.watched(0)
                worker.own.send({"number": 1, "answer": "well"})
                await until(lambda: bool(worker.others))
                first.cancel()
                await asyncio.gather(first, return_exceptions=True)

    run(main)
    assert "a tap met a bug" in caplog.text
