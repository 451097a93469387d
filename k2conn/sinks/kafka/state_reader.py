"""Reads a slot's partition of the state topic: once as a whole, and from then on only what has come since.

Who is about to take a slot over has its state read before the move, and reads on; so once the old owner is fenced only
the last moments are left to be read. What is read is what is committed, up to what was written when reading began: the
end must be asked for as it is, not as the end of what is committed, because a transaction that is still open may be
that of a process which is just being ended.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiokafka.errors as kafka_errors  # type: ignore[import-untyped]
from aiokafka import AIOKafkaConsumer, TopicPartition

from k2conn import exactjson
from k2conn.compat.aiokafka import stop_consumer
from k2conn.errors import SinkError, Unreachable
from k2conn.sinks.journal import JournalEntries
from k2conn.sinks.kafka.producer import STOP_WITHIN, client_options
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.kafka.state_topic import fail, name_of

LARGEST_BYTES = 256 * 1024 * 1024
"""Of all that is read, keys included."""
LARGEST_VALUES = 4_000_000
"""Brackets and commas of all that is read: what it becomes in memory is bounded by these."""
WAIT_MS = 200


class StateReader:
    """One slot's. All methods belong to one event loop."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._at = TopicPartition(name_of(settings), settings.slot)
        self._found = LatestValues(f"kafka topic {self._at.topic}/{self._at.partition}")
        self._committed: Any = None
        self._written: Any = None
        """Knows the end as it is."""

    async def entries(self) -> JournalEntries:
        """The latest value of each key. Unreachable; SinkError for what cannot be read."""
        try:
            async with asyncio.timeout(_patience(self._settings)):
                await self._open()
                end = (await self._written.end_offsets([self._at]))[self._at]
                while await self._committed.position(self._at) < end:
                    await self._some()
        except TimeoutError:
            raise Unreachable(
                f"kafka topic {self._at.topic}/{self._at.partition}: the state cannot be read to its end: a "
                "transaction of another process is still open, or the broker does not answer"
            ) from None
        except (kafka_errors.KafkaError, OSError) as error:
            fail(self._settings, error)
        return self._found.decoded()

    async def follow(self) -> None:
        """Reads on after `entries`, so that little is left for the next one, until cancelled. Raises what that does."""
        try:
            while self._committed is not None:
                await self._some()
                self._found.decoded()
        except (kafka_errors.KafkaError, OSError) as error:
            fail(self._settings, error)

    async def close(self) -> None:
        """Disconnects, within a few seconds; the next reading begins anew."""
        clients = [one for one in (self._committed, self._written) if one is not None]
        self._committed = self._written = None
        self._found = LatestValues(f"kafka topic {self._at.topic}/{self._at.partition}")
        await asyncio.gather(*(stop_consumer(one, STOP_WITHIN) for one in clients))

    async def _open(self) -> None:
        if self._written is not None:
            return
        options = {**client_options(self._settings), "enable_auto_commit": False, "auto_offset_reset": "earliest"}
        committed: Any = AIOKafkaConsumer(**options, isolation_level="read_committed")
        written: Any = AIOKafkaConsumer(**options, isolation_level="read_uncommitted")
        opened = False
        try:
            await asyncio.gather(committed.start(), written.start())
            for consumer in (committed, written):
                consumer.assign([self._at])
            await committed.seek_to_beginning(self._at)
            opened = True
        finally:
            if not opened:
                await asyncio.gather(*(stop_consumer(one, STOP_WITHIN) for one in (committed, written)))
        self._committed, self._written = committed, written

    async def _some(self) -> None:
        """What comes within a moment. Cancelled, it has taken nothing that it did not keep."""
        for messages in (await self._committed.getmany(timeout_ms=WAIT_MS)).values():
            for one in messages:
                if one.key is not None and one.value is not None:
                    self._found.put(one.key, one.offset, one.value)


class LatestValues:
    """The latest value of each key of a topic, which anybody may have written. SinkError where that is too much, or no
    state.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._found: dict[bytes, tuple[int, bytes]] = {}
        self._size = 0
        self._decoded: dict[bytes, tuple[int, list[Any], Any]] = {}
        """How many values it has, the key and the value."""
        self._values = 0
        self._fresh: dict[bytes, None] = {}
        """Keys whose value is not decoded yet."""

    def put(self, key: bytes, offset: int, value: bytes) -> None:
        """One message."""
        before = self._found.get(key)
        self._size += len(value) + (len(key) if before is None else -len(before[1]))
        if self._size > LARGEST_BYTES:
            raise SinkError(f"{self._topic} holds more than {LARGEST_BYTES} bytes of state")
        self._found[key] = offset, value
        self._fresh[key] = None

    def decoded(self) -> JournalEntries:
        """All of them; none is decoded twice."""
        for key in self._fresh:
            offset, value = self._found[key]
            before = self._decoded.get(key)
            size = sum(value.count(one) for one in (b"[", b"{", b","))
            self._values += size - (0 if before is None else before[0])
            if self._values > LARGEST_VALUES:
                raise SinkError(f"{self._topic} holds more than {LARGEST_VALUES} values of state")
            try:
                decoded = exactjson.decode(key) if before is None else before[1]
                if type(decoded) is not list or not decoded or type(decoded[0]) is not str:
                    raise ValueError("its key is no list that begins with a kind")
                self._decoded[key] = size, decoded, exactjson.decode(value)
            except ValueError as error:
                raise SinkError(f"{self._topic}, offset {offset}: no state of k2conn: {error}") from None
        self._fresh.clear()
        return [(key, value) for _, key, value in self._decoded.values()]


async def read_journal(settings: KafkaSettings) -> JournalEntries:
    """What the slot's partition of the state topic holds, the latest value of each key. See `StateReader.entries`."""
    reader = StateReader(settings)
    try:
        return await reader.entries()
    finally:
        await reader.close()


def _patience(settings: KafkaSettings) -> float:
    """Seconds: a transaction that somebody else left open is ended by the broker before that."""
    return settings.open_timeout + settings.transaction_timeout_ms / 1000 + 10
