"""From frame to envelopes: the entry point of the engine. A connector has one `ConnectorState`, and one `FramePipeline`
for each connection.

Pure: the runner, `k2conn map`, `k2conn test`, `k2conn certify` and the benchmarks all feed frames through
`FramePipeline.receive`; a caller with a single frame passes a list of one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress

from k2conn import exactjson
from k2conn.codecs.decoding import UNREADABLE, quick, unpacker
from k2conn.engine.accounting.dead_letter import Origin
from k2conn.engine.accounting.frame_letters import FrameLetters, finish_letters
from k2conn.engine.accounting.ledger import NOWHERE
from k2conn.engine.accounting.troubles import TroubleKind, short
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation import routing
from k2conn.engine.conversation.routing import Route
from k2conn.engine.conversation.session import Action, Close, EndCause, Malformed, Session, SessionContext
from k2conn.engine.held_messages import HeldMapping
from k2conn.engine.mapping.slices import AT_ONCE, Abandoned, Slices, slices
from k2conn.engine.mapping.stream_mapping import StreamMapping
from k2conn.engine.plain_frames import LONGEST_TEXT, PlainFrames
from k2conn.engine.resilience.replicas import Replica
from k2conn.envelope import Envelope
from k2conn.errors import RecordError
from k2conn.exactjson import SHORT
from k2conn.plan import Connection, Getter, Json, Stream, Symbol
from k2conn.scope import Scope

Taken = tuple[int, int, int]
"""How far a read is mapped: the frame, its message and the item of that, from which on it is not."""


class FramePipeline:
    """Processes the frames of one connection."""

    def __init__(
        self, connector_state: ConnectorState, connection: Connection, symbols: Sequence[Symbol],
        session_context: SessionContext, replica: Replica | None = None,
    ) -> None:
        self.connector_state = connector_state
        streams = tuple(stream for stream in connector_state.streams if stream.name in connection.streams)
        self.session = Session(connection, streams, symbols, session_context)
        self.session.scope.epoch = next(connector_state.epochs)
        self._own_mappings = tuple(connector_state.mappings[stream.name] for stream in streams)
        self._mappings: tuple[StreamMapping | HeldMapping, ...] = self._own_mappings
        held = connector_state.held
        if held is not None and held.waiting:
            self._mappings = held.stand_in(self._own_mappings, self._met_bug, self._released)
        self._ledger = connector_state.ledger
        self._scope = self.session.scope
        self._each = connection.each
        self._learns = connection.poll is not None
        self._split: Getter | None = connection.each
        if self._learns and self._split is None:
            self._split = _whole
        self._decode = quick(self.session.decode)
        self._plain: PlainFrames | None = None
        self._caught: Exception | None = None
        """A bug that a plain frame met, until it is told."""
        self._replica = replica
        self._stale = [(at, stream.name, stream.stale_after) for at, stream in enumerate(streams) if stream.stale_after]
        self._heard_at: dict[int, float] | None = {} if self._stale else None
        """When each stream was last heard, where somebody wants to know."""
        self.rescued: list[Envelope] = []
        """Where `receive` raised a bug: what the frames gave all the same, and a dead letter for each that did not."""

    def receive(
        self, frames: Sequence[str | bytes], now: float, wall: int
    ) -> tuple[list[Envelope], list[Action]]:
        """The frames of one read, in their order, received at ``wall`` (microseconds since the epoch; ``now`` is the
        same moment in seconds of a monotonic clock): envelopes for the sink, actions for the socket.

        A bug that a frame meets is raised when all frames were gone through; what they gave is in `rescued` then.
        """
        envelopes: list[Envelope] = []
        actions: list[Action] = []
        for _ in self.work(frames, now, wall, envelopes, actions):
            pass
        return envelopes, actions

    def work(
        self, frames: Sequence[str | bytes], now: float, wall: int, envelopes: list[Envelope], actions: list[Action],
        taken: Taken | None = None,
    ) -> Slices:
        """`receive` for who has other things to do, too: where a frame is very long, it stops after a part of it. The
        caller may then empty the lists, and goes on later; nothing else may be received meanwhile. `Abandoned`, thrown
        in, gives up the rest of the frame, but not those behind it. ``taken``: how far `begin` has come with them.
        """
        scope, mappings, heard_at, each = self._scope, self._mappings, self._heard_at, self._split
        session, decode = self.session, self._decode
        route, subscriptions = session.router.route, session.subscriptions
        if taken is None:
            taken = self.begin(frames, now, wall, envelopes)
        at, begun, done = taken
        bug: Exception | None = None
        while at < len(frames):
            frame = frames[at]
            at += 1
            try:
                if self._caught is not None:
                    caught, self._caught = self._caught, None
                    raise caught
                refused: RecordError | None = None
                try:
                    message = decode(frame) if len(frame) < SHORT else session.decode(frame)
                except UNREADABLE as error:
                    message, refused = self._judged(frame, error)
                if refused is not None:
                    self._malformed(refused, frame, wall, envelopes)
                    finish_letters(scope, envelopes)
                    yield from self._pause()
                    at, begun, done = self._take_plain(frames, at, envelopes)
                    continue
                several: list[Json] | None = None
                if each is not None:
                    if self._learns:
                        session.learn(message, actions)
                    found = each(message, scope)
                    if type(found) is list and len(found) == 1:
                        message = found[0]
                    elif type(found) is list:
                        several = found
                if several is not None:
                    rest = self._handle_messages(several[begun:], frame, wall, envelopes, actions, done)
                else:
                    rule = route(message, scope)
                    if rule[0] == routing.STREAM and heard_at is None and not subscriptions.quiet:
                        rest = mappings[rule[1]].take(message, frame, scope, envelopes, done)
                    else:
                        rest = self._handle_message(message, rule, frame, wall, envelopes, actions, done)
                if rest is not None:
                    yield from self._turns(rest)
            except Exception as caught:  # nothing of the other frames is lost for it, and the frame is kept
                bug = bug or caught
                self._met_bug(caught, frame, wall, envelopes)
            if scope.letters is not None:
                finish_letters(scope, envelopes)
                yield from self._pause()  # dead letters take longer than records, and fill the sink
            at, begun, done = self._take_plain(frames, at, envelopes)
        if self._replica is not None:
            self._set_replica(None)
        if bug is not None:
            self.rescued = envelopes
            raise bug

    def begin(self, frames: Sequence[str | bytes], now: float, wall: int, envelopes: list[Envelope]) -> Taken:
        """Begins with the frames of a read: those that are plain, up to the first that is not; how far that is. The
        rest is for `work`.
        """
        self.session.wake(now, wall)
        self._scope.received_at = wall
        self._ledger.frames += len(frames)
        if self._replica is not None:
            self._replica.now_us = wall
            self._set_replica(self._replica)
        return self._take_plain(frames, 0, envelopes)

    def _take_plain(self, frames: Sequence[str | bytes], at: int, envelopes: list[Envelope]) -> Taken:
        """Plain frames from one on; how far that is. What goes wrong there is told with the frame."""
        plain = self._plain
        session = self.session
        if (plain is None or plain.subscribed is not session.subscriptions.all
                or (plain.depends and plain.captured != session.captures.count)):
            plain = self._plain_frames()
        if plain.take is None or type(frames) is not list or at == len(frames):
            return at, 0, 0
        try:
            return plain.take(frames, at, self._scope, envelopes)
        except Exception as caught:
            self._caught = caught
            return plain.frame, 0, 0

    def _plain_frames(self) -> PlainFrames:
        """What maps plain frames in C, as far as that is possible."""
        holds = self._mappings is not self._own_mappings
        alone = self._replica is None and not self._stale and not self._learns
        unpack = unpacker(self.session.connection.codec, LONGEST_TEXT)
        able = (self._decode is exactjson.quick or unpack is not None) and alone and not holds
        self._plain = PlainFrames(self.session, self._own_mappings if able else (), unpack)
        return self._plain

    def _released(self) -> None:
        """What was held is mapped: from now on it goes its usual ways."""
        self._mappings, self._plain = self._own_mappings, None

    def _judged(self, frame: str | bytes, error: Exception) -> tuple[Json, RecordError | None]:
        """The message of a frame that could not be read at first, or why there is none. That is only said: an error as
        it was raised holds all that it passed, a large frame as unpacked among it, as long as others have their turn.
        """
        if not isinstance(error, RecordError):
            try:
                return self.session.decode(frame), None
            except RecordError as caught:  # under no other name: that would be a ring with what it passed
                return None, _only_said(caught)
        return None, _only_said(error)

    def classify(self, frame: str | bytes) -> Iterator[tuple[Stream | None, Json, bool]]:
        """What a frame consists of, for who only looks: each message with its stream (None: no rule knows it) and
        whether that is a snapshot. What is no data is left out, and so is a frame that cannot be read. Nothing is
        changed by it.
        """
        try:
            message = self.session.decode(frame)
        except RecordError:
            return
        scope, route = self._scope, self.session.router.route
        several = self._each(message, scope) if self._each is not None else None
        for one in several if type(several) is list else (message,):
            for kind, at in self._routes(route(one, scope)):
                if kind == routing.STREAM:
                    stream = self.session.streams[at]
                    yield stream, one, stream.snapshot is not None and bool(stream.snapshot.condition(one, scope))
                elif kind == routing.UNKNOWN:
                    yield None, one, False

    def _routes(self, route: Route) -> tuple[Route, ...]:
        return self.session.router.several[route[1]] if route[0] == routing.SEVERAL else (route,)

    def _turns(self, rest: Slices) -> Slices:
        """The slices of one frame."""
        thrown: Abandoned | None = None
        while True:
            try:
                if thrown is None:
                    next(rest)
                else:
                    rest.throw(thrown)
            except StopIteration:
                return
            thrown = yield from self._pause()

    def _pause(self) -> Generator[None, None, Abandoned | None]:
        """One turn of all others; `Abandoned`, where it was thrown in. The dedup windows are the connector's, so
        meanwhile they know nothing of this connection's replica.
        """
        thrown = None
        if self._replica is not None:
            self._set_replica(None)
        try:
            yield
        except Abandoned as given:
            thrown = given
        if self._replica is not None:
            self._set_replica(self._replica)
        return thrown

    def _set_replica(self, replica: Replica | None) -> None:
        """Sets in the dedup windows the replica that the current records come from."""
        for mapping in self._mappings:
            mapping.window.replica = replica

    # -- silence of a whole stream

    def silent_at(self, patience: int) -> float | None:
        """When the first stream with a `stale_after` counts as stale, unless it has data before; None for never. A
        stream that has had no data yet gets ``patience`` times as long.
        """
        if self._heard_at is None:
            return None
        since, heard = self.session.opened, self._heard_at
        return min(heard.get(at, since) + span * (1 if at in heard else patience) for at, _, span in self._stale)

    def silent(self, patience: int, now: float) -> Close:
        """The Close for stale streams. A stream is stale only when none of its symbols has had data."""
        since, heard = self.session.opened, self._heard_at or {}
        names = [
            name for at, name, span in self._stale
            if heard.get(at, since) + span * (1 if at in heard else patience) <= now
        ]
        return Close(EndCause.STALE_STREAM, f"no data of {', '.join(names)} for {now - self._latest(names):.0f} s")

    def resume(self, held: float) -> None:
        """Reading was paused for ``held`` seconds: they do not count as silence."""
        self.session.resume(held)
        if self._heard_at is not None:
            self._heard_at = {at: then + held for at, then in self._heard_at.items()}

    def _latest(self, names: Sequence[str]) -> float:
        """When one of the named streams last had data, or else the connection was opened."""
        heard = self._heard_at or {}
        return max((heard.get(at, self.session.opened) for at, name, _ in self._stale if name in names), default=0.0)

    def _handle_messages(
        self, messages: Sequence[Json], frame: str | bytes, wall: int, envelopes: list[Envelope],
        actions: list[Action], done: int = 0,
    ) -> Slices | None:
        """The messages of a frame that has several; of the first so many items are ``done``."""
        route, scope = self.session.router.route, self._scope
        if len(messages) > AT_ONCE:
            return self._in_slices(messages, frame, wall, envelopes, actions)
        plain = self._heard_at is None
        for at, message in enumerate(messages):
            rule = route(message, scope)
            if plain and rule[0] == routing.STREAM and not self.session.subscriptions.quiet:
                rest = self._mappings[rule[1]].take(message, frame, scope, envelopes, done)
            else:
                rest = self._handle_message(message, rule, frame, wall, envelopes, actions, done)
            done = 0
            if rest is not None:
                return self._with_slices(rest, messages[at + 1 :], frame, wall, envelopes, actions)
        return None

    def _with_slices(
        self, rest: Slices, messages: Sequence[Json], frame: str | bytes, wall: int, envelopes: list[Envelope],
        actions: list[Action],
    ) -> Slices:
        """A message that is taken in slices, then those behind it."""
        yield from rest
        route, scope = self.session.router.route, self._scope
        for message in messages:
            more = self._handle_message(message, route(message, scope), frame, wall, envelopes, actions)
            if more is not None:
                yield from more

    def _in_slices(
        self, messages: Sequence[Json], frame: str | bytes, wall: int, envelopes: list[Envelope], actions: list[Action]
    ) -> Slices:
        """Very many messages. One that has very many items in its turn is not believed: no venue sends that."""
        route, scope = self.session.router.route, self._scope

        def do(some: Sequence[Json]) -> None:
            for message in some:
                rest = self._handle_message(message, route(message, scope), frame, wall, envelopes, actions)
                if rest is not None:
                    next(rest)
                    with suppress(StopIteration):
                        rest.throw(Abandoned(f"one of {len(messages)} messages of a frame"))

        def refuse(count: int, why: str) -> None:
            error = RecordError("frame", None, None, "frame-too-large", why)
            self._malformed(error, frame, wall, envelopes, count)

        return slices(messages, do, refuse)

    def _handle_message(
        self, message: Json, route: Route, frame: str | bytes, wall: int, envelopes: list[Envelope],
        actions: list[Action], done: int = 0,
    ) -> Slices | None:
        session = self.session
        if route[0] == routing.STREAM:
            if self._heard_at is not None:
                self._heard_at[route[1]] = session.last_frame
            mapping = self._mappings[route[1]]
            if session.subscriptions.waiting:
                return self._first_data(mapping, message, frame, envelopes, actions, done)
            return mapping.take(message, frame, self._scope, envelopes, done)
        if route[0] == routing.SEVERAL:
            return self._by_all(message, self._routes(route), frame, wall, envelopes, actions)
        if route[0] == routing.CAPTURE:
            actions += session.capture(route[1], message)
            return None
        control, unknown = session.control, session.unrecognised
        found = session.respond(message, route)
        self._ledger.control += session.control - control
        if session.unrecognised != unknown:
            self._ledger.unrecognised += session.unrecognised - unknown
            self._ledger.troubles.note(TroubleKind.UNKNOWN, "", "", wall, lambda: {"message": short(message)})
        for action in found:
            if type(action) is Malformed:
                self._malformed(action.error, frame, wall, envelopes)
            else:
                actions.append(action)
        return None

    def _by_all(
        self, message: Json, routes: Sequence[Route], frame: str | bytes, wall: int, envelopes: list[Envelope],
        actions: list[Action],
    ) -> Slices | None:
        """A message by each of its routes, in their order."""
        for at, route in enumerate(routes):
            rest = self._handle_message(message, route, frame, wall, envelopes, actions)
            if rest is not None:
                return self._by_rest(rest, message, routes[at + 1 :], frame, wall, envelopes, actions)
        return None

    def _by_rest(
        self, rest: Slices, message: Json, routes: Sequence[Route], frame: str | bytes, wall: int,
        envelopes: list[Envelope], actions: list[Action],
    ) -> Slices:
        """A message that is taken in slices, then by its other routes."""
        yield from rest
        for route in routes:
            more = self._handle_message(message, route, frame, wall, envelopes, actions)
            if more is not None:
                yield from more

    def _first_data(
        self, mapping: StreamMapping | HeldMapping, message: Json, frame: str | bytes, out: list[Envelope],
        actions: list[Action], done: int,
    ) -> Slices | None:
        """Maps a message while some subscriptions have had no data, and tells the session which subscriptions it was
        for.
        """
        heard: set[str] = set()
        self._scope.heard = heard
        rest = mapping.take(message, frame, self._scope, out, done)
        if rest is not None:
            return self._first_slices(rest, mapping, heard, actions)
        self._heard(mapping, heard, actions)
        return None

    def _first_slices(
        self, rest: Slices, mapping: StreamMapping | HeldMapping, heard: set[str], actions: list[Action]
    ) -> Slices:
        yield from rest
        self._heard(mapping, heard, actions)

    def _heard(self, mapping: StreamMapping | HeldMapping, heard: set[str], actions: list[Action]) -> None:
        self._scope.heard = None
        for native in sorted(heard):
            self.session.heard(mapping.stream.name, native, actions)

    def _met_bug(self, bug: Exception, frame: str | bytes, wall: int, out: list[Envelope]) -> None:
        detail = f"k2conn met a bug: {type(bug).__name__}"
        self._malformed(RecordError("frame", None, None, "bug", detail), frame, wall, out)

    def _malformed(
        self, error: RecordError, frame: str | bytes, wall: int, out: list[Envelope], count: int = 1
    ) -> None:
        """A frame that is no message, or messages of one that are none."""
        plan, ledger, scope = self.connector_state.plan, self._ledger, self._scope
        ledger.malformed += count
        account = ledger.account(NOWHERE, NOWHERE)
        account.received += count
        ledger.dead_reasons[error.reason] += count
        ledger.troubles.note(
            TroubleKind.DEAD_LETTER, NOWHERE, error.reason, wall,
            lambda: {"frame": short(frame) if isinstance(frame, str) else f"{len(frame)} bytes",
                     "detail": short(error.detail)},
        )
        letters: FrameLetters = scope.letters or FrameLetters(frame, wall, ledger.latest)
        scope.letters = letters
        origin = Origin(plan.name, plan.exchange, NOWHERE, self.connector_state.malformed_topic)
        if count > 1:
            letters.count(origin, error, account, count)
        else:
            letters.add(origin, "", error, account, None, out)


def _whole(message: Json, scope: Scope) -> Json:
    """No messages in this one: it is one itself."""
    return None


def _only_said(error: RecordError) -> RecordError:
    """The same without where it was raised."""
    return RecordError(error.field, error.expression, error.value, error.reason, error.detail)
