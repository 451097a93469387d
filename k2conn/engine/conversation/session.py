"""One connection's conversation, without a socket and without a clock (sans-I/O).

Inputs are `open`, `wake`, `respond`, `heard`, `timer`, `carry` and `retire`; outputs are lists of actions; `deadline`
says when the next timer is due. Frames are read by `k2conn.engine.frame_pipeline`, which keeps data for the mapping and
gives the session all other messages. Requests, and the replies to them, are handled by
`k2conn.engine.conversation.subscription_flow`. Theory of operation::

    connecting --open--> steps[0] -> steps[1] ... -> settled --retire--> retiring
                          |                          ^    |  carry: a new set of symbols, subscribed and
                          |                          +----+  unsubscribed in rounds of their own
                          |  each step sends its frames (within the venue's rate), then waits for its replies
                          |  data is delivered at any time, from the first frame on
                          +--> closing: a refused or unanswered set-up step, a missing heartbeat answer, silence; the
                          |    runner reconnects with a new session
                          +--> the venue's own notice: also a Close, but the session continues, so that the runner can
                               open the next connection first

Times are seconds of a monotonic clock (``now``); ``wall`` is microseconds since the epoch, only for what is sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from k2conn import exactjson
from k2conn.codecs.decoding import decoder
from k2conn.engine.conversation.actions import Action, CallAgain, Close, Malformed, Note, NoteKind, Send
from k2conn.engine.conversation.captures import Captures
from k2conn.engine.conversation.end_causes import EndCause
from k2conn.engine.conversation.outbox import Outbox
from k2conn.engine.conversation.own_pings import OwnPings
from k2conn.engine.conversation.request_encoding import request_encoder
from k2conn.engine.conversation.request_frames import frame_body
from k2conn.engine.conversation.routing import ANSWER, IGNORE, NOTICE, PONG, REPLY, UNKNOWN, Route, Router
from k2conn.engine.conversation.subscription_flow import SubscriptionFlow
from k2conn.engine.conversation.subscriptions import Subscription, Subscriptions
from k2conn.engine.sharding.shards import places
from k2conn.engine.symbol_state import forget_ordinals
from k2conn.errors import RecordError, SettingsError, TransportError
from k2conn.plan import Capture, Connection, Json, SendScope, Stream, Symbol
from k2conn.schemes import BUILT_IN, Secure, family, in_the_clear
from k2conn.scope import Scope

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

__all__ = [
    "Action", "CallAgain", "Close", "EndCause", "Malformed", "Note", "NoteKind", "Send", "Session", "SessionContext",
    "subscriptions_for",
]

MOST_ANSWERS = 1000
"""Answers that wait for the venue's limit on sending; further messages are not answered."""
LONGEST_ANSWER = 64 * 1024
"""Characters or bytes of an answer: what a venue wants echoed is not sent at any length."""


@dataclass(frozen=True, slots=True)
class SessionContext:
    """What a session gets from outside: random ids, the environment (for keys), the known URL schemes."""

    uuid: Callable[[], str]
    environment: Mapping[str, str]
    secure: Secure = BUILT_IN.get
    """Whether a URL scheme is secure; None for an unknown scheme. Used to check an address that the venue itself gives.
    """


def subscriptions_for(
    connection: Connection, streams: Sequence[Stream], symbols: Sequence[Symbol], context: SessionContext
) -> list[Subscription]:
    """The subscriptions of a connection: each of its streams for each of its symbols, with the venue's topic."""
    scope = SendScope(counter=lambda: 0, uuid=context.uuid, now_us=0, state={}, environment=context.environment)
    found = []
    for stream in streams:
        for symbol in symbols:
            topic = stream.topic(scope._replace(symbols=(symbol,))) if stream.topic else None
            found.append(Subscription(stream.name, symbol, topic))
    return found


