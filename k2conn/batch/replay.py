"""Plays a recording through connectors into a sink: the same frames in the same order, as fast as is wanted.

The frames go through the engine as they did (`k2conn.engine.frame_pipeline`), with the times of the recording or those
of today. The sink is waited for: nothing is lost for speed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from k2conn.batch.delivery import FLUSH_WITHIN, Delivery
from k2conn.batch.replayed_sessions import ReplayedSessions
from k2conn.clock import monotonic, wall_us
from k2conn.engine.accounting.frame_letters import SharedAccount
from k2conn.engine.accounting.ledger import Account
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.gaps.gap_tracker import GRACE_US
from k2conn.envelope import Envelope
from k2conn.plan import Plan
from k2conn.recording.entries import BadLine, EntryKind
from k2conn.recording.reader import RecordedStep, Recording
from k2conn.runner.stopping import unless_stopped
from k2conn.sinks.settings import SinkSettings

_TURN = 0.05
"""Seconds of work after which the event loop has its turn."""
_SOON = 0.02
_MOST_TROUBLES = 20


@dataclass(frozen=True, slots=True)
class Pace:
    """``speed``: how many times as fast as it was recorded; None: as fast as it goes. ``fresh``: records are received
    now, not when they were. Only what was recorded from ``since`` on and before ``until`` (microseconds since the
    epoch) is published; what was before is played, too, so that sessions and repeats are known.
    """

    speed: float | None = None
    fresh: bool = False
    since: int | None = None
    until: int | None = None


@dataclass(slots=True)
class ReplayOutcome:
    """What came of it. ``at``: the time of the last entry whose records are durable; 0 where there is none."""

    entries: int = 0
    frames: int = 0
    masked: int = 0
    at: int = 0
    seconds: float = 0.0
    unsent: int = 0
    stopped: bool = False
    strangers: int = 0
    headless: int = 0
    others: dict[str, int] = field(default_factory=dict)
    """Frames of connectors that are not played."""
    troubles: list[str] = field(default_factory=list)


class Replay:
    """A recording, some connectors, and a sink."""

    def __init__(
        self, recording: Recording, plans: Mapping[str, Plan], settings: SinkSettings, pace: Pace,
        environment: Mapping[str, str], streams: tuple[str, ...] | None = None,
    ) -> None:
        """``plans``: by the connectors' names. ``streams``: None: those that ran."""
        self.recording, self.plans = recording, plans
        self.outcome = ReplayOutcome()
        self.delivery = Delivery(settings, [])
        self._pace, self._environment, self._streams = pace, environment, streams
        self._sessions: dict[tuple[int, str], ReplayedSessions] = {}
        self._first: int | None = None
        self._began = self._turn = 0.0
        self._watch: Callable[[Replay], None] = lambda replay: None

    def watch(self, watch: Callable[[Replay], None]) -> None:
        """From now on this is called now and then, to show how far it is."""
        self._watch = watch

    async def run(self, stop: asyncio.Event) -> ReplayOutcome:
        """Plays to the end, or until ``stop`` is set. Raises Unreachable where the sink cannot be opened, SinkError
        where it cannot go on.
        """
        outcome = self.outcome
        plans = [ConnectorState(plan, self._played(plan)) for plan in self.plans.values()]
        if not await unless_stopped(self.delivery.open(plans), stop):
            outcome.stopped = True
            return outcome
        self._began = self._turn = monotonic()
        last = 0
        try:
            for step in self.recording.steps():
                if stop.is_set() or (self._pace.until is not None and step.entry.time >= self._pace.until):
                    break
                last = step.entry.time
                await self._step(step, stop)
            if not stop.is_set():
                for sessions in self._sessions.values():
                    self._put(sessions.gaps((wall_us() if self._pace.fresh else last) + GRACE_US), last)
            await self._confirm(last)
        finally:
            await self.delivery.close()
            outcome.stopped = stop.is_set()
            outcome.seconds = monotonic() - self._began
            outcome.strangers = sum(one.strangers for one in self._sessions.values())
            outcome.headless = sum(len(one.headless) for one in self._sessions.values())
            outcome.troubles += self.recording.troubles
            self._watch(self)
        return outcome

    def _played(self, plan: Plan) -> list[str]:
        """The streams whose topics are written to."""
        said = self._streams or self.recording.connectors().get(plan.name) or set()
        return [one.name for one in plan.streams if one.name in said] or [one.name for one in plan.streams]

    async def _step(self, step: RecordedStep, stop: asyncio.Event) -> None:
        entry, outcome = step.entry, self.outcome
        name = entry.place.connector
        outcome.entries += max(1, len(step.frames))
        outcome.masked += entry.masked
        if name not in self.plans:
            if step.frames:
                outcome.others[name] = outcome.others.get(name, 0) + len(step.frames)
        elif step.frames:
            await self._play(step, stop)
        elif entry.kind not in (EntryKind.SENT, EntryKind.LOST):
            now, wall = self._times(entry.now, entry.time)
            try:
                self._put(self._sessions_of(step.source, name).take(entry, now, wall), entry.time)
            except BadLine as error:
                self._say(f"an entry is left out: {error}")

    def _say(self, text: str) -> None:
        if len(self.outcome.troubles) < _MOST_TROUBLES:
            self.outcome.troubles.append(text)

    def _sessions_of(self, source: int, name: str) -> ReplayedSessions:
        key = (source, name)
        if key not in self._sessions:
            states = self.delivery.states
            self._sessions[key] = ReplayedSessions(self.plans[name], self._streams, self._environment, states)
        return self._sessions[key]

    async def _play(self, step: RecordedStep, stop: asyncio.Event) -> None:
        """Maps the frames of one read."""
        entry = step.entry
        await self._in_time(entry.time, stop)
        if stop.is_set():
            return
        self.outcome.frames += len(step.frames)
        now, wall = self._times(entry.now, entry.time)
        envelopes: list[Envelope] = []
        sessions = self._sessions_of(step.source, entry.place.connector)
        for _ in sessions.work(entry.place, step.frames, now, wall, envelopes):
            if self._put(envelopes, entry.time):
                await unless_stopped(self.delivery.drain(), stop)
            envelopes.clear()
        if self._put(envelopes, entry.time):
            await unless_stopped(self.delivery.drain(), stop)
        if monotonic() - self._turn > _TURN:
            await asyncio.sleep(0)
            self._turn = monotonic()
            self._watch(self)

    async def _in_time(self, time: int, stop: asyncio.Event) -> None:
        """Waits until it is the entry's turn."""
        if self._first is None or (self._pace.since is not None and time < self._pace.since):
            self._first, self._began = time, monotonic()
        if self._pace.speed is not None:
            ahead = self._began + (time - self._first) / 1_000_000 / self._pace.speed - monotonic()
            if ahead > 0:
                self._watch(self)
                await unless_stopped(asyncio.sleep(ahead), stop)
                self._turn = monotonic()

    def _times(self, now: int, wall: int) -> tuple[float, int]:
        return (monotonic(), wall_us()) if self._pace.fresh else (now / 1_000_000, wall)

    def _put(self, envelopes: list[Envelope], time: int) -> bool:
        """Hands on what is to be published; true where the sink is crowded."""
        if not envelopes:
            return False
        if self._pace.since is not None and time < self._pace.since:
            for envelope in envelopes:
                if isinstance(envelope.account, Account | SharedAccount):
                    envelope.account.not_wanted()
            return False
        return self.delivery.put(list(envelopes))

    async def _confirm(self, last: int) -> None:
        """Waits until the sink has made all durable, or for as long as a stop may take."""
        end = monotonic() + FLUSH_WITHIN
        while True:
            unsent = await self.delivery.flush(max(0.0, end - monotonic()))
            if not unsent and not self.delivery.in_flight:
                self.outcome.at = last
                return
            if monotonic() >= end:
                self.outcome.unsent = unsent or self.delivery.in_flight
                return
            await asyncio.sleep(_SOON)
