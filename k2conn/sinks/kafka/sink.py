"""The Kafka sink: envelopes in, acknowledged batches out, nothing lost in between.

Theory of operation. ``put`` appends to its topic and wakes the one sender task after the linger. A round of
the sender moves what is fresh to its lanes (one a partition) and gives every lane that has nothing under way
its next batch. An acknowledgement settles the batch; a failure puts it back in front of its lane and *breaks*
the producer: no further batch departs until a new producer is connected, with a bounded exponential backoff,
for ever. A lane has one batch under way, so the order per key holds through all of this; what was under way
when a producer broke may arrive twice, which readers see by ``message_id``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from k2conn.avro import RecordSchema
from k2conn.envelope import Envelope
from k2conn.errors import SinkError, Unreachable
from k2conn.sinks.kafka.framing import head
from k2conn.sinks.kafka.lanes import Lane, Topic
from k2conn.sinks.kafka.log import Ear
from k2conn.sinks.kafka.producer import RECORD_OVERHEAD, Failure, Producer, failure_of
from k2conn.sinks.kafka.registry import SchemaRegistry
from k2conn.sinks.kafka.tls import client_context
from k2conn.sinks.settings import KafkaSettings, SinkSettings

ENVELOPE_BYTES = 250
"""What an envelope costs in memory beside its value, for the buffer's bound."""

WATCH_EVERY = 1.0
"""Seconds between two looks at the batches under way."""

SLOW_AFTER = 5.0
"""Seconds without an acknowledgement after which the cluster counts as unreachable in the status."""

BACKOFF_CAP = 10.0
CHUNK = 500
"""Records packed before the loop gets a turn: about two milliseconds."""

log = logging.getLogger("k2conn.sinks.kafka")


