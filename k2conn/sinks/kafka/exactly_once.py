"""The Kafka sink for exactly-once delivery: what lies between two borders goes in one transaction, whole or not at all.

Theory of operation. Envelopes come in order, journal entries among them (`k2conn.sinks.journal`). A *group* is all that
came between two borders: some records, and behind them the state that speaks of exactly these and all before them.
Groups are committed in order, several in one transaction where they have piled up. As a border is the last entry of its
group, what the state topic says of the last committed border is what of all this is committed: an answer that was lost
is found there, and so is what of an earlier process's spool has gone out already.

*Who may write.* To open the sink makes a producer of the transactional id, which ends any other, and then commits this
process as the owner. A producer that the broker does not take any more (fenced) was either too slow, and its
transaction was ended for it: then we are still the owner, and go on with another producer. Or somebody else is the
owner now: then this process must end, for the records it holds are the other one's to send.

*What an earlier process left* in the spool comes first, in its own groups, with its own borders. Those that are
committed are left out, those behind them are sent; the rest behind the last border is left out, because no state speaks
of it: for the next process it was never read, so it is found missing, and fetched where the venue has history.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from k2conn import exactjson
from k2conn.avro import RecordSchema
from k2conn.clock import wall_ms
from k2conn.ending_tasks import end_tasks
from k2conn.envelope import Envelope
from k2conn.errors import SinkError, Superseded, Unreachable
from k2conn.sinks import SinkStatus
from k2conn.sinks.journal import (
    Border,
    JournalEntries,
    began_key,
    border_key,
    border_of,
    entry,
    owner_key,
    owner_of,
    owner_value,
)
from k2conn.sinks.kafka.client_log import ClientLogHandler
from k2conn.sinks.kafka.diagnosis import advertised_trouble, likely_cause
from k2conn.sinks.kafka.partition_queues import SlotTopic, Topic
from k2conn.sinks.kafka.producer import RECORD_OVERHEAD
from k2conn.sinks.kafka.rights import missing_right
from k2conn.sinks.kafka.sender import backoff, registered_head
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.kafka.sink import ENVELOPE_BYTES, SLOW_AFTER, measured, registry_answers_by, registry_of
from k2conn.sinks.kafka.state_reader import StateReader, read_journal
from k2conn.sinks.kafka.state_topic import make_sure, name_of
from k2conn.sinks.kafka.transactions import TransactionalProducer, TransactionError
from k2conn.sinks.settings import MiB, SinkSettings

NEW_OWNER = 1.0
"""Seconds that a new owner has to say so, once our producer is ended."""
TOGETHER = 16 * MiB
"""Bytes of groups that go in one transaction."""

log = logging.getLogger("k2conn.sinks.kafka")


class Fenced(Superseded):
    """Another process has the transactional id now."""


class ExactlyOnceSinkStatus(SinkStatus):
    """See `SinkStatus`."""

    queued_bytes: int
    transactional_id: str
    transactions: int
    """Committed by this process."""
    failed_transactions: int
    """Not committed, as far as was known then; what was in them went in later ones."""
    commit_seconds: float
    """How long the last one took, from its first batch on."""
    left_out: int
    """Records of an earlier process that were not sent: committed already, or of no state."""
    uncommitted_seconds: float
    """Seconds since the oldest group that is not committed was complete."""
    bootstrap: str
    registry: str | None


@dataclass(slots=True)
class _Group:
    """What lies between two borders. ``border`` is None where it has come to nothing: it is not to be sent."""

    envelopes: list[Envelope]
    border: Border | None
    since: float
    own: int = 0
    """How many of the envelopes are records, not entries of the journal's own."""
    size: int = 0
    """Bytes of memory that the envelopes take."""


@dataclass(slots=True)
class _Counts:
    transactions: int = 0
    failed: int = 0
    errors: int = 0
    left_out: int = 0
    commit_seconds: float = 0.0
    last_error: str | None = None
    queued: int = 0
    size: int = 0
    topics: dict[str, Topic] = field(default_factory=dict)


