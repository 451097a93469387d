"""Recognises the frames of a client by matching them against the templates of the plan."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from k2conn import exactjson
from k2conn.errors import RecordError, SettingsError
from k2conn.plan import Connection, Json, Plan, SendScope, Step, Stream, Symbol, Template
from k2conn.scope import Scope
from k2conn.symbols import EVERY
from k2conn.tools.mock.template_matching import CaptureRow, FrameShape, MatchCapture, ShapeMaker, fits

STEP, UNDO, PING, PONG, UNKNOWN = "step", "undo", "ping", "pong", "unknown"


class RequestedSubscription(NamedTuple):
    """One stream of one symbol that a frame requests, with the venue's topic where there is one."""

    stream: str
    symbol: Symbol
    topic: Json = None


@dataclass(slots=True)
class RecognizedRequest:
    """A recognised frame: its kind, the step it belongs to, and what it requests."""

    kind: str
    frame: Json
    step: Step | None = None
    wanted: list[RequestedSubscription] = field(default_factory=list)
    counter: Json = None


class VenueSymbols:
    """The symbols a venue knows: those given, and all that the plan's symbol rules match."""

    def __init__(self, plan: Plan, names: Iterable[str] = ()) -> None:
        self._resolve = plan.symbols.resolve
        examples = [name for example in plan.tests for name in example.symbols]
        given = dict.fromkeys([*names, *plan.symbols.default, *examples])
        self.listed = [found for name in given if (found := self._resolve(name))]
        self._every = Symbol(plan.symbols.all, EVERY, EVERY, EVERY) if plan.symbols.all else None
        self._known: dict[tuple[tuple[str, str], ...], Symbol | None] = {}

    def of(self, row: CaptureRow) -> Symbol | None:
        """The symbol whose parts were captured; None where there is none."""
        key = tuple(sorted((name, value) for name, value in row.items() if isinstance(value, str)))
        if key not in self._known:
            self._known[key] = self._search(dict(key))
        return self._known[key]

    def _search(self, row: dict[str, str]) -> Symbol | None:
        if self._every is not None and fits(row, self._every):
            return self._every
        for symbol in self.listed:
            if fits(row, symbol):
                return symbol
        for name, text in row.items():
            if name.partition(".")[0] in ("native", "record"):
                for spelled in (text, text.upper(), text.lower()):
                    found = self._resolve(spelled)
                    if found is not None and fits(row, found):
                        return found
        return None