class Session:
    """The protocol state of one connection; a new session for every connect."""

    def __init__(
        self, connection: Connection, streams: Sequence[Stream], symbols: Sequence[Symbol], context: SessionContext
    ) -> None:
        self.connection = connection
        self.streams = tuple(streams)
        self.context = context
        self.scope = Scope()
        self.captures = Captures(self.scope.state)
        self._kept: dict[str, Json] = {}
        self._begun = False
        self.subscriptions = Subscriptions(subscriptions_for(connection, streams, symbols, context))
        self.control = 0
        self.unrecognised = 0
        self.last_frame = 0.0
        self.opened = 0.0
        self.router = Router(connection, self.streams)
        self.decode = decoder(connection.codec)
        """Decodes a frame to its message; raises RecordError where that fails."""
        self._encode = request_encoder(connection)
        self._outbox = Outbox(connection.limits.send)
        self._counter = 0
        self._flow = SubscriptionFlow(
            connection, self.subscriptions, self._outbox, self.scope, self._send_scope, self._count,
            places(connection, self.streams),
        )
        self._pings = OwnPings(connection.heartbeat)
        self._closed = False
        self._noticed = False
        self._now = 0.0
        self._wall = 0

    # -- inputs

    def begin(self, wall: int, kept: dict[str, Json] | None = None) -> None:
        """Before anything else, once: fills `$state` with what the file says it holds at first, and what earlier
        connections kept in ``kept``, which captures that are to be kept are written to from now on. Raises RecordError
        and SettingsError where that cannot be told.
        """
        if self._begun:
            return
        self._begun, self._wall = True, wall
        self._kept = {} if kept is None else kept
        for name, template in self.connection.initial.items():
            self.captures.keep(name, None, template(self.asked))
        for name, value in self._kept.items():
            self.captures.keep(name, None, value)

    def url(self, at: int, wall: int) -> str:
        """The address to connect to, the ``at``-th of the failover list."""
        self.begin(wall)
        self._wall = wall
        template = self.connection.urls[at % len(self.connection.urls)]
        return self._checked(str(template(self.asked)))

    def _checked(self, url: str) -> str:
        """An address that the venue itself gave is held to the same rule as one in the file."""
        known = self.context.secure
        try:
            parts = urlsplit(url)
            possible = bool(parts.hostname) and parts.port != 0 and not _CONTROL.search(url) and "@" not in parts.netloc
        except ValueError:
            possible = False
        if not possible:  # not repeated: it may hold a token
            raise TransportError("handshake", "the venue gave an address that cannot be")
        own, theirs = self.connection.transport, family(url)
        if theirs != own and not {own, theirs} <= {"websocket", "other"}:  # above all no program of this machine
            raise TransportError("handshake", f"the venue gave an address of another kind: {parts.scheme[:20]}://")
        if known(parts.scheme) is None or (in_the_clear(parts, known) and not self.connection.allow_insecure):
            raise TransportError("insecure", f"the address is no wss:// one: {parts.scheme}://{parts.hostname}")
        return url

    @property
    def asked(self) -> SendScope:
        """What a request or a program that names symbols and topics is built from, on this connection."""
        topics: list[Json] = []
        for one in self.subscriptions.all:
            if one.topic is not None and one.topic not in topics:
                topics.append(one.topic)
        symbols = {one.symbol.native: one.symbol for one in self.subscriptions.all}
        return self._send_scope()._replace(topics=tuple(topics), symbols=tuple(symbols.values()))

    def headers(self, wall: int) -> dict[str, str]:
        """Extra handshake headers."""
        self._wall = wall
        return dict(self.connection.headers(self._send_scope())) if self.connection.headers else {}

    def subprotocols(self, wall: int) -> list[str]:
        """The WebSocket sub-protocols to offer."""
        self._wall = wall
        if self.connection.subprotocol is None:
            return []
        offered = self.connection.subprotocol(self._send_scope())
        return [exactjson.spell(one) for one in (offered if isinstance(offered, list) else [offered])]

    def frames(self, wall: int) -> list[str | bytes]:
        """All frames that the steps send, for a session that is not open; raises RecordError where they depend on
        values captured later.
        """
        self._wall = wall
        return list(map(self._encode, self._flow.all_frames()))

    def captured(self, captures: Sequence[Capture], message: Json) -> None:
        """Stores what is captured from an HTTP response (or a message); raises RecordError where a value is missing."""
        for capture in captures:
            value = capture.value(message, self.scope)
            if value is None:
                raise RecordError(capture.into, None, None, "missing-field", "the answer does not have it")
            self._keep(capture, value, message)

    def open(self, now: float, wall: int) -> list[Action]:
        """The socket is open."""
        self.begin(wall)
        self._now, self._wall, self.last_frame, self.opened = now, wall, now, now
        out: list[Action] = []
        self._guarded(out, self._start_pings)
        self._advance_flow(out, self._flow.begin)
        self.flush(out)
        return out

    def carry(self, symbols: Sequence[Symbol], now: float, wall: int) -> list[Action]:
        """Replaces the connection's symbols: new ones are subscribed, others unsubscribed; during the first round, only
        after its end.
        """
        if self._closed:
            return []
        self._now, self._wall = now, wall
        wanted = subscriptions_for(self.connection, self.streams, symbols, self.context)
        out: list[Action] = []
        self._advance_flow(out, lambda now, found: self._flow.change(wanted, now, found))
        self.flush(out)
        return out

    @property
    def settled(self) -> bool:
        """Whether all steps are done."""
        return self._flow.settled

    @property
    def changing(self) -> bool:
        """Whether a change made by `carry` is still in progress."""
        return self._flow.changing and not self._closed

    def wake(self, now: float, wall: int) -> None:
        """Notes that frames were received, at these times."""
        self._now, self._wall, self.last_frame = now, wall, now

    def respond(self, message: Json, route: Route) -> list[Action]:
        """Handles a message that is not data; ``route`` is the rule that it matches."""
        out: list[Action] = []
        self._guarded(out, lambda found: self._control(message, route, found))
        self.flush(out)
        return out

    def flush(self, out: list[Action]) -> None:
        """Sends what may be sent now."""
        if len(self._outbox) and not self._closed:
            self._guarded(out, lambda found: found.extend(map(self._sent, self._outbox.due(self._now))))

    def timer(self, now: float, wall: int) -> list[Action]:
        """Called when the deadline is reached (or at any time before)."""
        self._now, self._wall = now, wall
        out: list[Action] = []
        if self._closed:
            return out
        if (answer_by := self._pings.answer_by) is not None and now >= answer_by:
            return self._close(EndCause.HEARTBEAT, "the heartbeat was not answered")
        stale = self.connection.stale_after
        if stale is not None and now >= self.last_frame + stale:
            return self._close(EndCause.STALE, f"no frame for {stale:g} s")
        if self._flow.reply_by is not None and now >= self._flow.reply_by:
            self._advance_flow(out, self._flow.expired)
        if self._flow.retry_at is not None and now >= self._flow.retry_at:
            self._advance_flow(out, self._flow.retry)
        if (due := self._flow.renewals.deadline) is not None and now >= due:
            calling = self._flow.renewals.calls
            self._advance_flow(out, self._flow.renew)
            if self._flow.renewals.calls and not calling:
                out.append(CallAgain())
        if self._pings.at is not None and now >= self._pings.at:
            self._guarded(out, self._ping)
        self.flush(out)
        return out

    def called(self, now: float, wall: int) -> list[Action]:
        """The calls of `before` were made again (see `CallAgain`), and what they are for was `captured`."""
        self._now, self._wall = now, wall
        out: list[Action] = []
        if not self._closed:
            self._advance_flow(out, self._flow.renew_called)
            self.flush(out)
        return out

    def calls_failed(self, now: float) -> None:
        """They could not be made; they are asked for again later."""
        self._flow.renewals.calls_failed(now)

    def resume(self, held: float) -> None:
        """Reading was paused for ``held`` seconds: nothing could be seen meanwhile, so they do not count as silence."""
        self.last_frame += held
        self._pings.resume(held)
        flow = self._flow
        flow.reply_by = None if flow.reply_by is None else flow.reply_by + held
        flow.renewals.resume(held)

    @property
    def deadline(self) -> float | None:
        """When `timer` is next due; None for never."""
        stale = self.connection.stale_after
        times = [self._pings.at, self._pings.answer_by, self._flow.reply_by, self._flow.retry_at,
                 self._outbox.deadline(self._now), self._flow.renewals.deadline,
                 self.last_frame + stale if stale is not None else None]
        due = [time for time in times if time is not None]
        return min(due) if due and not self._closed else None

    def heard(self, stream: str, native: str, out: list[Action]) -> None:
        """Called for the first data of a subscription."""
        one = self.subscriptions.heard(stream, native)
        if one is not None:
            out.append(Note(NoteKind.FIRST_DATA, {"stream": stream, "symbol": native}))
            self._advance_flow(out, self._flow.resolved)
            self.flush(out)

    def retire(self, now: float, wall: int) -> list[Action]:
        """The connection is no longer needed: unsubscribe everything."""
        self._now, self._wall = now, wall
        out: list[Action] = []
        self._outbox.clear()
        if not self._closed:
            self._guarded(out, lambda found: found.extend(map(self._sent, self._flow.unsubscribe_all())))
        self._closed = True
        return out

    def _guarded(self, out: list[Action], act: Callable[[list[Action]], object]) -> None:
        """Runs ``act``, which builds frames; where a value for one is missing, the connection is closed."""
        try:
            act(out)
        except (RecordError, SettingsError) as error:
            out.extend(self._close(EndCause.SETTINGS, str(error), self.connection.reconnect.cap))

    def _advance_flow(self, out: list[Action], act: Callable[[float, list[Action]], None]) -> None:
        """Runs a method of the subscription flow, guarded; a Close that it asks for closes the session."""

        def asked(out: list[Action]) -> None:
            found: list[Action] = []
            try:
                act(self._now, found)
            finally:
                for action in found:
                    out.extend(self._close(*action) if type(action) is Close else (action,))

        self._guarded(out, asked)

    # -- messages

    def learn(self, message: Json, out: list[Action]) -> None:
        """An answer to a question that is asked again and again, before it is mapped. It has the recent past in it, as
        a new connection has: equal rows are numbered anew.
        """
        forget_ordinals(self.scope.state)
        self._capture(message, out, self.connection.capture)

    def _control(self, message: Json, route: Route, out: list[Action]) -> None:
        kind, at = route
        learnt = self._capture(message, out, self.connection.capture)
        if kind == REPLY:
            self.control += 1
            self._advance_flow(out, lambda now, found: self._flow.reply(message, now, found))
        elif kind == ANSWER:
            self.control += 1
            self._answer(frame_body(self.connection.answer[at].send(self._send_scope()._replace(message=message))), out)
        elif kind == PONG:
            self.control += 1
            self._pings.answered()
        elif kind == IGNORE or (kind == UNKNOWN and learnt):
            self.control += 1
        elif kind == NOTICE:
            self.control += 1
            self._notice(at, message, out)
        elif isinstance(message, str):
            out.append(Malformed(RecordError("frame", None, message, "malformed-frame", "text that is not JSON")))
        else:
            self.unrecognised += 1
            if self.unrecognised <= 5:
                out.append(Note(NoteKind.UNRECOGNISED, {"message": exactjson.excerpt(message, 300)}))

    def _answer(self, frame: str | bytes, out: list[Action]) -> None:
        if len(frame) > LONGEST_ANSWER or self._outbox.answers >= MOST_ANSWERS:
            out.append(Note(NoteKind.ERROR, {"reason": "not answered: too long, or too many answers wait"}))
        else:
            self._outbox.put(frame, first=True)

    def capture(self, at: int, message: Json) -> list[Action]:
        """Captures from a message that is data; ``at``: by which of the connection's captures."""
        out: list[Action] = []
        self._guarded(out, lambda found: self._capture(message, found, self.connection.capture[at : at + 1]))
        return out

    def _capture(self, message: Json, out: list[Action], captures: Sequence[Capture]) -> bool:
        """Whether one that says which messages it is about has kept something."""
        learnt = False
        for capture in captures:
            if capture.when is None or capture.when.condition(message, self.scope):
                value = capture.value(message, self.scope)
                if value is not None:
                    try:
                        self._keep(capture, value, message)
                        learnt = learnt or capture.when is not None
                    except RecordError as error:
                        out.append(Note(NoteKind.ERROR, {"reason": f"{error.field}: {error.detail}"}))
                    self._start_pings(out)
        return learnt

    def _start_pings(self, _: list[Action]) -> None:
        self._pings.start(self.scope.state, self._now)

    def _keep(self, capture: Capture, value: Json, message: Json) -> None:
        key = None if capture.key is None else capture.key(message, self.scope)
        if capture.key is None or key is not None:
            self.captures.keep(capture.into, key, value)
            if capture.keep:
                self._kept[capture.into] = self.scope.state[capture.into]

    def _notice(self, at: int, message: Json, out: list[Action]) -> None:
        notice = self.connection.notices[at]
        reason = notice.reason(message, self.scope) if notice.reason else None
        text = exactjson.excerpt(reason if reason is not None else message, 300)
        if notice.reconnect:
            if not self._closed and not self._noticed:  # the session continues until the next connection is ready
                out.append(Close(EndCause.NOTICE, text, notice.delay))
            self._noticed = True
        else:
            out.append(Note(NoteKind.ERROR, {"reason": text}))

    # -- sending

    def _sent(self, frame: str | bytes) -> Send:
        """A frame in the kind that the venue takes; SettingsError where its codec cannot say it."""
        return Send(self._encode(frame))

    def _ping(self, out: list[Action]) -> None:
        beat = self.connection.heartbeat
        assert beat is not None
        assert beat.send is not None
        self._outbox.put(frame_body(beat.send(self._send_scope())), first=True)
        self._pings.sent(self._now)

    def _close(self, cause: EndCause, detail: str, delay: float = 0.0) -> list[Action]:
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
            uuid=self.context.uuid,
            now_us=self._wall,
            state=self.scope.state,
            environment=self.context.environment,
            sign=self.connection.sign,
        )