class ExactlyOnceSink:
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
        self._log_handler = ClientLogHandler()
        self._counts = _Counts()
        self._state_topic = name_of(self._settings)
        self._topics: dict[str, Topic] = {self._state_topic: SlotTopic(self._state_topic, self._settings.slot)}
        self._border_key = exactjson.encode(border_key(self._settings.unit))
        self._began_key = exactjson.encode(began_key(self._settings.unit))
        self._largest = self._settings.max_request_bytes - RECORD_OVERHEAD
        self._open: list[Envelope] = []
        """What came since the last border."""
        self._open_size = 0
        self._open_own = 0
        self._groups: list[_Group] = []
        """Those that are complete, the ones that are being committed first."""
        self._redirected: list[Envelope] | None = None
        """Where dead letters go of records that are refused while their transaction is made."""
        self._producer: TransactionalProducer | None = None
        self._left: TransactionalProducer | None = None
        """A producer that is not abandoned yet."""
        self._ahead: TransactionalProducer | None = None
        """One that is connected, and has ended no other yet."""
        self._reader = StateReader(self._settings)
        self._kept: JournalEntries | None = None
        """What the state topic holds, from when it was read at the start until something may have been committed."""
        self._closing: asyncio.Task[None] | None = None
        self._owned = False
        self._committed: Border | None = None
        """The last border that is committed."""
        self._attempts = 0
        self._task: asyncio.Task[None] | None = None
        self._complete = asyncio.Event()
        self._moved = asyncio.Event()

    # --- the contract

    async def open(self) -> None:
        """Reach cluster and registry within the open timeout, end other producers of the transactional id, and become
        the owner. Unreachable, or SinkError for a state topic of another shape.
        """
        self._log_handler.attach()
        try:
            end = self._now() + self._settings.open_timeout
            if not await self._went_ahead(end):
                await self._connect(end)
                await registry_answers_by(self._registry, end)
                if not self._settings.state_topic_made:
                    await make_sure(self._settings, self._settings.open_timeout)
            self._look_up(await self._read())
            while not await self._own(self._now() < end):
                await self._leave()
                await self._connect(end)
                self._look_up(await self._read())
        except BaseException:  # also a cancelled start must not leave a connection behind
            await self.close()
            raise
        self._task = asyncio.create_task(self._run(), name="kafka-transactions")
        self._task.add_done_callback(lambda _: self._moved.set())

    async def warm_up(self, topics: Mapping[str, RecordSchema | None]) -> None:
        """See `JournalSink.warm_up`."""
        producer = TransactionalProducer(self._settings)
        try:
            await producer.connect_ahead(self._settings.open_timeout)
            await self._reached(producer)
            await registry_answers_by(self._registry, self._now() + self._settings.open_timeout)
            for name, schema in {**topics, self._state_topic: None}.items():
                await self._ready(self._topic(name), schema, producer)
            await producer.connect_to_leaders(self._topics)
            await self._reader.entries()
            self._ahead = producer
        except (Unreachable, SinkError) as error:
            log.info("kafka: %s is not ready yet: %s", self._settings.unit, error)
        finally:
            if self._ahead is not producer:
                await producer.abandon()

    async def keep_warm(self) -> None:
        """See `JournalSink.keep_warm`."""
        with contextlib.suppress(Unreachable, SinkError):  # `open` reads it, too
            await self._reader.follow()

    async def _went_ahead(self, end: float) -> bool:
        """Whether all is ready, and the producer that was connected ahead has ended the others of its id."""
        producer, self._ahead = self._ahead, None
        if producer is None:
            return False
        try:
            await producer.connect(max(end - self._now(), 0.1))
        except Unreachable as error:
            log.info("kafka: %s is not ready any more: %s", self._settings.unit, error)
            return False
        self._producer = producer
        return True

    async def _connect(self, end: float) -> None:
        while True:
            producer = TransactionalProducer(self._settings)
            try:
                await producer.connect(max(end - self._now(), 0.1))
                break
            except Unreachable as error:
                self._say_right(error)
                if self._now() + 0.5 > end:
                    raise await self._explained(error) from None
                await asyncio.sleep(0.5)
        self._producer = producer
        await self._reached(producer)

    async def _reached(self, producer: TransactionalProducer) -> None:
        trouble = await advertised_trouble(self._settings, producer.brokers())
        if trouble:
            raise Unreachable(f"kafka {self._settings.bootstrap}: {trouble}")

    async def _explained(self, error: Unreachable) -> Unreachable:
        cause = (await likely_cause(self._settings)).text or self._log_handler.reason("")
        return Unreachable(f"kafka {self._settings.bootstrap}: {cause}") if cause else error

    def _say_right(self, error: BaseException) -> None:
        """Raises Unreachable by the name of the right that is missing, where that is why."""
        right = missing_right(error.__cause__ or error, self._state_topic, self._settings)
        if right:
            raise Unreachable(right) from None

    async def _own(self, again: bool) -> bool:
        """Commits that this process is the owner: also the proof that transactions are allowed here. False where the
        owner before, who has not read yet that it is none any more, came in between, and it may be tried ``again``.
        """
        unit, incarnation = self._settings.unit, self._settings.incarnation
        topic = SlotTopic(self._state_topic, self._settings.slot)
        producer = self._producer
        assert producer is not None
        topic.widen(await producer.find(topic.name, self._settings.open_timeout))
        queue = topic.queues[self._settings.slot]
        settings = self._settings
        queue.waiting.append(entry(settings.state_topic, owner_key(unit), owner_value(incarnation), wall_ms()))
        try:
            await producer.commit([topic], self._now(), self._settings.open_timeout)
        except TransactionError as error:
            self._say_right(error.cause or error)
            if error.fenced and again:
                return False
            raise Unreachable(f"kafka {self._settings.bootstrap} takes no transaction: {error}") from None
        self._owned = True
        return True

    async def prepare(self, topics: Mapping[str, RecordSchema | None]) -> None:
        """Register the schemas and find the topics. Unreachable, or SinkError where a schema is refused."""
        for name, schema in topics.items():
            await self._ready(self._topic(name), schema)

    async def read_journal(self) -> JournalEntries:
        """See `JournalSink.read_journal`."""
        try:
            return await self._read() if self._kept is None else self._kept
        finally:
            self._kept = None
            self._closing = asyncio.create_task(self._reader.close())

    async def _read(self) -> JournalEntries:
        self._kept = await self._reader.entries()
        return self._kept

    def put(self, envelope: Envelope) -> None:
        """Take one envelope; it is committed with all that comes until the next border."""
        if self._redirected is not None:
            self._redirected.append(envelope)
        else:
            size = len(envelope.value) + ENVELOPE_BYTES
            self._open.append(envelope)
            self._open_size += size
            self._open_own += envelope.topic != self._state_topic
        self._counts.queued += 1
        self._counts.size += len(envelope.value) + ENVELOPE_BYTES
        if envelope.topic == self._state_topic:
            self._look_for_border(envelope)

    def put_all(self, envelopes: Sequence[Envelope]) -> None:
        """Take some envelopes, in order; a border among them is the last one."""
        if not envelopes:
            return
        before, last = envelopes[:-1], envelopes[-1]
        topic, values = measured(before)
        size = values + ENVELOPE_BYTES * len(before)
        self._open += before
        self._open_size += size
        self._open_own += (
            sum([one.topic != self._state_topic for one in before]) if topic is None
            else len(before) if topic != self._state_topic else 0
        )
        self._counts.queued += len(before)
        self._counts.size += size
        self.put(last)

    @property
    def crowded(self) -> bool:
        """Whether more waits than the bound, or something has ended the work (``drain`` raises it). What only waits for
        its border is never too much: nobody may wait for room that only what they hold back would make.
        """
        return (self._counts.size > self._bound and bool(self._groups)) or self._dead

    async def drain(self) -> None:
        """Wait until half of the bound is free, however long the cluster is away."""
        await self._until(lambda: self._counts.size <= self._bound // 2 or not self._groups)

    async def flush(self, within: float) -> int:
        """Wait until all is committed that lies before a border, at most ``within`` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._until(lambda: not self._counts.queued)
        return self._counts.queued

    def unsettled(self) -> Iterator[Envelope]:
        """What is not committed, in order."""
        for group in self._groups:
            yield from group.envelopes
        yield from self._open

    def withdraw(self, topic: str) -> list[Envelope]:
        """Nothing: what belongs together is not taken apart for a topic in trouble, which holds up all others."""
        return []

    async def close(self) -> None:
        """Disconnect. A transaction that is open is left to the broker, or the next producer, to abort."""
        await end_tasks(self._task)
        self._task = None
        for producer in (self._left, self._producer, self._ahead):
            if producer is not None:
                await producer.abandon()
        self._left = self._producer = self._ahead = None
        if self._closing is not None:
            await asyncio.gather(self._closing, return_exceptions=True)
        await self._reader.close()
        self._log_handler.detach()

    def status(self) -> ExactlyOnceSinkStatus:
        """For the health page, as it is now."""
        counts = self._counts
        waiting = self._now() - self._groups[0].since if self._groups else 0.0
        return {
            "reachable": not self._dead and waiting < SLOW_AFTER + self._settings.commit_ms / 1000,
            "queued": counts.queued,
            "queued_bytes": counts.size,
            "transactional_id": self._settings.unit,
            "transactions": counts.transactions,
            "failed_transactions": counts.failed,
            "commit_seconds": round(counts.commit_seconds, 4),
            "left_out": counts.left_out,
            "uncommitted_seconds": round(waiting, 1),
            "errors": counts.errors,
            "last_error": counts.last_error or self._log_handler.last,
            "bootstrap": self._settings.bootstrap,
            "registry": self._registry.url,
        }

    # --- groups

    def _look_for_border(self, envelope: Envelope) -> None:
        """Whether an entry of the journal ends a group."""
        if envelope.key == self._border_key:
            self._close(border_of(exactjson.decode(envelope.value)))
        elif envelope.key == self._began_key:
            self._close(None)

    def _close(self, border: Border | None) -> None:
        empty = len(self._open) == 1  # a border behind nothing
        border = None if empty else border
        self._groups.append(_Group(self._open, border, self._now(), self._open_own, self._open_size))
        self._open, self._open_size, self._open_own = [], 0, 0
        self._complete.set()

    async def _run(self) -> None:
        while True:
            await self._complete.wait()
            self._complete.clear()
            while self._groups:
                await self._commit(self._first())

    def _first(self) -> list[_Group]:
        """The groups that go in the next transaction, or come to nothing."""
        taken: list[_Group] = []
        size = 0
        for group in self._groups:
            if taken and (size > TOGETHER or self._to_send(group) != self._to_send(taken[0])):
                break
            taken.append(group)
            size += group.size
        return taken

    def _to_send(self, group: _Group) -> bool:
        """Whether a group is to be sent: of this process, or of the one whose last border is the committed one."""
        border = group.border
        if border is None or border.reached(self._committed):
            return False
        if border.incarnation == self._settings.incarnation:
            return True
        return self._committed is None or border.incarnation == self._committed.incarnation

    async def _commit(self, groups: list[_Group]) -> None:
        """Sees to it that groups are committed, for as long as that takes."""
        left = groups
        while left := [group for group in left if self._to_send(group)]:
            try:
                producer = await self._connected()
                if not all(map(self._to_send, left)):  # what was in doubt has been looked up
                    continue
                self._kept = None
                waiting = await self._distributed(left)
                began = self._now()
                await producer.commit(waiting, began, self._settings.delivery_timeout_ms / 1000)
            except TransactionError as error:
                await self._failed(error, left)
                continue
            except (Unreachable, SinkError) as error:
                if isinstance(error, Fenced):
                    raise
                self._note(str(error))
                await self._pause()
                continue
            self._counts.commit_seconds = self._now() - began
            self._counts.transactions += 1
            self._committed = left[-1].border
            self._attempts = 0
            break
        else:
            self._leave_out(groups)
        del self._groups[: len(groups)]
        for group in groups:
            self._forget(len(group.envelopes), group.size)
            for part in self._parts(group.envelopes):
                self._settle(part)

    def _leave_out(self, groups: list[_Group]) -> None:
        records = sum(group.own for group in groups if group.border is None or not self._ours(group.border))
        if records:
            self._counts.left_out += records
            log.warning("kafka: %d records of an earlier process are left out: they are committed already, or no state "
                        "speaks of them", records)

    def _ours(self, border: Border) -> bool:
        return border.incarnation == self._settings.incarnation

    def _parts(self, envelopes: list[Envelope]) -> Iterator[list[Envelope]]:
        """The records of a group, and behind them its entries of the journal: what is all alike is settled quickly."""
        at = len(envelopes)
        while at and envelopes[at - 1].topic == self._state_topic:
            at -= 1
        if at:
            yield envelopes[:at]
        if at < len(envelopes):
            yield envelopes[at:]

    def _forget(self, count: int, size: int) -> None:
        self._counts.queued -= count
        self._counts.size -= size
        self._moved.set()

    # --- one transaction

    async def _distributed(self, groups: list[_Group]) -> list[Topic]:
        """The topics with what is to be sent in their queues."""
        for topic in self._topics.values():
            topic.fresh.clear()
            for queue in topic.queues:
                queue.waiting.clear()
        for group in groups:
            self._assorted(group.envelopes)
        found: list[Topic] = []
        while used := [topic for topic in self._topics.values() if topic.fresh]:
            found += [topic for topic in used if topic not in found]
            for topic in used:
                await self._ready(topic, topic.fresh[0].schema)
                for envelope in topic.distribute(self._largest):
                    self._refuse(envelope, "record-too-large", groups)
        return found

    def _assorted(self, envelopes: Sequence[Envelope]) -> None:
        """Each is the next of its topic."""
        appends: dict[str, Callable[[Envelope], None]] = {}
        for envelope in envelopes:
            append = appends.get(envelope[0])
            if append is None:
                append = appends[envelope[0]] = self._topic(envelope[0]).fresh.append
            append(envelope)

    async def _ready(
        self, topic: Topic, schema: RecordSchema | None, producer: TransactionalProducer | None = None
    ) -> None:
        """Sees that a topic's partitions and the framing of a schema are known. Unreachable, or SinkError."""
        if schema not in topic.heads:
            assert schema is not None
            topic.heads[schema] = await registered_head(self._registry, self._settings, topic.name, schema)
        producer = producer or self._producer
        if producer is None:
            raise Unreachable(f"kafka {self._settings.bootstrap}: not connected")
        known = producer.partitions(topic.name)
        topic.widen(known or await producer.find(topic.name, self._settings.open_timeout))

    def _topic(self, name: str) -> Topic:
        found = self._topics.get(name)
        if found is None:
            found = self._topics[name] = Topic(name)
        return found

    def _refuse(self, envelope: Envelope, reason: str, groups: list[_Group]) -> None:
        """A record that never will be taken: its dead letter goes in the same transaction in its place."""
        group = next(one for one in groups if any(each is envelope for each in one.envelopes))
        group.envelopes = [one for one in group.envelopes if one is not envelope]
        size = len(envelope.value) + ENVELOPE_BYTES
        group.size -= size
        self._forget(1, size)
        instead: list[Envelope] = []
        self._redirected = instead
        try:
            self._reject(envelope, reason)
        finally:
            self._redirected = None
        group.envelopes[-1:-1] = instead  # the border stays the last
        group.size += sum([len(one.value) + ENVELOPE_BYTES for one in instead])
        for one in instead:
            self._topic(one.topic).fresh.append(one)

    async def _failed(self, error: TransactionError, groups: list[_Group]) -> None:
        """A transaction was not committed: its producer is left."""
        self._counts.failed += 1
        self._note(str(error))
        batch = error.batch
        if batch is not None and batch.failure.refused:
            reason = "record-too-large" if batch.failure.too_large else "refused-by-sink"
            if batch.size == 1:
                self._refuse(batch.queue.waiting[batch.first], reason, groups)
                batch.queue.limit = None
            else:
                batch.queue.narrow(batch.size // 2, self._now())
        await self._leave()
        if error.fenced:  # a new owner says that it is one a moment after it has ended our producer, which we would end
            await self._check_owner()
            await asyncio.sleep(NEW_OWNER)
            await self._check_owner()
        elif batch is None or not batch.failure.refused:
            await self._pause()

    async def _connected(self) -> TransactionalProducer:
        """The producer, a new one where the last one was left; then what is committed is looked up."""
        if self._producer is None:
            await self._abandon_left()  # one whose look-up failed
            producer = TransactionalProducer(self._settings)
            await producer.connect(self._settings.open_timeout)
            self._left = producer
            await self._check_owner()
            self._left, self._producer = None, producer
            log.info("kafka: a new producer of transactions, after %d failed ones", self._counts.failed)
        return self._producer

    async def _leave(self) -> None:
        self._left, self._producer = self._producer, None
        await self._abandon_left()

    async def _abandon_left(self) -> None:
        if self._left is not None:
            await self._left.abandon()
            self._left = None

    async def _check_owner(self) -> None:
        """Looks up what is committed; Fenced where this process is not the owner any more."""
        owner = self._look_up(await read_journal(self._settings))
        if self._owned and owner != self._settings.incarnation:
            raise Fenced(
                f"another process has taken over the transactional id {self._settings.unit}: this one must end. Where "
                "both are meant to run, give each a K2_KAFKA_TRANSACTIONAL_ID of its own"
            )

    def _look_up(self, entries: JournalEntries) -> str:
        """What is committed, from the state topic; who is the owner, "" where nobody ever was."""
        owner = ""
        try:
            for key, value in entries:
                if key == border_key(self._settings.unit):
                    self._committed = border_of(value)
                elif key == owner_key(self._settings.unit):
                    owner = owner_of(value)
        except ValueError as error:
            raise SinkError(f"kafka topic {self._state_topic}: {error}") from None
        return owner

    # --- small things

    async def _pause(self) -> None:
        self._attempts += 1
        await asyncio.sleep(backoff(self._attempts))

    def _note(self, text: str) -> None:
        self._counts.errors += 1
        if text != self._counts.last_error:
            log.warning("kafka: %s", text)
        self._counts.last_error = text

    @property
    def _dead(self) -> bool:
        return self._task is not None and self._task.done()

    async def _until(self, holds: Callable[[], bool]) -> None:
        self._check()
        while not holds():
            self._moved.clear()
            await self._moved.wait()
            self._check()

    def _check(self) -> None:
        """Raises what has ended the work."""
        if self._task is not None and self._task.done():
            self._task.result()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