class RequestRecognizer:
    """Recognises the frames of one connection."""

    def __init__(self, plan: Plan, connection: Connection, symbols: VenueSymbols) -> None:
        self.connection = connection
        self.symbols = symbols
        parts = tuple(name for symbol in symbols.listed[:1] for name, _ in symbol.parts)
        states = [capture.into for capture in connection.capture]
        states += connection.initial
        states += [capture.into for request in connection.before for capture in request.capture]
        self._maker = ShapeMaker(parts, tuple(states))
        self._streams = tuple(stream for stream in plan.streams if stream.name in connection.streams)
        self._topics = [(s, shape) for s in self._streams if s.topic and (shape := self._maker.shape(s.topic))]
        self._steps = [
            (step, shape)
            for step in connection.steps
            if step.send is not None and (shape := self._maker.shape(step.send))
        ]
        self._steps += [
            (step, shape) for step in connection.steps if step.later and (shape := self._maker.shape(step.later))
        ]
        self._steps += [
            (step, shape)
            for step in connection.steps
            if step.renew is not None and step.renew.send and (shape := self._maker.shape(step.renew.send))
        ]
        self._undos = [
            (step, shape) for step in connection.steps if step.undo and (shape := self._maker.shape(step.undo))
        ]
        beat = connection.heartbeat
        self._ping = self._maker.shape(beat.send) if beat and beat.send else None
        self._urls = [shape for url in connection.urls if (shape := self._url_shape(url))]

    def recognize(self, frame: str) -> RecognizedRequest:
        """Recognises a text frame."""
        value = read(frame)
        if self._ping is not None and (found := _matched_frame(self._ping, frame, value)):
            return RecognizedRequest(PING, value, counter=found.common.get("counter"))
        for kind, shapes in ((STEP, self._steps), (UNDO, self._undos)):
            for step, shape in shapes:
                found = _matched_frame(shape, frame, value)
                if found is None:
                    continue
                wanted = self._wanted(found, step.streams)
                if step.streams and not wanted:
                    continue
                return RecognizedRequest(kind, value, step, wanted, found.common.get("counter"))
        return RecognizedRequest(UNKNOWN, value)

    def instruments(self, wanted: Sequence[RequestedSubscription]) -> list[RequestedSubscription]:
        """What is subscribed: in place of all symbols of a stream, each."""
        streams = {stream.name: stream for stream in self._streams}
        found: list[RequestedSubscription] = []
        for one in wanted:
            if not one.symbol.is_every:
                found.append(one)
                continue
            topics = [(symbol, topic_of(streams[one.stream], symbol)) for symbol in self.symbols.listed]
            found += [RequestedSubscription(one.stream, symbol, topic) for symbol, topic in topics]
        return found

    def answers(self, ping: Json, state: dict[str, Json]) -> list[FrameShape]:
        """The shapes of the correct answers to the venue's own ping."""
        found = [
            self._maker.shape(answer.send, ping, state)
            for answer in self.connection.answer
            if answer.when.condition(ping, Scope(state))
        ]
        return [shape for shape in found if shape is not None]

    def asked_by_url(self, target: str) -> list[RequestedSubscription]:
        """What an address (path and query) requests: all streams of all listed symbols where neither the address nor
        frames can name them, nothing where frames will.
        """
        for shape in self._urls:
            found = _matched(shape, target)
            if found and (wanted := self._wanted(found, self.connection.streams)):
                return wanted
        if any(step.streams for step in self.connection.steps):
            return []
        return [
            RequestedSubscription(stream.name, symbol, topic_of(stream, symbol))
            for stream in self._streams
            for symbol in self.symbols.listed
        ]

    def _url_shape(self, url: Template) -> FrameShape | None:
        def target(scope: SendScope) -> str:
            parts = urlsplit(str(url(scope)))
            return parts.path + ("?" + parts.query if parts.query else "")

        return self._maker.shape(target)

    def _wanted(self, found: MatchCapture, streams: Sequence[str]) -> list[RequestedSubscription]:
        rows = [{**found.common, **row} for row in found.rows] or [found.common]
        wanted = [one for row in rows for one in self._row(row, streams)]
        return list({(one.stream, one.symbol.native): one for one in wanted}.values())

    def _row(self, row: CaptureRow, streams: Sequence[str]) -> list[RequestedSubscription]:
        if "topic" in row:
            return self._by_topic(row["topic"], streams)
        symbol = self.symbols.of(row)
        if symbol is None:
            return []
        return [
            RequestedSubscription(stream.name, symbol, topic_of(stream, symbol))
            for stream in self._streams
            if stream.name in streams
        ]

    def _by_topic(self, topic: Json, streams: Sequence[str]) -> list[RequestedSubscription]:
        for stream, shape in self._topics:
            found = _matched(shape, topic) if stream.name in streams else None
            symbol = self.symbols.of(found.common) if found else None
            if symbol is not None:
                return [RequestedSubscription(stream.name, symbol, topic)]
        return []


def read(frame: str | bytes) -> Json:
    """A client's frame: decoded JSON, or else the text unchanged."""
    try:
        return exactjson.decode(frame)
    except exactjson.JsonError:
        return frame if isinstance(frame, str) else frame.decode("utf-8", "replace")


def topic_of(stream: Stream, symbol: Symbol) -> Json:
    """The venue's name for one stream of one symbol; None where it has none."""
    if stream.topic is None:
        return None
    return stream.topic(SendScope(lambda: 0, lambda: "", 0, {}, os.environ, symbols=(symbol,)))


def initial_state(connection: Connection, symbols: Sequence[Symbol]) -> dict[str, Json]:
    """What `$state` holds when a connection with these symbols begins, as far as that can be told here."""
    scope = SendScope(lambda: 0, lambda: "", 0, {}, os.environ, symbols=tuple(symbols))
    found: dict[str, Json] = {}
    for name, template in connection.initial.items():
        with suppress(RecordError, SettingsError):  # a key that this machine does not have is no matter to a mock
            found[name] = template(scope)
    return found


def _matched(shape: FrameShape, value: Json) -> MatchCapture | None:
    found = MatchCapture()
    return found if shape.match(value, found) else None


def _matched_frame(shape: FrameShape, frame: str, value: Json) -> MatchCapture | None:
    """What a frame has of a shape. A frame that is JSON is also the text that it is: a template may be a text, with
    numbers in the place of names.
    """
    found = _matched(shape, value)
    return _matched(shape, frame) if found is None and not isinstance(value, str) else found
