"""`/tap`: what passes through a running process, as JSON lines for as long as somebody listens.

While nobody does, nothing is watched. A listener is an observer (`k2conn.observe`) with a queue of its own, which is
bounded: what it has no room for is lost to the listener, counted, and told in a line of its own; the feed never waits.
What a line costs (decoding, hiding secrets, the listener's condition) is done beside the feed, in a bounded share of
the time.
"""

from __future__ import annotations

import asyncio
import base64
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qsl

from k2conn import exactjson
from k2conn.clock import monotonic, thread_time
from k2conn.envelope import Envelope
from k2conn.errors import RecordError, SettingsError
from k2conn.monitoring.replies import Headers
from k2conn.monitoring.requests import BadRequest
from k2conn.observe import Observer, Observers, Opening, SessionPlace
from k2conn.plan import Symbol
from k2conn.scope import Scope
from k2conn.secret_mask import SECRETS

MOST_TAPS = 4
"""Listeners at a time."""
WAITING = 1000
"""Events that wait for one listener: a read, or what was published at once."""
WAITING_BYTES = 8 * 1024 * 1024
SHARE = 0.1
"""The part of the time that goes into one listener's lines, at most."""
STALLED = 20.0
"""Seconds after which a listener that does not read is sent away."""
RATE = 100
"""Lines a second, where the listener does not say."""
MOST_RATE = 10_000
LONGEST = 64 * 1024
"""Characters or bytes of a frame that are shown."""
_READS = 256
"""Reads of a connector that are kept while somebody traces."""
_KINDS = ("received", "sent", "record", "dead", "opened", "ended", "answered", "carried")
_QUIET = 10.0
"""Seconds after which an empty line says that the process is still there."""

Condition = Callable[[Any, Scope], bool]
Compile = Callable[[str], Condition]
"""Makes a condition of its text; SettingsError where that is none."""
Event = tuple[str, str, int, Any]
"""Kind, connector, its bytes, and what it is about."""


@dataclass(frozen=True, slots=True)
class TapFilter:
    """What a listener wants to see. ``rate``: lines a second; ``count``: then it ends (0: never)."""

    connectors: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("record", "dead")
    where: Condition | None = None
    rate: int = RATE
    count: int = 0
    trace: bool = False


def asked(query: str, compile_condition: Compile) -> TapFilter:
    """What the query of a request says; BadRequest with all that is wrong."""
    problems: list[str] = []
    said: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True)[:50]:
        said.setdefault(name, []).extend(one for one in ([value] if name == "where" else value.split(",")) if one)
    if unknown := said.keys() - {"connector", "stream", "symbol", "kind", "where", "rate", "count", "trace"}:
        problems.append(f"nobody knows {', '.join(sorted(unknown))}")
    kinds = tuple(said.get("kind", ("record", "dead")))
    if wrong := [one for one in kinds if one not in _KINDS]:
        problems.append(f"kind {', '.join(wrong)}: there are {', '.join(_KINDS)}")
    numbers = {}
    for name, most, default in (("rate", MOST_RATE, RATE), ("count", 10**9, 0)):
        text = said.get(name, [str(default)])[-1]
        numbers[name] = int(text) if text.isdecimal() and text.isascii() and len(text) < 12 else -1
        if not 0 <= numbers[name] <= most or (name == "rate" and not numbers[name]):
            problems.append(f"{name}: a whole number up to {most}")
    where = None
    if text := " && ".join(f"({one})" for one in said.get("where", ())):
        try:
            where = compile_condition(text)
        except SettingsError as error:
            problems.append(f"where: {error}")
    if problems:
        raise BadRequest(400, "; ".join(problems)[:1000])
    connectors, streams, symbols = (tuple(said.get(name, ())) for name in ("connector", "stream", "symbol"))
    trace = said.get("trace", ["0"])[-1] not in ("0", "false")
    return TapFilter(connectors, streams, symbols, kinds, where, numbers["rate"], numbers["count"], trace)


