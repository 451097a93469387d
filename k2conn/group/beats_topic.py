"""Where members hear each other: one partition, read from shortly before its end."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import (  # type: ignore[import-untyped]
    AIOKafkaConsumer,
    AIOKafkaProducer,
    TopicPartition,
)

from k2conn.compat.aiokafka import stop_consumer
from k2conn.group.settings import GroupSettings
from k2conn.group.topics import kafka_trouble
from k2conn.sinks.kafka.producer import STOP_WITHIN, client_options

HEARD_BEFORE = 5_000
"""Messages before the end that are read at first: what fifty members say in more than a minute."""
LARGEST = 64 * 1024
AT_ONCE = 2_000


class BeatsTopic:
    """Says and hears. Raises Unreachable for what may pass."""

    def __init__(self, settings: GroupSettings, speaks: bool = True) -> None:
        """``speaks``: False for one that only listens."""
        self._settings = settings
        self._speaks = speaks
        self._at = TopicPartition(settings.beats_topic, 0)
        self._consumer: Any = None
        self._producer: Any = None
        self._end_at_start = 0

    async def open(self) -> None:
        """Connects."""
        options = client_options(self._settings.kafka)
        self._consumer = AIOKafkaConsumer(**options, enable_auto_commit=False, auto_offset_reset="latest")
        self._producer = AIOKafkaProducer(**options, acks=1, linger_ms=0) if self._speaks else None
        with kafka_trouble(self._settings, "its members"):
            async with asyncio.timeout(self._settings.kafka.open_timeout):
                await self._consumer.start()
                self._consumer.assign([self._at])
                first = (await self._consumer.beginning_offsets([self._at]))[self._at]
                self._end_at_start = (await self._consumer.end_offsets([self._at]))[self._at]
                self._consumer.seek(self._at, max(first, self._end_at_start - HEARD_BEFORE))
                if self._producer is not None:
                    await self._producer.start()

    async def before(self) -> list[bytes]:
        """What was said before, as far back as it is read."""
        found: list[bytes] = []
        with kafka_trouble(self._settings, "its members"):
            async with asyncio.timeout(self._settings.kafka.open_timeout):
                while await self._consumer.position(self._at) < self._end_at_start:
                    found += await self._heard(0.2)
        return found

    async def say(self, data: bytes) -> None:
        """Tells all members; comes back once it is written."""
        with kafka_trouble(self._settings, "its members"):
            await self._producer.send_and_wait(self._at.topic, data, partition=self._at.partition)

    async def hear(self, within: float) -> list[bytes]:
        """What was said since; waits so many seconds for something."""
        with kafka_trouble(self._settings, "its members"):
            return await self._heard(within)

    async def _heard(self, within: float) -> list[bytes]:
        found = await self._consumer.getmany(timeout_ms=int(within * 1000), max_records=AT_ONCE)
        return [one.value for messages in found.values() for one in messages if one.value and len(one.value) <= LARGEST]

    async def close(self) -> None:
        """Disconnects, within a few seconds."""
        await asyncio.gather(*(
            stop_consumer(client, STOP_WITHIN) for client in (self._consumer, self._producer) if client is not None
        ))
