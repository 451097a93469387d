"""The sessions of one connector as a recording tells of them: played again without a venue, a clock or a socket.

What was said to the venue is made again, and goes nowhere; what came back is mapped. A session whose beginning the
recording lacks is played as one that has just connected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import Action, SessionContext
from k2conn.engine.conversation.session_ids import session_ids
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.instrument_list import learn
from k2conn.envelope import Envelope
from k2conn.errors import RecordError
from k2conn.observe import SessionPlace
from k2conn.plan import Connection, Plan, Symbol
from k2conn.recording.entries import BadLine, EntryKind, RecordedEntry
from k2conn.recording.reader import Recording
from k2conn.transports import secure


class Mapped(NamedTuple):
    """What the frames of one read gave."""

    frames: list[str | bytes]
    envelopes: list[Envelope]
    state: ConnectorState


_NO_SEED = "00000000-0000-0000-0000-000000000000"
_MOST_TIMERS = 100
"""Of one session between two reads."""
_EXPIRE_US = 500_000


class Placeholders(Mapping[str, str]):
    """The environment, with a word in place of each variable that is not set: nothing is sent, so no key is needed."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def __getitem__(self, name: str) -> str:
        return self._environment.get(name) or "not-set-in-a-replay"

    def __iter__(self) -> Iterator[str]:
        return iter(self._environment)

    def __len__(self) -> int:
        return len(self._environment)


class ReplayedSessions:
    """One connector's, of one recorder. ``now`` is seconds, ``wall`` microseconds since the epoch: of the recording or
    of today, as the caller wants the records to be received.
    """

    def __init__(
        self, plan: Plan, streams: tuple[str, ...] | None, environment: Mapping[str, str],
        states: list[ConnectorState],
    ) -> None:
        """``streams``: None: those that ran. To ``states`` each state that it has is added."""
        self.state: ConnectorState | None = None
        self.strangers = 0
        """Frames of connections that the connector file does not have."""
        self.headless: set[SessionPlace] = set()
        """Sessions whose beginning is not in the recording."""
        self._plan = plan
        self._streams = streams
        self._environment = environment
        self._states = states
        self._begun = -1
        self._listed = -1
        self._open: dict[SessionPlace, FramePipeline | None] = {}
        self._answers: dict[SessionPlace, list[tuple[int, Any]]] = {}
        self._expired = 0

    def take(self, entry: RecordedEntry, now: float, wall: int) -> list[Envelope]:
        """What an entry that holds no frames does; the envelopes of gaps that are due. Raises BadLine."""
        try:
            if entry.kind == EntryKind.BEGUN:
                self._begin(entry)
            elif entry.kind == EntryKind.OPENED and entry.place not in self._open:
                self._opened(entry, now, wall)
            elif entry.kind == EntryKind.ANSWERED:
                self._answered(entry, now, wall)
            elif entry.kind == EntryKind.CARRIED:
                pipeline = self._pipeline(entry.place, now, wall)
                if pipeline is not None:
                    pipeline.session.carry(_symbols(entry.more["symbols"]), now, wall)
            elif entry.kind == EntryKind.ENDED:
                self._open.pop(entry.place, None)
            elif entry.kind == EntryKind.LOOKED:
                return self.gaps(wall)
        except (KeyError, TypeError, ValueError) as error:
            raise BadLine(f"'{entry.kind}' at {entry.time}: {error!r}") from None
        return []

    def work(
        self, place: SessionPlace, frames: list[str | bytes], now: float, wall: int, envelopes: list[Envelope]
    ) -> Iterator[None]:
        """Maps the frames of one read; as `FramePipeline.work`."""
        pipeline = self._pipeline(place, now, wall)
        if pipeline is None:
            self.strangers += len(frames)
            return
        self._timers(pipeline, now, wall)
        if wall - self._expired >= _EXPIRE_US:
            self._expired = wall
            self._current().expire_replicas(wall)
        actions: list[Action] = []
        yield from pipeline.work(frames, now, wall, envelopes, actions)

    def gaps(self, wall: int) -> list[Envelope]:
        """The records of the gaps that are due."""
        return self._current().gap_records(wall)

    def _current(self) -> ConnectorState:
        if self.state is None:
            self._renew(self._streams)
        assert self.state is not None
        return self.state

    def _renew(self, streams: tuple[str, ...] | None) -> None:
        known = {stream.name for stream in self._plan.streams}
        wanted = None if streams is None else [name for name in streams if name in known]
        self.state = ConnectorState(self._plan, wanted)
        self._states.append(self.state)
        self._open.clear()
        self._answers.clear()

    def _begin(self, entry: RecordedEntry) -> None:
        """A run begins (every file of it says so again)."""
        if entry.time <= self._begun:
            return
        self._begun = entry.time
        if self.state is None or not entry.more.get("kept"):
            self._renew(self._streams or tuple(map(str, entry.more["streams"])))
        self._open.clear()

    def _opened(self, entry: RecordedEntry, now: float, wall: int) -> None:
        more, name = entry.more, entry.more["connection"]
        connection = next((one for one in self._plan.connections if one.name == name), None)
        if connection is None:
            self._open[entry.place] = None
            return
        ids = session_ids(str(more["seed"]))
        context = SessionContext(ids, Placeholders(self._environment), secure)
        replica = None
        if more.get("replica") is not None and connection.replicas > int(more["replica"]):
            replica = self._current().replica_set(connection, int(more["shard"])).replica(int(more["replica"]))
        pipeline = FramePipeline(self._current(), connection, _symbols(more["symbols"]), context, replica)
        self._open[entry.place] = self._begin_session(pipeline, entry.place, now, wall)

    def _begin_session(self, pipeline: FramePipeline, place: SessionPlace, now: float, wall: int) -> FramePipeline:
        session, before = pipeline.session, pipeline.session.connection.before
        session.scope.epoch = place.session
        for number, answer in self._answers.pop(place, ()):
            if number < len(before):
                try:
                    session.captured(before[number].capture, answer)
                except RecordError:
                    continue  # what it was to give is missing where it is used, and said there
        session.open(now, wall)
        return pipeline

    def _answered(self, entry: RecordedEntry, now: float, wall: int) -> None:
        number, answer = entry.more.get("request"), entry.more["answer"]
        pipeline = self._open.get(entry.place)
        if number is not None and pipeline is not None:
            self._answered_again(pipeline, int(number), answer, now, wall)
            return
        if number is not None:
            self._answers.setdefault(entry.place, []).append((int(number), answer))
            return
        listing = self._plan.symbols.list
        if listing is None or entry.time <= self._listed:
            return
        self._listed = entry.time
        try:
            for _ in learn(listing, answer, self._current().symbols):
                pass
        except RecordError as error:
            raise BadLine(str(error)) from None

    def _answered_again(self, pipeline: FramePipeline, number: int, answer: Any, now: float, wall: int) -> None:
        """The answer to a call that was made again on an open connection."""
        self._timers(pipeline, now, wall)
        before = pipeline.session.connection.before
        if number < len(before):
            with suppress(RecordError):  # what it was to give is missing where it is used, and said there
                pipeline.session.captured(before[number].capture, answer)
        if number == len(before) - 1:
            pipeline.session.called(now, wall)

    def _pipeline(self, place: SessionPlace, now: float, wall: int) -> FramePipeline | None:
        if place not in self._open:
            self.headless.add(place)
            connection = self._likely(place)
            if connection is not None:
                resolve = self._current().symbols.resolve
                symbols = [one for name in self._plan.symbols.default if (one := resolve(name)) is not None]
                context = SessionContext(session_ids(_NO_SEED), Placeholders(self._environment), secure)
                pipeline = FramePipeline(self._current(), connection, symbols, context)
                self._open[place] = self._begin_session(pipeline, place, now, wall)
            else:
                self._open[place] = None
        return self._open[place]

    def _likely(self, place: SessionPlace) -> Connection | None:
        """The connection that a socket's name says."""
        found = [one for one in self._plan.connections if place.socket.startswith(f"{one.name}-")]
        return max(found, key=lambda one: len(one.name), default=None)

    def _timers(self, pipeline: FramePipeline, now: float, wall: int) -> None:
        """What the session would have done until then."""
        for _ in range(_MOST_TIMERS):
            due = pipeline.session.deadline
            if due is None or due > now:
                return
            pipeline.session.timer(due, wall)


