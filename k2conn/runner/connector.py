"""A connector at work: its sockets, its books, and the way its envelopes take into the sink."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from k2conn.engine.gaprecords import gap_words
from k2conn.engine.gaps import GRACE_US
from k2conn.engine.gate import Gate
from k2conn.engine.intake import Books
from k2conn.engine.sharding import shards
from k2conn.envelope import Envelope
from k2conn.errors import SettingsError
from k2conn.plan import Connection, Plan, Symbol
from k2conn.runner.instruments import Instruments
from k2conn.runner.journal import journal
from k2conn.runner.socket import Overrides, Socket
from k2conn.sinks import Sink
from k2conn.transports import Address, Transport

_LOOK_EVERY = 0.5
"""Seconds between two looks for gaps whose grace is over."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to run: a plan, its symbols (None: the defaults), its streams (None: the default ones), and overrides."""

    plan: Plan
    symbols: tuple[str, ...] | None = None
    streams: tuple[str, ...] | None = None
    overrides: Overrides = field(default_factory=Overrides)


class Connector:
    """One running connector."""

    def __init__(
        self,
        job: Job,
        sink: Sink,
        count: Callable[[int], None],
        environment: Mapping[str, str],
        open_transport: Callable[[Address], Transport],
    ) -> None:
        self.job = job
        self.plan = overridden(job.plan, job.overrides)
        self.books = Books(self.plan, job.streams)
        self.sink = sink
        self._count = count
        self._environment = environment
        self._open_transport = open_transport
        self._stopping = asyncio.Event()
        self._log = journal(connector=job.plan.name)
        self._instruments = (
            Instruments(self.plan, self.plan.listing, job.overrides, environment) if self.plan.listing else None
        )
        self.sockets: tuple[Socket, ...] = () if self._instruments else self._sockets()

    def publish(self, envelopes: list[Envelope]) -> bool:
        """Hands envelopes to the sink; true where the socket must wait for the sink."""
        put = self.sink.put
        for envelope in envelopes:
            put(envelope)
        self._count(len(envelopes))
        return self.sink.crowded

    async def run(self) -> None:
        """Keeps all sockets until stopped; a bug in one ends all, with its exception."""
        if self._instruments is not None and not await self._listed(self._instruments):
            return
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._instruments.keep()) if self._instruments else None
            sockets = [
                group.create_task(socket.run(), name=f"{self.plan.name}/{socket.shard.name}")
                for socket in self.sockets
            ]
            watching = group.create_task(self._watch_gaps())
            await asyncio.wait(sockets)
            watching.cancel()
            if keeping is not None:
                keeping.cancel()
        self._report_gaps(GRACE_US)

    async def _watch_gaps(self) -> None:
        """Publishes gap records as their grace runs out."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            self._report_gaps(0)

    def _report_gaps(self, ahead_us: int) -> None:
        """Publishes the gaps that are due; ``ahead_us`` for those still in their grace when the end has come."""
        found = self.books.gap_records(time.time_ns() // 1000 + ahead_us)
        for envelope in found:
            self._log.warning("gap", **gap_words(envelope))
        if found:
            self.publish(found)

    def _sockets(self) -> tuple[Socket, ...]:
        symbols = resolve(self.plan, self.job.symbols or self.plan.symbols.default)
        gates = {connection.name: Gate(connection.limits.connect) for connection in self.plan.connections}
        found = shards(self.plan, self.books.streams, symbols)
        if not found:
            names = ", ".join(stream.name for stream in self.books.streams)
            raise SettingsError(f"{self.plan.name}: none of its connections carries these symbols on stream {names}")
        sockets = tuple(
            Socket(self.books, shard, self.publish, self.sink.drain, self.job.overrides, self._environment,
                   self._open_transport, gates[shard.connection.name])
            for shard in found
        )
        for socket in sockets:
            socket.check()
        return sockets

    async def _listed(self, instruments: Instruments) -> bool:
        """Waits for the venue's list, then knows the sockets; False where stopped before."""
        wanted = self.job.symbols or self.plan.symbols.default
        reading = asyncio.ensure_future(
            instruments.first(lambda: all(self.plan.symbols.resolve(name) for name in wanted))
        )
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if not reading.done():
            reading.cancel()
            return False
        reading.result()
        self.sockets = self._sockets()
        return True

    async def stop(self) -> None:
        """Stops receiving."""
        self._stopping.set()
        await asyncio.gather(*(socket.stop() for socket in self.sockets))

    @property
    def state(self) -> str:
        """The worst state of its sockets, for people: failed, waiting, connecting, subscribing, live, stopped."""
        order = ("failed", "waiting", "connecting", "subscribing", "live", "stopped")
        return min((socket.state for socket in self.sockets), key=order.index, default="waiting")


def overridden(plan: Plan, given: Overrides) -> Plan:
    """The plan with what the environment says about all its connections."""
    return replace(plan, connections=tuple(_overridden(connection, given) for connection in plan.connections))


def _overridden(connection: Connection, given: Overrides) -> Connection:
    backoff, stale = connection.backoff, connection.stale_after
    if given.base_delay is not None:
        backoff = replace(backoff, base=given.base_delay, cap=max(backoff.cap, given.base_delay))
    if given.attempts is not None:
        backoff = replace(backoff, attempts=given.attempts or None)
    if given.stale_after is not None:
        stale = given.stale_after or None
    return replace(connection, backoff=backoff, stale_after=stale)


def resolve(plan: Plan, names: tuple[str, ...]) -> list[Symbol]:
    """The symbols by their native names; SettingsError names those that no rule reads."""
    found: list[Symbol] = []
    unknown: list[str] = []
    for name in names:
        symbol = plan.symbols.resolve(name)
        if symbol is None:
            unknown.append(name)
        elif symbol not in found:
            found.append(symbol)
    if unknown:
        example = plan.symbols.default[0]
        raise SettingsError(
            f"{plan.name}: no symbol rule reads {', '.join(unknown)}; this venue writes them like {example}"
        )
    return found
