"""A connector at work: its connections, its state, and the way its envelopes take into the sink."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from k2conn.anomalies.settings import AnomalyMode
from k2conn.candles.envelopes import RECORD as CANDLE
from k2conn.candles.envelopes import STREAM as CANDLES_OF_TRADES
from k2conn.clock import monotonic, wall_us
from k2conn.engine.accounting.figures import ConnectorReport
from k2conn.engine.accounting.ledger import MOST_SYMBOLS, equation, total
from k2conn.engine.accounting.recent import DataFinding, RecentFigures
from k2conn.engine.accounting.troubles import TroubleKind
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.gaps.gap_records import gap_words
from k2conn.engine.gaps.gap_tracker import GRACE_US
from k2conn.engine.identity.dedup_window import REMEMBERED
from k2conn.engine.resilience.shared_limits import SharedLimits
from k2conn.engine.sharding.shards import Shard, shards
from k2conn.envelope import Envelope
from k2conn.errors import SettingsError
from k2conn.observe import Observer, Observers, SessionPlace
from k2conn.plan import Plan, Symbol
from k2conn.runner.anomaly_watch import AnomalyWatch
from k2conn.runner.audit_stage import AuditStage
from k2conn.runner.backfill_worker import BackfillWorker
from k2conn.runner.candle_stage import CandleStage
from k2conn.runner.connection_state import ConnectionState
from k2conn.runner.connection_supervisor import ConnectionSupervisor
from k2conn.runner.declared_hosts import destinations
from k2conn.runner.drift_watch import SHARE, DriftWatch
from k2conn.runner.endpoint_group import ConnectorContext, EndpointGroup
from k2conn.runner.event_log import get_logger, tell_left_out
from k2conn.runner.feature_stage import FeatureStage
from k2conn.runner.frame_turns import TURN
from k2conn.runner.http_requests import http_call
from k2conn.runner.instrument_refresh import InstrumentRefresh
from k2conn.runner.look_rounds import LookRounds
from k2conn.runner.loop_share import LoopShare
from k2conn.runner.overrides import Overrides, overridden
from k2conn.runner.rounding_report import RoundingReport
from k2conn.runner.shared_sink import SharedSink
from k2conn.runner.shown_sums import ShownSums
from k2conn.runner.silence_monitor import SilenceMonitor
from k2conn.runner.spare_time import SpareTime
from k2conn.runner.state_file import StateFile
from k2conn.runner.state_journal import StateJournal
from k2conn.runner.status import ConnectorStatus, trouble_status
from k2conn.runner.wanted_symbols import WantedSymbols, asks_for_all, needs_list, wanted_symbols
from k2conn.transports import Address, Transport, secure

LOOK_EVERY = 0.5
"""Seconds between two looks for gaps whose grace is over."""


@dataclass(frozen=True, slots=True)
class SharedParts:
    """What the connectors of a process share, beside the sink, so that many of them take no more than their part."""

    loop: LoopShare = field(default_factory=lambda: LoopShare(TURN))
    rounds: LookRounds = field(default_factory=lambda: LookRounds(LOOK_EVERY))
    drift: SpareTime = field(default_factory=lambda: SpareTime(SHARE))


@dataclass(frozen=True, slots=True)
class Job:
    """What to run: a plan, its symbols (None: the defaults), its streams (None: the default ones), and overrides."""

    plan: Plan
    symbols: tuple[str, ...] | None = None
    streams: tuple[str, ...] | None = None
    overrides: Overrides = field(default_factory=Overrides)
    digest: str = ""
    """Tells whether a job is another one than before; empty where nobody asks."""
    likeness: str = ""
    """The same for two jobs that differ in nothing but their symbols; empty where nobody asks."""
    share: tuple[str, ...] | None = None
    """Of all symbols, where all are asked for, the part that is this process's, by native names; None: each."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The native names of its symbols."""
        return self.symbols or self.plan.symbols.default


