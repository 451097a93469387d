"""Topics followed from some moment on, by no group: for those who look on. New topics and partitions join in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from fnmatch import translate
from typing import Any

import aiokafka.errors as kafka_errors  # type: ignore[import-untyped]
from aiokafka import AIOKafkaConsumer

from k2conn.clock import wall_ms
from k2conn.errors import SinkError, Unreachable
from k2conn.net.http import in_thread
from k2conn.sinks.kafka.framing import MAGIC
from k2conn.sinks.kafka.producer import client_options
from k2conn.sinks.kafka.reading import HEAD
from k2conn.sinks.kafka.registry import SchemaRegistry
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.kafka.sink import registry_of

DEAD = ".dlq"
NEW_TOPICS_MS = 2000
MOST_SCHEMAS = 1000
AT_ONCE = 2000
TOO_LARGE = 1024 * 1024


async def follow(settings: KafkaSettings, topics: str, back_ms: int) -> AsyncIterator[list[tuple[str, bytes]]]:
    """(topic, value) of the topics that a pattern names (``*``: anything), from ``back_ms`` milliseconds ago on; dead
    letters are left out. Raises Unreachable.
    """
    pattern = f"(?!.*{re.escape(DEAD)}$){translate(topics)}"
    consumer: Any = AIOKafkaConsumer(**client_options(settings), auto_offset_reset="latest", enable_auto_commit=False,
                                     metadata_max_age_ms=NEW_TOPICS_MS, max_partition_fetch_bytes=TOO_LARGE)
    try:
        await consumer.start()
        consumer.subscribe(pattern=pattern)
        known: set[Any] = set()
        since = wall_ms() - back_ms
        while True:
            new = consumer.assignment() - known
            if new:
                await _seek(consumer, new, since)
                known |= new
            elif not known:
                await asyncio.sleep(0.1)
                continue
            found = await consumer.getmany(timeout_ms=250, max_records=AT_ONCE)
            batch = [(at.topic, one.value or b"") for at, messages in found.items() for one in messages]
            if batch:
                yield batch
    except kafka_errors.KafkaError as error:
        raise Unreachable(f"Kafka at {settings.bootstrap}: {error or type(error).__name__}") from None
    finally:
        await consumer.stop()


async def _seek(consumer: Any, partitions: set[Any], since: int) -> None:
    """To the first message that is not older; to the end where all are."""
    offsets = await consumer.offsets_for_times(dict.fromkeys(partitions, since))
    ends = await consumer.end_offsets(list(partitions))
    for partition in partitions:
        found = offsets.get(partition)
        consumer.seek(partition, ends[partition] if found is None else found.offset)


class WrittenSchemas:
    """The schemas of messages by the id that each begins with, as their registry has them."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._registry: SchemaRegistry = registry_of(settings)
        self._texts: dict[int, str | None] = {}

    async def split(self, value: bytes) -> tuple[str, bytes] | None:
        """(schema text, Avro body); None for what is no message of ours, or has a schema that the registry lacks."""
        if len(value) < HEAD or value[:1] != MAGIC:
            return None
        number = int.from_bytes(value[1:HEAD], "big")
        if number not in self._texts:
            if len(self._texts) >= MOST_SCHEMAS:
                return None
            self._texts[number] = await self._text(number)
        text = self._texts[number]
        return None if text is None else (text, value[HEAD:])

    async def _text(self, number: int) -> str | None:
        try:
            answer = await in_thread(lambda: self._registry.call("GET", f"/schemas/ids/{number}", missing_ok=True))
        except SinkError:
            return None
        text = answer.get("schema") if isinstance(answer, dict) else None
        return text if isinstance(text, str) else None


