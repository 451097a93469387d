"""One connection's venue without its socket: what is heard, what is answered, and which tapes are played."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple, Protocol

from k2conn.plan import Connection, Json, Plan, Scope
from k2conn.tools.mock.encoding import encoder
from k2conn.tools.mock.faults import Faults
from k2conn.tools.mock.field_detection import Reading
from k2conn.tools.mock.frame_generator import FreshTape, Market, Printed, RecordedTape
from k2conn.tools.mock.frame_library import Library, Shown, recorded
from k2conn.tools.mock.frame_templates import Cast, Casting
from k2conn.tools.mock.learned_replies import learn, remember
from k2conn.tools.mock.replies import Replies
from k2conn.tools.mock.request_recognition import STEP, UNDO, UNKNOWN, Listener, Said, Symbols, Wanted

Key = tuple[str, str]
"""A stream's name and a native symbol."""
_MOST = 50
"""Example frames of one stream that a fresh tape takes turns with."""


class Answer(NamedTuple):
    """What a frame of the client's leads to."""

    said: Said
    replies: list[Json]
    made: list[Wanted]
    undone: list[Wanted]


class Tape(Protocol):
    """Frames without end, or to an end."""

    def next(self, now_us: int) -> Printed | None:
        """The next frame; None at the end."""


class Desk:
    """The venue's side of one connection of a plan; shared by all its clients."""

    def __init__(
        self, plan: Plan, connection: Connection, symbols: Symbols, markets: dict[str, Market], *,
        texts: Sequence[str] = (), fresh: bool = True, once: bool = False, seed: int = 0,
    ) -> None:
        self.plan = plan
        self.connection = connection
        self.encode = encoder(connection.codec)
        self.listener = Listener(plan, connection, symbols)
        self.warnings: list[str] = []
        self._reading = Reading(plan, connection)
        self._lessons = learn(plan, connection, self.listener)
        self._replies = Replies(connection, self._lessons)
        self._casting = Casting(plan, self._reading, symbols)
        self._markets = markets
        self._fresh, self._once, self._seed = fresh, once, seed
        self._scope = Scope()
        self._library = Library(self._reading, recorded(self._reading, texts) if texts else self._lessons.data)
        self._tapes: dict[Key, Tape | None] = {}

    # -- conversation

    @property
    def welcome(self) -> list[Json]:
        """What the venue says of its own accord, first."""
        return self._lessons.welcome[:1] or self._replies.unasked()

    @property
    def before(self) -> list[Json]:
        """The answers to the HTTP calls that precede a connection, from the tests."""
        return self._lessons.before

    def hear(self, text: str, faults: Faults) -> Answer:
        """A client's frame."""
        said = self.listener.hear(text)
        if said.kind == STEP:
            return self._step(said, faults)
        if said.kind == UNDO:
            return Answer(said, self._replies.undo(said), [], said.wanted)
        if said.kind == UNKNOWN:
            return Answer(said, self._lessons.errors[:1], [], [])
        return Answer(said, [] if faults.no_pong else self._replies.pong(said), [], [])

    def ping(self, now_ms: int) -> Json:
        """The venue's own ping; None where the connector answers none."""
        return self._replies.ping(now_ms)

    def _step(self, said: Said, faults: Faults) -> Answer:
        refused = [one for one in said.wanted if one.symbol.native in faults.refuse]
        made = [one for one in said.wanted if one not in refused]
        replies, single = self._replies.refuse(said, refused)
        if refused and not single:
            made = []
        accepted = self._replies.accept(said, made)
        for one in accepted:
            remember(self.connection, one, self._scope)
        expected = said.step is not None and said.step.expect is not None and said.step.expect.accepted is not None
        if expected and not accepted and (made or not said.wanted):
            assert said.step is not None
            self._warn(f"step '{said.step.name}' is not acknowledged: no test of {self.plan.name} shows how")
        return Answer(said, [] if faults.silent else [*replies, *accepted], made, [])

    # -- data

    @property
    def streams(self) -> frozenset[str]:
        """The streams that there are frames of."""
        return self._library.streams

    def tape(self, wanted: Wanted) -> Tape | None:
        """What is played for one stream of one symbol; None, with a warning, where nothing can be."""
        key = (wanted.stream, wanted.symbol.native)
        if key not in self._tapes:
            self._tapes[key] = self._fresh_tape(wanted) if self._fresh else self._recorded_tape(wanted)
            if self._tapes[key] is None:
                self._warn(f"no frame of stream '{wanted.stream}' is known for {wanted.symbol.native}")
        return self._tapes[key]

    def opening(self, wanted: Wanted, now_us: int) -> Printed | None:
        """What a client gets first of a stream of deltas: the snapshot they begin with."""
        tape = self.tape(wanted)
        carry = self.plan.stream(wanted.stream).carry
        if carry is None or carry.begin is None or not isinstance(tape, FreshTape):
            return None
        return tape.open(now_us)

    def _fresh_tape(self, wanted: Wanted) -> FreshTape | None:
        record = wanted.symbol.record
        openers = self._casts(self._library.openers(wanted.stream, record), wanted)
        casts = self._casts(self._library.usual(wanted.stream, record), wanted) or openers
        if not casts:
            return None
        market = self._markets.setdefault(record, Market(Random(f"{self._seed}/{record}")))
        name = f"{wanted.stream}/{wanted.symbol.native}"
        return FreshTape(name, record, casts, openers[:1], market, self._reading, self._seed)

    def _casts(self, shown: Sequence[Shown], wanted: Wanted) -> list[tuple[Cast, bool]]:
        """The frames recast for one symbol, each with whether it was that symbol's already."""
        found = []
        for one in shown[:_MOST]:
            cast = self._casting.cast(one.data, wanted, self._scope.state)
            if cast is not None:
                found.append((cast, one.symbol == wanted.symbol.record))
        return found

    def _recorded_tape(self, wanted: Wanted) -> RecordedTape | None:
        shown = self._library.recordings(wanted.stream, wanted.symbol.record)
        frames = [Printed(one.data.text.encode(), one.ids) for one in shown]
        return RecordedTape(frames, self._once) if frames else None

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

