"""Many connectors into one sink.

Stopping, in this order: stop receiving (unsubscribe, close the connections, at most 5 s), flush the sink (at most
10 s), close it, print the final figures. Where something is left unsent, the log says so and the exit code is 1.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from k2conn.clock import monotonic, wall_us
from k2conn.engine.accounting.dead_letter import DEAD_SUFFIX, dead_letter
from k2conn.engine.accounting.ledger import NOWHERE, Account
from k2conn.engine.gaps.gap_records import gap_record, gap_topic
from k2conn.envelope import Account as AnyAccount
from k2conn.envelope import Envelope
from k2conn.errors import CollectedProblems, RecordError
from k2conn.runner.connection_state import ConnectionState
from k2conn.runner.connector import Connector, Job, state_for
from k2conn.runner.event_log import get_logger
from k2conn.runner.state_file import StateFile
from k2conn.runner.status import RunReport
from k2conn.runner.stopping import unless_stopped
from k2conn.sinks import Reject, Settle, Sink
from k2conn.sinks.settings import SinkSettings
from k2conn.spool import make_spooled
from k2conn.spool.status import SpooledSinkStatus
from k2conn.transports import Address, Transport, open_transport

RECEIVE_WITHIN = 5.0
FLUSH_WITHIN = 10.0
_LOOK = 0.05
"""Seconds between two looks whether a new connector has proved itself."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended. ``unsent``: envelopes the sink could not make durable in time."""

    unsent: int
    failed: tuple[str, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """0 where everything went out; 1 where something is unsent; 69 where a connector gave up."""
        if self.unsent:
            return 1
        return 69 if self.failed else 0


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
    ) -> None:
        self.sink: Sink = open_sink(sink_settings, self._settle, self._reject)
        self.records = 0
        self.started = monotonic()
        self._max_records = max_records
        self._enough = asyncio.Event()
        self.stopping = False
        self.opened = asyncio.Event()
        """Set once the sink is open and the connectors are started."""
        self._bugs: list[Exception] = []
        self._log = get_logger()
        variables = dict(os.environ) if environment is None else environment
        self._make = partial(
            Connector, sink=self.sink, count=self._count, environment=variables, open_transport=open_transport
        )
        self.connectors = tuple(self._made(jobs))
        self._state_folder = state_folder
        """None: what was seen is forgotten when the process ends."""
        self._tasks: dict[Connector, asyncio.Task[None]] = {}
        """The connectors at work, those that come or go on a reload too."""
        self._changed = asyncio.Event()
        self._between = False
        """Whether a connector has gone whose successor is about to start."""

    def _made(self, jobs: Sequence[Job]) -> list[Connector]:
        """A connector for each job. SettingsError with the problems of all."""
        made: list[Connector] = []
        problems = CollectedProblems()
        for job in jobs:
            with problems.noting():
                made.append(self._make(job, state_for(job)))
        problems.finish()
        return made

    async def run(self, stop: asyncio.Event) -> RunOutcome:
        """Runs until ``stop`` is set, the record limit is reached, or every connector gave up.

        Raises Unreachable where the sink cannot be opened. An exception that is a bug of ours stops everything in
        order, then goes on up.
        """
        if not await unless_stopped(self._open(), stop):
            self._log.info("stopped before anything began")
            return RunOutcome(0, (), monotonic() - self.started)
        self.started = monotonic()
        asyncio.get_running_loop().set_exception_handler(self._uncaught)
        for connector in self.connectors:
            self._keep_state(connector)
            if connector.state_file is not None:
                connector.state_file.load()
            self._start(connector)
        self.opened.set()
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(self._enough.wait())]
        try:
            await self._until(waits)
        finally:
            self.stopping = True
            for wait in waits:
                wait.cancel()
            unsent = await self._stop(list(self._tasks.values()))
        self._raise_bugs(list(self._tasks.values()))
        failed = tuple(one.plan.name for one in self.connectors if one.state == ConnectionState.FAILED)
        return RunOutcome(unsent, failed, monotonic() - self.started)

    async def _open(self) -> None:
        """Opens the sink and registers the schemas; a sink that cannot go on is closed again."""
        await self.sink.open()
        try:
            await self._prepare()
        except BaseException:  # whatever it is, a sink that was opened is closed
            await self.sink.close()
            raise

    def _raise_bugs(self, tasks: list[asyncio.Task[None]]) -> None:
        """Raises the first exception that ended a connector, or that a callback of the loop left uncaught."""
        errors = [error for task in tasks if not task.cancelled() and (error := task.exception()) is not None]
        for error in (*errors, *self._bugs):
            raise _inner(error)

    def _uncaught(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception in a callback (a timer, an acknowledgement): nobody else would see it, so it ends the run. What
        the loop reports beside that, such as a connection that broke while closing, is only logged.
        """
        error = context.get("exception")
        if isinstance(error, Exception) and "handle" in context:
            self._bugs.append(error)
            self._enough.set()
        else:
            self._log.warning("event loop", message=context.get("message"), error=repr(error) if error else None)

    # -- reload

    async def replace(self, old: Connector, job: Job, within: float) -> bool:
        """Starts the new job beside the old connector, and retires that when the new one is subscribed or has data.
        False, with the old one at work as before, where it is neither in time or the sink refuses its schemas.

        Where the venue's limit on connections allows no two, the old one goes first, and the new one stays.
        """
        new = self._make(job, state_for(job, old))
        await self._prepare((new,))
        crowded = any(_crowded(old, new, name) for name in new.endpoint_groups)
        if crowded:
            self._between = True
            await self._retire(old, new)
            self._put_in_place_of(old, new)
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
        await self._retire(old, new)
        self._put_in_place_of(old, new)
        return True

    def _put_in_place_of(self, old: Connector, new: Connector) -> None:
        self.connectors = tuple(new if one is old else one for one in self.connectors)
        self._keep_state(new)

    def _keep_state(self, connector: Connector) -> None:
        """From now on the state file is this connector's."""
        if self._state_folder is not None:
            connector.state_file = StateFile(self._state_folder, connector.connector_state)

    def _start(self, connector: Connector) -> asyncio.Task[None]:
        task = asyncio.create_task(connector.run(), name=connector.plan.name)
        self._tasks[connector] = task
        self._changed.set()
        return task

    async def _retire(self, connector: Connector, successor: Connector) -> None:
        """Stops one connector; what it has handed to the sink goes on, and its ``successor`` with the gaps that are
        still to be filled. A bug in it is left for `run` to raise.
        """
        task = self._tasks[connector]
        await connector.stop(successor.connector_state if not self.stopping else None)
        await asyncio.wait({task})
        if connector.state_file is not None:
            await connector.state_file.finish()
        if task.cancelled() or task.exception() is None:
            del self._tasks[connector]
        self._changed.set()

    async def _prepare(self, connectors: Sequence[Connector] | None = None) -> None:
        """Registers the schemas of all topics, finds those of the dead letters: a refusal is said at start."""
        await self.sink.prepare(self.topics(connectors))

    def topics(self, connectors: Sequence[Connector] | None = None) -> dict[str, Any]:
        """All topics that are written to, each with its schema (None: dead letters)."""
        topics: dict[str, Any] = {}
        for connector in self.connectors if connectors is None else connectors:
            for mapping in connector.connector_state.mappings.values():
                topics.update(dict.fromkeys(mapping.stream.kafka_topics.values(), mapping.schema))
                if mapping.gaps is not None or mapping.suspected_gaps is not None:
                    topics[gap_topic(connector.plan)] = gap_record().schema
        return {**topics, **dict.fromkeys(f"{topic}{DEAD_SUFFIX}" for topic in topics)}

    async def _until(self, waits: list[asyncio.Task[Any]]) -> None:
        """Waits for a reason to stop: asked, enough, all gave up, or a bug."""
        while True:
            tasks = list(self._tasks.values())
            done = [task for task in tasks if task.done()]
            if any(wait.done() for wait in waits) or (len(done) == len(tasks) and not self._between):
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
        try:
            async with asyncio.timeout(RECEIVE_WITHIN):
                await asyncio.gather(*(connector.stop() for connector in self._tasks), return_exceptions=True)
                await asyncio.wait(tasks)
        except TimeoutError:
            self._log.warning("sockets did not close in time", within=RECEIVE_WITHIN)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            unsent = await self.sink.flush(FLUSH_WITHIN)
            await asyncio.gather(*(one.state_file.finish() for one in self.connectors if one.state_file is not None))
        finally:
            await self.sink.close()
        if unsent:
            self._log.error("unsent records", count=unsent)
        return unsent

    # -- what the sink reports

    def _settle(self, envelopes: Sequence[Envelope]) -> None:
        now = wall_us()
        counts = Counter([(envelope.account, envelope.schema is None) for envelope in envelopes])
        for (account, dead), count in counts.items():
            if account is not None:
                account.settled(dead, count)
        last = envelopes[-1].account if envelopes else None
        if isinstance(last, Account):
            last.settled_us, last.settled_event_us = now, envelopes[-1].timestamp_ms * 1000

    def _reject(self, envelope: Envelope, reason: str) -> None:
        """A record the sink can never take becomes a dead letter; a dead letter it cannot take is lost, and logged."""
        account = envelope.account
        if account is None:
            return
        if envelope.schema is None:
            account.lost += 1
            self._log.error("dead letter lost", topic=envelope.topic, reason=reason)
            return
        names = self._owner(envelope, account, reason)
        error = RecordError("record", None, None, reason, f"{len(envelope.value)} bytes of Avro")
        now = wall_us()
        self.sink.put(
            dead_letter(*names, account.stream, envelope.topic, account.symbol, error, envelope.value, now, account)
        )

    def _owner(self, envelope: Envelope, account: AnyAccount, reason: str) -> tuple[str, str]:
        """Connector and exchange of a rejected record. One that an earlier process left in the spool is in no
        ledger of ours, but its topic may be one of ours.
        """
        for connector in self.connectors:
            if any(one is account for one in connector.connector_state.ledger.accounts()):
                connector.connector_state.ledger.dead_reasons[reason] += 1
                return connector.plan.name, connector.plan.exchange
        for connector in self.connectors:
            if any(envelope.topic in stream.kafka_topics.values() for stream in connector.plan.streams):
                return connector.plan.name, connector.plan.exchange
        return NOWHERE, NOWHERE

    def _count(self, number: int) -> None:
        self.records += number
        if self._max_records is not None and self.records >= self._max_records:
            self._enough.set()

    def sink_status(self) -> SpooledSinkStatus:
        """How the sink does, with the spool before it where there is one."""
        return cast(SpooledSinkStatus, self.sink.status())  # every sink's, with or without the optional spool

    def report(self) -> RunReport:
        """The final figures of the run."""
        return {
            "seconds": round(monotonic() - self.started, 3),
            "records": self.records,
            "sink": self.sink_status(),
            "connectors": {connector.plan.name: connector.report() for connector in self.connectors},
        }


def _crowded(old: Connector, new: Connector, name: str) -> bool:
    """Whether a venue's limit on connections of one kind does not allow those of both connectors."""
    most = new.endpoint_groups[name].connection.limits.connections
    both = [one for one in (*old.supervisors, *new.supervisors) if one.shard.connection.name == name]
    return most is not None and len(both) > most


def _inner(error: BaseException) -> BaseException:
    """The bug itself, out of the groups of tasks it went through."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