class Taps:
    """The listeners of one process. ``captured``: what is known on a connection, by its place."""

    def __init__(
        self, observers: Observers, compile_condition: Compile, captured: Callable[[SessionPlace], Mapping[str, Any]],
        token: str = "",
    ) -> None:
        """``token``: what a request must have as its bearer token; without one only this machine may listen."""
        self._token = token.encode()
        self._observers = observers
        self._compile = compile_condition
        self._captured = captured
        self._listening = 0

    def begin(self, query: str, said: str, bound_here: bool) -> Tap:
        """A new listener. ``said``: the Authorization line of its request; ``bound_here``: only this machine can ask.
        BadRequest where it may not listen, or as `listener` raises it.
        """
        if not self._token and not bound_here:
            raise BadRequest(403, "others can reach this port, so that tap needs K2_TAP_TOKEN")
        kind, _, given = said.partition(" ")
        if self._token and not (kind.lower() == "bearer" and compare_digest(given.strip().encode(), self._token)):
            raise BadRequest(401, "the bearer token is missing or wrong (K2_TAP_TOKEN)")
        return self.listener(query)

    def listener(self, query: str) -> Tap:
        """A new listener who may listen. BadRequest where it asks wrongly, or there are too many."""
        wanted = asked(query, self._compile)
        if self._listening >= MOST_TAPS:
            raise BadRequest(429, f"{MOST_TAPS} listen already")
        return Tap(wanted, self, self._captured)

    async def lines(self, query: str) -> AsyncGenerator[bytes, None]:
        """Lines for somebody in this process, as `serve` sends them, until he leaves. BadRequest as `listener`."""
        tap = self.listener(query)
        self._listening += 1
        self._observers.add(tap)
        try:
            async for line in tap.lines():
                yield line
        finally:
            self._observers.remove(tap)
            self._listening -= 1

    async def serve(self, tap: Tap, writer: asyncio.StreamWriter) -> None:
        """Sends lines until the listener leaves, has all it wants, or stalls."""
        self._listening += 1
        self._observers.add(tap)
        try:
            async for line in tap.lines():
                writer.write(line)
                async with asyncio.timeout(STALLED):
                    await writer.drain()
        finally:
            self._observers.remove(tap)
            self._listening -= 1


class Tap(Observer):
    """One listener."""

    kind = "application/jsonl"
    headers: Headers = ()

    def __init__(self, wanted: TapFilter, taps: Taps, captured: Callable[[SessionPlace], Mapping[str, Any]]) -> None:
        self._wanted = wanted
        self._taps = taps
        self._captured = captured
        self._waiting: deque[Event] = deque()
        self._bytes = 0
        self._some = asyncio.Event()
        self._lost = self._sampled = 0
        self._reads: dict[str, OrderedDict[int, tuple[SessionPlace, Sequence[str | bytes]]]] = {}

    async def serve(self, writer: asyncio.StreamWriter) -> None:
        """See `k2conn.monitoring.replies.Ongoing`."""
        await self._taps.serve(self, writer)

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
        return {"tap_lost_events": self._lost}

    def _names(self, connector: str) -> bool:
        return not self._wanted.connectors or connector in self._wanted.connectors

    def _take(self, kind: str, place: SessionPlace, size: int, wall: int, what: Any) -> None:
        if kind in self._wanted.kinds and self._names(place.connector):
            self._put((kind, place.connector, size, (place, wall, what)), 1)

    def _put(self, event: Event, count: int) -> None:
        if len(self._waiting) >= WAITING or self._bytes + event[2] > WAITING_BYTES:
            self._lost += count
            return
        self._waiting.append(event)
        self._bytes += event[2]
        self._some.set()

    # -- lines

    async def lines(self) -> Any:
        """What the listener is sent, line by line."""
        left, said = self._wanted.count, 0
        second, in_second = 0.0, 0
        while True:
            try:
                async with asyncio.timeout(_QUIET):
                    await self._some.wait()
            except TimeoutError:
                yield b"\n"
                continue
            began = thread_time()
            while self._waiting:
                event = self._waiting.popleft()
                self._bytes -= event[2]
                for line in self._shown(event):
                    now = monotonic()
                    if now - second >= 1.0:
                        second, in_second = now, 0
                    if in_second >= self._wanted.rate:
                        self._sampled += 1
                        continue
                    in_second += 1
                    yield exactjson.encode(SECRETS.hide(line)) + b"\n"
                    left -= 1
                    if not left:
                        return
                spent = thread_time() - began
                if spent > 0.005:
                    await asyncio.sleep(spent / SHARE)
                    began = thread_time()
            self._some.clear()
            if self._lost + self._sampled > said and monotonic() - second >= 0.5:
                said = self._lost + self._sampled
                yield exactjson.encode({"kind": "lost", "lost": self._lost, "sampled": self._sampled}) + b"\n"

    def _shown(self, event: Event) -> Iterator[dict[str, Any]]:
        kind, connector, _, what = event
        for line in self._records(connector, what) if kind == "published" else self._others(kind, *what):
            where = self._wanted.where
            try:
                if where is None or where(line, Scope()):
                    yield line
            except RecordError:
                continue  # the condition does not hold of what it cannot be asked of

    def _others(self, kind: str, place: SessionPlace, wall: int, what: Any) -> Iterator[dict[str, Any]]:
        if self._wanted.streams or self._wanted.symbols:
            return  # of a frame nobody knows that before it is mapped
        head = {"kind": kind, "connector": place.connector, "socket": place.socket, "session": place.session,
                "time": wall}
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
                                    "topic": one.topic}
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
