"""The Kafka sink: envelopes in, acknowledged batches out, nothing lost in between.

``put`` appends to its topic and wakes the sender, which does the rest. This module keeps
account: what is waiting, whether the buffer is full, and who waits for room in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

from k2conn import native
from k2conn.avro import RecordSchema
from k2conn.envelope import Envelope
from k2conn.errors import SinkError, Unreachable
from k2conn.net.http import in_thread
from k2conn.net.tls import client_context
from k2conn.sinks import SinkStatus
from k2conn.sinks.journal import JournalEntries
from k2conn.sinks.kafka.client_log import ClientLogHandler
from k2conn.sinks.kafka.partition_queues import SlotTopic
from k2conn.sinks.kafka.registry import SchemaRegistry
from k2conn.sinks.kafka.sender import Sender
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.kafka.state_reader import StateReader
from k2conn.sinks.kafka.state_topic import make_sure, name_of
from k2conn.sinks.settings import SinkSettings

ENVELOPE_BYTES = 250
"""What an envelope costs in memory beside its value, for the buffer's bound."""

SLOW_AFTER = 5.0
"""Seconds without an acknowledgement after which the cluster counts as unreachable in the status."""

log = logging.getLogger("k2conn.sinks.kafka")


class KafkaSinkStatus(SinkStatus):
    """See `SinkStatus`."""

    queued_bytes: int
    under_way: int
    """Batches that are sent and not acknowledged."""
    waiting: float
    """The age in seconds of the oldest of them."""
    retries: int
    """Batches that were sent again."""
    rebuilds: int
    """How often the producer was replaced."""
    bootstrap: str
    registry: str | None


