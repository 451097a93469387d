"""One connection's conversation, without a socket and without a clock (sans-I/O).

Inputs are `open`, `receive`, `timer` and `retire`, each with the time; outputs are lists of actions; `deadline` says
when the next timer is due. Theory of operation::

    connecting --open--> steps[0] -> steps[1] ... -> settled --retire--> retiring
                          |  each step sends its frames (within the venue's rate), then waits for its replies
                          |  data is delivered at any time, from the first frame on
                          +--> closing: a refused or unanswered set-up step, a missing heartbeat answer, silence; the
                          |    runner connects again with a new session
                          +--> the venue's own notice: a Close, too, but the conversation goes on, so that the runner
                               may open the next connection first

Times are seconds of a monotonic clock (``now``); ``wall`` is microseconds since the epoch, only for what is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from k2conn import exactjson
from k2conn.engine.codec import decoder
from k2conn.engine.frames import OutFrame, frame_text, split, step_frames, undo_frames
from k2conn.engine.outbox import Outbox
from k2conn.engine.routing import ANSWER, IGNORE, NOTICE, PONG, REPLY, STREAM, Route, Router
from k2conn.engine.subscriptions import CONFIRMED, PENDING, REFUSED, UNACKNOWLEDGED, Subscription, Subscriptions
from k2conn.errors import RecordError, SettingsError, TransportError
from k2conn.loopback import is_loopback
from k2conn.plan import Capture, Connection, Json, Scope, SendScope, Step, Stream, Symbol


class Send(NamedTuple):
    """Send this text frame."""

    frame: str


class Deliver(NamedTuple):
    """A message of a stream: map it."""

    stream: int
    message: Json


class Close(NamedTuple):
    """Close the socket and connect again after at least ``delay`` seconds."""

    cause: str
    detail: str = ""
    delay: float = 0.0


class Note(NamedTuple):
    """Something to log and count: confirmed, refused, unacknowledged, error, unrecognised, settled."""

    kind: str
    detail: dict[str, Any]


class Malformed(NamedTuple):
    """A frame that is no message: a dead letter."""

    error: RecordError


Action = Send | Deliver | Close | Note | Malformed


@dataclass(frozen=True, slots=True)
class World:
    """What a session may know of the world: its own random ids and the environment (for keys)."""

    uuid: Callable[[], str]
    environment: Mapping[str, str]


def subscriptions_for(
    connection: Connection, streams: Sequence[Stream], symbols: Sequence[Symbol], world: World
) -> list[Subscription]:
    """What a connection is asked for: each of its streams for each of its symbols, with the venue's topics."""
    scope = SendScope(counter=lambda: 0, uuid=world.uuid, now_us=0, state={}, environment=world.environment)
    found = []
    for stream in streams:
        for symbol in symbols:
            topic = stream.topic(scope._replace(symbols=(symbol,))) if stream.topic else None
            found.append(Subscription(stream.name, symbol, topic))
    return found