def _symbols(rows: Any) -> tuple[Symbol, ...]:
    """Symbols as `k2conn.recording.entries.symbol_rows` has written them. Raises ValueError, TypeError."""
    found = []
    for native, record, base, quote, parts, *others in rows:
        pairs = tuple((str(name), str(value)) for name, value in parts)
        found.append(Symbol(str(native), str(record), str(base), str(quote), pairs, *map(str, others)))
    return tuple(found)


def mapped(
    recording: Recording, plan: Plan, streams: tuple[str, ...] | None, environment: Mapping[str, str]
) -> Iterator[Mapped]:
    """What a recording's frames of one connector give, read by read, with the times of the recording. What could not
    be read is in the recording's troubles.
    """
    states: list[ConnectorState] = []
    sources: dict[int, ReplayedSessions] = {}
    for step in recording.steps():
        entry = step.entry
        if entry.place.connector != plan.name:
            continue
        sessions = sources.setdefault(step.source, ReplayedSessions(plan, streams, environment, states))
        envelopes: list[Envelope] = []
        now = entry.now / 1_000_000
        if step.frames:
            for _ in sessions.work(entry.place, step.frames, now, entry.time, envelopes):
                pass
        elif entry.kind not in (EntryKind.SENT, EntryKind.LOST):
            try:
                envelopes = sessions.take(entry, now, entry.time)
            except BadLine as error:
                recording.troubles.append(f"an entry is left out: {error}")
        if (step.frames or envelopes) and sessions.state is not None:
            yield Mapped(step.frames, envelopes, sessions.state)
