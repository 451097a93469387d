"""A sink that writes batches: all that is the same for every database, so that one is a writer and nothing else.

The writer says which *lane* (a table) an envelope belongs to and writes a batch of one lane, whole or not at all. This
module keeps what waits, in order, with at most one batch of a lane under way; sends a batch when it is large enough or
old enough; tries again what failed; halves a batch that was refused until the culprit is known, which alone is
rejected; and says when the writer is away, or one lane is in trouble, so that the spool before it does the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from k2conn.avro import RecordSchema
from k2conn.ending_tasks import end_tasks
from k2conn.envelope import Envelope
from k2conn.errors import K2Error, SinkError, Unreachable
from k2conn.sinks import Reject, Settle, SinkStatus
from k2conn.sinks.lanes import BatchRule, Lane
from k2conn.sinks.positions import StoresPositions
from k2conn.sinks.settings import SinkSettings

ENVELOPE_BYTES = 250
"""What an envelope costs in memory beside its value, for the buffer's bound."""
SLOW_AFTER = 5.0
"""Seconds that a batch may be under way before the sink counts as unreachable in the status."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds before the second attempt, doubling up to the longest."""


class BatchRefused(K2Error):
    """At least one record of a batch can never be written; the text is what the database says. Nothing was written."""


class BatchWriter(Protocol):
    """Writes batches. All methods belong to one event loop; of one lane, only one of `prepare` and `write` is under way
    at a time, so that what a lane has, such as a connection, need not be shared.
    """

    name: str
    """The sink's."""

    async def open(self) -> None:
        """Make ready, within a bounded time. Unreachable with the address and the reason; SinkError where it can never
        go on.
        """

    async def prepare(self, schema: RecordSchema | None) -> None:
        """Make ready for records of this schema (None: dead letters). Unreachable or SinkError."""

    def lane(self, schema: RecordSchema | None) -> str:
        """Where records of a schema go; lanes are written side by side, each in order."""

    def rule(self, schema: RecordSchema | None) -> BatchRule:
        """When a batch of that lane goes."""

    async def write(self, lane: str, batch: Sequence[Envelope]) -> None:
        """Make a batch durable, whole or not at all; a batch that was written before may come again.

        BatchRefused where a record of it can never be taken; Unreachable where nobody answers; SinkError where this
        lane is in trouble. The last two are tried again.
        """

    async def close(self) -> None:
        """Let go of every resource, within a few seconds."""


class BatchingSinkStatus(SinkStatus):
    """See `SinkStatus`."""

    queued_bytes: int
    under_way: int
    """Records that are sent and not acknowledged."""
    retries: int
    """Batches that were sent again."""
    where: str


