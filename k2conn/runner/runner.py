"""Many connectors into one sink.

A bug inside one connector stops that one, which is started again after a delay (see `k2conn.runner.crashes`); the
others go on. Only a bug of what they share, the sink and its spool, ends the run.

Stopping, in this order: stop receiving (unsubscribe, close the connections, at most 5 s), flush the sink (at most
10 s), close it, print the final figures. Where something is left unsent, the log says so and the exit code is 1.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from k2conn.clock import monotonic, wall_us
from k2conn.ending_tasks import end_tasks
from k2conn.engine.accounting.dead_letter import DEAD_SUFFIX, Origin, dead_letter, whole_frame
from k2conn.engine.accounting.figures import ConversationFigures
from k2conn.engine.accounting.frame_letters import SharedAccount
from k2conn.engine.accounting.ledger import NOWHERE, Account
from k2conn.engine.accounting.settlement import settle
from k2conn.engine.accounting.troubles import TroubleKind
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.gaps.gap_records import gap_record, gap_topic
from k2conn.engine.resilience.shared_limits import SharedLimits
from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.errors import CollectedProblems, K2Error, RecordError, SettingsError
from k2conn.observe import Observer, Observers, SessionPlace
from k2conn.runner.audit_stage import AuditStage
from k2conn.runner.candle_stage import CandleStage
from k2conn.runner.connection_state import ConnectionState
from k2conn.runner.connector import Connector, Job, SharedParts, state_for
from k2conn.runner.crashes import Crashes, foreign, innermost
from k2conn.runner.error_count import ErrorCount, runner_errors
from k2conn.runner.event_log import get_logger
from k2conn.runner.feature_stage import FeatureStage
from k2conn.runner.health_limits import HealthLimits
from k2conn.runner.list_following import follow_list
from k2conn.runner.secret_values import ReadVariables
from k2conn.runner.shared_sink import OWNER, SharedSink, owner_of
from k2conn.runner.state_file import StateFile
from k2conn.runner.state_journal import StateJournal
from k2conn.runner.status import GroupStatus, RunReport
from k2conn.runner.stopping import unless_stopped
from k2conn.secret_mask import SECRETS
from k2conn.sinks import SINKS, JournalSink, Reject, Settle, Sink, database, with_options
from k2conn.sinks.settings import SinkSettings
from k2conn.spool import make_spooled
from k2conn.spool.status import SpooledSinkStatus
from k2conn.transports import Address, Transport, open_transport

RECEIVE_WITHIN = 5.0
FLUSH_WITHIN = 10.0
_TIME_TO_STAND = 3.0
"""Seconds in which a first connection is usually subscribed."""
_LOOK = 0.05
"""Seconds between two looks whether a new connector has proved itself."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended. ``unsent``: envelopes the sink could not make durable in time; ``crashes``: how often a bug
    ended a connector, which was started again; ``in_vain``: no connection of any connector ever had data or stayed
    subscribed, although there was time for it.
    """

    unsent: int
    failed: tuple[str, ...]
    seconds: float
    crashes: int = 0
    in_vain: bool = False

    @property
    def exit_code(self) -> int:
        """0 where everything went out; 1 where something is unsent; 70 where a connector met a bug; 69 where one gave
        up, or no connection ever stood.
        """
        if self.unsent:
            return 1
        if self.crashes:
            return K2Error.exit_code
        return 69 if self.failed or self.in_vain else 0


class Runner:
    """Runs jobs until told to stop."""

    def __init__(
        self,
        jobs: Sequence[Job],
        sink_settings: SinkSettings,
        *,
        environment: Mapping[str, str] | None = None,
        max_records: int | None = None,
        open_transport: Callable[[Address], Transport] = open_transport,
        open_sink: Callable[[SinkSettings, Settle, Reject], Sink] = make_spooled,
        state_folder: Path | None = None,
        limits: HealthLimits | None = None,
        observers: Observers | None = None,
        standing: bool = False,
        turn: asyncio.Event | None = None,
        shared_limits: SharedLimits | None = None,
    ) -> None:
        """``standing``: it goes on where no connector runs, for some may come (`begin`). ``turn``: another process may
        still do this work, so connectors subscribe and hold what comes; once this is set, the sink is opened, and they
        go on with the other's state. ``shared_limits``: those of the process, where it has several runners.
        """
        self.sink: Sink = open_sink(sink_settings, self._settle, self._reject)
        self.records = 0
        self.latest: Envelope | None = None
        """The last record of those that became durable last."""
        self.started = monotonic()
        self._left = max_records
        """How many more records and dead letters may go to the sink; None where there is no bound."""
        self._enough = asyncio.Event()
        self.stopping = False
        self.opened = asyncio.Event()
        """Set once the sink is open and the connectors are started."""
        self.warm = asyncio.Event()
        """Set once its sink needs nothing but its turn."""
        self._bugs: list[Exception] = []
        """Of shared parts; the first one ends the run."""
        self._refused: list[SettingsError] = []
        """What connectors said that cannot be as it is set."""
        self._crashes = Crashes()
        self._outside = copy_context()
        """The context that belongs to no connector."""
        self._log = get_logger()
        variables = ReadVariables(dict(os.environ) if environment is None else environment)
        self._stages: dict[str, CandleStage] = {}
        """By the connector's name: a connector that follows another one goes on with what that has counted."""
        self._features: dict[str, FeatureStage] = {}
        self._audits: dict[str, AuditStage] = {}
        self._turn = turn
        self._shared_limits = SharedLimits() if shared_limits is None else shared_limits
        self.observers = Observers() if observers is None else observers
        self._new = partial(
            Connector, sink=SharedSink(self.sink, self._shared_failed), admit=self._admit, environment=variables,
            open_transport=open_transport, shared=SharedParts(), observers=self.observers,
        )
        self.connectors = tuple(self._made(jobs))
        self.errors = ErrorCount(lambda: runner_errors(self.connectors, self.sink_status()))
        self.limits = limits or HealthLimits()
        self.database = database(sink_settings)
        """Whether the sink is one."""
        self._state_folder = state_folder
        """None: what was seen is forgotten when the process ends."""
        self._journal = journal_of(sink_settings, self.sink, lambda: self.connectors)
        self._tasks: dict[Connector, asyncio.Task[None]] = {}
        """The connectors at work, those that come or go on a reload too."""
        self._changed = asyncio.Event()
        self._between = False
        """Whether a connector has gone whose successor is about to start."""
        self._releasing: asyncio.Task[None] | None = None
        self.handing_over = False
        """Whether another process that has everything ready goes on as soon as this one stops."""
        self.released = asyncio.Event()
        """Set once that one may: all that was taken in is committed, and nothing more will be."""
        self._standing = standing
        self._holding = turn is not None
        """Whether connectors hold what comes."""
        self.group: Callable[[], GroupStatus] | None = None
        """What it says of the group that it works in; None where it works alone."""

    def _make(self, job: Job, state: ConnectorState) -> Connector:
        settings, stage = job.overrides.candles, self._stages.get(job.plan.name)
        if settings is not None and (stage is None or stage.settings != settings):
            stage = self._stages[job.plan.name] = CandleStage(job.plan, settings)
        audit = self._audits.setdefault(job.plan.name, AuditStage(job.plan)) if job.overrides.audit else None
        return self._new(job, state, candles=stage if settings is not None else None, audit=audit,
                         features=self._feature_stage(job))

    def _feature_stage(self, job: Job) -> FeatureStage | None:
        settings, stage = job.overrides.features, self._features.get(job.plan.name)
        if settings is not None and (stage is None or stage.settings != settings):
            stage = self._features[job.plan.name] = FeatureStage(job.plan, settings)
        return stage if settings is not None else None

    def _made(self, jobs: Sequence[Job]) -> list[Connector]:
        """A connector for each job. SettingsError with the problems of all."""
        made: list[Connector] = []
        problems = CollectedProblems()
        for job in jobs:
            with problems.noting():
                hold = self._turn is not None
                made.append(self._make(job, state_for(job, shared_limits=self._shared_limits, hold=hold)))
        problems.finish()
        return made

    async def run(self, stop: asyncio.Event) -> RunOutcome:
        """Runs until ``stop`` is set, the record limit is reached, or every connector gave up.

        Raises Unreachable where the sink cannot be opened, SettingsError where no connector could go on and one of them
        because of its settings. An exception that is a bug of shared parts stops everything in order, then goes on up.
        """
        asyncio.get_running_loop().set_exception_handler(self._uncaught)
        if not await self._begun(stop):
            self._log.info("stopped before anything began")
            return RunOutcome(0, (), monotonic() - self.started)
        self.opened.set()
        counting = asyncio.create_task(self.errors.keep(), name="errors")
        counting.add_done_callback(self._counted)
        keeping = asyncio.create_task(self._keep_journal(), name="journal")
        keeping.add_done_callback(self._counted)
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(self._enough.wait())]
        try:
            await self._until(waits)
        finally:
            self.stopping = True
            for wait in (*waits, counting, keeping):
                wait.cancel()
            ended = all(task.done() for task in self._tasks.values())
            unsent = await self._stop(list(self._tasks.values()))
        self._raise_bugs(list(self._tasks.values()))
        if ended and self._refused and not stop.is_set():
            raise self._refused[0]
        failed = tuple(one.plan.name for one in self.connectors if one.state == ConnectionState.FAILED)
        crashes = sum(one.connector_state.ledger.crashes for one in self.connectors)
        return RunOutcome(unsent, failed, monotonic() - self.started, crashes, self._in_vain())

    async def _begun(self, stop: asyncio.Event) -> bool:
        """Opens the sink and starts the connectors, or the other way round where they wait for their turn; whether it
        was not stopped before.
        """
        if self._turn is not None:
            return await self._took_over(self._turn, stop)
        if not await unless_stopped(self._open(), stop):
            return False
        self.started = monotonic()
        for connector in self.connectors:
            self._keep_state(connector)
            self._set_out(connector)
        return True

    async def _took_over(self, turn: asyncio.Event, stop: asyncio.Event) -> bool:
        for connector in self.connectors:
            self._set_out(connector)
        opened = False
        try:
            opened = await self._had_its_turn(turn, stop) and await unless_stopped(self._open(), stop)
            if opened:
                self._holding = False
                for connector in self.connectors:
                    self._keep_state(connector)
        except BaseException:  # whatever it is, nothing that was begun is left behind
            await self._let_go()
            if opened:
                await self.sink.close()
            raise
        if not opened:
            await self._let_go()
            return False
        self._releasing = asyncio.create_task(self._release(), name="releasing what was held")
        self._releasing.add_done_callback(self._counted)
        return True

    async def _release(self) -> None:
        """Publishes what was held, in turns; what came of the first ones is not to wait for the next border."""
        each = asyncio.gather(*(connector.release() for connector in self.connectors))
        await asyncio.sleep(0)
        self._border()
        await each
        self._border()

    def _border(self) -> None:
        if self._journal is not None and self._journal.atomic:
            self._journal.border()

    async def _had_its_turn(self, turn: asyncio.Event, stop: asyncio.Event) -> bool:
        """Waits for it, and has the sink ready meanwhile; whether it was not stopped before."""
        warming, had = asyncio.create_task(self._keep_warm(), name="warming up"), False
        warming.add_done_callback(self._counted)
        try:
            had = await unless_stopped(turn.wait(), stop)
            return had
        finally:
            await end_tasks(warming)
            if not had:
                await self.sink.close()

    async def _keep_warm(self) -> None:
        if self._journal is not None:
            sink = cast(JournalSink, self.sink)
            await sink.warm_up(self.topics())
            self.warm.set()
            await sink.keep_warm()
        self.warm.set()

    async def _let_go(self) -> None:
        """Stops connectors that have handed nothing on. One of their connections may wait for room in a sink that will
        never have any.
        """
        self.stopping = True
        await self._stop_receiving(list(self._tasks.values()))

    def _in_vain(self) -> bool:
        """Whether no connection ever stood; a run that ends before one could have does not count."""
        figures = [connector.connector_state.ledger.conversation() for connector in self.connectors]
        if not in_vain(figures, monotonic() - self.started):
            return False
        causes = Counter[str]()
        for one in figures:
            causes.update(one["reconnect_causes"])
        self._log.error("no connection ever stood", causes={str(cause): count for cause, count in causes.items()})
        return True

    async def _open(self) -> None:
        """Opens the sink and registers the schemas; a sink that cannot go on is closed again."""
        await self.sink.open()
        try:
            await self._prepare()
            if self._journal is not None:
                await self._journal.begin()
        except BaseException:  # whatever it is, a sink that was opened is closed
            await self.sink.close()
            raise

    def _raise_bugs(self, tasks: list[asyncio.Task[None]]) -> None:
        """Raises the first bug of shared parts."""
        errors = [error for task in tasks if not task.cancelled() and (error := task.exception()) is not None]
        for error in (*self._bugs, *errors):
            raise innermost(error)

    # -- bugs

    def _counted(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._shared_failed(error)

    def _shared_failed(self, error: Exception) -> None:
        """The sink raised something: with it nobody can go on."""
        self._bugs.append(error)
        self._enough.set()

    def _uncaught(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception in a callback (a timer, an acknowledgement), which nobody else would see: it ends the connector
        whose callback it was, or else, where it is ours, the run. What the loop reports beside that, such as a
        connection that broke while closing, is only logged.
        """
        error = context.get("exception")
        if not isinstance(error, Exception) or "handle" not in context:
            self._log.warning("event loop", message=context.get("message"), error=repr(error) if error else None)
            return
        owner = owner_of(context["handle"])
        if isinstance(owner, Connector):
            if not owner.fail(error):
                self._crashes.note_late(owner, error)
        elif foreign(error):
            self._log.error("a library failed in a callback", message=context.get("message"), exc_info=error)
        else:
            self._shared_failed(error)

    async def _keep(self, connector: Connector) -> None:
        """Runs one connector, and when a bug has ended it starts another one in its place."""
        began = monotonic()
        following = self._follow(connector) if connector.follows_list else None
        try:
            await connector.run()
        except Exception as error:
            bug = innermost(error)
            if not any(bug is one for one in self._bugs):
                await self._ended_by(connector, bug, monotonic() - began)
        finally:
            if following is not None:
                following.cancel()

    def _follow(self, connector: Connector) -> asyncio.Task[None]:
        """Subscribes what the venue lists anew; a bug in that ends the connector."""

        def ended(task: asyncio.Task[None]) -> None:
            bug = None if task.cancelled() else task.exception()
            if isinstance(bug, Exception) and not connector.fail(bug):
                self._crashes.note_late(connector, bug)

        task = asyncio.create_task(follow_list(connector), name=f"{connector.plan.name} follows its list")
        task.add_done_callback(ended)
        return task

    async def _ended_by(self, connector: Connector, bug: BaseException, lasted: float) -> None:
        """A bug has ended a connector, or its settings: in the first case another one takes its place."""
        new: Connector | None = None
        while new is None:
            if isinstance(bug, SettingsError):
                await self._gave_up(connector, bug)
                return
            delay = self._crashes.note(connector, bug, lasted)
            await connector.abandon()
            if connector not in self.connectors:  # it did not come to take another one's place
                return
            await connector.stopped(delay)
            await self._save_state(connector)
            if connector.stopping:
                self._leave(connector, connector.successor)
                return
            try:
                new = self._make(connector.job, state_for(connector.job, connector, self._shared_limits))
            except Exception as error:
                bug, lasted = error, 0.0
        self._leave(connector, new.connector_state)
        self._put_in_place_of(connector, new)
        del self._tasks[connector]
        self._start(new)

    async def _gave_up(self, connector: Connector, error: SettingsError) -> None:
        self._refused.append(error)
        connector.trouble = str(error)
        self._log.error("this connector cannot go on", connector=connector.plan.name, detail=str(error))
        await connector.abandon()

    def _leave(self, connector: Connector, successor: ConnectorState | None) -> None:
        """See `Connector.leave_to`, for one whose bug may be just there."""
        try:
            connector.leave_to(successor)
        except Exception as bug:
            self._crashes.note_late(connector, bug)

    async def _keep_journal(self) -> None:
        if self._journal is not None:
            await self._journal.keep()

    async def _save_state(self, connector: Connector) -> None:
        """The last state of a connector, where it is kept; its bugs are only its own."""
        try:
            if connector.state_file is not None:
                await connector.state_file.finish()
        except Exception as bug:
            self._crashes.note_late(connector, bug)

    # -- connectors that come and go

    async def begin(self, job: Job) -> Connector:
        """Starts a connector beside those that run. SettingsError or SinkError where it, or its topics, cannot be."""
        new = self._make(job, state_for(job, shared_limits=self._shared_limits))
        await self._prepare((new,))
        self.connectors = (*self.connectors, new)
        self._keep_state(new)
        self._set_out(new)
        return new

    async def end(self, name: str) -> None:
        """Stops a connector, and forgets it; what it has handed to the sink goes on."""
        connector = next(one for one in self.connectors if one.plan.name == name)
        task = self._tasks.get(connector)
        await self._told_to_stop(connector)
        if task is not None:
            await asyncio.wait({task})
        await self._save_state(connector)
        self.connectors = tuple(one for one in self.connectors if one.plan.name != name)
        for gone in [one for one in self._tasks if one.plan.name == name]:
            if self._tasks[gone].done() and (self._tasks[gone].cancelled() or self._tasks[gone].exception() is None):
                del self._tasks[gone]
        self._changed.set()
        ledger = connector.connector_state.ledger
        self._log.info("connector ended", connector=name, frames=ledger.frames, **ledger.totals())

    def divide_limits(self, everybody: tuple[int, int], connectors: Mapping[str, tuple[int, int]]) -> None:
        """See `SharedLimits.divide`."""
        self._shared_limits.divide(everybody, connectors)

    def _set_out(self, connector: Connector) -> None:
        """Starts a connector with what the process before has left it."""
        if connector.state_file is not None:
            connector.state_file.load()
        kept = connector.state_file is not None or self._journal is not None
        self.observers.tell(Observer.begun, connector.plan.name, connector.stream_names, kept, wall_us())
        self._start(connector)

    # -- reload

    async def replace(self, old: Connector, job: Job, within: float) -> bool:
        """Starts the new job beside the old connector, and retires that when the new one is subscribed or has data.
        False, with the old one at work as before, where it is neither in time or the sink refuses its schemas.

        Where the venue's limit on connections allows no two, the old one goes first, and the new one stays.
        """
        new = self._make(job, state_for(job, old, self._shared_limits))
        await self._prepare((new,))
        crowded = any(_crowded(old, new, name) for name in new.endpoint_groups)
        if crowded:
            self._between = True
            await self._make_room(old, new)
        task = self._start(new)
        self._between = False
        until = monotonic() + within
        while not (new.proved or task.done() or self.stopping) and monotonic() < until:
            await asyncio.wait({task}, timeout=_LOOK)
        if crowded:
            return new.proved
        if not new.proved or self.stopping:
            await self._retire(new, old)
            return False
        await self._make_room(old, new)
        return True

    async def _make_room(self, old: Connector, new: Connector) -> None:
        """Retires the old connector, or who took its place since after a bug, and puts the new one there."""
        old = next(one for one in self.connectors if one.plan.name == old.plan.name)
        await self._retire(old, new)
        self._put_in_place_of(old, new)

    def _put_in_place_of(self, old: Connector, new: Connector) -> None:
        self.connectors = tuple(new if one is old else one for one in self.connectors)
        self._keep_state(new)

    def _keep_state(self, connector: Connector) -> None:
        """From now on the state file is this connector's, or its part of the journal."""
        if self._journal is not None and not self._holding:
            connector.journal = self._journal
            self._journal.take_in(connector)
        if self._state_folder is not None:
            connector.state_file = StateFile(self._state_folder, connector.connector_state)

    def _start(self, connector: Connector) -> asyncio.Task[None]:
        own = self._outside.copy()
        own.run(OWNER.set, connector)
        task = asyncio.create_task(self._keep(connector), name=connector.plan.name, context=own)
        self._tasks[connector] = task
        self._changed.set()
        return task

    async def _retire(self, connector: Connector, successor: Connector) -> None:
        """Stops one connector; what it has handed to the sink goes on, and its ``successor`` with the gaps that are
        still to be filled.
        """
        task = self._tasks[connector]
        await self._told_to_stop(connector, successor.connector_state if not self.stopping else None)
        await asyncio.wait({task})
        await self._save_state(connector)
        if task.cancelled() or task.exception() is None:
            del self._tasks[connector]
        self._changed.set()

    async def _told_to_stop(self, connector: Connector, successor: ConnectorState | None = None) -> None:
        """Tells a connector to stop; a bug in doing so ends it."""
        try:
            await connector.stop(successor)
        except Exception as bug:
            if not connector.fail(bug):
                self._crashes.note_late(connector, bug)

    async def _prepare(self, connectors: Sequence[Connector] | None = None) -> None:
        """Registers the schemas of all topics, finds those of the dead letters: a refusal is said at start."""
        await self.sink.prepare(self.topics(connectors))

    def topics(self, connectors: Sequence[Connector] | None = None) -> dict[str, Any]:
        """All topics that are written to, each with its schema (None: dead letters)."""
        topics: dict[str, Any] = {}
        for connector in self.connectors if connectors is None else connectors:
            for mapping in connector.connector_state.mappings.values():
                topics.update(dict.fromkeys(mapping.stream.kafka_topics.values(), mapping.schema))
                if mapping.gaps is not None or mapping.suspected_gaps is not None or connector.audit is not None:
                    topics[gap_topic(connector.plan)] = gap_record(connector.plan.asset_class).schema
            if connector.candles is not None:
                topics.update(connector.candles.topics(connector.connector_state))
            if connector.features is not None:
                topics.update(connector.features.topics(connector.connector_state))
            if connector.anomalies is not None:
                topics.update(connector.anomalies.topics())
        return {**topics, **dict.fromkeys(f"{topic}{DEAD_SUFFIX}" for topic in topics)}

    async def _until(self, waits: list[asyncio.Task[Any]]) -> None:
        """Waits for a reason to stop: asked, enough, all gave up, or a bug of shared parts."""
        while True:
            tasks = list(self._tasks.values())
            done = [task for task in tasks if task.done()]
            over = len(done) == len(tasks) and not (self._between or self._standing)
            if over or any(wait.done() for wait in waits):
                return
            if any(not task.cancelled() and task.exception() is not None for task in done):
                return
            changed = asyncio.create_task(self._changed.wait())
            running = [task for task in tasks if not task.done()]
            await asyncio.wait({*running, *waits, changed}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            self._changed.clear()

    async def _stop(self, tasks: list[asyncio.Task[None]]) -> int:
        self._log.info("stopping")
        if self._releasing is not None:
            await asyncio.wait({self._releasing}, timeout=RECEIVE_WITHIN)
            self._releasing.cancel()
        if not self.handing_over:
            await self._stop_receiving(tasks)
            return await self._finish()
        try:
            return await self._finish()
        finally:  # a venue may take its time for that
            await self._stop_receiving(tasks)

    async def _stop_receiving(self, tasks: list[asyncio.Task[None]]) -> None:
        try:
            async with asyncio.timeout(RECEIVE_WITHIN):
                await asyncio.gather(*(self._told_to_stop(connector) for connector in self._tasks))
                if tasks:
                    await asyncio.wait(tasks)
        except TimeoutError:
            self._log.warning("sockets did not close in time", within=RECEIVE_WITHIN)
        await end_tasks(*tasks)

    async def _finish(self) -> int:
        """Commits what was taken in, and closes the sink; how much could not be."""
        try:
            self._border()
            self._left = 0 if self.handing_over else self._left  # whoever goes on has all that comes from now on
            unsent = await self.sink.flush(FLUSH_WITHIN)
            await asyncio.gather(*(self._save_state(one) for one in self.connectors))
            if self._journal is not None and not self._journal.atomic:
                await self._journal.finish()
                await self.sink.flush(FLUSH_WITHIN)
            if self.handing_over:
                self.released.set()
        finally:
            await self.sink.close()
        if unsent:
            self._log.error("unsent records", count=unsent)
        return unsent

    # -- what the sink reports

    def _settle(self, envelopes: Sequence[Envelope]) -> None:
        now = wall_us()
        settle(envelopes, now)
        last = envelopes[-1].account if envelopes else None
        if isinstance(last, Account):
            last.settled_us, last.settled_event_us = now, envelopes[-1].timestamp_ms * 1000
            if not envelopes[-1].dead:
                self.latest = envelopes[-1]

    def _reject(self, envelope: Envelope, reason: str, words: str = "") -> None:
        """A record the sink can never take becomes a dead letter; a dead letter it cannot take is lost, and logged."""
        account = envelope.account
        if account is None:
            return
        if envelope.schema is None:
            account.lost += 1
            self._log.error("dead letter lost", topic=envelope.topic, reason=reason, detail=words)
            return
        detail = words or f"{len(envelope.value)} bytes of Avro"
        origin = Origin(*self._owner(envelope, account, reason, detail), account.stream, envelope.topic)
        error = RecordError("record", None, None, reason, detail)
        record = whole_frame(envelope.value)
        self.sink.put(dead_letter(origin, account.symbol, error, wall_us(), account, record))

    def _owner(self, envelope: Envelope, account: DeliveryAccount, reason: str, detail: str) -> tuple[str, str]:
        """Connector and exchange of a rejected record. One that an earlier process left in the spool is in no
        ledger of ours, but its topic may be one of ours.
        """
        for connector in self.connectors:
            if any(one is account for one in connector.connector_state.ledger.accounts()):
                ledger = connector.connector_state.ledger
                ledger.dead_reasons[reason] += 1
                words: dict[str, Any] = {"symbol": account.symbol, "detail": detail}
                ledger.troubles.note(TroubleKind.DEAD_LETTER, account.stream, reason, wall_us(), words.copy)
                return connector.plan.name, connector.plan.exchange
        for connector in self.connectors:
            if any(envelope.topic in stream.kafka_topics.values() for stream in connector.plan.streams):
                return connector.plan.name, connector.plan.exchange
        return NOWHERE, NOWHERE

    def _admit(self, envelopes: list[Envelope]) -> list[Envelope]:
        """What may go to the sink: all, or as much as ``max_records`` leaves. What is beyond that, of the same frame or
        of other connectors, counts as filtered.
        """
        admitted = envelopes if self._left is None else self._within_limit(envelopes, self._left)
        self.records += len(admitted)
        return admitted

    def _within_limit(self, envelopes: list[Envelope], left: int) -> list[Envelope]:
        for envelope in envelopes[left:]:
            if isinstance(envelope.account, Account | SharedAccount):
                envelope.account.not_wanted()
        admitted = envelopes[:left]
        self._left = left - len(admitted)
        if not self._left:
            self._enough.set()
        return admitted

    def captured(self, place: SessionPlace) -> dict[str, Any]:
        """What was captured on a connection that is open; empty where there is none."""
        pipelines = [
            pipeline for connector in self.connectors if connector.plan.name == place.connector
            for supervisor in connector.supervisors for pipeline in supervisor.pipelines()
        ]
        scopes = [one.session.scope for one in pipelines if one.session.scope.epoch == place.session]
        return scopes[0].captured() if scopes else {}

    def sink_status(self) -> SpooledSinkStatus:
        """How the sink does, with the spool before it where there is one."""
        return cast(SpooledSinkStatus, self.sink.status())  # every sink's, with or without the optional spool

    def report(self) -> RunReport:
        """The final figures of the run."""
        found: RunReport = {
            "seconds": round(monotonic() - self.started, 3),
            "records": self.records,
            "sink": self.sink_status(),
            "connectors": {connector.plan.name: connector.report() for connector in self.connectors},
        }
        return SECRETS.hide(found)


def in_vain(connectors: Collection[ConversationFigures], seconds: float) -> bool:
    """Whether no connection of any connector ever stood, although there was time for it in a run of so many seconds."""
    if not connectors or any(one["stood"] for one in connectors):
        return False
    return seconds >= _TIME_TO_STAND or any(one["reconnects"] for one in connectors)


def journal_of(
    settings: SinkSettings, sink: Sink, connectors: Callable[[], Sequence[Connector]]
) -> StateJournal | None:
    """The journal that a sink's settings ask for."""
    kind = SINKS.get(settings.kind)
    options = with_options(settings, kind).options
    given = kind.journal(options)
    return None if given is None else StateJournal(given, cast(JournalSink, sink), connectors)


def _crowded(old: Connector, new: Connector, name: str) -> bool:
    """Whether a venue's limit on connections of one kind does not allow those of both connectors."""
    most = new.endpoint_groups[name].connection.limits.connections
    both = [one for one in (*old.supervisors, *new.supervisors) if one.shard.connection.name == name]
    return most is not None and len(both) > most
