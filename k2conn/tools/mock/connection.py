"""The venue's side of one connection, without sockets: recognises requests, makes replies, provides data frames."""

from __future__ import annotations

from collections.abc import Sequence, Set
from random import Random
from typing import NamedTuple, Protocol

from k2conn.codecs.decoding import decoder
from k2conn.codecs.encoding import encoder
from k2conn.engine.conversation.request_encoding import request_decoder
from k2conn.errors import RecordError
from k2conn.plan import Connection, Json, Plan
from k2conn.scope import Scope
from k2conn.tools.mock.announcements import Announcements
from k2conn.tools.mock.faults import Faults
from k2conn.tools.mock.field_detection import FieldDetection
from k2conn.tools.mock.frame_generator import GeneratedFrame, PriceWalk, RecordedFrames, SyntheticFrames
from k2conn.tools.mock.frame_library import FrameLibrary, LibraryFrame, recorded
from k2conn.tools.mock.frame_templates import FrameTemplate, FrameTemplates
from k2conn.tools.mock.learned_replies import learn, remember
from k2conn.tools.mock.replies import Replies
from k2conn.tools.mock.request_recognition import (
    STEP,
    UNDO,
    UNKNOWN,
    RecognizedRequest,
    RequestedSubscription,
    RequestRecognizer,
    VenueSymbols,
    initial_state,
    topic_of,
)

Key = tuple[str, str]
"""A stream's name and a native symbol."""
_MOST = 50
"""Example frames of one stream that synthetic frames are made from."""


class MockResponse(NamedTuple):
    """The reaction to a frame of a client."""

    request: RecognizedRequest
    replies: list[Json]
    made: list[RequestedSubscription]
    undone: list[RequestedSubscription]


class FrameSource(Protocol):
    """A finite or infinite source of frames."""

    def next(self, now_us: int) -> GeneratedFrame | None:
        """The next frame; None at the end."""