class Session:
    """The state of one connection; a new one for every connect."""

    def __init__(
        self, connection: Connection, streams: Sequence[Stream], symbols: Sequence[Symbol], world: World
    ) -> None:
        self.connection = connection
        self.streams = tuple(streams)
        self.world = world
        self.scope = Scope()
        self.subscriptions = Subscriptions(subscriptions_for(connection, streams, symbols, world))
        self.settled = False
        self.control = 0
        self.unrecognised = 0
        self.last_frame = 0.0
        self.opened = 0.0
        self._router = Router(connection, self.streams)
        self._decode = decoder(connection.codec)
        self._outbox = Outbox(connection.limits.send)
        self._counter = 0
        self._at = -1
        self._frames: dict[int, list[OutFrame]] = {}
        """The frames of each step that was begun."""
        self._reply_by: float | None = None
        self._ping_at: float | None = None
        self._pong_by: float | None = None
        self._ping_every = 0.0
        self._closed = False
        self._noticed = False
        self._now = 0.0
        self._wall = 0

    # -- inputs

    def url(self, at: int, wall: int) -> str:
        """The address to connect to, the ``at``-th of the failover list."""
        self._wall = wall
        template = self.connection.urls[at % len(self.connection.urls)]
        topics: list[Json] = []
        for one in self.subscriptions.all:
            if one.topic is not None and one.topic not in topics:
                topics.append(one.topic)
        symbols = {one.symbol.native: one.symbol for one in self.subscriptions.all}
        scope = self._send_scope()._replace(topics=tuple(topics), symbols=tuple(symbols.values()))
        return self._checked(str(template(scope)))

    def _checked(self, url: str) -> str:
        """An address that the venue itself gave is held to the same rule as one in the file: no ws:// to elsewhere."""
        parts = urlsplit(url)
        safe = parts.scheme == "wss" or self.connection.allow_insecure or is_loopback(parts.hostname or "")
        if parts.scheme not in ("ws", "wss") or not safe:
            raise TransportError("insecure", f"the address is no wss:// one: {parts.scheme}://{parts.hostname}")
        return url

    def headers(self, wall: int) -> dict[str, str]:
        """Extra handshake headers."""
        self._wall = wall
        return dict(self.connection.headers(self._send_scope())) if self.connection.headers else {}

    def frames(self, wall: int) -> list[str]:
        """What all steps send, on a session that is not opened; raises RecordError where that is learnt later."""
        self._wall = wall
        limit, found = self.connection.limits.frame_bytes, []
        for step in self.connection.steps:
            found += step_frames(step, self._wanted(step), self._send_scope(), self._count, limit)
        return [frame.text for frame in found]

    def captured(self, captures: Sequence[Capture], message: Json) -> None:
        """Keeps what an HTTP answer (or a message) tells; raises RecordError where a value is missing."""
        for capture in captures:
            value = capture.value(message, self.scope)
            if value is None:
                raise RecordError(capture.into, None, None, "missing-field", "the answer does not have it")
            self._keep(capture, value, message)

    def open(self, now: float, wall: int) -> list[Action]:
        """The socket is open."""
        self._now, self._wall, self.last_frame, self.opened = now, wall, now, now
        beat = self.connection.heartbeat
        if beat is not None and beat.send is not None:
            self._ping_every = beat.every(self.scope.state)
            self._ping_at = now + self._ping_every
        out: list[Action] = []
        self._guarded(out, self._advance)
        self.flush(out)
        return out

    def receive(self, frame: str | bytes, now: float, wall: int) -> list[Action]:
        """A frame came."""
        out: list[Action] = []
        try:
            message = self.arrived(frame, now, wall)
        except RecordError as error:
            return [Malformed(error)]
        for one in self.messages(message):
            self.handle(one, self.route(one), out)
        self.flush(out)
        return out

    # -- the parts of `receive`, for those who receive very often

    def arrived(self, frame: str | bytes, now: float, wall: int) -> Json:
        """The message (or messages) of a frame; raises RecordError for a frame that is none."""
        self._now, self._wall, self.last_frame = now, wall, now
        return self._decode(frame)

    def messages(self, message: Json) -> list[Json]:
        """The messages of a decoded frame: one, or those that the connector file says it holds."""
        each = self.connection.each
        if each is None:
            return [message]
        found = each(message, self.scope)
        return found if type(found) is list else [message]

    def route(self, message: Json) -> Route:
        """The rule for one message."""
        return self._router.route(message, self.scope)

    def handle(self, message: Json, route: Route, out: list[Action]) -> None:
        """Does what the rule says, into ``out``."""
        if route[0] == STREAM:
            out.append(Deliver(route[1], message))
        else:
            self._guarded(out, lambda found: self._control(message, route, found))

    def flush(self, out: list[Action]) -> None:
        """Sends what may be sent now."""
        if len(self._outbox) and not self._closed:
            out.extend(Send(frame) for frame in self._outbox.due(self._now))

    def timer(self, now: float, wall: int) -> list[Action]:
        """The deadline has come (or any time before)."""
        self._now, self._wall = now, wall
        out: list[Action] = []
        if self._closed:
            return out
        if self._pong_by is not None and now >= self._pong_by:
            return self._close("heartbeat", "the heartbeat was not answered")
        stale = self.connection.stale_after
        if stale is not None and now >= self.last_frame + stale:
            return self._close("stale", f"no frame for {stale:g} s")
        if self._reply_by is not None and now >= self._reply_by:
            self._guarded(out, self._expired)
        if self._ping_at is not None and now >= self._ping_at:
            self._guarded(out, self._ping)
        self.flush(out)
        return out

    def resume(self, held: float) -> None:
        """Reading was held back for so many seconds: what came meanwhile was not seen, so they count as no silence."""
        self.last_frame += held
        self._pong_by = None if self._pong_by is None else self._pong_by + held
        self._reply_by = None if self._reply_by is None else self._reply_by + held

    @property
    def deadline(self) -> float | None:
        """When `timer` is next due; None for never."""
        stale = self.connection.stale_after
        times = [self._ping_at, self._pong_by, self._reply_by, self._outbox.deadline(self._now),
                 self.last_frame + stale if stale is not None else None]
        due = [time for time in times if time is not None]
        return min(due) if due and not self._closed else None

    def heard(self, stream: str, native: str, out: list[Action]) -> None:
        """The first data of a subscription came."""
        one = self.subscriptions.heard(stream, native)
        if one is not None:
            out.append(Note("first-data", {"stream": stream, "symbol": native}))
            self._guarded(out, self._resolved)
            self.flush(out)

    def retire(self, now: float, wall: int) -> list[Action]:
        """The connection is no longer wanted: take subscriptions back."""
        self._now, self._wall = now, wall
        out: list[Action] = []
        self._outbox.clear()
        for step in self.connection.steps[: self._at + 1] if not self._closed else ():
            asked = [one for one in self._wanted(step) if one.state != REFUSED]
            out += [Send(text) for text in undo_frames(step, asked, self._send_scope(), self._count)]
        self._closed = True
        return out

    def _guarded(self, out: list[Action], act: Callable[[list[Action]], None]) -> None:
        """Does something that builds frames; where a value for one is missing, the connection cannot go on."""
        try:
            act(out)
        except (RecordError, SettingsError) as error:
            out.extend(self._close("settings", str(error), self.connection.backoff.cap))

    # -- steps

    def _advance(self, out: list[Action]) -> None:
        """Begins the next step; several at once where they wait for nothing."""
        while self._at + 1 < len(self.connection.steps):
            self._at += 1
            step = self.connection.steps[self._at]
            wanted = self._wanted(step)
            if step.streams and not wanted:
                continue
            frames = self._frames_of(step, wanted)
            self._frames[self._at] = frames
            for frame in frames:
                if frame.text:
                    self._outbox.put(frame.text, step.pause)
            if step.expect is not None and not step.expect.first_data:
                for frame in frames:
                    frame.waiting = True
                self._reply_by = self._now + step.expect.within
                return
        self._reply_by = None
        if not self.settled:
            self.settled = True
            states = {state: self.subscriptions.count(state) for state in (CONFIRMED, PENDING, REFUSED, UNACKNOWLEDGED)}
            out.append(Note("settled", states))

    def _frames_of(self, step: Step, wanted: list[Subscription]) -> list[OutFrame]:
        return step_frames(step, wanted, self._send_scope(), self._count, self.connection.limits.frame_bytes)

    def _wanted(self, step: Step) -> list[Subscription]:
        found = self.subscriptions.of(step.streams)
        if step.symbols is not None:
            test = step.symbols.condition
            found = [one for one in found if test(_plain(one.symbol), self.scope)]
        return found

    def _resolved(self, out: list[Action]) -> None:
        """Goes on where the current step waits for nothing more."""
        if self._reply_by is None:
            return
        frames = self._frames[self._at]
        for frame in frames:
            if frame.waiting and frame.subscriptions:
                frame.waiting = any(one.state == PENDING for one in frame.subscriptions)
        if not any(frame.waiting for frame in frames):
            self._reply_by = None
            self._advance(out)

    def _expired(self, out: list[Action]) -> None:
        """A step's replies did not all come in time."""
        self._reply_by = None
        step = self.connection.steps[self._at]
        waiting = [frame for frame in self._frames[self._at] if frame.waiting]
        late = [one for frame in waiting for one in frame.subscriptions if one.state == PENDING]
        if not step.streams or (late and not any(one.state == CONFIRMED for one in self.subscriptions.all)):
            out.extend(self._close("unacknowledged", f"no answer to {step.name} in time"))
            return
        for one in late:
            one.state = UNACKNOWLEDGED
        out.append(Note("unacknowledged", {"step": step.name, "symbols": [one.symbol.native for one in late]}))
        self._advance(out)

    # -- messages

    def _control(self, message: Json, route: Route, out: list[Action]) -> None:
        kind, at = route
        self._capture(message)
        if kind == REPLY:
            self.control += 1
            self._reply(message, out)
        elif kind == ANSWER:
            self.control += 1
            answer = self.connection.answers[at]
            self._outbox.put(frame_text(answer.send(self._send_scope()._replace(message=message))), first=True)
        elif kind == PONG:
            self.control += 1
            self._pong_by = None
        elif kind == IGNORE:
            self.control += 1
        elif kind == NOTICE:
            self.control += 1
            self._notice(at, message, out)
        elif isinstance(message, str):
            out.append(Malformed(RecordError("frame", None, message, "malformed-frame", "text that is no JSON")))
        else:
            self.unrecognised += 1
            if self.unrecognised <= 5:
                out.append(Note("unrecognised", {"message": exactjson.spell(message)[:300]}))

    def _capture(self, message: Json) -> None:
        for capture in self.connection.captures:
            if capture.when is None or capture.when.condition(message, self.scope):
                value = capture.value(message, self.scope)
                if value is not None:
                    self._keep(capture, value, message)

    def _keep(self, capture: Capture, value: Json, message: Json) -> None:
        if capture.key is None:
            self.scope.state[capture.into] = value
            return
        key = capture.key(message, self.scope)
        if key is not None:
            self.scope.state.setdefault(capture.into, {})[exactjson.spell(key)] = value

    def _notice(self, at: int, message: Json, out: list[Action]) -> None:
        notice = self.connection.notices[at]
        reason = notice.reason(message, self.scope) if notice.reason else None
        text = exactjson.spell(reason if reason is not None else message)[:300]
        if notice.reconnect:
            if not self._closed and not self._noticed:  # the conversation goes on until another connection stands
                out.append(Close("notice", text, notice.delay))
            self._noticed = True
        else:
            out.append(Note("error", {"reason": text}))

    def _reply(self, message: Json, out: list[Action]) -> None:
        """An acknowledgement or refusal: of the current step, or late of an earlier one. One that speaks of nothing
        that was asked for changes nothing.
        """
        for at in range(self._at, -1, -1):
            step = self.connection.steps[at]
            refused = self._verdict(step, message)
            if refused is None:
                continue
            if not step.streams:
                self._set_up(at, step, refused, message, out)
                return
            touched = self._speaks_of(at, step, message)
            if refused and self._halve(at, step, touched, out):
                return
            for one in touched:
                self._mark(one, refused, self._reason(step, message) if refused else None, out)
            if touched:
                self._resolved(out)
                return

    def _halve(self, at: int, step: Step, touched: list[Subscription], out: list[Action]) -> bool:
        """A whole frame was refused and nothing says for whose sake: its halves are asked for one by one, so that in
        the end only the wrong ones are refused. False where there is nothing to halve.
        """
        frame = next((one for one in self._frames.get(at, ()) if one.subscriptions is touched), None)
        parts = split(touched)
        if frame is None or parts is None:
            return False
        frame.waiting = False
        for part in parts:
            for again in self._frames_of(step, part):
                again.waiting = True
                self._frames[at].append(again)
                self._outbox.put(again.text, step.pause)
        if at == self._at and step.expect is not None:
            self._reply_by = self._now + step.expect.within
        out.append(Note("halved", {"step": step.name, "symbols": [one.symbol.native for one in touched]}))
        return True

    def _verdict(self, step: Step, message: Json) -> bool | None:
        """Whether a message refuses (True) or accepts (False) what a step asked; None where it does neither."""
        expect = step.expect
        if expect is not None and expect.refused is not None and expect.refused.condition(message, self.scope):
            return True
        if expect is not None and expect.accepted is not None and expect.accepted.condition(message, self.scope):
            return False
        return None

    def _reason(self, step: Step, message: Json) -> Json:
        return step.expect.reason(message, self.scope) if step.expect and step.expect.reason else None

    def _set_up(self, at: int, step: Step, refused: bool, message: Json, out: list[Action]) -> None:
        """The reply to a step that subscribes nothing (a login)."""
        if refused:
            reason = self._reason(step, message)
            out.extend(self._close("refused", f"{step.name}: {exactjson.spell(reason)[:300]}"))
            return
        for frame in self._frames.get(at, ()):
            frame.waiting = False
        self._resolved(out)

    def _speaks_of(self, at: int, step: Step, message: Json) -> list[Subscription]:
        """The subscriptions a reply is about: by its counter, symbol or topic, else the oldest waiting frame's."""
        expect = step.expect
        assert expect is not None
        frames = [frame for frame in self._frames.get(at, ()) if frame.waiting]
        if expect.reply_to is not None:
            wanted = exactjson.spell(expect.reply_to(message, self.scope))
            frames = [frame for frame in frames if frame.counter is not None and str(frame.counter) == wanted]
        candidates = [one for frame in frames for one in frame.subscriptions]
        for getter, spelled in ((expect.symbol, _native), (expect.topic, _topic)):
            found = getter(message, self.scope) if getter else None
            if found is not None:
                names = {_spelled(one) for one in (found if isinstance(found, list) else [found])}
                return [one for one in candidates if spelled(one) in names]
        return frames[0].subscriptions if frames else []

    def _mark(self, one: Subscription, refused: bool, reason: Json, out: list[Action]) -> None:
        if not refused:
            if one.state != CONFIRMED:
                one.state = CONFIRMED
                out.append(Note("confirmed", {"stream": one.stream, "symbol": one.symbol.native}))
        elif one.state != REFUSED:
            one.state = REFUSED
            one.reason = exactjson.spell(reason)[:300] if reason is not None else ""
            out.append(Note("refused", {"stream": one.stream, "symbol": one.symbol.native, "reason": one.reason}))
            if self.subscriptions.count(REFUSED) == len(self.subscriptions.all):
                out.extend(self._close("refused", one.reason))

    # -- sending

    def _ping(self, out: list[Action]) -> None:
        beat = self.connection.heartbeat
        assert beat is not None
        assert beat.send is not None
        self._outbox.put(frame_text(beat.send(self._send_scope())), first=True)
        self._ping_at = self._now + self._ping_every
        if beat.within is not None and self._pong_by is None:
            self._pong_by = self._now + beat.within

    def _close(self, cause: str, detail: str, delay: float = 0.0) -> list[Action]:
        if self._closed:
            return []
        self._closed = True
        return [Close(cause, detail, delay)]

    def _count(self) -> int:
        self._counter += 1
        return self._counter

    def _send_scope(self) -> SendScope:
        return SendScope(
            counter=self._count,
            uuid=self.world.uuid,
            now_us=self._wall,
            state=self.scope.state,
            environment=self.world.environment,
            sign=self.connection.sign,
        )


def _plain(symbol: Symbol) -> dict[str, Json]:
    return {**symbol._asdict(), **dict(symbol.parts)}


def _native(one: Subscription) -> str:
    return _spelled(one.symbol.native)


def _topic(one: Subscription) -> str:
    return _spelled(one.topic)


def _spelled(name: Json) -> str:
    """A symbol or topic to compare by: without regard to case, and to the order of an object's keys."""
    return exactjson.spell(dict(sorted(name.items())) if isinstance(name, dict) else name).lower()
