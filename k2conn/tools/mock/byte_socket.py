"""The venue's side of connections that are no WebSockets, with the methods of one that a mock exchange uses.

`ByteSocket` is a stream of frames (TCP, or an HTTP answer that goes on), `PollSocket` a client that asks again and
again: each of its requests is answered with the next frame.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterable
from pathlib import Path

from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.protocol import State

from k2conn import exactjson
from k2conn.clock import monotonic
from k2conn.framing import Framing, cutter, framed

_LARGEST = 64 * 1024 * 1024
_LOOK = 0.005
"""Seconds between two looks whether a client has read everything."""
_QUEUE = 64
"""Frames that wait for the requests of one client."""
_FIRST_WITHIN = 0.05
"""Seconds that a request waits for a frame."""
_GONE_AFTER = 5.0
"""Seconds without a request after which a client that asks again and again is gone."""
_ESTABLISHED = "01"


def as_received(frame: str | bytes, framing: Framing | None) -> str | bytes:
    """What a client makes of a frame: that of a named event has its name and id, whatever its data is."""
    if framing is None or framing.kind != "named-events":
        return frame
    return next(iter(cutter(framing, _LARGEST).feed(_as_bytes(frame, framing))), frame)


def _as_bytes(frame: str | bytes, framing: Framing) -> bytes:
    if not framing.kind.endswith("events"):
        return framed(frame, framing)
    data = frame.encode() if isinstance(frame, str) else frame
    head = b""
    if framing.kind == "named-events":
        head, data = _named_event(data)
    return head + b"".join(b"data: %b\n" % line for line in data.split(b"\n")) + b"\n"


def _closed() -> ConnectionClosed:
    return ConnectionClosedError(None, None)


class ByteSocket:
    """A stream of frames to one client, and from it. ``chunked``: it is the body of an HTTP answer."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, framing: Framing, chunked: bool = False
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._framing = framing
        self._chunked = chunked

    @property
    def transport(self) -> asyncio.WriteTransport:
        """The socket's."""
        return self._writer.transport

    @property
    def state(self) -> State:
        """Whether it is open."""
        return State.CLOSED if self.transport.is_closing() else State.OPEN

    async def send(self, frame: str | bytes) -> None:
        """Sends one frame; ConnectionClosed where that cannot be done any more."""
        data = self._wired(frame)
        if self.transport.is_closing():
            raise _closed()
        try:
            self._writer.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
            await self._writer.drain()
        except ConnectionError:
            raise _closed() from None

    def _wired(self, frame: str | bytes) -> bytes:
        return _as_bytes(frame, self._framing)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Ends it in order, whatever the code."""
        if self._chunked and not self.transport.is_closing():
            self._writer.write(b"0\r\n\r\n")
        self._writer.close()

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        cut = cutter(self._framing, _LARGEST)
        while True:
            try:
                data = await self._reader.read(65536)
            except ConnectionError:
                return
            if not data:
                return
            for frame in cut.feed(data):
                yield frame

    async def ping(self) -> Awaitable[None]:
        """As a WebSocket's: what it gives is done when the client has read all that was sent before."""
        return self._read_by_client()

    async def _read_by_client(self) -> None:
        ours, theirs = self._writer.get_extra_info("sockname"), self._writer.get_extra_info("peername")
        while True:
            if self.transport.is_closing():
                raise _closed()
            if self.transport.get_write_buffer_size() == 0 and _all_read(ours[1], theirs[1]):
                return
            await asyncio.sleep(_LOOK)


def _all_read(ours: int, theirs: int) -> bool:
    """Whether nothing waits in either end of a loopback connection, by its ports. ConnectionClosed where it has ended.
    """
    waits: dict[tuple[int, int], tuple[str, int]] = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        ports = int(words[1].rpartition(":")[2], 16), int(words[2].rpartition(":")[2], 16)
        if ports in ((ours, theirs), (theirs, ours)):
            sent, _, received = words[4].partition(":")
            waits[ports] = words[3], int(sent, 16) + int(received, 16)
    if len(waits) < 2 or any(state != _ESTABLISHED for state, _ in waits.values()):
        raise _closed()
    return not any(count for _, count in waits.values())


