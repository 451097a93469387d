"""Kafka as a source of live records: all topics of a pattern, from a little while ago on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from k2conn.api.live.hub import Hub
from k2conn.avro.blocks import MalformedContainer
from k2conn.avro.scanning import full_name, schema_of
from k2conn.avro.schema import RecordSchema
from k2conn.clock import wall_us
from k2conn.errors import K2Error
from k2conn.records import RecordType
from k2conn.runner.event_log import get_logger

BACK_MS = 120_000
"""So long ago it begins: a store has what is older."""
KEPT = 5 * 60 * 1_000_000
"""Microseconds for which records are kept for `recent`."""
AGAIN = 2.0
TIDIED_EVERY = 5_000_000


class Schemas(Protocol):
    """Which schema a message was written with."""

    async def split(self, value: bytes) -> tuple[str, bytes] | None:
        """(schema text, Avro body); None for what is no record."""


class TopicTail:
    """Follows topics into the hub. ``follow`` gives batches of (topic, value)."""

    def __init__(
        self, follow: Callable[[int], AsyncIterator[list[tuple[str, bytes]]]], schemas: Schemas, hub: Hub,
        records: dict[str, RecordType],
    ) -> None:
        self._follow = follow
        self._schemas = schemas
        self._hub = hub
        self._records = {one.schema.full_name: one for one in records.values()}
        self._known: dict[str, tuple[RecordType, RecordSchema] | None] = {}
        self._tidied = 0
        self.undecoded = 0
        """Messages that are no records of ours."""
        self.connected = False

    async def run(self) -> None:
        """Until it is cancelled; a broker that is away is tried again and again."""
        while True:
            try:
                async for batch in self._follow(BACK_MS):
                    self.connected = True
                    await self._take(batch)
            except K2Error as error:
                self.connected = False
                get_logger().warning("the topics cannot be followed", error=str(error))
            await asyncio.sleep(AGAIN)

    async def _take(self, batch: list[tuple[str, bytes]]) -> None:
        found: dict[str, list[dict[str, Any]]] = {}
        for _, value in batch:
            decoded = await self._decoded(value)
            if decoded is None:
                self.undecoded += 1
            else:
                found.setdefault(decoded[0], []).append(decoded[1])
        for kind, rows in found.items():
            self._hub.publish(kind, rows)
        now = wall_us()
        if now - self._tidied > TIDIED_EVERY:
            self._tidied = now
            self._hub.forget(now - KEPT)

    async def _decoded(self, value: bytes) -> tuple[str, dict[str, Any]] | None:
        split = await self._schemas.split(value)
        if split is None:
            return None
        text, body = split
        if text not in self._known:
            self._known[text] = self._understood(text)
        known = self._known[text]
        if known is None:
            return None
        try:
            return known[0].profile.plural, known[1].decode(body)
        except ValueError:
            return None

    def _understood(self, text: str) -> tuple[RecordType, RecordSchema] | None:
        record = self._records.get(full_name(text))
        try:
            return None if record is None else (record, schema_of(record.name, text))
        except MalformedContainer:
            return None
