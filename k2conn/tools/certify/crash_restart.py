"""Crash tests: `k2conn run` is started while the registry is unreachable, killed with -9 in mid-stream, started again.

The exchange keeps generating data while no client is connected. The process is configured to survive kill -9: with a
spool that every record goes through, and a state folder.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from k2conn.clock import monotonic
from k2conn.plan import Plan
from k2conn.tools.certify.connector_process import ConnectorProcess, Launch, ProcessSettings
from k2conn.tools.certify.crash_losses import CrashLosses, Kill, account_for_losses
from k2conn.tools.certify.expected_records import ExpectedRecords
from k2conn.tools.certify.proxy import FaultProxy
from k2conn.tools.certify.readback import Readback
from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.sent_frames import ClientSession, SentFrames
from k2conn.tools.mock.server import MockServer

DEPENDENCY = 69
"""The exit code of a process that cannot reach a service it depends on."""
FULL = 7.0
"""Seconds of normal operation before a kill: the state file is written every five."""
DOWN = 1.0
"""Seconds between a kill and the restart."""
_STARTS_WITHIN = 60.0
_GIVES_UP_WITHIN = 60.0
_LATE = 1.0
"""Seconds that the registry stays unreachable after the first request to it."""
_EVERY = 0.01
"""Seconds between two samples of the confirmed frames."""

Read = Callable[[str], Awaitable[Readback]]
"""Reads back all topics with a prefix from Kafka."""


@dataclass(slots=True)
class CrashReport:
    """The results by scenario: observations, errors, seconds; and what the kills cost."""

    seen: dict[str, list[str]] = field(default_factory=dict)
    wrong: dict[str, list[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    crash_losses: list[CrashLosses] = field(default_factory=list)


class CrashRestart:
    """Runs the scenarios `registry-start` and `kill`, those of them in ``names``. ``wanted`` are the (stream, native
    symbol) pairs that are subscribed.
    """

    def __init__(
        self, plan: Plan, streams: tuple[str, ...], wanted: Sequence[tuple[str, str]], launch: Launch, read: Read, *,
        names: Sequence[str], registry_url: str, prefix: str, folder: Path, rate: float, seed: int,
        frames: Sequence[str] = (),
    ) -> None:
        self.plan, self.streams, self.wanted, self.names = plan, streams, wanted, tuple(names)
        self.sent_frames = SentFrames()
        self.exchange = MockExchange(
            plan, rate=rate, seed=seed, sent_frames=self.sent_frames, keep_generating=True, frames=frames
        )
        self.report = CrashReport({name: [] for name in names}, {name: [] for name in names})
        self._launch, self._read, self._prefix, self._folder = launch, read, prefix, folder
        self._registry_url = registry_url
        self._proxies: list[FaultProxy] = []
        self._kills_done: list[Kill] = []
        self._timeline: dict[int, list[tuple[float, int]]] = {}
        """For each connection: (moment, number of frames confirmed by then)."""

    async def run(self) -> CrashReport:
        """Runs the scenarios."""
        watching = asyncio.create_task(self._watch())
        try:
            async with MockServer([self.exchange]):
                early = asyncio.create_task(self._registry_never_answers()) if "registry-start" in self.names else None
                try:
                    await self._run_process()
                finally:
                    if early is not None:
                        await early
        finally:
            watching.cancel()
            for proxy in self._proxies:
                await proxy.close()
        return self.report

    def _setting(self, url: str, name: str) -> ProcessSettings:
        http = self.exchange.http_url or f"http://127.0.0.1:{self.exchange.port}/{self.plan.name}"
        prefix = f"{self._prefix}{name}."
        return ProcessSettings(
            self.streams, self.exchange.url(), http, url, prefix, self._folder / name, self.exchange.program
        )

    async def _registry_proxy(self) -> tuple[FaultProxy, str]:
        """A proxy in front of the registry, and the URL that goes through it."""
        proxy = FaultProxy()
        self._proxies.append(proxy)
        return proxy, await proxy.before(self._registry_url)

    # -- the registry at the start

    async def _registry_never_answers(self) -> None:
        """The registry never answers: the process must report that and end before it connects to the exchange."""
        proxy, url = await self._registry_proxy()
        proxy.cut()
        setting = replace(self._setting(url, "away"), socket_url="ws://127.0.0.1:1/nobody")
        engine = ConnectorProcess(self._launch, setting, setting.folder / "engine.log")
        began = monotonic()
        await engine.start()
        code = await engine.ended(_GIVES_UP_WITHIN)
        took, log_tail = monotonic() - began, engine.tail()
        self._observed("registry-start", f"unreachable permanently: exit code {code} after {took:.1f} s")
        if code != DEPENDENCY:
            self._fail("registry-start", f"exit code {code} instead of {DEPENDENCY}: {log_tail}")
        if urlsplit(url).netloc not in log_tail:
            self._fail("registry-start", f"its log does not name the registry's address: {log_tail}")

    # -- kills and restarts

    async def _run_process(self) -> None:
        late = "registry-start" in self.names
        url = self._registry_url
        if late:
            proxy, url = await self._registry_proxy()
            proxy.cut()
        setting = self._setting(url, "kill")
        engine = ConnectorProcess(self._launch, setting, setting.folder / "engine.log")
        began = monotonic()
        try:
            await engine.start()
            if late:
                await self._registry_comes_back(proxy)
            if not await self._data_flows(engine, "registry-start" if late else "kill"):
                return
            if "kill" in self.names:
                await self._kills(engine, setting)
                self.report.seconds["kill"] = round(monotonic() - began, 1)
        finally:
            await engine.kill()

    async def _registry_comes_back(self, proxy: FaultProxy) -> None:
        """Makes the registry reachable a moment after the first request."""
        began = monotonic()
        try:
            await self.exchange.wait_for(lambda: proxy.refused, within=_STARTS_WITHIN)
        except TimeoutError:
            self._fail("registry-start", "the registry was never called")
        await asyncio.sleep(_LATE)
        proxy.mend()
        self._observed("registry-start", f"back after {_LATE:g} s: the process started normally")
        self.report.seconds["registry-start"] = round(monotonic() - began, 1)

    async def _data_flows(self, engine: ConnectorProcess, name: str) -> bool:
        """Waits until every subscription has had new data."""
        before = self.exchange.counts.copy()
        try:
            await self.exchange.wait_for(
                lambda: not engine.running or all(self.exchange.counts[key] > before[key] for key in self.wanted),
                within=_STARTS_WITHIN,
            )
        except TimeoutError:
            self._fail(name, f"not all subscriptions had data within {_STARTS_WITHIN:g} s: {engine.tail()}")
            return False
        if not engine.running:
            self._fail(name, f"the process ended by itself: {engine.tail()}")
        return engine.running

    async def _kills(self, engine: ConnectorProcess, setting: ProcessSettings) -> None:
        for _ in range(2):
            await asyncio.sleep(FULL)
            if not engine.running:
                self._fail("kill", f"the process ended by itself: {engine.tail()}")
                return
            self._kills_done.append(Kill(len(self.sent_frames.client_sessions), monotonic()))
            await engine.kill()
            await asyncio.sleep(DOWN)
            engine = ConnectorProcess(self._launch, setting, engine.log)
            await engine.start()
            try:
                if not await self._data_flows(engine, "kill"):
                    return
            finally:
                if len(self._kills_done) == 2:
                    await self._end(engine)
        await self._account_for_losses(setting)

    async def _end(self, engine: ConnectorProcess) -> None:
        """Stops the data, then the process."""
        await asyncio.sleep(DOWN)
        self.exchange.pause()
        try:
            await self.exchange.wait_for(lambda: self.sent_frames.settled, within=10.0)
        except TimeoutError:
            self._fail("kill", "the process did not read all that was sent to it within 10 s")
        code = await engine.stop()
        if code:
            self._fail("kill", f"the last process ended with exit code {code}: {engine.tail()}")

    async def _account_for_losses(self, setting: ProcessSettings) -> None:
        readback = await self._read(setting.prefix)
        reference = ExpectedRecords(self.plan, self.streams, self.exchange)
        rows, wrong = account_for_losses(reference, readback, self._kills_done, self._confirmed_at)
        self.report.crash_losses = rows
        self.report.wrong["kill"] += wrong
        self._observed("kill", _summary(rows))

    # -- when frames were read

    async def _watch(self) -> None:
        """Samples how many frames of each connection are confirmed."""
        while True:
            now = monotonic()
            for number, client_session in enumerate(self.sent_frames.client_sessions):
                self._note(now, number, client_session)
            await asyncio.sleep(_EVERY)

    def _note(self, now: float, number: int, client_session: ClientSession) -> None:
        timeline = self._timeline.setdefault(number, [])
        if not timeline or timeline[-1][1] != client_session.confirmed:
            timeline.append((now, client_session.confirmed))

    def _confirmed_at(self, client_session: int, frame: int) -> float:
        """The first sample (monotonic) in which a confirmed frame was known to be read."""
        timeline = self._timeline.get(client_session, [])
        at = bisect_right(timeline, frame, key=lambda moment: moment[1])
        return timeline[at][0] if at < len(timeline) else monotonic()

    def _observed(self, name: str, text: str) -> None:
        self.report.seen[name].append(text)

    def _fail(self, name: str, text: str) -> None:
        self.report.wrong[name].append(text)


def _summary(rows: Sequence[CrashLosses]) -> str:
    def total(name: str) -> int:
        return sum(getattr(row, name) for row in rows)

    lost, missed = total("lost"), total("missed")
    text = f"{lost} of {total('sent')} lost with the process"
    if lost:
        text += f", read at most {max(row.oldest_ms for row in rows)} ms before"
        text += f", {total('lost_reported')} of them in gap records"
    text += f"; {missed} missed while down, {total('missed_reported')} of them in gap records"
    if unseen := total("missed_untold"):
        text += f", {unseen} on streams without numbers"
    return f"{text}; {total('repeats')} repeats with the same message_id"
