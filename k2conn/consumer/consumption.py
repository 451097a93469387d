"""Consumption: topics into a sink, for months.

Order: the records of a partition go to the sink in the order of their offsets, and wait together where a schema is not
known yet. Offsets are committed when the sink has confirmed all before them, so that whatever ends the process, what is
not durable is read again. A message that is no record becomes a dead letter and is confirmed as one; nothing stops a
partition for good.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from k2conn.clock import monotonic, wall_ms
from k2conn.consumer.accounts import TopicAccounts
from k2conn.consumer.decoding import Decoded, decoded
from k2conn.consumer.letters import letter
from k2conn.consumer.member import GroupMember
from k2conn.consumer.progress import PartitionProgress, RecordAccount
from k2conn.consumer.settings import DEAD_SUFFIX, ConsumerSettings
from k2conn.consumer.stage import Place, Stage, StepAccount, sorted_for
from k2conn.consumer.status import ConsumptionReport, PartitionStatus, SourceStatus, TopicStatus
from k2conn.consumer.writer_schemas import UnusableSchema, WriterSchemas
from k2conn.engine.accounting.rolling_errors import ErrorKind
from k2conn.envelope import Envelope
from k2conn.errors import K2Error, RecordError, SinkError, Unreachable
from k2conn.net.http import in_thread
from k2conn.runner.error_count import ErrorCount, Figures
from k2conn.runner.stopping import unless_stopped
from k2conn.sinks import Reject, Settle, Sink, SinkStatus, database, make_sink, putter, refuse_borders
from k2conn.sinks.kafka.sink import registry_of
from k2conn.sinks.positions import SourcePartition, StoresPositions
from k2conn.sinks.settings import SinkSettings

MOST = 2000
"""Messages of one poll."""
POLL_WITHIN = 0.2
PAUSED_WITHIN = 0.05
"""Seconds to wait for messages; the second while some partition is paused."""
PATIENCE = 0.5
"""Seconds that a crowded sink is waited for before reading pauses, which throws away what was fetched ahead."""
FLUSH_WITHIN = 10.0
"""Seconds that the sink has to confirm what it holds, when the process ends or a partition goes to another."""
AGAIN, LONGEST_PAUSE = 0.2, 5.0
ENDS_EVERY = 5.0
"""Seconds between two looks where the partitions end."""

Result = TypeVar("Result")

log = logging.getLogger("k2conn.consumer")


@dataclass(frozen=True, slots=True)
class ConsumptionOutcome:
    """How it ended. ``unsent``: records that were read and are not durable: they are read again."""

    unsent: int
    lost: int
    seconds: float

    @property
    def exit_code(self) -> int:
        """1 where something is unsent or lost."""
        return 1 if self.unsent or self.lost else 0


class Consumption:
    """Runs until told to stop."""

    def __init__(
        self, settings: ConsumerSettings, sink_settings: SinkSettings, *, max_records: int | None = None,
        open_sink: Callable[[SinkSettings, Settle, Reject], Sink] = make_sink, stage: Stage | None = None,
    ) -> None:
        """``stage``: what makes something else of the records; None: they are handed on as they are."""
        refuse_borders(sink_settings)
        self.settings = settings
        self.stage = stage
        self.sink = open_sink(sink_settings, self._settle, self._reject)
        self.accounts = TopicAccounts()
        self.started = monotonic()
        self.opened = asyncio.Event()
        self._put = putter(self.sink)
        self._left = max_records
        self._registry = registry_of(settings.kafka)
        self._schemas = WriterSchemas(self._registry)
        self._member = GroupMember(settings, self._assigned, self._revoked, notes=stage is not None)
        self._progress: dict[SourcePartition, PartitionProgress] = {}
        self._asking: dict[bytes, asyncio.Task[None]] = {}
        self._waits: dict[bytes, str] = {}
        """Why schemas are waited for that were asked for in vain."""
        self._prepared: set[str] = set()
        """Topics of the stage's that the sink is ready for."""
        self._relief: asyncio.Task[None] | None = None
        self._paused = False
        """Whether the sink has been crowded for so long that reading pauses."""
        self._errors = 0
        self.errors = ErrorCount(self._error_figures)
        self.database = database(sink_settings)
        """Whether the sink is one."""
        self._last_error: str | None = None

    async def run(self, stop: asyncio.Event) -> ConsumptionOutcome:
        """Until ``stop`` is set, or the record limit is reached. Unreachable or SinkError where it cannot begin, or the
        sink can never go on.
        """
        if not await unless_stopped(self._open(), stop):
            return ConsumptionOutcome(0, 0, monotonic() - self.started)
        self.started = monotonic()
        self.opened.set()
        committing = asyncio.create_task(self._keep_committing(), name="committing")
        counting = asyncio.create_task(self.errors.keep(), name="errors")
        try:
            while not stop.is_set() and self._left != 0:
                await self._step(stop)
                if committing.done():
                    committing.result()
                if counting.done():
                    counting.result()
            await self._finish_backlog(stop)
        finally:
            for task in (committing, counting, self._relief, *self._asking.values()):
                if task is not None:
                    task.cancel()
            unsent = await self._close()
        return ConsumptionOutcome(unsent, self.accounts.totals()["lost"], monotonic() - self.started)

    async def _open(self) -> None:
        await in_thread(self._registry.check)
        await self.sink.open()
        try:
            if self.stage is None and isinstance(self.sink, StoresPositions):
                self._member.stored = partial(self.sink.positions, self.settings.group)
                await self._member.stored()  # what cannot be is said at start
            await self._member.join()
        except BaseException:  # whatever it is, a sink that was opened is closed
            await self.sink.close()
            raise

    async def _close(self) -> int:
        """Lets the sink finish, commits what it has confirmed, and leaves."""
        try:
            await self.sink.flush(FLUSH_WITHIN)
            await self._commit()
        except Unreachable as error:
            log.warning("%s; it is read again", error)
        finally:
            unsent = sum(one.in_flight for one in self._progress.values())
            await self._member.leave()
            await self.sink.close()
        return unsent

    # --- reading

    async def _step(self, stop: asyncio.Event) -> None:
        """One poll, and what follows from it."""
        self._regulate()
        if self._relief is not None and not self._paused:
            await asyncio.wait({self._relief}, timeout=PATIENCE)
            self._paused = not self._relief.done()
            return
        held = {one for one, progress in self._progress.items() if progress.backlog or self._relief is not None}
        self._member.pause(held)
        try:
            found = await self._member.poll(PAUSED_WITHIN if held else POLL_WITHIN, min(MOST, self._left or MOST))
        except Unreachable as error:
            self._note(str(error))
            await asyncio.sleep(AGAIN)
            return
        for partition, messages in found.items():
            if (progress := self._progress.get(partition)) is not None:
                self._take(progress, messages)
        for progress in list(self._progress.values()):
            if progress.backlog:
                await self._advance(progress, stop)
        await asyncio.sleep(0)

    async def _finish_backlog(self, stop: asyncio.Event) -> None:
        """What was read to the record limit, and waits for its schema or for the sink, is handed on, too."""
        while not stop.is_set() and any(one.backlog for one in self._progress.values()):
            self._regulate()
            waited_for = {*self._asking.values(), *([self._relief] if self._relief is not None else [])}
            if waited_for:
                await asyncio.wait(waited_for, timeout=POLL_WITHIN, return_when=asyncio.FIRST_COMPLETED)
            if self._relief is None or self._relief.done():
                self._regulate()
                for progress in list(self._progress.values()):
                    if progress.backlog:
                        await self._advance(progress, stop)

    def _regulate(self) -> None:
        """Stops reading while the sink is crowded."""
        if self._relief is not None and self._relief.done():
            self._relief.result()
            self._relief, self._paused = None, False
        for head, task in list(self._asking.items()):
            if task.done():
                del self._asking[head]
                task.result()
        if self._relief is None and self.sink.crowded:
            self._relief = asyncio.create_task(self.sink.drain(), name="relief")

    def _take(self, progress: PartitionProgress, messages: Sequence[Any]) -> None:
        fresh = [one for one in messages if one.offset >= progress.read]
        for message in fresh:
            progress.take(message.offset)
        progress.backlog = [*progress.backlog, *fresh]
        progress.end = max(progress.end, progress.read)
        if self._left is not None:
            self._left = max(0, self._left - len(fresh))

    async def _advance(self, progress: PartitionProgress, stop: asyncio.Event) -> None:
        """Hands on what can be decoded; asks for the schema of what cannot be yet."""
        found, head = decoded(progress.backlog, self._schemas)
        progress.backlog = progress.backlog[len(found) :]
        if found and self.stage is None:
            self._put([self._envelope(progress, one) for one in found])
        elif found and self.stage is not None:
            await self._hand_on(*self._staged(self.stage, progress, found), stop)
        if head and head not in self._asking:
            asking = self._ask(head, progress.partition.topic)
            self._asking[head] = asyncio.create_task(asking, name="schema")

    def _staged(
        self, stage: Stage, progress: PartitionProgress, found: Sequence[Decoded]
    ) -> tuple[list[Envelope], StepAccount]:
        """What follows from some records, and the account of all of it."""
        taken, others = sorted_for(stage, found)
        account = StepAccount(progress, found, {one.message.offset for one in others})
        made = [self._envelope(progress, one)._replace(account=account) for one in others]
        made += stage.take(progress.partition, taken, found[-1].message.offset + 1, account)
        account.waiting = len(made)
        return made, account

    async def _hand_on(self, made: Sequence[Envelope], account: StepAccount, stop: asyncio.Event) -> None:
        new = {one.topic: one.schema for one in made if one.topic not in self._prepared}
        if new:
            new |= {f"{topic}{DEAD_SUFFIX}": None for topic, schema in new.items() if schema is not None}
            preparing = self._answer(b"", partial(self.sink.prepare, new), (Unreachable,))
            if not await unless_stopped(preparing, stop):
                return  # it is read again
            self._waits.pop(b"", None)
            self._prepared.update(new)
        if made:
            self._put(made)
        else:
            account.confirm()

    def _envelope(self, progress: PartitionProgress, one: Decoded) -> Envelope:
        message, body = one.message, one.body
        account = RecordAccount(progress, message.offset)
        if isinstance(body, bytes):
            return Envelope(message.topic, message.key, body, one.schema, message.timestamp, account)
        self._count_dead(body, account)
        more = {"schema_id": int.from_bytes(message.value[1:5], "big")} if one.schema is not None else {}
        return letter(self.settings.group, account, message.key, message.value, message.timestamp, body, more)

    def _count_dead(self, error: RecordError, account: RecordAccount) -> None:
        self.accounts.reasons[error.reason] += 1
        log.warning("dead letter: %s at %d: %s: %s", account.partition, account.offset, error.reason, error)

    async def _ask(self, head: bytes, topic: str) -> None:
        """Learns a schema, however long that takes, and makes the sink ready for its records."""
        ask = partial(in_thread, partial(self._schemas.ask, head))
        schema = await self._answer(head, ask, (Unreachable, SinkError))  # whatever the registry says: it may change
        if not isinstance(schema, UnusableSchema) and self.stage is None:
            topics = {topic: schema.own, f"{topic}{DEAD_SUFFIX}": None}
            await self._answer(head, partial(self.sink.prepare, topics), (Unreachable,))
        self._waits.pop(head, None)
        self._schemas.keep(head, schema)

    async def _answer(
        self, head: bytes, ask: Callable[[], Awaitable[Result]], passing: tuple[type[K2Error], ...]
    ) -> Result:
        """Asks until there is an answer, or an error that is none of the ``passing`` ones."""
        pause = AGAIN
        while True:
            try:
                return await ask()
            except passing as error:
                self._waits[head] = str(error)
            self._note(self._waits[head])
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    # --- the group

    def _assigned(self, starts: Mapping[SourcePartition, Place]) -> None:
        for partition, start in starts.items():
            if self.stage is not None:
                self.stage.assigned(partition, start)
            if (before := self._progress.pop(partition, None)) is not None:
                before.revoke()
            self._progress[partition] = PartitionProgress(partition, start.offset, self.accounts.of(partition.topic))
            self._progress[partition].committed = -1  # a group that is new has a place to come back to
        shown = [f"{one} from {start.offset}" for one, start in list(starts.items())[:20]]
        log.info("partitions: %d: %s", len(starts), ", ".join(shown))

    async def _revoked(self, partitions: Collection[SourcePartition]) -> None:
        """Some partitions go to others: what is under way is finished, as far as that goes soon."""
        leaving = [self._progress[one] for one in partitions if one in self._progress]
        try:
            if any(one.in_flight for one in leaving):
                await self.sink.flush(FLUSH_WITHIN)
            await self._commit()
        except Unreachable as error:
            log.warning("%s; it is read again", error)
        for one in leaving:
            if one.in_flight:
                log.info("%s: %d records are left to whoever has it next", one.partition, one.in_flight)
            one.revoke()
            del self._progress[one.partition]
            if self.stage is not None:
                self.stage.revoked(one.partition)

    async def _keep_committing(self) -> None:
        """Commits now and then, and looks where the partitions end."""
        looked = 0.0
        while True:
            await asyncio.sleep(self.settings.commit_ms / 1000)
            try:
                await self._commit()
                if monotonic() - looked >= ENDS_EVERY and self._progress:
                    looked = monotonic()
                    for partition, end in (await self._member.ends(list(self._progress))).items():
                        if (progress := self._progress.get(partition)) is not None:
                            progress.end = max(progress.read, end)
                    self._last_error = None
            except Unreachable as error:
                self._note(str(error))

    async def _commit(self) -> None:
        moved = {one: progress for one, progress in self._progress.items() if progress.position > progress.committed}
        offsets = {one: progress.position for one, progress in moved.items()}
        places = {one: Place(at) if self.stage is None else self.stage.place(one, at) for one, at in offsets.items()}
        if offsets and await self._member.commit(places):
            for one, progress in moved.items():
                progress.committed = offsets[one]

    # --- what the sink reports

    def _settle(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            account = envelope.account
            if isinstance(account, RecordAccount):
                account.progress.confirm(account.offset, envelope.timestamp_ms, envelope.schema is None)
            elif isinstance(account, StepAccount):
                account.settled(envelope.schema is None)

    def _reject(self, envelope: Envelope, reason: str, words: str = "") -> None:
        """A record that the sink can never take becomes a dead letter; a dead letter that it cannot take is lost."""
        account = envelope.account
        if isinstance(account, StepAccount) and self.stage is not None:
            self._reject_made(self.stage, account, envelope, reason, words)
        if not isinstance(account, RecordAccount):
            return
        if envelope.schema is None:
            account.progress.lose(account.offset)
            log.error("dead letter lost: %s at %d: %s: %s", account.partition, account.offset, reason, words)
            return
        error = RecordError("record", None, None, reason, words or f"{len(envelope.value)} bytes of Avro")
        self._count_dead(error, account)
        made = letter(self.settings.group, account, envelope.key, envelope.value, envelope.timestamp_ms, error)
        self.sink.put(made)

    def _reject_made(
        self, stage: Stage, account: StepAccount, envelope: Envelope, reason: str, words: str
    ) -> None:
        if envelope.schema is None:
            account.lose()
            log.error("dead letter lost: %s: %s: %s", envelope.topic, reason, words)
        else:
            self.accounts.reasons[reason] += 1
            log.warning("dead letter: %s: %s: %s", envelope.topic, reason, words)
            self.sink.put(stage.rejected(envelope, reason, words))

    def _note(self, text: str) -> None:
        self._errors += 1
        if text != self._last_error:
            log.warning("%s", text)
        self._last_error = text

    # --- what it says of itself

    @property
    def waiting_for(self) -> list[str]:
        """What keeps it from working."""
        found = [] if self.sink_status()["reachable"] else [f"sink {self.sink.name}"]
        if not self._member.joined:
            found.append(f"kafka: no partitions yet of the group {self.settings.group}")
        return [*found, *dict.fromkeys(self._waits.values()), *([self._last_error] if self._last_error else [])]

    @property
    def degraded_by(self) -> list[str]:
        """What else is amiss."""
        if self._member.joined and not self._member.has_topics:
            return [f"no topic is there of {', '.join(self.settings.topics)}"]
        return []

    def _error_figures(self) -> Figures:
        whole = self.accounts.totals()
        counts = {ErrorKind.SINK: self._errors + self.sink_status()["errors"], ErrorKind.DATA: whole["dead_letters"],
                  ErrorKind.LOST: whole["lost"]}
        return {("", kind): count for kind, count in counts.items()}

    def sink_status(self) -> SinkStatus:
        """How the sink does."""
        return self.sink.status()

    def status(self) -> SourceStatus:
        """All of it, as it is now."""
        topics: dict[str, TopicStatus] = {}
        for name, account in self.accounts.by_topic.items():
            own = {str(one.number): self._partition(progress) for one, progress in sorted(self._progress.items())
                   if one.topic == name}
            topics[name] = {**account.figures(), "lag": sum(one["lag"] for one in own.values()), "partitions": own}
        return {
            "kind": "kafka", "where": self.settings.kafka.bootstrap, "group": self.settings.group,
            "pattern": ",".join(self.settings.topics), "assigned": len(self._progress),
            "lag": sum(one.lag for one in self._progress.values()), "accounts": self.accounts.equation(),
            "balanced": self.accounts.balanced, "expired": self._member.expired,
            "amendments": 0 if self.stage is None else self.stage.amendments,
            "dead_letter_reasons": dict(self.accounts.reasons), "errors": self._errors, "last_error": self._last_error,
            "topics": topics,
        }

    def _partition(self, progress: PartitionProgress) -> PartitionStatus:
        behind = progress.lag and progress.confirmed_ms
        return {
            "position": progress.position, "committed": max(0, progress.committed), "end": progress.end,
            "lag": progress.lag, "in_flight": progress.in_flight,
            "seconds_behind": max(0, wall_ms() - progress.confirmed_ms) / 1000 if behind else None,
            "waiting_for": "the schema of its next record" if progress.backlog else None,
        }

    def report(self) -> ConsumptionReport:
        """The final figures."""
        return {
            "seconds": round(monotonic() - self.started, 3), "records": self.accounts.totals()["consumed"],
            "sink": self.sink_status(), "source": self.status(),
        }
