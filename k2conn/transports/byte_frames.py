"""What transports of bytes share: the frames in what was received, and the bound on what waits to be sent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from k2conn.errors import TransportError
from k2conn.framing import Cutter, FrameTooLarge
from k2conn.transports import OnFrames

PIECE = 64 * 1024
"""Bytes that are looked at in one turn of the event loop: a fast feed must not keep the loop from all other work."""
_MOST_AHEAD = 256 * 1024
"""Bytes that are received before anybody takes them; then nothing more is read."""
MOST_UNSENT = 8 * 1024 * 1024
"""Bytes that may wait to be sent."""
SEND_WITHIN = 10.0
"""Seconds in which the other side reads what was sent to it, but for what systems keep."""
NOT_READING = "not-reading"


class Inbox:
    """Bytes as they come, bounded, for one taker; what came before the end is taken before the end is told."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._news = asyncio.Event()
        self.pause: Callable[[], object] = lambda: None
        """Stops reading, and ``resume`` goes on; set by who receives."""
        self.resume: Callable[[], object] = lambda: None
        self._paused = False

    def put(self, data: bytes) -> None:
        """Received bytes."""
        for at in range(0, len(data), PIECE):
            self._pieces.append(data[at : at + PIECE])
        self._size += len(data)
        self._news.set()
        if self._size > _MOST_AHEAD and not self._paused:
            self._paused = True
            self.pause()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._news.set()

    @property
    def unread(self) -> bool:
        """Whether something was received and not taken."""
        return bool(self._pieces)

    async def take(self) -> bytes:
        """The next piece; empty at the end."""
        while not self._pieces:
            if self._ended:
                return b""
            self._news.clear()
            await self._news.wait()
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if self._paused and self._size <= _MOST_AHEAD // 2:
            self._paused = False
            self.resume()
        return piece


async def hand_on_all(
    take: Callable[[], Awaitable[bytes]], cut: Cutter, on_frames: OnFrames, relief: Callable[[], Awaitable[None]]
) -> None:
    """Hands on all frames up to the end of the bytes. TransportError for a frame that is larger than it may be."""
    while data := await take():
        try:
            frames = cut.feed(data)
        except FrameTooLarge as error:
            raise TransportError("frame-too-large", str(error)) from None
        if on_frames(frames):
            await relief()
        elif len(data) == PIECE:
            await asyncio.sleep(0)


class SendWatch:
    """Whether the other side reads what is sent to it; ``leave`` is called with the words where it does not."""

    def __init__(self, leave: Callable[[str], None]) -> None:
        self._leave = leave
        self._late: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        if self._late is None:
            text = f"it has not read for {SEND_WITHIN:g} s what was sent to it"
            self._late = asyncio.get_running_loop().call_later(SEND_WITHIN, self._leave, text)

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def room(self, waiting: int) -> bool:
        """Whether more may be written beside so many bytes that wait; leaves where not."""
        if waiting <= MOST_UNSENT:
            return True
        self._leave(f"more than {MOST_UNSENT} bytes wait to be sent, and it does not read them")
        return False
