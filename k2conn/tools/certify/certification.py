"""Runs the real engine over real sockets against an exchange that misbehaves in one way after another."""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from k2conn.avro import RecordSchema
from k2conn.clock import monotonic
from k2conn.ending_tasks import end_tasks
from k2conn.engine.accounting.dead_letter import DEAD_SUFFIX
from k2conn.engine.accounting.figures import LedgerReport
from k2conn.engine.accounting.ledger import Ledger
from k2conn.engine.gaps.gap_records import gap_record, gap_topic
from k2conn.engine.resilience.circuit_breaker import BreakerSettings
from k2conn.engine.sharding.shards import shards
from k2conn.errors import SettingsError, SinkError, Unreachable
from k2conn.plan import Plan
from k2conn.records import load_record
from k2conn.runner import Job, Overrides, Runner
from k2conn.sinks import SINKS, Reject, Settle, Sink
from k2conn.sinks.kafka.registry import SchemaRegistry
from k2conn.sinks.kafka.registry_addresses import registry_urls
from k2conn.sinks.settings import SinkSettings
from k2conn.spool import make_spooled
from k2conn.tools.certify.connector_process import Launch
from k2conn.tools.certify.crash_losses import CrashLosses
from k2conn.tools.certify.crash_restart import CrashReport, CrashRestart
from k2conn.tools.certify.expected_records import ExpectedRecords
from k2conn.tools.certify.proof import Proof, prove
from k2conn.tools.certify.proxied_dialing import ProxiedEventLoop, reroute
from k2conn.tools.certify.proxy import FaultProxy
from k2conn.tools.certify.readback import Readback, from_files, from_kafka
from k2conn.tools.certify.scenario import Broker, ClusterProxies, Expectation, FaultScenario, ScenarioContext
from k2conn.tools.certify.short_timeouts import PING, STALE, with_short_timeouts
from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.sent_frames import SentFrames
from k2conn.tools.mock.server import MockServer

OpenSink = Callable[[SinkSettings, Settle, Reject], Sink]
LIVE_WITHIN = 15.0
"""Seconds within which all subscriptions must have data again after each scenario."""
STARTS_WITHIN = 60.0
"""The same for the start, which also creates topics and registers schemas."""
DRAINED_WITHIN = 45.0
"""Seconds within which all records that waited for a failing sink must be durable."""
_READ_WITHIN = 30.0
"""Seconds within which all that was sent must have been read, at the end."""
_PAUSE_BEFORE = 0.5
"""Seconds without faults before each scenario; fewer in a short certification."""
_DELAYED = 0.2
"""Seconds that the process may be late at what it has to do; where it is later, the machine has too little time for it,
and connections end that nothing is wrong with, for the timeouts are short ones."""
_TRIES = 5
"""So often a scenario is run, and data is waited for, while the machine is late."""


@dataclass(slots=True)
class ScenarioRun:
    """The result of one scenario. ``reconnects``: how many, by cause; ``recovered``: seconds until all data flowed
    again, None where it did not. ``waiting``: the largest number of envelopes that were not durable; ``drained``:
    seconds until all of them were, where the sink failed. ``skipped``: why it was not run, see
    `FaultScenario.skipped`.
    """

    name: str
    text: str
    seconds: float = 0.0
    reconnects: dict[str, int] = field(default_factory=dict)
    dead_letters: int = 0
    duplicates: int = 0
    recovered: float | None = None
    waiting: int = 0
    drained: float | None = None
    seen: list[str] = field(default_factory=list)
    skipped: str = ""
    wrong: list[str] = field(default_factory=list)


@dataclass(slots=True)
class CertificationOutcome:
    """The result of one connector's certification."""

    connector: str
    exchange: str
    sink: str
    seed: int
    rate: float
    seconds: float
    trials: list[ScenarioRun]
    proof: Proof
    gaps: int
    books: LedgerReport
    wrong: list[str]
    crash_losses: list[CrashLosses] = field(default_factory=list)
    """What kill -9 cost, by stream and symbol; accounted for separately."""

    @property
    def not_run(self) -> tuple[str, ...]:
        """The scenarios that could not be run because something they need is missing."""
        return tuple(trial.name for trial in self.trials if trial.skipped.startswith("not run"))

    @property
    def passed(self) -> bool:
        """Whether everything that was run is proven."""
        return not self.wrong and self.proof.balanced and not any(trial.wrong for trial in self.trials)


