"""What passes through this process, for one listener: an observer (`k2conn.observe`) with a queue of its own.

The queue is bounded: what it has no room for is lost to the listener and counted; the feed never waits. What a line
costs (decoding, hiding secrets, the listener's condition) is done beside the feed, in a bounded share of the time.
"""

from __future__ import annotations

import asyncio
import base64
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from typing import Any

from k2conn import exactjson
from k2conn.clock import thread_time
from k2conn.envelope import Envelope
from k2conn.errors import RecordError
from k2conn.monitoring.tap.pace import TapPace
from k2conn.monitoring.tap.query import TapFilter
from k2conn.observe import Observer, Observers, Opening, SessionPlace
from k2conn.plan import Symbol
from k2conn.scope import Scope
from k2conn.secret_mask import SECRETS

WAITING = 1000
"""Events that wait for one listener: a read, or what was published at once."""
WAITING_BYTES = 8 * 1024 * 1024
SHARE = 0.1
"""The part of the time that goes into one listener's lines, at most."""
AT_ONCE = 0.005
"""Seconds of that work at a time."""
BATCH = 64 * 1024
"""Bytes of lines that are handed over at a time, and one line."""
LONGEST = 64 * 1024
"""Characters or bytes of a frame that are shown."""
LOOK = 1.0
"""Seconds after which a source that has nothing says so."""
_READS = 256
"""Reads of a connector that are kept while somebody traces."""

Event = tuple[str, str, int, Any]
"""Kind, connector, its bytes, and what it is about."""


