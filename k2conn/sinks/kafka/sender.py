"""The sender: one task that sends the next batch of every partition, and replaces the producer when it breaks.

Theory of operation. A round moves new envelopes to their partition queues and sends the next batch of
every queue that has none in flight. When the linger is over that is done at once, where nothing has to be waited for;
else the task does it. A failure puts the batch back in front of its queue and *breaks* the
producer: no further batch departs until a new one is connected, with a bounded exponential backoff, for ever.
A queue has one batch in flight, so the order per key holds through all of this; what was in flight when a
producer broke may arrive twice, which readers see by ``message_id``.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from functools import partial

from k2conn.avro import RecordSchema
from k2conn.ending_tasks import end_tasks
from k2conn.envelope import Envelope
from k2conn.errors import SinkError, Unreachable
from k2conn.net.http import in_thread
from k2conn.records import earlier_schemas
from k2conn.sinks.kafka.diagnosis import Cause, advertised_trouble, likely_cause
from k2conn.sinks.kafka.framing import head
from k2conn.sinks.kafka.partition_queues import PartitionQueue, Topic
from k2conn.sinks.kafka.producer import RECORD_OVERHEAD, Failure, Producer, Sent, failure_of
from k2conn.sinks.kafka.registry import SchemaRegistry
from k2conn.sinks.kafka.settings import KafkaSettings

WATCH_EVERY = 1.0
"""Seconds between two looks at the batches under way."""

GRACE = 1.0
"""Seconds that a broken producer's other batches have to come in."""

BACKOFF_CAP = 10.0
"""The longest wait between two attempts, in seconds."""

PATIENCE = 0.5
"""Seconds after which it is asked why the cluster does not answer."""

HOPELESS = 2.5
"""Seconds of the open timeout after which a cluster is given up of which nobody is there."""

CHUNK = 500
"""Records packed before the loop gets a turn: about two milliseconds."""

log = logging.getLogger("k2conn.sinks.kafka")