class Connector:
    """One running connector."""

    def __init__(
        self,
        job: Job,
        connector_state: ConnectorState,
        sink: SharedSink,
        admit: Callable[[list[Envelope]], list[Envelope]],
        environment: Mapping[str, str],
        open_transport: Callable[[Address], Transport],
        shared: SharedParts,
        candles: CandleStage | None = None,
        audit: AuditStage | None = None,
        features: FeatureStage | None = None,
        observers: Observers | None = None,
    ) -> None:
        """``connector_state``: see `state_for`. ``admit``: of what is to be published, what goes to the sink."""
        self.job = job
        self.plan = connector_state.plan
        self.connector_state = connector_state
        self.state_file: StateFile | None = None
        """Where the state is kept for the next process; None where it is forgotten, or another connector's to keep."""
        self.journal: StateJournal | None = None
        """The same for a state that is kept where the records go."""
        self.findings: list[DataFinding] = []
        """What was wrong with the last minute's data when `status` was last asked for."""
        self.trouble = ""
        """Why it does not run: a bug that ended it, or what cannot be; empty while it runs."""
        self.audit = audit
        if audit is not None:
            audit.choose(connector_state)
        self.candles = candles
        if candles is not None:
            candles.choose(connector_state)
        self.features = features
        if features is not None:
            features.choose(connector_state, candles)
        self.observers = Observers() if observers is None else observers
        self._sink = sink
        self._admit = admit
        self._environment = environment
        self._open_transport = open_transport
        self._shared = shared
        self._main: asyncio.Task[None] | None = None
        """The task of `run`; None while it does not run."""
        self._bug: Exception | None = None
        """What a timer or callback of it raised."""
        self._stopping = asyncio.Event()
        self._successor: ConnectorState | None = None
        self._unlisted: set[str] = set()
        """Names that were refused because the venue's list does not have them."""
        self.changing_symbols = asyncio.Lock()
        """Held by who changes its symbols while it runs."""
        self.looked_us = 0
        """When gaps were last looked for, microseconds since the epoch; 0 before the first time."""
        self._log = get_logger(connector=job.plan.name)
        self._destinations = destinations(self.plan, job.overrides)
        self._instruments = (
            InstrumentRefresh(
                self.plan.name, listed, self.connector_state.symbols, job.overrides, environment, self._destinations,
                self._call_failed, self._saw_list,
            )
            if (listed := self.plan.symbols.list)
            else None
        )
        self.backfill_worker = BackfillWorker(
            connector_state, self.publish, sink.relief,
            partial(http_call, given=job.overrides, allowed=self._destinations), environment
        )
        self.backfill_worker.check_settings()
        self.silence = SilenceMonitor(connector_state, self._log)
        self.shown = ShownSums(connector_state.ledger)
        self.recent = RecentFigures(
            connector_state.ledger, self.stream_names, job.overrides.bad_data_share, monotonic()
        )
        self.drift = (
            DriftWatch(self.plan.name, connector_state.streams, job.wanted, shared.drift)
            if job.overrides.drift else None
        )
        self.anomalies = (
            AnomalyWatch(self.plan, job.overrides.anomalies, connector_state.ledger.most)
            if job.overrides.anomalies.mode != AnomalyMode.OFF and not self.plan.reads_files else None
        )
        self._rounding = RoundingReport(connector_state.ledger, self._log)
        self.endpoint_groups: dict[str, EndpointGroup] = {}
        """By the connection's name."""
        self._context = self._connector_context()
        self._tasks: dict[ConnectionSupervisor, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        """Where the connections' tasks are; None while it does not run."""
        self._changed = asyncio.Event()
        if self._instruments is not None:
            self._instruments.check()
        elif job.overrides.instruments is not None:
            raise SettingsError(f"{self.plan.name} says no `list` in `symbols`: nothing would read an instrument list")
        self.supervisors: tuple[ConnectionSupervisor, ...] = () if self._waits else self._initial_supervisors()

    @property
    def _waits(self) -> bool:
        """Whether connections wait for the venue's list: it says what names mean, or which there are."""
        return needs_list(self.plan, self.job.wanted)

    def _call_failed(self) -> None:
        self.connector_state.ledger.failed_calls += 1

    def make_room(self, job: Job) -> None:
        """Accounts for the symbols of a job, where it has more of them, and whatever else is kept by symbol."""
        ledger = self.connector_state.ledger
        ledger.most = max(ledger.most, job.overrides.most_symbols or _accounts(job))
        if self.anomalies is not None:
            self.anomalies.marker.most = ledger.most

    def publish(self, envelopes: list[Envelope]) -> bool:
        """Hands envelopes to the sink; true where it is crowded, and nothing more is to be read for now."""
        admitted = self._admit(envelopes)
        if len(admitted) < len(envelopes) and self.state_file is not None:
            self.state_file.hold()
        if len(admitted) < len(envelopes) and self.journal is not None:
            self.journal.hold(self.plan.name)
        if self.candles is not None:
            self.candles.take(admitted)
        if self.audit is not None:
            self.audit.take(admitted)
        if self.features is not None:
            self.features.take(admitted)
        if self.anomalies is not None:
            self.anomalies.take(admitted)
        if self.observers.watching:
            self.observers.tell(Observer.published, self.plan.name, admitted)
        return self._sink.publish(admitted)

    def _saw_list(self, answer: Any) -> None:
        if self.observers.watching:
            place = SessionPlace(self.plan.name, "", 0)
            self.observers.tell(Observer.answered, place, None, answer, monotonic(), wall_us())

    @property
    def proved(self) -> bool:
        """Whether every connection is subscribed or has had data."""
        return not self.trouble and bool(self.supervisors) and all(
            one.state == ConnectionState.LIVE or (one.connection is not None and one.connection.data)
            for one in self.supervisors
        )

    @property
    def _standing(self) -> bool:
        """Whether every connection is subscribed, now."""
        return bool(self.supervisors) and all(one.state == ConnectionState.LIVE for one in self.supervisors)

    async def run(self) -> None:
        """Keeps all connections until stopped; a bug in one, or in a timer or callback of them, ends all, with its
        exception.
        """
        self._main = main = asyncio.current_task()
        try:
            await self._run()
        except asyncio.CancelledError:
            if self._bug is None:
                raise
            if main is not None:
                main.uncancel()
            raise self._bug from None
        finally:
            self._main = self._group = None

    def fail(self, bug: Exception) -> bool:
        """A timer or callback of its raised this, which ends `run`; False where that has ended already."""
        if self._main is None:
            return False
        self._bug = self._bug or bug
        self._main.cancel()
        return True

    async def abandon(self) -> None:
        """After a bug has ended `run`: waits until nothing of it is left."""
        await asyncio.gather(*(supervisor.abandon() for supervisor in self.supervisors))

    async def _run(self) -> None:
        if self._waits and not await self._listed():
            return
        self.backfill_worker.check()
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._instruments.keep()) if self._instruments else None
            self._group = group
            for supervisor in self.supervisors:
                self._start(supervisor)
            watching = group.create_task(self._watch())
            filling = group.create_task(self.backfill_worker.run())
            await self._all_ended()
            self._group = None
            watching.cancel()
            filling.cancel()
            if keeping is not None:
                keeping.cancel()
        self.leave_to(self._successor)

    def leave_to(self, successor: ConnectorState | None) -> None:
        """The end has come: another connector goes on with what it can; of what nobody goes on with it is said now that
        it stays open. `run` does so itself unless a bug ends it.
        """
        state = self.connector_state
        self._report_gaps(0 if successor is not None and state.goes_on_in(successor) else GRACE_US)
        self._report_candles()
        for _ in self._report_features():
            pass
        for _ in self._report_anomalies(last=True):
            pass
        self._say_troubles(last=True)
        if successor is not None and (number := state.hand_over(successor)):
            self._log.info("gaps handed over", count=number)
        self.backfill_worker.stop()

    def _start(self, supervisor: ConnectionSupervisor) -> None:
        assert self._group is not None
        name = f"{self.plan.name}/{supervisor.shard.name}"
        self._tasks[supervisor] = self._group.create_task(supervisor.run(), name=name)
        self._changed.set()

    async def _all_ended(self) -> None:
        """Waits for the end of all connections, those too that are added meanwhile."""
        while running := [task for task in self._tasks.values() if not task.done()]:
            changed = asyncio.ensure_future(self._changed.wait())
            try:
                await asyncio.wait({*running, changed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
            self._changed.clear()
            self._tasks = {supervisor: task for supervisor, task in self._tasks.items() if not task.done()}

    async def _watch(self) -> None:
        """Publishes gap records as their grace runs out; looks for silence; counts what replicas missed."""
        while True:
            await self._shared.rounds.turn()
            self._report_gaps(0)
            self._report_candles()
            for _ in self._report_features():
                await asyncio.sleep(0)
            for _ in self._report_anomalies():
                await asyncio.sleep(0)
            self._report_audit()
            if self.state_file is not None:
                self.state_file.look(monotonic())
            self.silence.look(self.supervisors)
            self.recent.look(monotonic())
            self._say_troubles()
            tell_left_out()
            self._rounding.look(monotonic())
            self.connector_state.expire_replicas(wall_us())

    async def release(self) -> None:
        """Publishes what was held until the state of the process before was taken in, in turns. A bug that this meets
        ends `run`, as one in a frame does.
        """
        held = self.connector_state.held
        if held is None or not held.waiting:
            return
        try:
            for envelopes in held.in_turns():
                crowded = self.publish(envelopes)
                await (self._sink.relief() if crowded else asyncio.sleep(0))
        finally:
            held.give_up()
        if held.bug is not None:
            self.fail(held.bug)

    def look_for_gaps(self) -> None:
        """Publishes the gaps that are due, and those that are closed."""
        self._report_gaps(0)

    def _report_gaps(self, ahead_us: int) -> None:
        """Publishes the gaps that are due; ``ahead_us`` for those still in their grace when the end has come."""
        ledger, now_us = self.connector_state.ledger, wall_us()
        due_us = now_us + ahead_us
        found = self.connector_state.gap_records(due_us)
        self.looked_us = now_us
        if found and self.observers.watching:
            self.observers.tell(Observer.looked, self.plan.name, due_us)
        for envelope in found:
            ledger.troubles.note(TroubleKind.GAP, "", "", now_us, partial(gap_words, envelope))
        if found:
            self.publish(found)
        self.backfill_worker.collect()

    def _report_candles(self) -> None:
        """Publishes the candles that are over; those that are not when the end has come are left out."""
        if self.candles is not None and (found := self.candles.look(self.connector_state, wall_us(), self._standing)):
            self.publish(found)

    def _report_features(self) -> Iterator[None]:
        """Publishes the features of the candles that came; stops after some of them, so that others have a turn."""
        while self.features is not None and self.features.waiting:
            self.publish(self.features.look(self.connector_state))
            yield

    def _report_anomalies(self, last: bool = False) -> Iterator[None]:
        """Looks at some of the records that passed, and publishes what is odd; stops in between like the others."""
        if self.anomalies is not None:
            for found in self.anomalies.look(self.connector_state, wall_us(), last):
                if found:
                    self.publish(found)
                yield

    def _report_audit(self) -> None:
        """Publishes what the venue's candles say of our trades."""
        if self.audit is not None and (found := self.audit.look(self.connector_state, wall_us(), self._standing)):
            self.publish(found)
            self.backfill_worker.collect()

    def _say_troubles(self, last: bool = False) -> None:
        """Logs what was wrong with data; with ``last`` what would only be due later, too."""
        for event, detail in self.connector_state.ledger.troubles.lines(monotonic(), last):
            self._log.warning(event, **detail)

    def _connector_context(self) -> ConnectorContext:
        session_context = SessionContext(lambda: str(uuid.uuid4()), self._environment, secure)
        return ConnectorContext(
            self.connector_state, self.publish, self._sink.relief, self.job.overrides, self._destinations,
            session_context, self._open_transport, self.observers, self._shared.loop, self.drift,
        )

    def _initial_supervisors(self) -> tuple[ConnectionSupervisor, ...]:
        symbols = self.wanted(self.job).symbols
        self.connector_state.gaps.symbols = {symbol.record: symbol for symbol in symbols}
        found = shards(self.plan, self.connector_state.streams, symbols)
        if not found:
            names = ", ".join(stream.name for stream in self.connector_state.streams)
            raise SettingsError(f"{self.plan.name}: none of its connections carries these symbols on stream {names}")
        if asks_for_all(self.job.wanted):
            self._check_room(found)
        supervisors = self.supervisors_for(found)
        for supervisor in supervisors:
            supervisor.check()
        return supervisors

    def _check_room(self, found: Sequence[Shard]) -> None:
        """Raises SettingsError where all symbols need more connections than the venue allows."""
        for connection in self.plan.connections:
            most = connection.limits.connections
            needed = sum(shard.connection is connection for shard in found)
            if most is not None and needed > most:
                raise SettingsError(f"{self.plan.name}: all symbols need {needed} connections {connection.name}, and "
                                    f"the venue allows {most}: name those that are wanted")

    def wanted(self, job: Job) -> WantedSymbols:
        """The symbols that a job means. Names that are refused because the venue's list does not have them are said,
        once each. SettingsError as `wanted_symbols`.
        """
        found = wanted_symbols(self.plan, job.wanted, self.connector_state.symbols, job.share)
        for name in found.unlisted:
            if name not in self._unlisted:
                self._unlisted.add(name)
                self.connector_state.ledger.refused += len(self.stream_names)
                self._log.warning("refused", symbol=name, reason="the venue's list does not have it")
        self._unlisted.intersection_update(found.unlisted)
        return found

    @property
    def follows_list(self) -> bool:
        """Whether what the venue lists anew may be subscribed."""
        listed = self.plan.symbols.list
        if listed is None or not listed.refresh:
            return False
        everything = asks_for_all(self.job.wanted) and not self.plan.symbols.all
        return everything or self.plan.symbols.unlisted == "refuse"

    def supervisors_for(self, found: Sequence[Shard]) -> tuple[ConnectionSupervisor, ...]:
        """A supervisor for each shard, not started; their endpoint groups are made where there are none yet."""
        supervisors: list[ConnectionSupervisor] = []
        numbers = Counter(shard.connection.name for shard in found)
        for shard in found:
            connection = shard.connection
            endpoint_group = self.endpoint_groups.get(connection.name)
            if endpoint_group is None:
                endpoint_group = self.endpoint_groups[connection.name] = EndpointGroup(
                    self._context, connection, numbers[connection.name]
                )
            replica = None
            if connection.replicas > 1:
                replica = self.connector_state.replica_set(connection, shard.number).replica(shard.replica)
            supervisors.append(ConnectionSupervisor(self._context, endpoint_group, shard, replica))
        return tuple(supervisors)

    # -- other symbols on open connections (see `k2conn.runner.symbol_change`)

    @property
    def changeable(self) -> bool:
        """Whether it is at work, so that its connections can change their symbols."""
        return self._group is not None and not self._stopping.is_set()

    async def stopped(self, within: float) -> bool:
        """Waits at most so many seconds for `stop` to be called; whether it was."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._stopping.wait()
        return self._stopping.is_set()

    def check(self, found: Sequence[Shard]) -> None:
        """Builds what connections of these shards would send; raises as `ConnectionSupervisor.check` does."""
        for shard in found:
            ConnectionSupervisor(self._context, EndpointGroup(self._context, shard.connection, 1), shard).check()

    async def read_list(self, names: Sequence[str]) -> None:
        """Reads the venue's instrument list again, where there is one: new symbols may have come since."""
        if self._instruments is not None and self._waits:
            read = self.connector_state.symbols.resolve
            await self._instruments.first(lambda: not asks_for_all(names) and all(read(name) for name in names))

    def become(
        self,
        job: Job,
        symbols: Sequence[Symbol],
        new: Sequence[ConnectionSupervisor],
        gone: Sequence[ConnectionSupervisor],
    ) -> None:
        """Another job, whose plan differs in its symbols only: the ``new`` connections are started; those that are
        ``gone`` are to be stopped by the caller.
        """
        self.make_room(job)
        self.job = job
        self.plan = replace(self.plan, path=job.plan.path,
                            symbols=replace(self.plan.symbols, default=job.plan.symbols.default))
        self.connector_state.gaps.symbols = {symbol.record: symbol for symbol in symbols}
        if self.drift is not None:
            self.drift.names.update(job.wanted)
        order = [connection.name for connection in self.plan.connections]
        kept = [supervisor for supervisor in self.supervisors if supervisor not in gone]
        self.supervisors = tuple(sorted(
            (*kept, *new), key=lambda one: (order.index(one.shard.connection.name), one.shard.number, one.shard.replica)
        ))
        numbers = Counter(supervisor.shard.connection.name for supervisor in self.supervisors)
        for name, endpoint_group in self.endpoint_groups.items():
            endpoint_group.resize(numbers[name])
        kept_shards = {(one.shard.connection.name, one.shard.number) for one in self.supervisors}
        self.connector_state.keep_replica_sets(kept_shards)
        for supervisor in new:
            self._start(supervisor)

    async def reach(self) -> AsyncIterator[tuple[str, str]]:
        """Reaches out to the venue without subscribing to anything: each thing that was reached, and what it said.
        Raises TransportError, SettingsError or RecordError at the first that could not be.
        """
        if self._instruments is not None:
            yield "instrument list", f"{await self._instruments.once()} instruments"
            self.supervisors = self._initial_supervisors()
        seen: set[str] = set()
        for supervisor in self.supervisors:
            name = supervisor.shard.connection.name
            if name not in seen:
                seen.add(name)
                yield await supervisor.reach(), f"connected ({name})"

    async def _listed(self) -> bool:
        """Waits for the venue's list of instruments, which the connections depend on; False where stopped before."""
        reading = asyncio.ensure_future(self.read_list(self.job.wanted))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if not reading.done():
            reading.cancel()
            return False
        reading.result()
        self.supervisors = self._initial_supervisors()
        return True

    async def stop(self, successor: ConnectorState | None = None) -> None:
        """Stops receiving. ``successor``: the state of the connector that takes this one's place, where one does; it
        gets the gaps that are not filled yet when `run` ends.
        """
        self._successor = successor or self._successor
        self._stopping.set()
        await asyncio.gather(*(supervisor.stop() for supervisor in self.supervisors))

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    @property
    def successor(self) -> ConnectorState | None:
        """See `stop`."""
        return self._successor

    @property
    def state(self) -> ConnectionState:
        """The worst state of its connections; waiting before there is one, failed where it does not run."""
        if self.trouble:
            return ConnectionState.FAILED
        return ConnectionState.worst(supervisor.state for supervisor in self.supervisors) or ConnectionState.WAITING

    @property
    def stream_names(self) -> tuple[str, ...]:
        """The streams that run."""
        return tuple(stream.name for stream in self.connector_state.streams)

    @property
    def candle_streams(self) -> tuple[str, ...]:
        """The streams that run whose records are candles, and the candles that are made here."""
        own = tuple(stream.name for stream in self.connector_state.streams if stream.record == CANDLE)
        return own if self.candles is None else (*own, CANDLES_OF_TRADES)

    @property
    def amendments(self) -> dict[str, int]:
        """Corrections of trades, and what takes them back, by what leaves them out; without what has left out none."""
        candles = 0 if self.candles is None else self.candles.amendments
        audit = 0 if self.audit is None else sum(self.audit.amendments.values())
        return {name: count for name, count in (("candles", candles), ("audit", audit)) if count}

    def status(self) -> ConnectorStatus:
        """For /health, as it is now."""
        ledger, now = self.connector_state.ledger, monotonic()
        sums = self.shown.by_stream()
        whole = total(sums.values())
        self.findings = self.recent.findings(now, sums)
        return {
            "state": self.state,
            "detail": self.trouble or None,
            "crashes": ledger.crashes,
            "sockets": [supervisor.status() for supervisor in self.supervisors],
            "ledger": equation(whole),
            "streams": {
                name: {**(sums.get(name) or total(())), **self.silence.status(name)} for name in self.stream_names
            },
            "endpoints": {name: group.status(now) for name, group in self.endpoint_groups.items()},
            "reconnect_causes": dict(ledger.reconnects),
            "anomalies": {} if self.anomalies is None else self.anomalies.by_kind,
            "amendments": self.amendments,
            "bad_data": [finding.text for finding in self.findings],
            "troubles": [trouble_status(one) for one in ledger.troubles.latest],
            **whole,
        }

    def report(self) -> ConnectorReport:
        """Its final figures."""
        return {**self.connector_state.ledger.report(), "amendments": self.amendments}


NAMED = 5000
"""Accounts of a connector whose symbols are named: a venue may invent any number of others."""


def _accounts(job: Job) -> int:
    """How many accounts its ledger has where nobody says a number: as many as there are where all symbols are asked
    for, else enough for those that are.
    """
    return MOST_SYMBOLS if asks_for_all(job.wanted) else max(NAMED, 2 * len(job.wanted) * len(job.plan.streams))


def state_for(
    job: Job, replaced: Connector | None = None, shared_limits: SharedLimits | None = None, hold: bool = False
) -> ConnectorState:
    """The state for a job's connector: a new one, or that of the connector that it is to replace, for its own plan.
    ``hold``: see `ConnectorState`.
    """
    given = job.overrides
    plan, window = overridden(job.plan, given), given.remembered or REMEMBERED
    if replaced is None:
        return ConnectorState(
            plan, job.streams, window, given.backfill, most_symbols=given.most_symbols or MOST_SYMBOLS,
            most_accounts=given.most_symbols or _accounts(job), shared_limits=shared_limits, hold=hold,
        )
    replaced.make_room(job)
    return replaced.connector_state.for_plan(plan, job.streams, window, given.backfill)
