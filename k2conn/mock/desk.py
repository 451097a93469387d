"""One connection's venue without its socket: what is heard, what is answered, and which tapes are played."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple, Protocol

from k2conn import exactjson
from k2conn.mock.anatomy import Reading
from k2conn.mock.casting import Cast, Casting, sound
from k2conn.mock.encoding import encoder
from k2conn.mock.faults import Faults
from k2conn.mock.lessons import DataFrame, learn, messages, remember
from k2conn.mock.listening import STEP, UNDO, UNKNOWN, Listener, Said, Symbols, Wanted
from k2conn.mock.replies import Replies
from k2conn.mock.tape import FreshTape, Market, Printed, RecordedTape, recorded
from k2conn.plan import Condition, Connection, Json, Plan, Scope, Stream

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
        self._data = self._recorded(texts) if texts else self._lessons.data
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
        if carry is None or carry.begin is None or not isinstance(tape, FreshTape) or tape.opener is None:
            return None
        return tape.print(tape.opener, now_us)

    def _fresh_tape(self, wanted: Wanted) -> FreshTape | None:
        stream = self.plan.stream(wanted.stream)
        shown = [one for one in self._data if one.stream == wanted.stream and self._sound(one)]
        openers = [one for one in shown if self._begins(stream, one)]
        usual = [one for one in shown if one not in openers and not self._snapshot(stream, one)]
        casts = self._casts(usual, wanted) or self._casts(shown, wanted)
        if not casts:
            return None
        market = self._markets.setdefault(
            wanted.symbol.record, Market(Random(f"{self._seed}/{wanted.symbol.record}"))
        )
        opener = next((cast for cast, _ in self._casts(openers, wanted)), None)
        if opener is not None:
            casts = [*casts, (opener, False)] if not self._casts(usual, wanted) else casts
        name = f"{wanted.stream}/{wanted.symbol.native}"
        return FreshTape(name, wanted.symbol.record, casts, market, self._reading, self._seed, opener)

    def _casts(self, shown: Sequence[DataFrame], wanted: Wanted) -> list[tuple[Cast, bool]]:
        """The frames for one symbol: its own where there are some, else others' recast."""
        own = [one for one in shown if self._symbol(one) == wanted.symbol.record]
        found = []
        for one in (own or shown)[:_MOST]:
            cast = self._casting.cast(one, wanted, self._scope.state)
            if cast is not None:
                found.append((cast, bool(own)))
        return found

    def _recorded_tape(self, wanted: Wanted) -> RecordedTape | None:
        frames = [
            recorded(self._reading, one.text, one.frame, one.state)
            for one in self._data
            if one.stream == wanted.stream and self._symbol(one) == wanted.symbol.record
        ]
        return RecordedTape(frames, self._once) if frames else None

    def _recorded(self, texts: Sequence[str]) -> list[DataFrame]:
        """The data frames among recorded ones, each with what its connection had learnt."""
        found: list[DataFrame] = []
        scope = Scope()
        state: dict[str, Json] = {}
        for text in texts:
            try:
                frame = exactjson.decode(text)
            except exactjson.JsonError:
                continue
            rows = self._reading.rows(frame, state)
            if rows:
                found.append(DataFrame(rows[0].stream.name, frame, text, state))
                continue
            for message in messages(self.connection, frame, scope):
                remember(self.connection, message, scope)
            if scope.state != state:
                state = {
                    name: dict(value) if isinstance(value, dict) else value for name, value in scope.state.items()
                }
        return found

    def _sound(self, shown: DataFrame) -> bool:
        return sound(self._reading.rows(shown.frame, dict(shown.state)))

    def _symbol(self, shown: DataFrame) -> str | None:
        rows = self._reading.rows(shown.frame, dict(shown.state))
        return rows[0].symbol.record if rows and rows[0].symbol else None

    def _begins(self, stream: Stream, shown: DataFrame) -> bool:
        return stream.carry is not None and stream.carry.begin is not None and self._holds(
            stream.carry.begin.condition, shown
        )

    def _snapshot(self, stream: Stream, shown: DataFrame) -> bool:
        return stream.snapshot is not None and self._holds(stream.snapshot.condition, shown)

    def _holds(self, condition: Condition, shown: DataFrame) -> bool:
        scope = Scope(dict(shown.state))
        for message in messages(self.connection, shown.frame, scope):
            scope.message = message
            if condition(message, scope):
                return True
        return False

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

