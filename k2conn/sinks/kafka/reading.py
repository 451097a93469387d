"""Reading topics back from their beginning to what is their end now: for proofs, not for consumers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

import aiokafka.errors as kafka_errors  # type: ignore[import-untyped]
from aiokafka import AIOKafkaConsumer, TopicPartition

from k2conn.compat.aiokafka import refresh_metadata
from k2conn.errors import Unreachable
from k2conn.sinks.kafka.producer import client_options
from k2conn.sinks.kafka.settings import KafkaSettings

HEAD = 5
"""Bytes before a record's Avro body: see `framing`."""


async def read_topics(settings: KafkaSettings, topics: Iterable[str]) -> AsyncIterator[tuple[str, bytes]]:
    """Each message of the topics that exist: (topic, value), in the order of each partition. Raises Unreachable."""
    consumer: Any = AIOKafkaConsumer(**client_options(settings), auto_offset_reset="earliest", enable_auto_commit=False)
    try:
        await consumer.start()
        known = await consumer.topics()
        partitions = [
            TopicPartition(topic, number)
            for topic in sorted(set(topics) & set(known))
            for number in sorted(consumer.partitions_for_topic(topic) or await _partitions(consumer, topic))
        ]
        if not partitions:
            return
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        async for message in _until(consumer, ends):
            yield message
    except kafka_errors.KafkaError as error:
        raise Unreachable(f"Kafka at {settings.bootstrap}: {error or type(error).__name__}") from None
    finally:
        await consumer.stop()


async def _until(consumer: Any, ends: dict[Any, int]) -> AsyncIterator[tuple[str, bytes]]:
    left = {partition for partition, end in ends.items() if await consumer.position(partition) < end}
    while left:
        for partition, messages in (await consumer.getmany(timeout_ms=1000, max_records=20_000)).items():
            for message in messages:
                if message.offset < ends[partition]:
                    yield partition.topic, message.value or b""
        left = {partition for partition in left if await consumer.position(partition) < ends[partition]}


async def _partitions(consumer: Any, topic: str) -> set[int]:
    """A topic's partitions, from the cluster's own list."""
    await refresh_metadata(consumer)
    return set(consumer.partitions_for_topic(topic) or ())
