"""The shared way to write batches, with a writer that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from k2conn.avro import RecordSchema
from k2conn.envelope import Envelope
from k2conn.errors import K2Error, SinkError, Unreachable
from k2conn.sinks import batching
from k2conn.sinks.batching import BatchingSink, BatchRefused
from k2conn.sinks.lanes import BatchRule
from k2conn.sinks.settings import SinkSettings
from tests.support.sinks import Book, dead, trade


class Writer:
    """``errors`` are raised one after the other; ``bad`` numbers are refused."""

    name = "told"

    def __init__(self, rule: BatchRule) -> None:
        self.batches: list[list[int]] = []
        self.errors: list[Exception] = []
        self.bad: set[int] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self._rule = rule
        self._busy: set[str] = set()

    @asynccontextmanager
    async def _alone(self, lane: str) -> AsyncIterator[None]:
        """As a connection has it: a second operation at the same time is an error."""
        if lane in self._busy:
            raise Unreachable(f"{lane}: another operation is in progress")
        self._busy.add(lane)
        try:
            yield
        finally:
            self._busy.discard(lane)

    async def open(self) -> None:
        return None

    async def prepare(self, schema: RecordSchema | None) -> None:
        async with self._alone(self.lane(schema)):
            await self.gate.wait()

    def lane(self, schema: RecordSchema | None) -> str:
        return "dead" if schema is None else schema.name

    def rule(self, schema: RecordSchema | None) -> BatchRule:
        return self._rule

    async def write(self, lane: str, batch: Sequence[Envelope]) -> None:
        async with self._alone(lane):
            await self.gate.wait()
        if lane == "trade" and self.errors:
            raise self.errors.pop(0)
        numbers = [number_of(one) for one in batch] if lane == "trade" else []
        if self.bad & set(numbers):
            raise BatchRefused(f"among {len(numbers)}")
        self.batches.append(numbers)

    async def close(self) -> None:
        return None


def number_of(envelope: Envelope) -> int:
    assert envelope.schema is not None
    found = envelope.schema.decode(envelope.value)["source_sequence"]
    assert isinstance(found, int)
    return found


Work = Callable[[BatchingSink, Writer, Book], Awaitable[None]]


def drive(work: Work, buffer: int = 1 << 20) -> Book:
    book = Book()

    async def run() -> None:
        writer = Writer(BatchRule(10, 0.05, 20))
        sink = BatchingSink(writer, SinkSettings(kind="file", buffer_bytes=buffer), book.settle, book.reject,
                            retries=3, where="there")
        await sink.open()
        try:
            await work(sink, writer, book)
        finally:
            await sink.close()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
    return book


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "FIRST_PAUSE", 0.002)
    monkeypatch.setattr(batching, "LONGEST_PAUSE", 0.01)


def test_batches_are_in_order_and_bounded() -> None:
    async def work(sink: BatchingSink, writer: Writer, book: Book) -> None:
        sink.put_all([trade(number, "t") for number in range(55)])
        assert await sink.flush(60) == 0
        assert [len(one) for one in writer.batches] == [20, 20, 15]
        assert [number for one in writer.batches for number in one] == list(range(55))

    assert [number_of(one) for one in drive(work).settled] == list(range(55))


@pytest.mark.parametrize("bad", [{0}, {54}, {7, 8, 9}, {3, 30, 50}, set(range(55))])
def test_each_refused_record_is_rejected_alone_with_the_words(bad: set[int]) -> None:
    async def work(sink: BatchingSink, writer: Writer, book: Book) -> None:
        writer.bad = bad
        sink.put_all([trade(number, "t") for number in range(55)])
        assert await sink.flush(60) == 0
        assert sink.status()["queued_bytes"] == 0

    book = drive(work)
    assert [number_of(one) for one, _ in book.rejected] == sorted(bad)
    assert set(book.words) == {"among 1"}
    assert [number_of(one) for one in book.settled] == [number for number in range(55) if number not in bad]


def test_the_fourth_failure_is_an_outage_and_the_first_success_its_end() -> None:
    seen: list[tuple[int, bool]] = []

    async def work(sink: BatchingSink, writer: Writer, book: Book) -> None:
        writer.errors = [Unreachable("nobody") for _ in range(6)]
        sink.put(trade(1, "t"))
        while not book.settled:
            status = sink.status()
            if not seen or seen[-1] != (status["retries"], status["reachable"]):
                seen.append((status["retries"], status["reachable"]))
            await asyncio.sleep(0)
        assert sink.status()["reachable"]
        assert sink.status()["last_error"] == "nobody"

    drive(work)
    assert all(reachable == (retries < 4) for retries, reachable in seen)
    assert seen[-1][0] == 6


def test_a_lane_in_trouble_is_named_by_its_topics_and_gives_back_what_waits() -> None:
    async def work(sink: BatchingSink, writer: Writer, book: Book) -> None:
        writer.errors = [SinkError("no such table") for _ in range(10_000)]
        sink.put_all([trade(number, f"t{number % 2}") for number in range(400)])
        sink.put(dead(1, "t.dlq"))
        while not sink.status()["trouble"]:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert sink.status()["trouble"] == {"t0": "no such table", "t1": "no such table"}
        assert sink.status()["reachable"]
        given = sink.withdraw("t0")
        assert [number_of(one) for one in given] == list(range(20, 400, 2))
        assert sink.status()["queued"] == 401 - len(given) - len(book.settled)
        writer.errors.clear()
        assert await sink.flush(60) == 0

    book = drive(work)
    assert len(book.settled) == 211


def test_what_is_unsettled_is_all_that_was_taken_in_order() -> None:
    async def work(sink: BatchingSink, writer: Writer, book: Book) -> None:
        writer.gate.clear()
        sink.put_all([trade(number, "t") for number in range(30)])
        await asyncio.sleep(0.02)
        assert sink.status()["under_way"] == 20
        assert [number_of(one) for one in sink.unsettled()] == list(range(30))
        assert await sink.flush(0.05) == 30
        writer.gate.set()

    drive(work)


def test_a_lane_is_written_to_or_prepared_never_both_at_a_time() -> None:
    """Topics that are met one after the other are prepared side by side, and share the lane of dead letters."""
    schema = trade(0, "t").schema

    async def work(sink: BatchingSink, writer: Writer, book: Book) -> None:
        writer.gate.clear()
        sink.put_all([*[trade(number, "t") for number in range(10)], dead(0, "t")])
        at_once = [asyncio.create_task(sink.prepare({topic: schema, f"{topic}.dlq": None})) for topic in "abc"]
        await asyncio.sleep(0.1)
        writer.gate.set()
        await asyncio.gather(*at_once)
        assert await sink.flush(60) == 0
        assert sink.status()["errors"] == 0

    assert len(drive(work).settled) == 11


def test_more_than_the_bound_crowds_and_half_of_it_is_room() -> None:
    async def work(sink: BatchingSink, writer: Writer, book: Book) -> None:
        writer.gate.clear()
        sink.put_all([trade(number, "t") for number in range(30)])
        assert sink.crowded
        waiting = asyncio.create_task(sink.drain())
        await asyncio.sleep(0.02)
        assert not waiting.done()
        writer.gate.set()
        await asyncio.wait_for(waiting, 60)

    drive(work, buffer=8000)


@pytest.mark.parametrize("bug", [KeyError("x"), ZeroDivisionError()])
def test_a_bug_of_the_writer_ends_the_sink_loudly(bug: Exception) -> None:
    async def work(sink: BatchingSink, writer: Writer, book: Book) -> None:
        writer.errors = [bug]
        sink.put(trade(1, "t"))
        await asyncio.sleep(0.1)
        assert sink.crowded
        with pytest.raises(type(bug)):
            await sink.drain()
        with pytest.raises(type(bug)):
            await sink.flush(1)

    assert not isinstance(bug, K2Error)
    drive(work)