class Tap(Observer):
    """What passes here, as one listener wants it. ``captured``: what is known on a connection, by its place;
    ``beside``: what every line says besides.
    """

    def __init__(
        self, wanted: TapFilter, observers: Observers, captured: Callable[[SessionPlace], Mapping[str, Any]],
        beside: Mapping[str, Any] | None = None,
    ) -> None:
        self.lost = 0
        self.sampled = 0
        self._wanted = wanted
        self._observers = observers
        self._captured = captured
        self._beside = dict(beside or {})
        self._pace = TapPace(wanted.rate)
        self._waiting: deque[Event] = deque()
        self._bytes = 0
        self._some = asyncio.Event()
        self._reads: dict[str, OrderedDict[int, tuple[SessionPlace, Sequence[str | bytes]]]] = {}

    def begin(self) -> None:
        """From now on it watches."""
        self._observers.add(self)

    def end(self) -> None:
        """From now on nothing is watched for it."""
        self._observers.remove(self)

    # -- what passes

    def opened(self, place: SessionPlace, opening: Opening, now: float, wall: int) -> None:
        """See `Observer`."""
        words = {"connection": opening.connection, "symbols": [one.native for one in opening.symbols]}
        self._take("opened", place, 500, wall, words)

    def received(self, place: SessionPlace, frames: Sequence[str | bytes], now: float, wall: int) -> None:
        """See `Observer`."""
        if self._wanted.trace and self._names(place.connector):
            reads = self._reads.setdefault(place.connector, OrderedDict())
            reads[wall] = place, frames
            while len(reads) > _READS:
                reads.popitem(last=False)
        self._take("received", place, sum(map(len, frames)), wall, frames)

    def sent(self, place: SessionPlace, frame: str | bytes, now: float, wall: int) -> None:
        """See `Observer`."""
        self._take("sent", place, len(frame), wall, (frame,))

    def answered(self, place: SessionPlace, request: int | None, answer: Any, now: float, wall: int) -> None:
        """See `Observer`."""
        self._take("answered", place, 1000, wall, {"request": request, "answer": exactjson.excerpt(answer, 2000)})

    def carried(self, place: SessionPlace, symbols: tuple[Symbol, ...], now: float, wall: int) -> None:
        """See `Observer`."""
        self._take("carried", place, 500, wall, {"symbols": [one.native for one in symbols]})

    def ended(self, place: SessionPlace, cause: str, detail: str, now: float, wall: int) -> None:
        """See `Observer`."""
        self._take("ended", place, 500, wall, {"cause": cause, "detail": detail})

    def published(self, connector: str, envelopes: Sequence[Envelope]) -> None:
        """See `Observer`."""
        if self._names(connector):
            size = sum([len(one.value) for one in envelopes])
            self._put(("published", connector, size, list(envelopes)), len(envelopes))

    def figures(self) -> dict[str, int]:
        """See `Observer`."""
        return {"tap_lost_events": self.lost}

    def _names(self, connector: str) -> bool:
        return not self._wanted.connectors or connector in self._wanted.connectors

    def _take(self, kind: str, place: SessionPlace, size: int, wall: int, what: Any) -> None:
        if kind in self._wanted.kinds and self._names(place.connector):
            self._put((kind, place.connector, size, (place, wall, what)), 1)

    def _put(self, event: Event, count: int) -> None:
        if len(self._waiting) >= WAITING or self._bytes + event[2] > WAITING_BYTES:
            self.lost += count
            return
        self._waiting.append(event)
        self._bytes += event[2]
        self._some.set()

    # -- lines

    async def batches(self) -> AsyncGenerator[list[bytes], None]:
        """See `TapSource`."""
        while True:
            try:
                async with asyncio.timeout(LOOK):
                    await self._some.wait()
            except TimeoutError:
                yield []
                continue
            self._some.clear()
            began = thread_time()
            found, size = list[bytes](), 0
            for line in self._waiting_lines():
                if line:
                    found.append(line)
                    size += len(line)
                spent = thread_time() - began
                if spent > AT_ONCE or size > BATCH:
                    yield found
                    await asyncio.sleep(spent / SHARE)
                    found, size, began = [], 0, thread_time()
            spent = thread_time() - began
            yield found
            await asyncio.sleep(spent / SHARE)

    def _waiting_lines(self) -> Iterator[bytes]:
        while self._waiting:
            event = self._waiting.popleft()
            self._bytes -= event[2]
            yield from self._lines_of(event)

    def _lines_of(self, event: Event) -> Iterator[bytes]:
        """The lines that an event is; an empty one for each that is not shown."""
        kind, connector, _, what = event
        for line in self._records(connector, what) if kind == "published" else self._others(kind, *what):
            if not self._holds(line):
                yield b""
            elif not self._pace.allows():
                self.sampled += 1
                yield b""
            else:
                yield exactjson.encode(SECRETS.hide(line)) + b"\n"

    def _holds(self, line: dict[str, Any]) -> bool:
        where = self._wanted.where
        try:
            return where is None or where(line, Scope())
        except RecordError:
            return False  # the condition does not hold of what it cannot be asked of

    def _others(self, kind: str, place: SessionPlace, wall: int, what: Any) -> Iterator[dict[str, Any]]:
        if self._wanted.streams or self._wanted.symbols:
            return  # of a frame nobody knows that before it is mapped
        head = {"kind": kind, "connector": place.connector, "socket": place.socket, "session": place.session,
                **self._beside, "time": wall}
        if isinstance(what, dict):
            yield {**head, **what}
            return
        for frame in what:
            yield {**head, **_frame(frame)}

    def _records(self, connector: str, envelopes: Sequence[Envelope]) -> Iterator[dict[str, Any]]:
        wanted = self._wanted
        for one in envelopes:
            kind = "record" if one.schema is not None else "dead"
            stream = getattr(one.account, "stream", "")
            symbol = (one.key or b"").decode("utf-8", "replace")
            if kind not in wanted.kinds or (wanted.streams and stream not in wanted.streams):
                continue
            if wanted.symbols and symbol not in wanted.symbols:
                continue
            line: dict[str, Any] = {"kind": kind, "connector": connector, "stream": stream, "symbol": symbol,
                                    "topic": one.topic, **self._beside}
            if one.schema is None:
                line["letter"] = exactjson.decode(one.value)
            else:
                line["record"] = one.schema.decode_plain(one.value)
                if wanted.trace:
                    line["from"] = self._source(connector, one.received_us)
            yield line

    def _source(self, connector: str, wall: int) -> dict[str, Any] | None:
        """The read that a record came with, and what was captured on its connection; None where it is not known."""
        reads = self._reads.get(connector)
        read = reads.get(wall) if reads is not None else None
        if read is None:
            return None
        place, frames = read
        return {"socket": place.socket, "session": place.session, "time": wall,
                "frames": [_frame(one) for one in frames[:20]], "state": dict(self._captured(place))}


def _frame(frame: str | bytes) -> dict[str, Any]:
    shown = SECRETS.hide(frame[: LONGEST + 4096]) if isinstance(frame, str) else SECRETS.hide_bytes(frame[:LONGEST])
    cut = {"cut": True} if len(frame) > LONGEST else {}
    if isinstance(shown, str):
        return {"text": shown[:LONGEST].encode("utf-8", "replace").decode(), **cut}
    try:
        return {"text": shown.decode(), "binary": True, **cut}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(shown).decode(), **cut}