class BatchingSink:
    """See the module's text, and ``SpoolableSink`` for the contract. ``retries`` attempts follow the first before it is
    said that the writer, or a lane, is in trouble; they go on for ever.
    """

    def __init__(
        self, writer: BatchWriter, settings: SinkSettings, settle: Settle, reject: Reject, *, retries: int, where: str
    ) -> None:
        self.name = writer.name
        self._writer = writer
        self._bound = settings.buffer_bytes
        self._settle = settle
        self._reject = reject
        self._retries = retries
        self._where = where
        self._lanes: dict[str, Lane] = {}
        self._by_schema: dict[RecordSchema | None, Lane] = {}
        self._at_writer: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By lane: held while the writer is busy with it."""
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._moved = asyncio.Event()
        self._hurry = False
        self._queued = 0
        self._bytes = 0
        self._errors = 0
        self._again = 0
        self._last_error: str | None = None
        if isinstance(writer, StoresPositions):
            self.positions = writer.positions
        self._log = logging.getLogger(f"k2conn.sinks.{self.name}")

    # --- the contract

    async def open(self) -> None:
        """See `Sink.open`."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._writer.open()
        except BaseException:  # also a cancelled start must not leave a connection behind
            await self._writer.close()
            raise

    async def prepare(self, topics: Mapping[str, RecordSchema | None]) -> None:
        """See `Sink.prepare`. What is wrong with any of them is said at once."""
        problems = []
        for schema in dict.fromkeys(topics.values()):
            try:
                async with self._at_writer[self._writer.lane(schema)]:
                    await self._writer.prepare(schema)
            except SinkError as error:
                problems.append(str(error))
        if problems:
            raise SinkError("; ".join(problems))

    def put(self, envelope: Envelope) -> None:
        """Take one envelope."""
        self.put_all((envelope,))

    def put_all(self, envelopes: Sequence[Envelope]) -> None:
        """Take some envelopes, in order."""
        by_schema, size = self._by_schema, 0
        for envelope in envelopes:
            lane = by_schema.get(envelope[3])
            if lane is None:
                lane = self._lane(envelope[3])
            lane.waiting.append(envelope)
            size += len(envelope[2])
        self._queued += len(envelopes)
        self._bytes += size + ENVELOPE_BYTES * len(envelopes)
        self._look()

    @property
    def crowded(self) -> bool:
        """Whether more waits than the bound, or a bug has ended a lane (``drain`` raises it)."""
        return self._bytes > self._bound or any(task.done() for task in self._tasks)

    async def drain(self) -> None:
        """Wait until half of the bound is free."""
        await self._until(lambda: self._bytes <= self._bound // 2)

    async def flush(self, within: float) -> int:
        """Write all that waits now, for at most ``within`` seconds."""
        self._hurry = True
        self._look()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._until(lambda: not self._queued)
        finally:
            self._hurry = False
        return self._queued

    def unsettled(self) -> Iterator[Envelope]:
        """What is not written yet, in order."""
        for lane in self._lanes.values():
            yield from lane.unsettled()

    def withdraw(self, topic: str) -> list[Envelope]:
        """See `SpoolableSink.withdraw`."""
        given = [envelope for lane in self._lanes.values() for envelope in lane.withdraw(topic)]
        self._forget(given)
        return given

    async def close(self) -> None:
        """See `Sink.close`."""
        await end_tasks(*self._tasks)
        for lane in self._lanes.values():
            if lane.timer is not None:
                lane.timer.cancel()
        await self._writer.close()

    def status(self) -> BatchingSinkStatus:
        """For the health page, as it is now."""
        lanes = self._lanes.values()
        now = self._loop.time() if self._loop is not None else 0.0
        slow = any(lane.under_way and not lane.trouble and now - lane.began > SLOW_AFTER for lane in lanes)
        return {
            "reachable": not slow and not any(lane.away for lane in lanes),
            "queued": self._queued,
            "queued_bytes": self._bytes,
            "under_way": sum(len(lane.under_way) for lane in lanes),
            "retries": self._again,
            "errors": self._errors,
            "last_error": self._last_error,
            "trouble": {topic: lane.trouble for lane in lanes if lane.trouble for topic in lane.topics()},
            "where": self._where,
        }

    # --- lanes

    def _lane(self, schema: RecordSchema | None) -> Lane:
        assert self._loop is not None
        name = self._writer.lane(schema)
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane(name, self._writer.rule(schema))
            task = self._loop.create_task(self._work(lane), name=f"{self.name}-{name}")
            task.add_done_callback(lambda _: self._moved.set())
            self._tasks.append(task)
        self._by_schema[schema] = lane
        return lane

    def _look(self) -> None:
        assert self._loop is not None
        hurry = self._hurry or self._bytes > self._bound // 2  # no socket is to wait for a batch that may go
        for lane in self._lanes.values():
            lane.look(self._loop, hurry)

    async def _work(self, lane: Lane) -> None:
        assert self._loop is not None
        while True:
            await lane.due.wait()
            await self._deliver(lane, lane.depart(self._loop.time()))
            lane.look(self._loop, self._hurry)

    async def _deliver(self, lane: Lane, batch: Sequence[Envelope]) -> None:
        """Write a batch, however long it takes; in parts where a record of it is refused."""
        parts = [batch] if batch else []
        while parts:
            part = parts.pop()
            try:
                async with self._at_writer[lane.name]:
                    await self._writer.write(lane.name, part)
            except BatchRefused as error:
                self._well(lane)
                half = len(part) // 2
                if half:
                    parts += [part[half:], part[:half]]
                else:
                    self._refused(lane, part[0], str(error))
            except (Unreachable, SinkError) as error:
                parts.append(part)
                await self._failed(lane, error)
            else:
                self._well(lane)
                self._written(lane, part)

    def _written(self, lane: Lane, part: Sequence[Envelope]) -> None:
        lane.arrived(part)
        self._forget(part)
        self._settle(part)

    def _refused(self, lane: Lane, envelope: Envelope, words: str) -> None:
        self._note(f"{lane.name}: a record was refused: {words}")
        lane.arrived((envelope,))
        self._forget((envelope,))
        self._reject(envelope, "refused-by-sink", words)

    async def _failed(self, lane: Lane, error: K2Error) -> None:
        """Note it, and wait before the next attempt."""
        self._note(str(error))
        self._again += 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(lane.failures, 10)) * random.uniform(0.5, 1.0)
        lane.failures += 1
        if lane.failures > self._retries:
            if isinstance(error, Unreachable):
                lane.away = True
            else:
                lane.trouble, lane.away = str(error), False
        await asyncio.sleep(pause)

    def _well(self, lane: Lane) -> None:
        if lane.away or lane.trouble:
            self._log.warning("%s takes records again", lane.name)
        assert self._loop is not None
        lane.failures, lane.trouble, lane.away, lane.began = 0, None, False, self._loop.time()

    # --- accounts

    def _forget(self, batch: Sequence[Envelope]) -> None:
        self._queued -= len(batch)
        self._bytes -= sum([len(envelope[2]) for envelope in batch]) + ENVELOPE_BYTES * len(batch)
        self._moved.set()

    async def _until(self, holds: Callable[[], bool]) -> None:
        self._check()
        while not holds():
            self._moved.clear()
            await self._moved.wait()
            self._check()

    def _check(self) -> None:
        """Raise the bug that ended a lane, if one did."""
        for task in self._tasks:
            if task.done():
                task.result()

    def _note(self, text: str) -> None:
        self._errors += 1
        if text != self._last_error:
            self._log.warning("%s: %s", self.name, text)
        self._last_error = text
