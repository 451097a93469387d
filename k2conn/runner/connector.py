"""A connector at work: its sockets, its books, and the way its envelopes take into the sink."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from k2conn.engine.gaprecords import gap_words
from k2conn.engine.gaps import GRACE_US
from k2conn.engine.intake import Books
from k2conn.engine.legs import Legs
from k2conn.engine.session import World
from k2conn.engine.sharding import shards
from k2conn.envelope import Envelope
from k2conn.errors import SettingsError
from k2conn.plan import Plan, Symbol
from k2conn.runner.backfill import Backfiller
from k2conn.runner.instruments import Instruments
from k2conn.runner.journal import journal
from k2conn.runner.memory import Memory
from k2conn.runner.overrides import Overrides, overridden
from k2conn.runner.requests import http_call
from k2conn.runner.silence import Silence
from k2conn.runner.site import Kit, Site
from k2conn.runner.socket import Socket
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
    digest: str = ""
    """Tells whether a job is another one than before; empty where nobody asks."""


class Connector:
    """One running connector."""

    def __init__(
        self,
        job: Job,
        sink: Sink,
        count: Callable[[int], None],
        environment: Mapping[str, str],
        open_transport: Callable[[Address], Transport],
        state_folder: Path | None = None,
        before: Connector | None = None,
    ) -> None:
        """``state_folder`` None: what was seen is forgotten when the process ends. ``before``: the connector that this
        one is to replace; its books go on, and its state file as soon as it is gone (`remember`).
        """
        self.job = job
        self.plan = overridden(job.plan, job.overrides)
        books: Books | None = before.books if before is not None else None
        self.books: Books = Books(self.plan, job.streams, backfill=job.overrides.backfill, before=books)
        self._state_folder = state_folder
        self.memory: Memory | None = None
        self._fresh = before is None
        """Whether the books have nothing yet of what an earlier process kept."""
        self._before = before
        if before is None:
            self.remember()
        self.sink = sink
        self._count = count
        self._environment = environment
        self._open_transport = open_transport
        self._stopping = asyncio.Event()
        self._log = journal(connector=job.plan.name)
        self._instruments = (
            Instruments(self.plan, self.plan.listing, job.overrides, environment) if self.plan.listing else None
        )
        self.filler = Backfiller(
            self.books.gaps, self.publish, sink.drain, partial(http_call, given=job.overrides), environment
        )
        self.silence = Silence(self.books.ledger, self._log)
        self.sites: dict[str, Site] = {}
        """By the connection's name."""
        self.legs: tuple[Legs, ...] = ()
        """The books of the shards that have replicas."""
        self.sockets: tuple[Socket, ...] = () if self._instruments else self._sockets()

    def publish(self, envelopes: list[Envelope]) -> bool:
        """Hands envelopes to the sink; true where the socket must wait for the sink."""
        put = self.sink.put
        for envelope in envelopes:
            put(envelope)
        self._count(len(envelopes))
        return self.sink.crowded

    def remember(self) -> None:
        """From now on the state file is this connector's."""
        self._before = None
        if self._state_folder is not None:
            self.memory = Memory(self._state_folder, self.books)

    @property
    def proved(self) -> bool:
        """Whether every socket is subscribed or has had data."""
        return bool(self.sockets) and all(
            socket.state == "live" or (socket.link is not None and socket.link.data) for socket in self.sockets
        )

    async def run(self) -> None:
        """Keeps all sockets until stopped; a bug in one ends all, with its exception."""
        if self._instruments is not None and not await self._listed(self._instruments):
            return
        if self.memory is not None and self._fresh:
            self.memory.load()
        self.filler.check()
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._instruments.keep()) if self._instruments else None
            sockets = [
                group.create_task(socket.run(), name=f"{self.plan.name}/{socket.shard.name}")
                for socket in self.sockets
            ]
            watching = group.create_task(self._watch())
            filling = group.create_task(self.filler.run())
            await asyncio.wait(sockets)
            watching.cancel()
            filling.cancel()
            if keeping is not None:
                keeping.cancel()
        self._report_gaps(GRACE_US)
        self.filler.stop()

    async def _watch(self) -> None:
        """Publishes gap records as their grace runs out; looks for silence; books what replicas missed."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            self._report_gaps(0)
            if self.memory is not None:
                self.memory.look(time.monotonic())
            self.silence.look(self.sockets)
            for legs in self.legs:
                legs.expire(time.time_ns() // 1000)

    def _report_gaps(self, ahead_us: int) -> None:
        """Publishes the gaps that are due; ``ahead_us`` for those still in their grace when the end has come."""
        found = self.books.gap_records(time.time_ns() // 1000 + ahead_us)
        for envelope in found:
            self._log.warning("gap", **gap_words(envelope))
        if found:
            self.publish(found)
        self.filler.take()

    def _sockets(self) -> tuple[Socket, ...]:
        symbols = resolve(self.plan, self.job.symbols or self.plan.symbols.default)
        self.books.gaps.symbols = {symbol.record: symbol for symbol in symbols}
        found = shards(self.plan, self.books.streams, symbols)
        if not found:
            names = ", ".join(stream.name for stream in self.books.streams)
            raise SettingsError(f"{self.plan.name}: none of its connections carries these symbols on stream {names}")
        world = World(lambda: str(uuid.uuid4()), self._environment)
        kit = Kit(self.books, self.publish, self.sink.drain, self.job.overrides, world, self._open_transport)
        numbers = Counter(shard.connection.name for shard in found)
        self.sites = {one.name: Site(kit, one, numbers[one.name]) for one in self.plan.connections if numbers[one.name]}
        legs = {
            (shard.connection.name, shard.number): Legs(shard.connection.replicas)
            for shard in found
            if shard.connection.replicas > 1
        }
        self.legs = tuple(legs.values())
        sockets = tuple(
            Socket(kit, self.sites[shard.connection.name], shard, legs[key].leg(shard.leg) if key in legs else None)
            for shard in found
            for key in [(shard.connection.name, shard.number)]
        )
        for name, site in self.sites.items():
            if self._before is not None and name in self._before.sites:
                site.gate.follow(self._before.sites[name].gate)
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
