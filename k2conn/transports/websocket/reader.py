"""A client's WebSocket with a fast path for common frames.

The library needs some microseconds for each frame (a generator, a frame object, a queue, a future), which is as much as
everything that k2conn does with a trade. Nearly every frame a venue sends is one whole, uncompressed text or binary
message of moderate size: those are cut out of the received bytes here (in C where that was built) and handed on
together. Everything else, handshake, pings, close frames, fragments, compressed and oversized frames, is left to the
library, a whole frame at a time, so that its parser always stands between two frames. Order is that of the wire in any
case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN

from k2conn import native
from k2conn.transports import OnFrames

_TEXT, _BINARY = 0x81, 0x82
"""First bytes of whole uncompressed messages."""
_SHORT = 125
"""Bytes up to which a frame's second byte is its length."""
_LONGEST_HEAD = 256 * 1024
"""Bytes of an answer to the handshake; the library refuses long before."""
MOST_UNSENT = 8 * 1024 * 1024
"""Bytes that may wait to be sent, beside one frame: enough for the requests of the largest subscriptions."""
SEND_WITHIN = 10.0
"""Seconds in which a peer reads what was sent to it, but for what systems and the library keep (some 100 KiB)."""
NOT_READING = "not-reading"
FLOOD = "ping-flood"
FRAGMENTS = "fragments"
MOST_PINGS = 1000
"""Pings and pongs in `_PINGS_WITHIN` seconds."""
MOST_PARTS = 20_000
"""Fragments of a message: without a bound empty ones could come for ever."""
_PINGS_WITHIN = 10.0
_TURN = 64 * 1024
"""Bytes handed on in one turn of the event loop, at least: a fast feed must not keep the loop from all other work. The
loop itself would read megabytes before it looks at anything else.
"""


_BITE = 4 * 1024
"""Bytes that the library is given at once, where it reads everything: it holds all that they unfold to. (A thousand
times as much, and one message.)
"""