class MockConnection:
    """The venue's side of one connection of a plan; shared by all its clients."""

    def __init__(
        self, plan: Plan, connection: Connection, symbols: VenueSymbols, price_walks: dict[str, PriceWalk], *,
        texts: Sequence[str] = (), fresh: bool = True, once: bool = False, seed: int = 0,
    ) -> None:
        self.plan = plan
        self.connection = connection
        self.encode = encoder(connection.codec)
        self.said = request_decoder(connection)
        self._decode = decoder(connection.codec)
        self.recognizer = RequestRecognizer(plan, connection, symbols)
        self.warnings: list[str] = []
        self._detection = FieldDetection(plan, connection)
        self._learned = learn(plan, connection, self.recognizer)
        self._replies = Replies(connection, self._learned)
        self._announcements = Announcements(self._learned.announced, plan.streams)
        self._frame_templates = FrameTemplates(plan, self._detection, symbols)
        self._price_walks = price_walks
        self._fresh, self._once, self._seed = fresh, once, seed
        self._scope = Scope()
        self._library = FrameLibrary(self._detection, recorded(self._detection, texts) if texts else self._learned.data)
        self._frame_sources: dict[Key, FrameSource | None] = {}

    # -- conversation

    def readable(self, frame: str | bytes) -> bool:
        """Whether the connector's codec makes something of a frame."""
        try:
            self._decode(frame)
        except RecordError:
            return False
        return True

    @property
    def welcome(self) -> list[Json]:
        """The first messages of a connection, sent without a request."""
        return self._replies.unasked(None) or self._learned.welcome[:1]

    @property
    def before(self) -> list[Json]:
        """The answers to the HTTP calls made before connecting, from the tests."""
        return self._learned.before

    def respond(self, text: str, faults: Faults) -> MockResponse:
        """Handles a client's frame."""
        request = self.recognizer.recognize(text)
        if request.kind == STEP:
            return self._step(request, faults)
        if request.kind == UNDO:
            undone = self.recognizer.instruments(request.wanted)
            return MockResponse(request, self._replies.undo(request), [], undone)
        if request.kind == UNKNOWN:
            return MockResponse(request, self._learned.errors[:1], [], [])
        return MockResponse(request, [] if faults.no_pong else self._replies.pong(request), [], [])

    def ping(self, now_ms: int) -> Json:
        """The venue's own ping; None where the connector answers no pings."""
        return self._replies.ping(now_ms)

    def _step(self, request: RecognizedRequest, faults: Faults) -> MockResponse:
        refused = [one for one in request.wanted if one.symbol.native in faults.refuse]
        made = [one for one in request.wanted if one not in refused]
        replies, single = self._replies.refuse(request, refused)
        if refused and not single:
            made = []
        accepted = self._replies.accept(request, made)
        for one in accepted:
            remember(self.connection, one, self._scope)
        step = request.step
        if (step is not None and step.expect is not None and step.expect.accepted is not None and not accepted
                and (made or not request.wanted)):
            self._warn(f"step '{step.name}' is not acknowledged: no test of {self.plan.name} shows how")
        subscribed = self.recognizer.instruments(made)
        unasked = self._replies.unasked(step) if step is not None and (made or not request.wanted) else []
        return MockResponse(request, [] if faults.silent else [*replies, *accepted, *unasked], subscribed, [])

    def announcements(self, wanted: RequestedSubscription) -> list[Json]:
        """What is said of a subscription before its data, which cannot be read without it."""
        found = self._announcements.about(wanted)
        for one in found:
            remember(self.connection, one, self._scope)
        return found

    # -- data

    @property
    def streams(self) -> frozenset[str]:
        """The streams with example frames."""
        return self._library.streams

    def frame_source(self, wanted: RequestedSubscription, beside: Set[Key] = frozenset()) -> FrameSource | None:
        """The source of frames of one stream and symbol; None, with a warning, where there are no example frames, and
        None where they are those of another stream (`also`), which is subscribed ``beside`` it.
        """
        leader = self._library.leader(wanted.stream)
        key = (leader, wanted.symbol.native)
        if leader != wanted.stream:
            if key in beside:
                return None
            wanted = RequestedSubscription(leader, wanted.symbol, topic_of(self.plan.stream(leader), wanted.symbol))
        if key not in self._frame_sources:
            self._frame_sources[key] = self._synthetic_frames(wanted) if self._fresh else self._recorded_frames(wanted)
            if self._frame_sources[key] is None:
                self._warn(f"no frame of stream '{wanted.stream}' is known for {wanted.symbol.native}"
                           f"{self._unusable(wanted.stream)}")
        return self._frame_sources[key]

    def _unusable(self, stream: str) -> str:
        """Why the frames of a stream that the tests show are not used; empty where they show none."""
        shown = any(one.stream == stream for one in self._learned.data)
        return ": in each that the tests show, an item makes no record, because it is dropped or lacks something" \
            if shown and stream not in self.streams else ""

    def opening(self, wanted: RequestedSubscription, now_us: int) -> GeneratedFrame | None:
        """The snapshot that a stream of deltas starts with; None for other streams."""
        frame_source = self.frame_source(wanted)
        carry = self.plan.stream(wanted.stream).carry
        if carry is None or carry.begin is None or not isinstance(frame_source, SyntheticFrames):
            return None
        return frame_source.open(now_us)

    def _synthetic_frames(self, wanted: RequestedSubscription) -> SyntheticFrames | None:
        record = wanted.symbol.record
        snapshots = self._templates(self._library.snapshots(wanted.stream, record), wanted)
        templates = self._templates(self._library.updates(wanted.stream, record), wanted) or snapshots
        if not templates:
            return None
        price_walk = self._price_walks.setdefault(record, PriceWalk(Random(f"{self._seed}/{record}")))
        name = f"{wanted.stream}/{wanted.symbol.native}"
        return SyntheticFrames(name, wanted.symbol, templates, snapshots[:1], price_walk, self._detection, self._seed)

    def _templates(
        self, shown: Sequence[LibraryFrame], wanted: RequestedSubscription
    ) -> list[tuple[FrameTemplate, bool]]:
        """Templates of the frames for one symbol, each with whether the frame was of that symbol already."""
        found = []
        state = {**self._scope.state, **initial_state(self.connection, [wanted.symbol])}
        for one in shown[:_MOST]:
            template = self._frame_templates.template(one.data, wanted, state)
            if template is not None:
                found.append((template, one.symbol == wanted.symbol.record))
        return found

    def _recorded_frames(self, wanted: RequestedSubscription) -> RecordedFrames | None:
        shown = self._library.recordings(wanted.stream, wanted.symbol.record)
        frames = [GeneratedFrame(one.data.text.encode(), one.ids) for one in shown]
        return RecordedFrames(frames, self._once) if frames else None

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

