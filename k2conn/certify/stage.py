"""The stage: the real engine, over real sockets, against an exchange that misbehaves in one way after another."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from k2conn.avro import RecordSchema, load_schema
from k2conn.certify.harvest import Harvest, from_files, from_kafka
from k2conn.certify.haste import PING, STALE, hasty
from k2conn.certify.ordeals import QUARANTINE, RECONNECT, Broker, Ordeal, Scene
from k2conn.certify.proof import Proof, prove
from k2conn.certify.reference import Reference
from k2conn.certify.topics import Prefixed
from k2conn.engine.breaker import Fuse
from k2conn.engine.deadletter import DEAD_SUFFIX
from k2conn.engine.gaprecords import gap_topic
from k2conn.engine.ledger import Ledger
from k2conn.engine.sharding import shards
from k2conn.errors import SettingsError
from k2conn.mock.exchange import MockExchange
from k2conn.mock.server import MockServer
from k2conn.mock.witness import Witness
from k2conn.plan import Plan
from k2conn.runner import Job, Overrides, Runner
from k2conn.sinks import Reject, Settle, Sink
from k2conn.sinks.settings import SinkSettings
from k2conn.spool import make_spooled

OpenSink = Callable[[SinkSettings, Settle, Reject], Sink]
LIVE_WITHIN = 15.0
"""Seconds in which all subscriptions must have data, at first and after each ordeal."""
_CALM = 0.5
"""Seconds without trouble before each ordeal; less in a short certification."""


@dataclass(slots=True)
class Trial:
    """One ordeal as it went. ``reconnects``: how often, by cause; ``recovered``: seconds until all data flowed again,
    None where they did not. ``skipped``: why it was not done.
    """

    name: str
    text: str
    seconds: float = 0.0
    reconnects: dict[str, int] = field(default_factory=dict)
    dead_letters: int = 0
    duplicates: int = 0
    recovered: float | None = None
    skipped: str = ""
    wrong: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Outcome:
    """What one connector's certification found."""

    connector: str
    exchange: str
    sink: str
    seed: int
    rate: float
    seconds: float
    trials: list[Trial]
    proof: Proof
    gaps: int
    books: dict[str, Any]
    wrong: list[str]

    @property
    def passed(self) -> bool:
        """Whether all is proven."""
        return not self.wrong and self.proof.balanced and not any(trial.wrong for trial in self.trials)


