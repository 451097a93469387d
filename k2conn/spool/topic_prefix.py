"""A sink that puts a prefix before every topic, so that several installations share a cluster and none writes into
another's topics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from k2conn.avro import RecordSchema
from k2conn.envelope import Envelope
from k2conn.sinks import JournalSink, Reject, Settle, Sink, SinkStatus
from k2conn.sinks.journal import JournalEntries


class TopicPrefixSink:
    """See the module's text; all else is the inner sink's, which ``make`` makes. Whoever puts an envelope that is
    rejected gets it back under the topic that it was put under.
    """

    def __init__(self, make: Callable[[Settle, Reject], Sink], prefix: str, settle: Settle, reject: Reject) -> None:
        def rejected(envelope: Envelope, reason: str, words: str = "") -> None:
            reject(envelope._replace(topic=envelope.topic.removeprefix(prefix)), reason, words)

        self._inner = make(settle, rejected)
        self._prefix = prefix
        self.name = self._inner.name

    async def open(self) -> None:
        """See `Sink.open`."""
        await self._inner.open()

    async def prepare(self, topics: Mapping[str, RecordSchema | None]) -> None:
        """See `Sink.prepare`."""
        await self._inner.prepare({self._prefix + topic: schema for topic, schema in topics.items()})

    async def warm_up(self, topics: Mapping[str, RecordSchema | None]) -> None:
        """See `JournalSink.warm_up`."""
        await cast(JournalSink, self._inner).warm_up({self._prefix + one: schema for one, schema in topics.items()})

    async def keep_warm(self) -> None:
        """See `JournalSink.keep_warm`."""
        await cast(JournalSink, self._inner).keep_warm()

    async def read_journal(self) -> JournalEntries:
        """See `JournalSink.read_journal`."""
        return await cast(JournalSink, self._inner).read_journal()

    def put(self, envelope: Envelope) -> None:
        """See `Sink.put`."""
        self._inner.put(envelope._replace(topic=self._prefix + envelope.topic))

    @property
    def crowded(self) -> bool:
        """See `Sink.crowded`."""
        return self._inner.crowded

    async def drain(self) -> None:
        """See `Sink.drain`."""
        await self._inner.drain()

    async def flush(self, within: float) -> int:
        """See `Sink.flush`."""
        return await self._inner.flush(within)

    async def close(self) -> None:
        """See `Sink.close`."""
        await self._inner.close()

    def status(self) -> SinkStatus:
        """See `Sink.status`."""
        return self._inner.status()
