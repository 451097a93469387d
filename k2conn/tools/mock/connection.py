"""One connection's venue without its socket: what is heard, what is answered, and which tapes are played."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple, Protocol

from k2conn.codecs.encoding import encoder
from k2conn.plan import Connection, Json, Plan
from k2conn.scope import Scope
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
)

Key = tuple[str, str]
"""A stream's name and a native symbol."""
_MOST = 50
"""Example frames of one stream that a fresh tape takes turns with."""


class MockResponse(NamedTuple):
    """What a frame of the client's leads to."""

    said: RecognizedRequest
    replies: list[Json]
    made: list[RequestedSubscription]
    undone: list[RequestedSubscription]


class FrameSource(Protocol):
    """Frames without end, or to an end."""

    def next(self, now_us: int) -> GeneratedFrame | None:
        """The next frame; None at the end."""


class MockConnection:
    """The venue's side of one connection of a plan; shared by all its clients."""

    def __init__(
        self, plan: Plan, connection: Connection, symbols: VenueSymbols, markets: dict[str, PriceWalk], *,
        texts: Sequence[str] = (), fresh: bool = True, once: bool = False, seed: int = 0,
    ) -> None:
        self.plan = plan
        self.connection = connection
        self.encode = encoder(connection.codec)
        self.listener = RequestRecognizer(plan, connection, symbols)
        self.warnings: list[str] = []
        self._reading = FieldDetection(plan, connection)
        self._learned = learn(plan, connection, self.listener)
        self._replies = Replies(connection, self._learned)
        self._frame_templates = FrameTemplates(plan, self._reading, symbols)
        self._markets = markets
        self._fresh, self._once, self._seed = fresh, once, seed
        self._scope = Scope()
        self._library = FrameLibrary(self._reading, recorded(self._reading, texts) if texts else self._learned.data)
        self._frame_sources: dict[Key, FrameSource | None] = {}

    # -- conversation

    @property
    def welcome(self) -> list[Json]:
        """What the venue says of its own accord, first."""
        return self._learned.welcome[:1] or self._replies.unasked()

    @property
    def before(self) -> list[Json]:
        """The answers to the HTTP calls that precede a connection, from the tests."""
        return self._learned.before

    def hear(self, text: str, faults: Faults) -> MockResponse:
        """A client's frame."""
        said = self.listener.hear(text)
        if said.kind == STEP:
            return self._step(said, faults)
        if said.kind == UNDO:
            return MockResponse(said, self._replies.undo(said), [], said.wanted)
        if said.kind == UNKNOWN:
            return MockResponse(said, self._learned.errors[:1], [], [])
        return MockResponse(said, [] if faults.no_pong else self._replies.pong(said), [], [])

    def ping(self, now_ms: int) -> Json:
        """The venue's own ping; None where the connector answers none."""
        return self._replies.ping(now_ms)

    def _step(self, said: RecognizedRequest, faults: Faults) -> MockResponse:
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
        return MockResponse(said, [] if faults.silent else [*replies, *accepted], made, [])

    # -- data

    @property
    def streams(self) -> frozenset[str]:
        """The streams that there are frames of."""
        return self._library.streams

    def frame_source(self, wanted: RequestedSubscription) -> FrameSource | None:
        """What is played for one stream of one symbol; None, with a warning, where nothing can be."""
        key = (wanted.stream, wanted.symbol.native)
        if key not in self._frame_sources:
            self._frame_sources[key] = self._fresh_tape(wanted) if self._fresh else self._recorded_tape(wanted)
            if self._frame_sources[key] is None:
                self._warn(f"no frame of stream '{wanted.stream}' is known for {wanted.symbol.native}")
        return self._frame_sources[key]

    def opening(self, wanted: RequestedSubscription, now_us: int) -> GeneratedFrame | None:
        """What a client gets first of a stream of deltas: the snapshot they begin with."""
        frame_source = self.frame_source(wanted)
        carry = self.plan.stream(wanted.stream).carry
        if carry is None or carry.begin is None or not isinstance(frame_source, SyntheticFrames):
            return None
        return frame_source.open(now_us)

    def _fresh_tape(self, wanted: RequestedSubscription) -> SyntheticFrames | None:
        record = wanted.symbol.record
        openers = self._casts(self._library.openers(wanted.stream, record), wanted)
        casts = self._casts(self._library.usual(wanted.stream, record), wanted) or openers
        if not casts:
            return None
        market = self._markets.setdefault(record, PriceWalk(Random(f"{self._seed}/{record}")))
        name = f"{wanted.stream}/{wanted.symbol.native}"
        return SyntheticFrames(name, wanted.symbol, casts, openers[:1], market, self._reading, self._seed)

    def _casts(self, shown: Sequence[LibraryFrame], wanted: RequestedSubscription) -> list[tuple[FrameTemplate, bool]]:
        """The frames recast for one symbol, each with whether it was that symbol's already."""
        found = []
        for one in shown[:_MOST]:
            template_for = self._frame_templates.template_for(one.data, wanted, self._scope.state)
            if template_for is not None:
                found.append((template_for, one.symbol == wanted.symbol.record))
        return found

    def _recorded_tape(self, wanted: RequestedSubscription) -> RecordedFrames | None:
        shown = self._library.recordings(wanted.stream, wanted.symbol.record)
        frames = [GeneratedFrame(one.data.text.encode(), one.ids) for one in shown]
        return RecordedFrames(frames, self._once) if frames else None

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