class PollSocket:
    """A client that asks again and again, over as many connections. ``waiting``: frames for its first requests.

    That a request comes proves that the answer before it was read, but only where the same client asks. One whose
    answer was late gives up, and asks anew as another: it knows no ETag, or does not wait for the other's answer.
    """

    def __init__(self, waiting: Iterable[str | bytes] = ()) -> None:
        self._queue: deque[str | bytes] = deque(waiting)
        self._news = asyncio.Event()
        self._target: str | None = None
        """What the latest request asked for; None before the first."""
        self._tagged = False
        """Whether the latest request was answered with an ETag."""
        self._answering = False
        self._sent = 0
        """Frames that were answers, and those that a later request proves to have been read."""
        self._proved = 0
        self._queued = len(self._queue)
        self._ending = ""
        self._frozen = False
        self._asked_at = monotonic()

    # -- as a WebSocket

    @property
    def transport(self) -> PollSocket:
        """Itself: what is done with a WebSocket's transport is done with it."""
        return self

    @property
    def state(self) -> State:
        """Whether it is open."""
        return State.CLOSED if self._ending else State.OPEN

    def pause_reading(self) -> None:
        """Answers nothing any more."""
        self._frozen = True

    def abort(self) -> None:
        """Cuts the next request off."""
        self._end("cut")

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Refuses the next request."""
        self._end("refuse")

    def _end(self, how: str) -> None:
        self._ending = self._ending or how
        self._news.set()

    @property
    def gone(self) -> bool:
        """Whether the client will not ask any more."""
        return bool(self._ending) or monotonic() - self._asked_at > _GONE_AFTER

    async def send(self, frame: str | bytes) -> None:
        """Queues a frame for a request to come; ConnectionClosed where none will."""
        while len(self._queue) >= _QUEUE and not self.gone:
            await _moment(_LOOK)
        if self.gone:
            raise _closed()
        self._queue.append(frame)
        self._queued += 1
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        nothing: tuple[str, ...] = ()
        while not self.gone:
            await _moment(_FIRST_WITHIN)
        for frame in nothing:
            yield frame

    async def ping(self) -> Awaitable[None]:
        """As a WebSocket's: what it gives is done when the client has read all that was queued before."""
        return self._read_by_client(self._queued)

    async def _read_by_client(self, count: int) -> None:
        while self._proved < count and not self.gone:
            await _moment(_LOOK)
        if self.gone:  # what could not even be queued is not told from what was
            raise _closed()

    # -- as an HTTP server

    def is_asked_by(self, target: str, known: str) -> bool:
        """Whether a request for ``target`` that knows the ETag ``known`` is this client's."""
        if self._answering:
            return False
        return bool(known) or target != self._target or not self._tagged

    def leave(self) -> list[str | bytes]:
        """The client will not ask any more. Gives the frames that were for it and that it did not ask for."""
        self._end("left")
        left = list(self._queue)
        self._queue.clear()
        return left

    async def answer(self, target: str, known: str) -> tuple[int, str, bytes] | None:
        """The status, ETag and body for a request that knows the ETag ``known``; None: it is to be cut off."""
        self._asked_at, self._proved, self._target = monotonic(), self._sent, target
        self._answering = True
        try:
            found = await self._answer(known)
        finally:
            self._answering = False
        self._tagged = found is not None and bool(found[1])
        return found

    async def _answer(self, known: str) -> tuple[int, str, bytes] | None:
        while self._frozen and not self._ending:
            await _moment(_FIRST_WITHIN)
        if not self._queue and not self._ending:
            self._news.clear()
            try:
                async with asyncio.timeout(_FIRST_WITHIN):
                    await self._news.wait()
            except TimeoutError:
                pass
        if self._ending:
            return (503, "", b"") if self._ending == "refuse" else None
        tag = f'"{self._sent}"'
        if not self._queue:
            return 304 if known == tag else 204, tag, b""
        frame = self._queue.popleft()
        self._sent += 1
        return 200, f'"{self._sent}"', _bytes(frame)


async def _moment(seconds: float) -> None:
    """Until the next look: what is waited for also ends by time alone, which no event tells."""
    await asyncio.sleep(seconds)


def _bytes(frame: str | bytes) -> bytes:
    return frame.encode() if isinstance(frame, str) else frame


def _named_event(frame: bytes) -> tuple[bytes, bytes]:
    """An event's name and id as its lines say them, and its data; a frame that is no such event is its data."""
    try:
        said = exactjson.decode(frame)
    except exactjson.JsonError:
        return b"", frame
    if not isinstance(said, dict) or "data" not in said:
        return b"", frame
    lines = [f"{name}: {said[name]}\n" for name in ("event", "id") if isinstance(said.get(name), (str, int))]
    return "".join(lines).encode(), exactjson.encode(said["data"])
