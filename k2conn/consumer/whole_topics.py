"""Reads topics once, from their beginning to where they end now, as a member of no group: nothing is committed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import aiokafka.errors as kafka_errors  # type: ignore[import-untyped]
from aiokafka import AIOKafkaConsumer

from k2conn.consumer.settings import ConsumerSettings
from k2conn.errors import Unreachable
from k2conn.sinks.kafka.producer import client_options

_AT_ONCE = 500
_QUIET = 10.0
"""Seconds without an answer after which reading is given up."""


async def whole_topics(settings: ConsumerSettings) -> AsyncIterator[tuple[str, bytes]]:
    """The values of all messages of the topics, with their places (topic/partition@offset). Raises Unreachable."""
    given = settings.kafka
    client: Any = None
    try:
        async with asyncio.timeout(given.open_timeout):
            names = await _names(settings)
            if not names:
                return
            client = _consumer(settings, *names)
            await client.start()
            ends = await _ends(client)
        async for one in _read(client, ends):
            yield one
    except (TimeoutError, OSError, kafka_errors.KafkaError) as error:
        raise Unreachable(f"kafka {given.bootstrap}: {error or type(error).__name__}") from None
    finally:
        if client is not None:
            await client.stop()


def _consumer(settings: ConsumerSettings, *names: str) -> Any:
    """A consumer of whole topics, which no group divides."""
    return AIOKafkaConsumer(
        *names, **client_options(settings.kafka), enable_auto_commit=False, auto_offset_reset="earliest",
        isolation_level="read_committed", fetch_max_bytes=settings.fetch_bytes,
        max_partition_fetch_bytes=settings.partition_fetch_bytes,
    )


async def _names(settings: ConsumerSettings) -> list[str]:
    """The topics that are there."""
    client = _consumer(settings)
    try:
        await client.start()
        return [name for name in await client.topics() if re.fullmatch(settings.pattern, name)]
    finally:
        await client.stop()


async def _ends(client: Any) -> dict[Any, int]:
    """Where each partition ends; those without messages are left out."""
    partitions = list(client.assignment())  # all of them, from the start: there is no group
    if not partitions:
        raise Unreachable("kafka: it does not say which partitions the topics have")
    firsts, ends = await client.beginning_offsets(partitions), await client.end_offsets(partitions)
    return {one: end for one, end in ends.items() if end > firsts[one]}


async def _read(client: Any, ends: dict[Any, int]) -> AsyncIterator[tuple[str, bytes]]:
    left = dict(ends)
    while left:
        found = await client.getmany(timeout_ms=int(_QUIET * 1000), max_records=_AT_ONCE)
        for one, messages in found.items():
            for message in messages:
                if message.value is not None and message.offset < ends.get(one, 0):
                    yield f"{one.topic}/{one.partition}@{message.offset}", message.value
        for one in list(left):
            if await client.position(one) >= left[one]:
                del left[one]
        if not found and left:
            raise Unreachable(f"kafka: no answer in {_QUIET:.0f} s")