class KafkaSink:
    """See the module's text, and ``Sink`` for the contract."""

    name = "kafka"

    def __init__(
        self,
        settings: SinkSettings,
        settle: Callable[[Sequence[Envelope]], None],
        reject: Callable[[Envelope, str], None],
    ) -> None:
        self._settings: KafkaSettings = settings.kafka
        self._linger = settings.kafka.linger_ms / 1000
        self._bound = settings.buffer_bytes
        self._largest = settings.kafka.max_request_bytes - RECORD_OVERHEAD
        self._settle = settle
        self._reject = reject
        self._registry = _registry(settings.kafka)
        self._ear = Ear()
        self._topics: dict[str, Topic] = {}
        self._queued = 0
        self._bytes = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        self._alarm = False
        self._producer: Producer | None = None
        self._sender: asyncio.Task[None] | None = None
        self._broken: str | None = None
        self._attempts = 0
        self._rebuilds = 0
        self._errors = 0
        self._last_error: str | None = None

    # --- the contract

    async def open(self) -> None:
        """Reach the cluster and the registry within the open timeout, or raise Unreachable."""
        self._loop = asyncio.get_running_loop()
        self._ear.attach()
        try:
            end = self._loop.time() + self._settings.open_timeout
            self._producer = await self._connected_by(end)
            await self._registry_answers_by(end)
        except BaseException:  # also a cancelled start must not leave a connection behind
            await self.close()
            raise
        self._sender = asyncio.create_task(self._run(), name="kafka-sender")
        self._sender.add_done_callback(lambda _: self._moved.set())
        self._wake.set()

    async def prepare(self, topics: Mapping[str, RecordSchema | None]) -> None:
        """Register the schemas and find the topics. Raises Unreachable, or SinkError where a schema is
        refused.
        """
        for name, schema in topics.items():
            await self._make_ready(self._topic(name), schema)

    def put(self, envelope: Envelope) -> None:
        """Take one envelope; it departs after the linger."""
        topic = self._topics.get(envelope.topic)
        if topic is None:
            topic = self._topic(envelope.topic)
        topic.fresh.append(envelope)
        self._queued += 1
        self._bytes += len(envelope.value) + ENVELOPE_BYTES
        if not self._alarm:
            self._ring_later()

    @property
    def crowded(self) -> bool:
        """Whether more waits than the bound, or a bug has ended the sender (``drain`` raises it)."""
        return self._bytes > self._bound or (self._sender is not None and self._sender.done())

    async def drain(self) -> None:
        """Wait until half of the bound is free, however long the cluster is away."""
        await self._until(lambda: self._bytes <= self._bound // 2)

    async def flush(self, within: float) -> int:
        """Wait for all acknowledgements, at most ``within`` seconds."""
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._until(lambda: not self._queued), within)
        return self._queued

    async def close(self) -> None:
        """Disconnect; what is not acknowledged stays unsettled."""
        tasks = [self._sender, *(topic.preparing for topic in self._topics.values())]
        for task in filter(None, tasks):
            task.cancel()
        await asyncio.gather(*filter(None, tasks), return_exceptions=True)
        self._sender = None
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await (producer.abandon() if self._under_way() else producer.stop())
        self._ear.detach()

    def status(self) -> dict[str, object]:
        """For the health page; ``waiting`` is the age in seconds of the oldest batch under way."""
        oldest = self._oldest()
        return {
            "reachable": self._producer is not None and self._broken is None and oldest < SLOW_AFTER,
            "queued": self._queued,
            "queued_bytes": self._bytes,
            "under_way": self._under_way(),
            "waiting": round(oldest, 1),
            "rebuilds": self._rebuilds,
            "errors": self._errors,
            "last_error": self._last_error or self._ear.last,
            "trouble": {topic.name: topic.trouble for topic in self._topics.values() if topic.trouble},
            "bootstrap": self._settings.bootstrap,
            "registry": self._settings.registry_url,
        }

    # --- the sender

    async def _run(self) -> None:
        watched = self._now()
        while True:
            await self._woken()
            self._wake.clear()
            self._alarm = False
            if self._now() - watched >= WATCH_EVERY:
                watched = self._now()
                self._watch()
            if self._broken is not None:
                await self._rebuild()
            for topic in list(self._topics.values()):
                await self._depart(topic)

    async def _woken(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), WATCH_EVERY)

    async def _depart(self, topic: Topic) -> None:
        producer = self._producer
        if producer is None or not topic.waits or self._now() < topic.not_before:
            return
        if not self._has_lanes(topic, producer):
            self._prepare_later(topic)
            return
        for envelope in topic.distribute(self._largest):
            self._refuse(envelope, "record-too-large")
        if topic.fresh:  # the first of them has a schema that is new here
            self._prepare_later(topic)
        for lane in topic.lanes:
            if self._broken is not None:
                return
            if lane.waiting and not lane.under_way:
                await self._send(producer, topic, lane)

    async def _send(self, producer: Producer, topic: Topic, lane: Lane) -> None:
        now = self._now()
        batch, count = producer.pack(lane.offered(now), topic.heads)
        lane.depart(count, now)
        sent = await producer.send(topic.name, lane.partition, batch)
        if isinstance(sent, Failure):
            self._failed(topic, lane, sent)
            return
        lane.future = sent
        sent.add_done_callback(partial(self._done, topic, lane))
        if count >= CHUNK:
            await asyncio.sleep(0)

    def _done(self, topic: Topic, lane: Lane, future: asyncio.Future[Any]) -> None:
        failure = failure_of(future)
        if lane.future is not future:
            return  # of a producer that was left; the batch is back in its lane
        if failure is not None:
            self._failed(topic, lane, failure)
            return
        self._attempts = topic.failures = 0
        topic.trouble = None
        batch = lane.arrived()
        self._forget(batch)
        self._settle(batch)
        if len(lane.waiting) >= CHUNK:
            self._wake.set()
        elif lane.waiting and not self._alarm:
            self._ring_later()

    def _failed(self, topic: Topic, lane: Lane, failure: Failure) -> None:
        """The batch of ``lane`` was not taken: keep it, and leave this producer (its sequences have a
        hole).
        """
        if self._producer is None:  # news of the producer that is being left
            lane.came_back()
            return
        self._note(f"{topic.name}/{lane.partition}: {failure.text}")
        self._broken = failure.text
        if failure.refused:
            culprit = lane.refused(self._now())
            self._attempts = 0
            if culprit is not None:
                self._refuse(culprit, "record-too-large" if failure.too_large else "refused-by-sink")
        else:
            lane.came_back()
        if failure.topic:
            self._delay(topic, failure.text)
            self._attempts = 0
        self._wake.set()

    async def _rebuild(self) -> None:
        """Leave the broken producer and connect a new one, for ever."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await asyncio.sleep(0)  # the other batches' news of the same moment
            await producer.abandon()
        for topic in self._topics.values():
            for lane in topic.lanes:
                lane.came_back()
        while self._producer is None:
            await asyncio.sleep(_backoff(self._attempts))
            self._attempts += 1
            self._rebuilds += 1
            producer = Producer(self._settings)
            try:
                await producer.connect(self._settings.open_timeout)
            except Unreachable as error:
                self._note(str(error))
                continue
            self._producer = producer
        self._broken = None
        log.info("kafka producer made anew (%d times)", self._rebuilds)

    # --- topics

    def _has_lanes(self, topic: Topic, producer: Producer) -> bool:
        """Whether this producer knows the topic's partitions; a topic that has grown gets more lanes."""
        partitions = producer.partitions(topic.name)
        if partitions is None or not topic.lanes:
            return False
        if len(topic.lanes) < partitions:
            topic.widen(partitions)
        return True

    def _prepare_later(self, topic: Topic) -> None:
        if topic.preparing is None:
            schema = topic.fresh[0].schema if topic.fresh else None
            topic.preparing = asyncio.create_task(self._prepared(topic, schema), name=f"kafka-{topic.name}")

    async def _prepared(self, topic: Topic, schema: RecordSchema | None) -> None:
        try:
            await self._make_ready(topic, schema)
        except (Unreachable, SinkError) as error:
            self._note(str(error))
            self._delay(topic, str(error))
        finally:
            topic.preparing = None
            self._ring_later()

    async def _make_ready(self, topic: Topic, schema: RecordSchema | None) -> None:
        if schema not in topic.heads:
            assert schema is not None
            subject = self._settings.subject.format(topic=topic.name, record=schema.full_name)
            number = await asyncio.to_thread(
                self._registry.register, subject, schema.text, self._settings.compatibility
            )
            topic.heads[schema] = head(number)
        producer = self._producer
        if producer is None:
            raise Unreachable(f"kafka {self._settings.bootstrap}: not connected")
        topic.widen(await producer.find(topic.name, self._settings.open_timeout))
        topic.trouble, topic.failures = None, 0

    def _topic(self, name: str) -> Topic:
        return self._topics.setdefault(name, Topic(name))

    def _delay(self, topic: Topic, trouble: str) -> None:
        topic.trouble = trouble
        topic.not_before = self._now() + _backoff(topic.failures)
        topic.failures += 1

    # --- small things

    async def _connected_by(self, end: float) -> Producer:
        while True:
            producer = Producer(self._settings)
            try:
                await producer.connect(max(end - self._now(), 0.1))
                return producer
            except Unreachable:
                if self._now() + 0.5 > end:
                    raise
                await asyncio.sleep(0.5)

    async def _registry_answers_by(self, end: float) -> None:
        while True:
            try:
                return await asyncio.to_thread(self._registry.check)
            except Unreachable:
                if self._now() + 0.5 > end:
                    raise
                await asyncio.sleep(0.5)
            except SinkError as error:
                raise Unreachable(str(error)) from None

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            if self._sender is not None and self._sender.done():
                self._sender.result()  # raises the bug that ended it
            self._moved.clear()
            await self._moved.wait()

    def _refuse(self, envelope: Envelope, reason: str) -> None:
        self._forget([envelope])
        self._reject(envelope, reason)

    def _forget(self, batch: Sequence[Envelope]) -> None:
        self._queued -= len(batch)
        self._bytes -= sum([len(envelope.value) for envelope in batch]) + ENVELOPE_BYTES * len(batch)
        self._moved.set()

    def _watch(self) -> None:
        limit = self._settings.delivery_timeout_ms / 1000
        if self._broken is None and self._oldest() > limit:
            self._broken = f"no acknowledgement for {limit:.0f} s"
            self._note(self._broken)

    def _note(self, text: str) -> None:
        self._errors += 1
        if text != self._last_error:
            log.warning("kafka: %s", text)
        self._last_error = text

    def _ring_later(self) -> None:
        if self._loop is not None:
            self._alarm = True
            self._loop.call_later(self._linger, self._wake.set)

    def _under_way(self) -> int:
        return sum(len(lane.under_way) for topic in self._topics.values() for lane in topic.lanes)

    def _oldest(self) -> float:
        """Age in seconds of the oldest batch under way; 0 where there is none."""
        lanes = (lane for topic in self._topics.values() for lane in topic.lanes if lane.under_way)
        return self._now() - min((lane.sent_at for lane in lanes), default=self._now())

    def _now(self) -> float:
        return self._loop.time() if self._loop is not None else 0.0


def _registry(settings: KafkaSettings) -> SchemaRegistry:
    secure = settings.registry_url.startswith("https")
    context = client_context(settings.ca_file, None, None) if secure else None
    credentials = None
    if settings.registry_username and settings.registry_password:
        credentials = (settings.registry_username, settings.registry_password)
    return SchemaRegistry(settings.registry_url, settings.open_timeout, credentials, context)


def _backoff(attempts: int) -> float:
    """Seconds before the next attempt: none at first, then 0.1 s doubling up to the cap, with jitter."""
    if not attempts:
        return 0.0
    return min(BACKOFF_CAP, 0.1 * 2.0 ** min(attempts, 10)) * random.uniform(0.5, 1.0)