class Stage:
    """One connector's certification."""

    def __init__(
        self, plan: Plan, settings: SinkSettings, ordeals: Sequence[Ordeal], *, duration: float = 60.0,
        rate: float = 50.0, seed: int = 0, prefix: str = "", broker: Broker | None = None,
        open_sink: OpenSink = make_spooled,
    ) -> None:
        """``prefix`` goes before every topic. ``open_sink`` makes the sink, for tests that need a bad one."""
        self.plan = hasty(plan)
        self.settings = settings
        self.ordeals = tuple(ordeals)
        self.duration, self.rate, self.seed, self.prefix = duration, rate, seed, prefix
        self.witness = Witness()
        self.exchange = MockExchange(plan, rate=rate, seed=seed, witness=self.witness, restless=True)
        self.scene = Scene(plan, self.exchange, broker)
        enabled = tuple(one.name for one in plan.streams if one.enabled and one.name in self.exchange.streams)
        self.streams = enabled or self.exchange.streams
        if not self.streams:
            raise SettingsError(f"{plan.name} has no tests with records, so nothing can be played")
        self._open_sink = open_sink
        self._calm = max(0.1, min(_CALM, duration / 60))
        self._sunk: Sink | None = None
        self._running: asyncio.Task[Any] | None = None
        self._ledger = Ledger(plan.name, plan.exchange)

    async def run(self) -> Outcome:
        """Plays all ordeals, stops in order, reads back and proves."""
        began = time.monotonic()
        async with MockServer([self.exchange]):
            runner = Runner([self._job()], self.settings, open_sink=self._sink)
            self._ledger = runner.connectors[0].books.ledger
            stop = asyncio.Event()
            self._running = asyncio.create_task(runner.run(stop))
            try:
                trials, wrong = await self._play()
                await self._settle(wrong)
            finally:
                stop.set()
                code = (await self._running).exit_code
        if code:
            wrong.append(f"the connector ended with exit code {code}")
        harvest = await self._harvest()
        reference = Reference(self.scene.plan, self.streams, self.exchange)
        return Outcome(
            self.plan.name, self.plan.exchange, self.settings.kind, self.seed, self.rate,
            round(time.monotonic() - began, 1), trials, prove(reference, harvest, self._ledger), len(harvest.gaps),
            self._ledger.report(), wrong,
        )

    def _job(self) -> Job:
        server = f"http://127.0.0.1:{self.exchange.port}/{self.plan.name}"
        overrides = Overrides(
            urls=(self.exchange.url(),),
            http_url=self.exchange.http_url or server,  # never the venue itself
            ping_every=PING, ping_timeout=2 * PING, stale_after=STALE, backfill=False,
            fuse=Fuse(failures=50, seconds=0.5),
        )
        return Job(self.plan, streams=self.streams, overrides=overrides)

    def _sink(self, settings: SinkSettings, settle: Settle, reject: Reject) -> Sink:
        self._sunk = self._open_sink(settings, settle, reject)
        return Prefixed(self._sunk, self.prefix) if self.prefix else self._sunk

    # -- the play

    async def _play(self) -> tuple[list[Trial], list[str]]:
        """All ordeals; what went wrong beside them."""
        if await self._live() is None:
            return [], ["not all subscriptions had data: " + "; ".join(self.exchange.warnings or ["no reason known"])]
        due = [ordeal for ordeal in self.ordeals if not ordeal.needs(self.scene)]
        each = max(0.0, self.duration / max(1, len(due)) - 2 * self._calm)
        trials = []
        for ordeal in self.ordeals:
            trials.append(await self._trial(ordeal, each))
            self._check()
        return trials, []

    def _check(self) -> None:
        """A connector that ended by itself ended for a reason."""
        assert self._running is not None
        if self._running.done():
            self._running.result()

    async def _trial(self, ordeal: Ordeal, least: float) -> Trial:
        trial = Trial(ordeal.name, ordeal.text, skipped=ordeal.needs(self.scene))
        if trial.skipped:
            return trial
        await asyncio.sleep(self._calm)
        began, before, rejected = time.monotonic(), self._figures(), len(self.exchange.rejected)
        await ordeal.run(self.scene, least)
        trial.seconds = round(time.monotonic() - began, 1)
        trial.recovered = await self._live()
        after = self._figures()
        trial.reconnects = dict(after[0] - before[0])
        trial.dead_letters, trial.duplicates = after[1] - before[1], after[2] - before[2]
        if trial.recovered is None:
            trial.wrong.append(f"not all data flowed again within {LIVE_WITHIN:g} s")
        if RECONNECT in ordeal.expects and not trial.reconnects:
            trial.wrong.append("the connector did not notice")
        if QUARANTINE in ordeal.expects and not trial.dead_letters:
            trial.wrong.append("no dead letter was written")
        trial.wrong += _hasty_knocks(self.exchange.rejected[rejected:], len(self.exchange.clients))
        return trial

    def _figures(self) -> tuple[Counter[str], int, int]:
        """Reconnects by cause, frames that were dead letters, duplicates."""
        ledger = self._ledger
        return Counter(ledger.reconnects), ledger.malformed, ledger.totals()["duplicates"]

    async def _live(self) -> float | None:
        """Waits until every subscription has had new data; how long that took, None where it took too long."""
        began = time.monotonic()
        before = Counter(self.exchange.counts)
        wanted = self._wanted()
        try:
            await self.exchange.wait_for(
                lambda: all(self.exchange.counts[key] > before[key] for key in wanted), within=LIVE_WITHIN
            )
        except TimeoutError:
            return None
        finally:
            self._check()
        return round(time.monotonic() - began, 1)

    def _wanted(self) -> list[tuple[str, str]]:
        """What the connector subscribes: each stream of each default symbol that the stream's connection takes."""
        found = []
        symbols = [one for name in self.plan.symbols.default if (one := self.plan.symbols.resolve(name))]
        for shard in shards(self.plan, [self.plan.stream(name) for name in self.streams], symbols):
            found += [(stream, symbol.native) for stream in shard.connection.streams if stream in self.streams
                      for symbol in shard.symbols]
        return found

    async def _settle(self, wrong: list[str]) -> None:
        """Quiet, until everything that left has arrived."""
        self.exchange.pause()
        try:
            await self.exchange.wait_for(lambda: self.witness.settled, within=10.0)
        except TimeoutError:
            wrong.append("the connector did not read all that was sent to it within 10 s")
        await asyncio.sleep(_CALM)

    # -- the harvest

    async def _harvest(self) -> Harvest:
        if self.settings.kind == "file":
            return await asyncio.to_thread(from_files, self.settings.folder)
        topics: dict[str, RecordSchema] = {
            self.prefix + topic: load_schema(one.record)
            for one in self.plan.streams for topic in one.kafka_topics.values()
        }
        topics[self.prefix + gap_topic(self.plan)] = load_schema("gap")
        return await from_kafka(self.settings.kafka, topics, [topic + DEAD_SUFFIX for topic in topics])


def _hasty_knocks(moments: Sequence[float], clients: int) -> list[str]:
    """Whether anybody knocked again before the Retry-After of a second was over."""
    each = max(1, clients)
    early = [b - a for a, b in zip(moments, moments[each:], strict=False) if b - a < 0.9]
    return [f"it connected again {early[0]:.1f} s after HTTP 429 with a Retry-After of 1 s"] if early else []