class Sender:
    """What is on its way to Kafka.

    ``taken`` is told each batch that was acknowledged, ``refused`` each envelope that never will be, and why.
    ``topics`` is what was put; ``alarm`` is true while a round is due, so that ``put`` need not ask for one.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        registry: SchemaRegistry,
        taken: Callable[[list[Envelope]], None],
        refused: Callable[[Envelope, str], None],
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._taken = taken
        self._refused = refused
        self._linger = settings.linger_ms / 1000
        self._largest = settings.max_request_bytes - RECORD_OVERHEAD
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._idle = False
        """Whether the task waits for a round to be due."""
        self._producer: Producer | None = None
        self._left: Producer | None = None
        """A broken producer that is not abandoned yet."""
        self._task: asyncio.Task[None] | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self._broken: str | None = None
        self._attempts = 0
        self._bug: Exception | None = None
        self.topics: dict[str, Topic] = {}
        self.touched: dict[Topic, None] = {}
        """Topics that something was put into, or left in, since the last quick round: the others need not be asked."""
        self.alarm = False
        self.retries = 0
        self.rebuilds = 0
        self.errors = 0
        self.last_error: str | None = None

    async def connect(self, end: float) -> None:
        """Reach the cluster by the loop's time ``end``, trying again until then, or raise Unreachable."""
        self._loop = asyncio.get_running_loop()
        given_up = self._now() + HOPELESS
        connecting = asyncio.ensure_future(self._connected_by(end))
        try:
            await asyncio.wait({connecting}, timeout=PATIENCE)
            cause = Cause("") if connecting.done() else await likely_cause(self._settings)
            if cause.text:
                log.warning("kafka %s cannot be reached yet: %s", self._settings.bootstrap, cause.text)
            if cause.hopeless:
                await asyncio.wait({connecting}, timeout=max(0.0, given_up - self._now()))
                if not connecting.done():
                    raise Unreachable(f"kafka {self._settings.bootstrap}: {cause.text}")
            self._producer = await self._with_cause(connecting, cause)
        finally:
            await end_tasks(connecting)
        trouble = await advertised_trouble(self._settings, self._producer.brokers())
        if trouble:
            raise Unreachable(f"kafka {self._settings.bootstrap}: {trouble}")

    async def _with_cause(self, connecting: asyncio.Future[Producer], cause: Cause) -> Producer:
        try:
            return await connecting
        except Unreachable as error:
            found = cause if cause.text else await likely_cause(self._settings)
            raise Unreachable(f"kafka {self._settings.bootstrap}: {found.text}" if found.text else str(error)) from None

    def start(self, ended: Callable[[], None]) -> None:
        """Begin the rounds; ``ended`` is told when they end, which only a bug or ``stop`` does."""
        self._task = asyncio.create_task(self._run(), name="kafka-sender")
        self._task.add_done_callback(lambda _: ended())
        self._tick()

    def check(self) -> None:
        """Raise the bug that ended the rounds, if one did."""
        if self._task is not None and self._task.done():
            self._task.result()

    @property
    def dead(self) -> bool:
        """Whether a bug ended the rounds."""
        return self._task is not None and self._task.done()

    @property
    def connected(self) -> bool:
        """Whether there is a producer in good order."""
        return self._producer is not None and self._broken is None

    @property
    def under_way(self) -> int:
        """Envelopes sent and not yet acknowledged."""
        return sum(len(queue.under_way) for topic in self.topics.values() for queue in topic.queues)

    @property
    def oldest(self) -> float:
        """Age in seconds of the oldest batch under way; 0 where there is none."""
        now = self._now()
        queues = (queue for topic in self.topics.values() for queue in topic.queues if queue.under_way)
        return now - min((queue.sent_at for queue in queues), default=now)

    def topic(self, name: str) -> Topic:
        """The topic of that name, new if need be."""
        found = self.topics.get(name)
        if found is None:
            found = self.topics[name] = Topic(name)
        return found

    def wake(self) -> None:
        """Ask for a round now."""
        self._wake.set()

    def wake_later(self) -> None:
        """Ask for a round after the linger."""
        if self._loop is not None:
            self.alarm = True
            self._loop.call_later(self._linger, self._due)

    async def stop(self) -> None:
        """End the rounds and disconnect; what is not acknowledged is forgotten."""
        if self._ticking is not None:
            self._ticking.cancel()
        await end_tasks(self._task, *(topic.preparing for topic in self.topics.values()))
        self._task = None
        if self._left is not None:  # the rounds were ended while they left it
            left, self._left = self._left, None
            await left.abandon()
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await (producer.abandon() if self.under_way else producer.stop())

    # --- rounds

    async def _run(self) -> None:
        watched = self._now()
        while True:
            self._idle = True
            await self._wake.wait()
            self._idle = False
            self._wake.clear()
            self.alarm = False
            if self._now() - watched >= WATCH_EVERY:
                watched = self._now()
                self._watch()
            if self._bug is not None:
                raise self._bug
            if self._broken is not None:
                await self._rebuild()
            for topic in [topic for topic in self.topics.values() if topic.waits]:
                await self._depart(topic)
            self.touched = {topic: None for topic in self.topics.values() if topic.waits}

    def _due(self) -> None:
        """The linger is over."""
        producer = self._producer
        if not self._idle or self._wake.is_set() or producer is None or self._broken is not None:
            self._wake.set()
            return
        self.alarm = False
        try:
            if not self._quick_round(producer):
                self._wake.set()
        except Exception as bug:  # not foreseen, so it ends the rounds, and with them the process
            self._bug = bug
            self._wake.set()

    def _quick_round(self, producer: Producer) -> bool:
        """A round, as far as nothing has to be waited for; whether that was all of it."""
        now, whole = self._now(), True
        touched, self.touched = self.touched, {}  # who hears of a refusal may add some
        for topic in touched:
            if now < topic.not_before:
                self.touched[topic] = None
                continue
            if not self._knows_partitions(topic, producer):
                self.touched[topic] = None
                whole = False
                continue
            for envelope in topic.distribute(self._largest):
                self._refused(envelope, "record-too-large")
            whole = whole and not topic.fresh
            for queue in topic.queues:
                if whole and queue.waiting and not queue.under_way:
                    whole = self._send_now(producer, topic, queue, now)
            if topic.waits:
                self.touched[topic] = None
        producer.depart()
        return whole

    def _send_now(self, producer: Producer, topic: Topic, queue: PartitionQueue, now: float) -> bool:
        """Sends the next batch of a queue, where a connection is there; whether it was a small one."""
        connection = producer.connection(topic.name, queue.partition)
        if connection is None:
            return False
        batch, count = producer.pack(queue.offered(now), topic.heads)
        queue.depart(count, now)
        queue.sent = sent = producer.send_now(connection, topic.name, queue.partition, batch)
        sent.add_done_callback(partial(self._done, topic, queue))
        return count < CHUNK

    def _tick(self) -> None:
        """A round is due now and then, whatever happens; one timer for all is cheaper than a bound on each wait."""
        assert self._loop is not None
        self._wake.set()
        self._ticking = self._loop.call_later(WATCH_EVERY, self._tick)

    async def _depart(self, topic: Topic) -> None:
        producer = self._producer
        if producer is None or not topic.waits or self._now() < topic.not_before:
            return
        if not self._knows_partitions(topic, producer):
            self._prepare_later(topic)
            return
        for envelope in topic.distribute(self._largest):
            self._refused(envelope, "record-too-large")
        if topic.fresh:  # the first of them has a schema that is new here
            self._prepare_later(topic)
        for queue in topic.queues:
            if self._broken is not None:
                return
            if queue.waiting and not queue.under_way:
                await self._send(producer, topic, queue)

    async def _send(self, producer: Producer, topic: Topic, queue: PartitionQueue) -> None:
        now = self._now()
        batch, count = producer.pack(queue.offered(now), topic.heads)
        queue.depart(count, now)
        sent = await producer.send(topic.name, queue.partition, batch)
        if isinstance(sent, Failure):
            self._failed(topic, queue, sent)
            return
        queue.sent = sent
        sent.add_done_callback(partial(self._done, topic, queue))
        if count >= CHUNK:
            await asyncio.sleep(0)

    def _done(self, topic: Topic, queue: PartitionQueue, sent: Sent) -> None:
        failure = failure_of(sent)
        if queue.sent is not sent:
            return  # of a producer that was replaced; the batch is back in its queue
        if failure is not None:
            self._failed(topic, queue, failure)
            return
        self._attempts = topic.failures = 0
        topic.trouble = None
        batch = queue.arrived()
        self._taken(batch)
        if len(queue.waiting) >= CHUNK:
            self._wake.set()
        elif queue.waiting:
            self.touched[topic] = None
            if not self.alarm:
                self.wake_later()

    def _failed(self, topic: Topic, queue: PartitionQueue, failure: Failure) -> None:
        """The batch of ``queue`` was not taken: keep it, and leave this producer, whose sequence has a hole."""
        if self._producer is None:  # news of the producer that is being left
            queue.came_back()
            return
        self._note(f"{topic.name}/{queue.partition}: {failure.text}")
        self._broken = failure.text
        self.retries += 1
        if failure.refused:
            culprit = queue.refused(self._now())
            self._attempts = 0
            if culprit is not None:
                self._refused(culprit, "record-too-large" if failure.too_large else "refused-by-sink")
        else:
            queue.came_back()
        if failure.topic:
            self._delay(topic, failure.text)
            self._attempts = 0
        self._wake.set()

    async def _rebuild(self) -> None:
        """Leave the broken producer and connect a new one, for ever."""
        if self._producer is not None:
            self._left, self._producer = self._producer, None
            await self._settled_down()
            await self._left.abandon()
            self._left = None
        for topic in self.topics.values():
            for queue in topic.queues:
                self.retries += bool(queue.under_way)
                queue.came_back()
        while self._producer is None:
            await asyncio.sleep(backoff(self._attempts))
            self._attempts += 1
            self.rebuilds += 1
            producer = Producer(self._settings)
            try:
                await producer.connect(self._settings.open_timeout)
            except Unreachable as error:
                self._note(str(error))
                continue
            self._producer = producer
        self._broken = None
        log.info("kafka producer made anew (%d times)", self.rebuilds)

    async def _settled_down(self) -> None:
        """Give the other batches under way a moment for their news: what is left now is sent twice."""
        for _ in range(20):
            if not self.under_way:
                return
            await asyncio.sleep(GRACE / 20)

    # --- topics

    def _knows_partitions(self, topic: Topic, producer: Producer) -> bool:
        """Whether this producer knows the topic's partitions; a topic that has grown gets more queues."""
        partitions = producer.partitions(topic.name)
        if partitions is None or not topic.queues:
            return False
        if len(topic.queues) < partitions:
            topic.widen(partitions)
        return True

    def _prepare_later(self, topic: Topic) -> None:
        if topic.preparing is None:
            schema = topic.fresh[0].schema if topic.fresh else None
            topic.preparing = asyncio.create_task(self._prepared(topic, schema), name=f"kafka-{topic.name}")

    async def _prepared(self, topic: Topic, schema: RecordSchema | None) -> None:
        try:
            await self.make_ready(topic, schema)
        except (Unreachable, SinkError) as error:
            self._note(str(error))
            self._delay(topic, str(error))
        except Exception as bug:  # not foreseen, so it ends the rounds, and with them the process
            self._bug = bug
        finally:
            topic.preparing = None
            self.touched[topic] = None
            self.wake_later()

    async def make_ready(self, topic: Topic, schema: RecordSchema | None) -> None:
        """Register ``schema`` for ``topic``, find its partitions. Unreachable, or SinkError for a refusal."""
        if schema not in topic.heads:
            assert schema is not None
            topic.heads[schema] = await registered_head(self._registry, self._settings, topic.name, schema)
        producer = self._producer
        if producer is None:
            raise Unreachable(f"kafka {self._settings.bootstrap}: not connected")
        # Its trouble is over when a batch was taken: a topic that we may not write is found all the same.
        topic.widen(await producer.find(topic.name, self._settings.open_timeout))

    def _delay(self, topic: Topic, trouble: str) -> None:
        topic.trouble = trouble
        topic.not_before = self._now() + backoff(topic.failures)
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

    def _watch(self) -> None:
        limit = self._settings.delivery_timeout_ms / 1000
        if self._broken is None and self.oldest > limit:
            self._broken = f"no acknowledgement for {limit:.0f} s"
            self._note(self._broken)

    def _note(self, text: str) -> None:
        self.errors += 1
        if text != self.last_error:
            log.warning("kafka: %s", text)
        self.last_error = text

    def _now(self) -> float:
        return self._loop.time() if self._loop is not None else 0.0


async def registered_head(
    registry: SchemaRegistry, settings: KafkaSettings, topic: str, schema: RecordSchema
) -> bytes:
    """What goes before the records of a schema on a topic, once the registry knows it. Unreachable, or SinkError for a
    refusal.
    """
    subject = settings.subject.format(topic=topic, record=schema.full_name, decimals=schema.decimals.folder)
    before = [one.text for one in earlier_schemas(schema)]
    return head(await in_thread(partial(registry.register, subject, schema.text, settings.compatibility, before)))


def backoff(attempts: int) -> float:
    """Seconds before the next attempt: none at first, then 0.1 s doubling up to the cap, with jitter."""
    if not attempts:
        return 0.0
    return min(BACKOFF_CAP, 0.1 * 2.0 ** min(attempts, 10)) * random.uniform(0.5, 1.0)