class Reader(ClientConnection):
    """A connection that hands frames on as they come, once `begin` said to whom."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.bug: BaseException | None = None
        """What the frame's taker, or its relief, raised: the connection is aborted for it."""
        self.unread: tuple[str, str] | None = None
        """Why it was left, where that is for what the peer does: cause and detail."""
        self._late: asyncio.TimerHandle | None = None
        """Runs while the peer has more to read than it should."""
        self._pings, self._pings_since = 0, 0.0
        self._on_frames: OnFrames | None = None
        self._relief: Callable[[], Awaitable[None]] | None = None
        self._limit = 0
        """Bytes of the largest message."""
        self._left = b""
        """Received, and not yet handed on: a frame's beginning, or all that came while held."""
        self._more: list[bytes] = []
        self._needed = 0
        """Bytes that the frame in ``_left`` lacks; what comes meanwhile collects in ``_more``."""
        self._whole = False
        """The library reads everything from here on."""
        self._parts = bytearray()
        self._fragments = 0
        self._kind: Opcode | None = None
        """Of the fragmented message under way."""
        self._holding: asyncio.Task[None] | None = None
        self._ignored = 0
        self._lost: Callable[[], None] | None = None
        """What the library is to be told of the end, when everything received before it was handed on."""
        self._ending = False
        """Whether the time runs after which a connection that should end is cut."""

    @property
    def discarded(self) -> int:
        """Frames that came and were not handed on: those behind the end, text that is none, one that broke off."""
        return self._ignored + bool(self._left or self._more or self._parts)

    def _ignore(self, frames: Sequence[str | bytes]) -> bool:
        self._ignored += len(frames)
        return False

    def begin(self, on_frames: OnFrames, relief: Callable[[], Awaitable[None]], limit: int) -> None:
        """Frames go to ``on_frames`` from now on, at first those that came already; none has more than ``limit`` bytes.
        """
        self._on_frames, self._relief, self._limit = on_frames, relief, limit
        if limit > _SHORT:
            self._read(b"")
        else:
            self._give_up()

    async def finish(self) -> None:
        """Waits until everything received was handed on."""
        while self._holding is not None:
            await asyncio.wait({self._holding})

    def release(self) -> None:
        """Frames that still come are of no interest."""
        self._on_frames = self._ignore
        if self._holding is not None:
            self._holding.cancel()
            self._holding = None
            self._tell()

    # -- receiving

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._on_frames is not None and self._holding is None and not self._whole:  # nearly always
            if len(data) < self._needed:
                self._more.append(data)
                self._needed -= len(data)
            else:
                self._read(data)
        elif self.unread is not None:
            return
        elif self._whole and self._holding is None:
            self._feed(data)
        elif self.response is None and not self._whole:
            self._shake_hands(data)
        else:
            self._left += data

    def _shake_hands(self, data: bytes) -> None:
        """The library gets the answer to the handshake, and where that is no "Switching Protocols" all the rest."""
        self._left += data
        end = self._left.find(b"\r\n\r\n") + 4
        if end < 4 and len(self._left) < _LONGEST_HEAD:
            return
        head, self._left = self._left[:end], self._left[end:]
        if end >= 4:
            self._to_library(head)
        if self.response is None or end < 4:
            self._give_up()

    def _give_up(self) -> None:
        """The library takes over, here between two frames."""
        self._whole = True
        self._feed(b"")

    def _feed(self, data: bytes) -> None:
        """What was left and ``data`` for the library, up to what must wait for relief."""
        if self._left:
            data = self._left + data
        at = 0
        while at < len(data) and self.unread is None and self._holding is None:
            self._to_library(data[at : at + _BITE])
            at += _BITE
        self._left = data[at:] if self.unread is None else b""

    def _to_library(self, data: bytes) -> None:
        super().data_received(data)
        if self.protocol.parser_exc is not None:
            self.protocol.parser_exc.__traceback__ = None  # all that was unfolded hangs on it, as long as this is kept
        self._end_soon()

    def _end_soon(self) -> None:
        """Where the connection is at its end, the server is to end TCP, too: who waits for that waits for ever."""
        if not self._ending and self.protocol.close_expected():
            self._ending = True
            self.loop.call_later(self.close_timeout or 0.0, self.transport.abort)

    def _read(self, data: bytes) -> None:
        """Hands on all whole frames in what was left and ``data``."""
        if self.unread is not None:
            return
        if self._more:
            data = b"".join((self._left, *self._more, data))
            self._more.clear()
        elif self._left:
            data = self._left + data
        self._needed = 0
        found: list[str | bytes] = []
        try:
            at = native.cut(data, _TURN, self._limit, found) if native.cut is not None and self._kind is None else 0
            if at == len(data) < _TURN:  # nothing but everyday frames
                self._left = b""
                if found and self._on_frames is not None and self._on_frames(found):
                    self._hold(self._relief)
                return
            self._left = data[self._frames(data, at, found) :]
        except Exception as bug:
            self._fail(bug)
            return
        if self._turned_to_library():
            self._give_up()

    def _turned_to_library(self) -> bool:
        """Whether all that comes from now on is the library's to read, and it has not had it yet."""
        return self._whole and self.unread is None

    def _frames(self, data: bytes, at: int, found: list[str | bytes]) -> int:
        """Hands on all whole frames, or those of one turn; where that ended. Those before ``at`` are ``found``."""
        at = self._cut(data, at, found)
        if found:
            self._hand_on(found)
            if self._holding is not None:
                self._whole = False  # what the library is to read is read when there was relief
        if at >= _TURN and not self._whole:
            self._hold(_a_turn)
        return at

    def _cut(self, data: bytes, at: int, found: list[str | bytes]) -> int:
        """From ``at`` on the everyday frames into ``found``, all others to the library, in their turn; where that
        ended.
        """
        limit, plain, end = self._limit, self._kind is None, len(data)
        while at + 2 <= end and at < _TURN:
            first, size = data[at], data[at + 1]
            start = at + 2
            if size > _SHORT:
                start += 2 if size == 126 else 8
                if size > 127 or start > end:  # masked, which no server may do, or not all there
                    return self._odd(at) if size > 127 else at
                size = int.from_bytes(data[at + 2 : start], "big")
                if size > limit:
                    return self._odd(at)
            stop = start + size
            if stop > end:
                self._needed = stop - end
                return at
            if first == _TEXT and plain:
                try:
                    found.append(data[start:stop].decode())
                except UnicodeDecodeError:
                    return self._odd(at)
            elif first == _BINARY and plain:
                found.append(data[start:stop])
            else:
                if found:
                    self._hand_on(found.copy())
                    found.clear()
                    if self._holding is not None:
                        return at
                self._to_library(data[at:stop])
                plain = self._kind is None
                if self.unread is not None:
                    return stop
                if self.protocol.state is not OPEN:
                    return self._odd(stop)
                if self._holding is not None:
                    return stop
            at = stop
        return at

    def _hand_on(self, found: list[str | bytes]) -> None:
        assert self._on_frames is not None
        if self._on_frames(found):
            self._hold(self._relief)

    def _odd(self, at: int) -> int:
        """From here on everything is the library's."""
        self._whole = True
        return at

    # -- what the library found

    def process_event(self, event: Any) -> None:
        """Messages that took the long way are handed on in their turn; all other events are the library's."""
        if self.response is not None and event.opcode in (Opcode.PING, Opcode.PONG):
            self._pinged()
        if self.response is None or event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            super().process_event(event)
        elif self._on_frames is not None:
            try:
                self._part(event)
            except Exception as bug:
                self._fail(bug)

    def _part(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.CONT:
            self._kind = frame.opcode
        data, frame.data = bytes(frame.data), b""  # the library keeps the frame until the next one comes
        self._fragments += 1
        if not frame.fin:
            self._parts += data
            if self._fragments > MOST_PARTS:
                self.leave(FRAGMENTS, f"a message in more than {MOST_PARTS} fragments")
            return
        if self._parts:
            self._parts += data
            data = bytes(self._parts)
        self._fragments, self._parts = 0, bytearray()
        kind, self._kind = self._kind, None
        message: str | bytes = data
        if kind is Opcode.TEXT:
            try:
                message = data.decode()
            except UnicodeDecodeError as error:
                self._on_frames = self._ignore
                self._ignored += 1
                self.protocol.fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")
                self.send_data()
                self._end_soon()
                return
        del data  # a long message is there often enough as it is
        assert self._on_frames is not None
        if self._on_frames([message]):
            self._hold(self._relief)

    # -- a peer that does not read, or only makes work

    def leave(self, cause: str, detail: str) -> None:
        """Ends the connection at once: nothing that is still to be sent would be read."""
        if self.unread is None:
            self.unread = (cause, detail)
            self._on_frames = self._ignore
            self.transport.abort()

    def send_data(self) -> None:
        """What the library has to send, unless TCP is at its end: what was received before that may still be read, and
        wants an answer, which uvloop does not take then.
        """
        if self.transport.is_closing():
            self.protocol.data_to_send()
        else:
            super().send_data()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`: the peer reads more slowly than is written, whoever writes."""
        super().pause_writing()
        text = f"it has not read for {SEND_WITHIN:g} s what was sent to it"
        self._late = self.loop.call_later(SEND_WITHIN, self.leave, NOT_READING, text)

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().resume_writing()
        self._in_time()

    def eof_received(self) -> None:
        """See `asyncio.Protocol`; `connection_lost` comes next."""
        if self._holding is None:
            super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`. The library reads nothing more once it knows: what waits for relief comes first."""
        self._in_time()
        if self._holding is None:
            super().connection_lost(exc)
        else:
            self._lost = partial(super().connection_lost, exc)

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _pinged(self) -> None:
        """A ping, which the library has answered by now, or a pong."""
        if self.transport.get_write_buffer_size() > MOST_UNSENT:
            self.leave(NOT_READING, f"it pings and reads no answer: more than {MOST_UNSENT} bytes wait")
        now = self.loop.time()
        if now - self._pings_since > _PINGS_WITHIN:
            self._pings, self._pings_since = 0, now
        self._pings += 1
        if self._pings > MOST_PINGS:
            self.leave(FLOOD, f"more than {MOST_PINGS} pings or pongs in {_PINGS_WITHIN:g} s")

    # -- back-pressure

    def _hold(self, relief: Callable[[], Awaitable[None]] | None) -> None:
        """Reads no more until there is relief."""
        assert relief is not None
        if self._holding is None:
            if not self.transport.is_closing():
                self.transport.pause_reading()
            self._holding = asyncio.ensure_future(self._held(relief))

    async def _held(self, relief: Callable[[], Awaitable[None]]) -> None:
        try:
            await relief()
        except Exception as bug:
            self._holding = None
            self._fail(bug)
            self._tell()
            return
        self._holding = None
        self._feed(b"") if self._whole else self._read(b"")
        if not self._waits:
            self._tell()
            if not self.transport.is_closing():
                self.transport.resume_reading()

    @property
    def _waits(self) -> bool:
        """Whether nothing is read until there is relief."""
        return self._holding is not None

    def _tell(self) -> None:
        """The library hears of an end that came while it had to wait."""
        told, self._lost = self._lost, None
        if told is not None:
            told()

    def _fail(self, bug: BaseException) -> None:
        self.bug = self.bug or bug
        self._on_frames = self._ignore
        self.transport.abort()


async def _a_turn() -> None:
    """Relief after one turn of the event loop."""
    await asyncio.sleep(0)
