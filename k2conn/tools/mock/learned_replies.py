"""Learns from the tests of a connector file how its venue behaves: which frame answers which request, and example data.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from k2conn import exactjson
from k2conn.codecs.decoding import decoder
from k2conn.engine.conversation.routing import ANSWER, NOTICE, PONG, UNKNOWN, Router
from k2conn.errors import RecordError
from k2conn.plan import Connection, ConnectorTest, Json, Plan, Stream
from k2conn.scope import Scope
from k2conn.tools.mock.announcements import Announcement, subject_of
from k2conn.tools.mock.request_recognition import (
    PING,
    STEP,
    UNDO,
    RecognizedRequest,
    RequestedSubscription,
    RequestRecognizer,
    initial_state,
    read,
    topic_of,
)


class LearnedReply(NamedTuple):
    """A frame of the venue and the request that it answers."""

    message: Json
    request: RecognizedRequest


class DataFrame(NamedTuple):
    """A frame with items of a stream, with its original text and what the connection had captured before."""

    stream: str
    frame: Json
    text: str
    state: dict[str, Json]


@dataclass(slots=True)
class LearnedReplies:
    """Everything learned about one connection."""

    accepted: list[LearnedReply] = field(default_factory=list)
    refused: list[LearnedReply] = field(default_factory=list)
    undone: list[LearnedReply] = field(default_factory=list)
    pongs: list[LearnedReply] = field(default_factory=list)
    pings: list[Json] = field(default_factory=list)
    errors: list[Json] = field(default_factory=list)
    welcome: list[Json] = field(default_factory=list)
    """Messages that came before the first request, and that no step waits for."""
    unasked: dict[int, Json] = field(default_factory=dict)
    """What steps wait for that send nothing, by the number of the step."""
    announced: list[Announcement] = field(default_factory=list)
    """Other messages from which something is captured."""
    before: list[Json] = field(default_factory=list)
    """The answers of one test to the HTTP calls made before connecting."""
    data: list[DataFrame] = field(default_factory=list)


def learn(plan: Plan, connection: Connection, recognizer: RequestRecognizer) -> LearnedReplies:
    """Learns from all tests of the plan."""
    learned = LearnedReplies()
    for example in plan.tests:
        _Learner(plan, connection, recognizer, learned).follow(example)
    return learned


def remember(connection: Connection, message: Json, scope: Scope) -> list[str]:
    """Keeps in the scope's state what the plan captures from a message; the names under which it does."""
    found = []
    for capture in connection.capture:
        if capture.when is not None and not capture.when.condition(message, scope):
            continue
        value = capture.value(message, scope)
        if value is None:
            continue
        if capture.key is None:
            scope.state[capture.into] = value
        elif (key := capture.key(message, scope)) is not None:
            scope.state.setdefault(capture.into, {})[exactjson.spell(key)] = value
        else:
            continue
        found.append(capture.into)
    return found


def messages(connection: Connection, frame: Json, scope: Scope) -> list[Json]:
    """The messages of one frame."""
    if connection.each is None:
        return [frame]
    found = connection.each(frame, scope)
    return found if isinstance(found, list) else [frame]


def stream_of(
    connection: Connection, router: Router, streams: Sequence[Stream], frame: Json, scope: Scope
) -> Stream | None:
    """The stream of a frame's first data message; None for other frames, whose captures are kept."""
    for message in messages(connection, frame, scope):
        for at in router.streams(router.route(message, scope)):
            return streams[at]
        remember(connection, message, scope)
    return None