class Certification:
    """One connector's certification."""

    def __init__(
        self, plan: Plan, settings: SinkSettings, scenarios: Sequence[FaultScenario], *, duration: float = 60.0,
        rate: float = 50.0, seed: int = 0, broker: Broker | None = None, launch: Launch | None = None,
        open_sink: OpenSink = make_spooled, folder: Path = Path(), streams: Sequence[str] = (),
        frames: Sequence[str] = (),
    ) -> None:
        """``streams``: those that run; none: those that the file enables. ``frames``: recorded ones, which the exchange
        sends with new ids and times instead of those of the connector's tests. ``launch`` starts the connector as a
        process for the scenarios that kill it; their files are in ``folder``. ``open_sink`` makes the sink; tests pass
        a faulty one. With the Kafka sink `run` needs a `ProxiedEventLoop`.
        """
        self.plan = with_short_timeouts(plan)
        self.settings = _one_registry(settings)
        self._folder = folder
        self.scenarios = tuple(scenarios)
        self.duration, self.rate, self.seed = duration, rate, seed
        self.sent_frames = SentFrames()
        self._frames = frames
        self.exchange = MockExchange(
            plan, rate=rate, seed=seed, sent_frames=self.sent_frames, keep_generating=True, frames=frames
        )
        self.context = ScenarioContext(
            plan, self.exchange, broker, self._cluster() if settings.kind == "kafka" else None
        )
        enabled = tuple(one.name for one in plan.streams if one.default and one.name in self.exchange.streams)
        self.streams = tuple(streams) or enabled or self.exchange.streams
        if not self.streams:
            none = "the recording has no frame with a record of it" if frames else "it has no tests with records"
            raise SettingsError(f"{plan.name}: {none}, so there is no data to send")
        self._open_sink = open_sink
        self._launch = launch
        self._pause_before = max(0.1, min(_PAUSE_BEFORE, duration / 60))
        self._running: asyncio.Task[Any] | None = None
        self._ledger = Ledger(plan.name, plan.exchange)
        self._peak_in_flight = 0
        self._longest_delay = 0.0
        self._registry_url = ""

    async def run(self) -> CertificationOutcome:
        """Runs all scenarios, stops the connector, reads the records back and compares."""
        began = monotonic()
        crash_restarts = asyncio.create_task(self._run_crash_restarts())
        try:
            trials, wrong = await self._run_in_process()
            report = await crash_restarts
        finally:
            await end_tasks(crash_restarts)
        readback = await self._read_back(SINKS.get(self.settings.kind).prefix(self.settings.options))
        reference = ExpectedRecords(self.context.plan, self.streams, self.exchange)
        for trial in trials:
            if trial.name in report.seen:
                trial.seconds = report.seconds.get(trial.name, 0.0)
                trial.seen, trial.wrong = report.seen[trial.name], report.wrong[trial.name]
        return CertificationOutcome(
            self.plan.name, self.plan.exchange, self.settings.kind, self.seed, self.rate,
            round(monotonic() - began, 1), trials, prove(reference, readback, self._ledger), len(readback.gaps),
            self._ledger.report(), wrong, report.crash_losses,
        )

    async def _run_in_process(self) -> tuple[list[ScenarioRun], list[str]]:
        """Runs the scenarios that do not kill the process."""
        try:
            async with MockServer([self.exchange]):
                settings, context = await self._behind_proxies()
                runner = Runner([self._job()], settings, open_sink=self._open_sink)
                self._ledger = runner.connectors[0].connector_state.ledger
                stop = asyncio.Event()
                self._running = asyncio.create_task(runner.run(stop), context=context)
                watching = asyncio.create_task(self._watch())
                try:
                    trials, wrong = await self._run_scenarios()
                    await self._settle(wrong)
                finally:
                    watching.cancel()
                    stop.set()
                    code = (await self._running).exit_code
        finally:
            if self.context.cluster is not None:
                await self.context.cluster.brokers.close()
                if self.context.cluster.registry is not None:
                    await self.context.cluster.registry.close()
        if code:
            wrong.append(f"the connector ended with exit code {code}")
        return trials, wrong

    # -- the cluster, behind proxies

    def _cluster(self) -> ClusterProxies:
        plain = urlsplit(self.settings.options.registry_url).scheme == "http"
        registry = FaultProxy() if plain else None
        return ClusterProxies(FaultProxy(), registry, self._registry_answers, lambda: self._figures()[3])

    async def _behind_proxies(self) -> tuple[SinkSettings, contextvars.Context]:
        """Settings and a context in which all connections to the cluster go through the proxies."""
        context = contextvars.copy_context()
        cluster = self.context.cluster
        if cluster is None:
            return self.settings, context
        assert isinstance(asyncio.get_running_loop(), ProxiedEventLoop)
        brokers = cluster.brokers
        urls = (self.exchange.url(), self.exchange.http_url or "")
        ours = {(one.hostname, one.port) for one in map(urlsplit, urls)}

        async def through(host: str, port: int) -> tuple[str, int]:
            return (host, port) if (host, port) in ours else await brokers.through(host, port)

        context.run(reroute.set, through)
        if cluster.registry is None:
            return self.settings, context
        self._registry_url = await cluster.registry.before(self.settings.options.registry_url)
        options = replace(self.settings.options, registry_url=self._registry_url)
        return replace(self.settings, options=options), context

    def _registry_answers(self) -> bool:
        try:
            SchemaRegistry(self._registry_url, 3.0).check()
        except Unreachable:
            return False
        except SinkError:  # it answers, if only that access is denied
            return True
        return True

    async def _run_crash_restarts(self) -> CrashReport:
        """Runs the scenarios that kill a process of their own."""
        names = [one.name for one in self.scenarios if one.run is None and not one.skipped(self.context)]
        if not names:
            return CrashReport()
        assert self._launch is not None
        kafka = self.settings.options
        crash_restarts = CrashRestart(
            self.context.plan, self.streams, self._wanted(), self._launch, self._read_back, names=names,
            registry_url=kafka.registry_url, prefix=kafka.topic_prefix, folder=self._folder / "crashes",
            rate=self.rate, seed=self.seed, frames=self._frames,
        )
        return await crash_restarts.run()

    def _job(self) -> Job:
        server = f"http://127.0.0.1:{self.exchange.port}/{self.plan.name}"
        overrides = Overrides(
            urls=(self.exchange.url(),),
            http_url=self.exchange.http_url or server,  # never the venue itself
            program=self.exchange.program,
            ping_every=PING, ping_timeout=2 * PING, stale_after=STALE, backfill=False,
            breaker_settings=BreakerSettings(failures=50, seconds=0.5),
        )
        return Job(self.plan, streams=self.streams, overrides=overrides)

    # -- scenarios

    async def _run_scenarios(self) -> tuple[list[ScenarioRun], list[str]]:
        """Runs all scenarios in this process. Returns their results, and errors that belong to none of them."""
        if await self._wait_for_data(STARTS_WITHIN) is None:
            return [], ["not all subscriptions had data: " + "; ".join(self.exchange.warnings or ["no reason known"])]
        due = [
            scenario for scenario in self.scenarios if scenario.run is not None and not scenario.skipped(self.context)
        ]
        each = max(0.0, self.duration / max(1, len(due)) - 2 * self._pause_before)
        trials = []
        for scenario in self.scenarios:
            for _ in range(_TRIES):
                trial = await self._run_scenario(scenario, each)
                if not self._disturbed(scenario, trial):
                    break
            trials.append(trial)
            self._check()
        return trials, []

    def _disturbed(self, scenario: FaultScenario, trial: ScenarioRun) -> bool:
        """Whether the scenario has shown nothing, because the machine was overloaded: it is run again then.

        Either something is wrong while the process was late; or a connection was lost beside broken frames, of which
        those in flight are in doubt.
        """
        if Expectation.DEAD_LETTER in scenario.expects and trial.reconnects:
            return True
        return bool(trial.wrong) and self._longest_delay > _DELAYED

    def _ended(self) -> bool:
        return self._running is not None and self._running.done()

    def _check(self) -> None:
        """Raises the error of a connector that ended by itself."""
        assert self._running is not None
        if self._running.done():
            self._running.result()

    async def _run_scenario(self, scenario: FaultScenario, least: float) -> ScenarioRun:
        trial = ScenarioRun(scenario.name, scenario.text, skipped=scenario.skipped(self.context))
        if trial.skipped or scenario.run is None:
            return trial
        self._longest_delay = 0.0
        await asyncio.sleep(self._pause_before)
        began, before, rejected = monotonic(), self._figures(), len(self.exchange.rejected)
        self._peak_in_flight = 0
        self.context.seen, self.context.wrong = trial.seen, trial.wrong
        await scenario.run(self.context, least)
        trial.seconds = round(monotonic() - began, 1)
        trial.waiting = self._peak_in_flight
        trial.recovered = await self._wait_for_data()
        await self._wait_until_read()
        after = self._figures()
        trial.reconnects = dict(after[0] - before[0])
        trial.dead_letters, trial.duplicates = after[1] - before[1], after[2] - before[2]
        if trial.recovered is None:
            trial.wrong.append(f"not all data flowed again within {LIVE_WITHIN:g} s")
        if Expectation.RECONNECT in scenario.expects and not trial.reconnects:
            trial.wrong.append("the connector did not reconnect")
        if Expectation.DEAD_LETTER in scenario.expects and not trial.dead_letters:
            trial.wrong.append("no dead letter was written")
        if Expectation.WAIT in scenario.expects:
            await self._wait_until_drained(trial)
        trial.wrong += _early_reconnects(self.exchange.rejected[rejected:], len(self.exchange.clients))
        return trial

    async def _wait_until_drained(self, trial: ScenarioRun) -> None:
        """Waits until everything received so far is durable."""
        began, owed = monotonic(), self._ledger.totals()["received"]
        try:
            await self.exchange.wait_for(lambda: self._done() >= owed, within=DRAINED_WITHIN)
            trial.drained = round(monotonic() - began, 1)
        except TimeoutError:
            trial.wrong.append(f"{owed - self._done()} records were not durable {DRAINED_WITHIN:g} s later")
        self._check()
        if not trial.waiting:
            trial.wrong.append("no record had to wait for the sink, so the scenario has shown nothing")

    def _done(self) -> int:
        totals = self._ledger.totals()
        return totals["received"] - totals["in_flight"]

    async def _watch(self) -> None:
        """Records the largest number of envelopes in flight, and how late the process was at most."""
        each = 0.05
        while True:
            self._peak_in_flight = max(self._peak_in_flight, self._ledger.totals()["in_flight"])
            began = monotonic()
            await asyncio.sleep(each)
            self._longest_delay = max(self._longest_delay, monotonic() - began - each)

    def _figures(self) -> tuple[Counter[str], int, int, int]:
        """Reconnects by cause, undecodable frames, duplicates, records published."""
        ledger, totals = self._ledger, self._ledger.totals()
        return Counter(ledger.reconnects), ledger.malformed, totals["duplicates"], totals["published"]

    async def _wait_for_data(self, within: float = LIVE_WITHIN) -> float | None:
        """Waits until every subscription has had new data. Returns the seconds that took, or None on timeout; it has
        further time while the machine is overloaded.
        """
        began = monotonic()
        before = Counter(self.exchange.counts)
        wanted = self._wanted()
        for _ in range(_TRIES):
            self._longest_delay, known = 0.0, self._longest_delay
            try:
                await self.exchange.wait_for(
                    lambda: self._ended() or all(self.exchange.counts[key] > before[key] for key in wanted),
                    within=within,
                )
            except TimeoutError:
                if self._longest_delay <= _DELAYED:
                    return None
            else:
                return round(monotonic() - began, 1)
            finally:
                self._longest_delay = max(known, self._longest_delay)
                self._check()
        return None

    async def _wait_until_read(self) -> None:
        """Waits until the connector has read what was sent so far: a client that asks again and again, which is slow on
        an overloaded machine, is behind. What it reads too late is judged at the end.
        """
        with suppress(TimeoutError):
            await self.exchange.wait_for(self.sent_frames.all_so_far(), within=LIVE_WITHIN)
        self._check()

    def _wanted(self) -> list[tuple[str, str]]:
        """The (stream, native symbol) pairs that the connector subscribes."""
        found = []
        symbols = [one for name in self.plan.symbols.default if (one := self.plan.symbols.resolve(name))]
        for shard in shards(self.plan, [self.plan.stream(name) for name in self.streams], symbols):
            found += [(stream, symbol.native) for stream in shard.connection.streams if stream in self.streams
                      for symbol in shard.symbols]
        return found

    async def _settle(self, wrong: list[str]) -> None:
        """Stops sending and waits until everything sent has been read."""
        self.exchange.pause()
        try:
            await self.exchange.wait_for(lambda: self.sent_frames.settled, within=_READ_WITHIN)
        except TimeoutError:
            wrong.append(f"the connector did not read all that was sent to it within {_READ_WITHIN:g} s")
        await asyncio.sleep(_PAUSE_BEFORE)

    # -- reading back

    async def _read_back(self, prefix: str = "") -> Readback:
        if self.settings.kind == "file":
            return await asyncio.to_thread(from_files, self.settings.options.folder)
        topics: dict[str, RecordSchema] = {
            prefix + topic: load_record(one.record, one.revision).schema
            for one in self.plan.streams for topic in one.kafka_topics.values()
        }
        topics[prefix + gap_topic(self.plan)] = gap_record(self.plan.asset_class).schema
        return await from_kafka(self.settings.options, topics, [topic + DEAD_SUFFIX for topic in topics])


def _early_reconnects(moments: Sequence[float], clients: int) -> list[str]:
    """Errors where a client reconnected before the Retry-After of one second was over. ``moments`` are the times of the
    rejected connects.
    """
    each = max(1, clients)
    early = [b - a for a, b in zip(moments, moments[each:], strict=False) if b - a < 0.9]
    return [f"it connected again {early[0]:.1f} s after HTTP 429 with a Retry-After of 1 s"] if early else []


def _one_registry(settings: SinkSettings) -> SinkSettings:
    """The registry's first address alone: one proxy stands before it, and is to be all of it."""
    if settings.kind != "kafka":
        return settings
    url = registry_urls(settings.options.registry_url)[0]
    return replace(settings, options=replace(settings.options, registry_url=url))