class KafkaSink:
    """See the module's text, and ``Sink`` for the contract."""

    name = "kafka"

    def __init__(
        self,
        settings: SinkSettings,
        settle: Callable[[Sequence[Envelope]], None],
        reject: Callable[[Envelope, str], None],
    ) -> None:
        self._settings: KafkaSettings = settings.options
        self._bound = settings.buffer_bytes
        self._settle = settle
        self._reject = reject
        self._registry = registry_of(self._settings)
        self._sender = Sender(self._settings, self._registry, self._taken, self._refused)
        self._topics = self._sender.topics
        if self._settings.journal is not None:
            name = name_of(self._settings)
            self._topics[name] = SlotTopic(name, self._settings.slot)
        self._log_handler = ClientLogHandler()
        self._reader = StateReader(self._settings)
        self._closing: asyncio.Task[None] | None = None
        self._warm = False
        """Whether all is connected before it is opened."""
        self._queued = 0
        self._bytes = 0
        self._moved = asyncio.Event()

    async def open(self) -> None:
        """Reach the cluster and the registry within the open timeout, or raise Unreachable."""
        self._log_handler.attach()
        try:
            if not self._warm:
                await self._reach()
        except BaseException:  # also a cancelled start must not leave a connection behind
            await self.close()
            raise
        self._sender.start(self._moved.set)

    async def _reach(self) -> None:
        end = asyncio.get_running_loop().time() + self._settings.open_timeout
        await self._connect(end)
        await registry_answers_by(self._registry, end)
        if self._settings.journal is not None and not self._settings.state_topic_made:
            await make_sure(self._settings, self._settings.open_timeout)

    async def warm_up(self, topics: Mapping[str, RecordSchema | None]) -> None:
        """See `JournalSink.warm_up`."""
        try:
            await self._reach()
            await self.prepare(topics)
            await self._reader.entries()
            self._warm = True
        except (Unreachable, SinkError) as error:
            log.info("kafka: slot %d is not ready yet: %s", self._settings.slot, error)
        finally:
            if not self._warm:
                await self._sender.stop()

    async def keep_warm(self) -> None:
        """See `JournalSink.keep_warm`."""
        with contextlib.suppress(Unreachable, SinkError):  # `read_journal` reads it, too
            await self._reader.follow()

    async def read_journal(self) -> JournalEntries:
        """See `JournalSink.read_journal`."""
        try:
            return await self._reader.entries()
        finally:
            self._closing = asyncio.create_task(self._reader.close())

    async def _connect(self, end: float) -> None:
        try:
            await self._sender.connect(end)
        except Unreachable as error:
            text = str(error)
            reason = self._log_handler.reason(text)
            raise Unreachable(text if reason == text else f"kafka {self._settings.bootstrap}: {reason}") from None

    async def prepare(self, topics: Mapping[str, RecordSchema | None]) -> None:
        """Register the schemas and find the topics. Unreachable, or SinkError where a schema is refused."""
        for name, schema in topics.items():
            await self._sender.make_ready(self._sender.topic(name), schema)

    def put(self, envelope: Envelope) -> None:
        """Take one envelope; it is sent after the linger time."""
        topic = self._topics.get(envelope.topic)
        if topic is None:
            topic = self._sender.topic(envelope.topic)
        topic.fresh.append(envelope)
        self._sender.touched[topic] = None
        self._queued += 1
        self._bytes += len(envelope.value) + ENVELOPE_BYTES
        if not self._sender.alarm:
            self._sender.wake_later()

    def put_all(self, envelopes: Sequence[Envelope]) -> None:
        """Take some envelopes, in order."""
        name, size = measured(envelopes)
        sender = self._sender
        if name is not None:
            topic = self._topics.get(name) or sender.topic(name)
            topic.fresh += envelopes
            sender.touched[topic] = None
        else:
            for envelope in envelopes:
                topic = sender.topic(envelope[0])
                topic.fresh.append(envelope)
                sender.touched[topic] = None
        self._queued += len(envelopes)
        self._bytes += size + ENVELOPE_BYTES * len(envelopes)
        if envelopes and not sender.alarm:
            sender.wake_later()

    @property
    def crowded(self) -> bool:
        """Whether more waits than the bound, or a bug has ended the sender (``drain`` raises it)."""
        return self._bytes > self._bound or self._sender.dead

    async def drain(self) -> None:
        """Wait until half of the bound is free, however long the cluster is away."""
        await self._until(lambda: self._bytes <= self._bound // 2)

    async def flush(self, within: float) -> int:
        """Wait for all acknowledgements, at most ``within`` seconds."""
        self._sender.wake()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._until(lambda: not self._queued)
        return self._queued

    def unsettled(self) -> Iterator[Envelope]:
        """What is not acknowledged, in order per topic and key."""
        for topic in self._topics.values():
            yield from topic.unsettled()

    def withdraw(self, topic: str) -> list[Envelope]:
        """Remove and return what waits for ``topic``, except the first of each partition queue."""
        known = self._topics.get(topic)
        given = known.withdraw() if known is not None else []
        self._forget(given)
        return given

    async def close(self) -> None:
        """Disconnect; what is not acknowledged stays unsettled."""
        await self._sender.stop()
        if self._closing is not None:
            await asyncio.gather(self._closing, return_exceptions=True)
        await self._reader.close()
        self._log_handler.detach()

    def status(self) -> KafkaSinkStatus:
        """For the health page, as it is now."""
        oldest = self._sender.oldest
        return {
            "reachable": self._sender.connected and oldest < SLOW_AFTER,
            "queued": self._queued,
            "queued_bytes": self._bytes,
            "under_way": self._sender.under_way,
            "waiting": round(oldest, 1),
            "retries": self._sender.retries,
            "rebuilds": self._sender.rebuilds,
            "errors": self._sender.errors,
            "last_error": self._sender.last_error or self._log_handler.last,
            "trouble": {topic.name: topic.trouble for topic in self._topics.values() if topic.trouble},
            "bootstrap": self._settings.bootstrap,
            "registry": self._registry.url,
        }

    def _taken(self, batch: list[Envelope]) -> None:
        self._forget(batch)
        self._settle(batch)

    def _refused(self, envelope: Envelope, reason: str) -> None:
        self._forget([envelope])
        self._reject(envelope, reason)

    def _forget(self, batch: list[Envelope]) -> None:
        self._queued -= len(batch)
        self._bytes -= measured(batch)[1] + ENVELOPE_BYTES * len(batch)
        self._moved.set()

    async def _until(self, holds: Callable[[], bool]) -> None:
        self._sender.check()
        while not holds():
            self._moved.clear()
            await self._moved.wait()
            self._sender.check()


def measured(envelopes: Sequence[Envelope]) -> tuple[str | None, int]:
    """The topic that all have, where it is one and that is quickly seen, and the bytes of their values."""
    if native.measured is not None:
        found: tuple[str | None, int] = native.measured(envelopes if type(envelopes) is list else list(envelopes))
        return found
    return None, sum([len(envelope[2]) for envelope in envelopes])


async def registry_answers_by(registry: SchemaRegistry, end: float) -> None:
    """Asks the registry again and again until it answers. Unreachable where it does not by the loop's time ``end``."""
    now = asyncio.get_running_loop().time
    while True:
        try:
            return await in_thread(registry.check)
        except Unreachable:
            if now() + 0.5 > end:
                raise
            await asyncio.sleep(0.5)
        except SinkError as error:
            raise Unreachable(str(error)) from None


def registry_of(settings: KafkaSettings) -> SchemaRegistry:
    """The registry that the settings name. SettingsError where a file for TLS cannot be used."""
    secure = any(url.startswith("https:") for url in settings.registry_urls)
    authorities, certificate, key = settings.registry_files
    context = client_context(authorities, True, certificate, key) if secure else None
    credentials = None
    if settings.registry_username and settings.registry_password:
        credentials = (settings.registry_username, settings.registry_password)
    return SchemaRegistry(settings.registry_url, settings.open_timeout, credentials, context, settings.register)
