"""Topics and partition queues: envelopes that wait for Kafka, in order. No I/O and no clock of its own.

Each partition has a queue with at most one batch in flight, so the order is kept: a batch that fails goes back to the
front of its queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from k2conn import native
from k2conn.avro import RecordSchema
from k2conn.envelope import Envelope
from k2conn.sinks.kafka.partitioner import partition_of

KEYS = 100_000
"""Keys whose partition a topic remembers."""

KEPT = 100
"""Envelopes of a queue that a failing topic keeps and retries."""

NARROW_FOR = 300.0
"""Seconds that a queue uses smaller batches after a broker refused one for its size."""


class PartitionQueue:
    """One partition: ``waiting`` envelopes, oldest first, and the batch ``under_way``."""

    __slots__ = ("limit", "narrow_until", "partition", "sent", "sent_at", "under_way", "waiting")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.waiting: list[Envelope] = []
        self.under_way: list[Envelope] = []
        self.sent: object = None
        """What tells of the batch under way (see `Producer.send`)."""
        self.sent_at = 0.0
        self.limit: int | None = None
        self.narrow_until = 0.0

    def offered(self, now: float, first: int = 0, most: int | None = None) -> Sequence[Envelope]:
        """What the next batch may be made of; ``first``: how many of those that wait are in others already. ``most``:
        of more than so many none can be made, as far as the caller knows.
        """
        if self.limit is not None and now > self.narrow_until:
            self.limit = None
        if self.limit is not None:
            return self.waiting[first : first + self.limit]
        return self.waiting[first : None if most is None else first + most] if first else self.waiting

    def depart(self, count: int, now: float) -> None:
        """The first ``count`` of the waiting are on their way."""
        self.under_way = self.waiting[:count]
        del self.waiting[:count]
        self.sent_at = now

    def arrived(self) -> list[Envelope]:
        """The batch in flight was acknowledged: it leaves the queue."""
        batch, self.under_way, self.sent = self.under_way, [], None
        return batch

    def came_back(self) -> None:
        """The batch in flight failed: it goes back to the front of the queue."""
        self.waiting[:0] = self.arrived()

    def refused(self, now: float) -> Envelope | None:
        """The broker refused the batch under way because of a record in it.

        Returns that record once it is known (it leaves the queue); until then half of the batch is tried next.
        """
        size = len(self.under_way)
        if size == 1:
            self.limit = None
            return self.arrived()[0]
        self.came_back()
        self.narrow(size // 2, now)
        return None

    def narrow(self, limit: int, now: float) -> None:
        """For a while its batches have no more than ``limit`` records."""
        self.limit = limit
        self.narrow_until = now + NARROW_FOR


class Topic:
    """One topic: what was put but has no partition yet (``fresh``), and its partition queues once they are known."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fresh: list[Envelope] = []
        self.heads: dict[RecordSchema | None, bytes] = {None: b""}
        self.queues: list[PartitionQueue] = []
        self.trouble: str | None = None
        self.not_before = 0.0
        self.failures = 0
        self.preparing: asyncio.Task[None] | None = None
        self._by_key: dict[bytes | None, list[Envelope]] = {}
        """What waits in the queue of each key's partition; a queue never gets another list."""
        self._turn = 0

    def widen(self, partitions: int) -> None:
        """Set the number of partitions. Queues are never removed: what waits in them belongs to their partition."""
        self.queues += [PartitionQueue(index) for index in range(len(self.queues), partitions)]
        self._by_key.clear()

    @property
    def waits(self) -> bool:
        """Whether anything waits, with a partition or without."""
        if self.fresh:
            return True
        for queue in self.queues:  # noqa: SIM110 (asked of every topic in every round)
            if queue.waiting:
                return True
        return False

    def unsettled(self) -> Iterator[Envelope]:
        """What is here, oldest first within a key."""
        for queue in self.queues:
            yield from queue.under_way
            yield from queue.waiting
        yield from self.fresh

    def withdraw(self) -> list[Envelope]:
        """Remove and return what waits, except the first of each queue."""
        given: list[Envelope] = []
        for queue in self.queues:
            given += queue.waiting[KEPT:]
            del queue.waiting[KEPT:]
        kept = 0 if given else KEPT
        given += self.fresh[kept:]
        del self.fresh[kept:]
        return given

    def distribute(self, largest: int) -> list[Envelope]:
        """Move the fresh envelopes to their partition queues, up to the first whose schema has no framing yet.

        Returns those with more than ``largest`` bytes, which go nowhere.
        """
        too_large: list[Envelope] = []
        heads, by_key, fresh = self.heads, self._by_key, self.fresh
        if len(by_key) > KEYS:
            by_key.clear()
        by_key.pop(None, None)  # envelopes without a key change their partition with every round
        at = 0
        while at < len(fresh):
            if native.moved is not None and (at := native.moved(fresh, at, heads, by_key, largest)) == len(fresh):
                break
            envelope = fresh[at]
            if envelope.schema not in heads:
                break
            at += 1
            if len(envelope.value) > largest:
                too_large.append(envelope)
                continue
            waiting = by_key.get(envelope.key)
            if waiting is None:
                waiting = by_key[envelope.key] = self._queue_of(envelope.key).waiting
            waiting.append(envelope)
        del fresh[:at]
        return too_large

    def _queue_of(self, key: bytes | None) -> PartitionQueue:
        if key is not None:
            return self.queues[partition_of(key, len(self.queues))]
        self._turn = (self._turn + 1) % len(self.queues)
        return self.queues[self._turn]


class SlotTopic(Topic):
    """The state topic: all of it goes to the partition of one slot."""

    def __init__(self, name: str, slot: int) -> None:
        super().__init__(name)
        self._slot = slot

    def _queue_of(self, key: bytes | None) -> PartitionQueue:
        return self.queues[self._slot]