class _Learner:
    """Goes through the tests with one connection of the plan."""

    def __init__(
        self, plan: Plan, connection: Connection, recognizer: RequestRecognizer, learned: LearnedReplies
    ) -> None:
        self.connection = connection
        self.recognizer = recognizer
        self.learned = learned
        self._symbols = plan.symbols
        self.streams = tuple(stream for stream in plan.streams if stream.name in connection.streams)
        self.router = Router(connection, self.streams)
        self.scope = Scope()
        self.requests: list[RecognizedRequest] = []
        self._asked: list[RequestedSubscription] = []
        """What the test that is gone through may subscribe."""
        self._packed = connection.codec.text != ("json",)
        self._decode = decoder(connection.codec) if self._packed else read

    def follow(self, example: ConnectorTest) -> None:
        has_requests = any(turn.kind == "sent" for turn in example.dialogue)
        if not self.learned.before:
            self.learned.before = [turn.value for turn in example.dialogue if turn.kind == "answered"]
        symbols = [found for name in example.symbols if (found := self._symbols.resolve(name))]
        self.scope.state.update(initial_state(self.connection, symbols))
        self._asked = [RequestedSubscription(stream.name, symbol, topic_of(stream, symbol))
                       for stream in self.streams for symbol in symbols]
        for turn in example.dialogue:
            if turn.kind == "sent":
                self.requests.append(self.recognizer.recognize(_text(turn.value)))
            elif turn.kind == "received":
                data = bool(turn.records) or turn.records is None
                self._received(turn.value, data and not turn.dead_letters, has_requests)

    def _received(self, value: Json, sound: bool, has_requests: bool) -> None:
        frame = self._read(value) if isinstance(value, str) else value
        try:
            stream = stream_of(self.connection, self.router, self.streams, frame, self.scope)
        except RecordError:
            return
        if stream is None:
            self._control(frame, has_requests)
        elif sound:
            state = deepcopy(self.scope.state)
            text = _text(frame if self._packed else value)
            self.learned.data.append(DataFrame(stream.name, frame, text, state))
        if stream is not None and self.router.replies(self.router.route(frame, self.scope)):
            self._answers(frame)

    def _read(self, text: str) -> Json:
        """The message of a raw text frame; the text itself where it cannot be decoded."""
        try:
            return self._decode(text)
        except RecordError:
            return text

    def _control(self, message: Json, has_requests: bool) -> None:
        kind, at = self.router.route(message, self.scope)
        if kind == ANSWER:
            self.learned.pings.append(message)
        elif self._answers(message):
            return
        elif kind == NOTICE:
            if not self.connection.notices[at].reconnect:
                self.learned.errors.append(message)
        elif (waiting := self._waiting(message)) is not None:
            self.learned.unasked[waiting] = message
        elif has_requests and not self.requests and kind != UNKNOWN:
            self.learned.welcome.append(message)
        elif into := remember(self.connection, message, self.scope):
            self.learned.announced.append(Announcement(message, tuple(into), subject_of(message, self._asked)))

    def _waiting(self, message: Json) -> int | None:
        """The step that sends nothing and waits for the message; None where it is known what that waits for."""
        for at, step in enumerate(self.connection.steps):
            accepted = step.expect.accepted if step.send is None and step.expect is not None else None
            if accepted is not None and at not in self.learned.unasked and accepted.condition(message, self.scope):
                return at
        return None

    def _answers(self, message: Json) -> bool:
        """Adds the message to the replies of the request that it names, else of the oldest one without an answer."""
        answered = [reply.request for reply in (*self.learned.accepted, *self.learned.refused, *self.learned.pongs)]
        fitting = [(one, place) for one in self.requests if (place := self._place(one, message)) is not None]
        if not fitting:
            return False
        request, place = min(
            fitting, key=lambda one: (not self._names(one[0], message), any(one[0] is other for other in answered))
        )
        place.append(LearnedReply(message, request))
        return True

    def _names(self, request: RecognizedRequest, message: Json) -> bool:
        """Whether a reply names what the request asked for, or the request's number."""
        expect = request.step.expect if request.step else None
        if expect is None:
            return False
        if expect.reply_to is not None and request.counter is not None:
            return exactjson.spell(expect.reply_to(message, self.scope)) == exactjson.spell(request.counter)
        for getter, spelled in ((expect.topic, [one.topic for one in request.wanted]),
                                (expect.symbol, [one.symbol.native for one in request.wanted])):
            found = getter(message, self.scope) if getter else None
            if found is not None:
                return any(one in spelled for one in (found if isinstance(found, list) else [found]))
        return False

    def _place(self, request: RecognizedRequest, message: Json) -> list[LearnedReply] | None:
        kind, _ = self.router.route(message, self.scope)
        if request.kind == PING:
            return self.learned.pongs if kind == PONG else None
        expect = request.step.expect if request.step is not None else None
        if request.kind == UNDO:
            return self.learned.undone if request is self.requests[-1] else None
        if request.kind != STEP or expect is None:
            return None
        if expect.refused is not None and expect.refused.condition(message, self.scope):
            return self.learned.refused
        if expect.accepted is not None and expect.accepted.condition(message, self.scope):
            return self.learned.accepted
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else exactjson.encode(value).decode()
