"""Frames over plain TCP: a letter (T for text, B for binary), the length in four bytes, the frame."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from k2conn.errors import TransportError
from k2conn.transports import Address, OnFrames, Transport, TransportKind


def framed(frame: str | bytes) -> bytes:
    """A frame as it goes over the wire."""
    letter, body = (b"T", frame.encode()) if isinstance(frame, str) else (b"B", frame)
    return letter + len(body).to_bytes(4, "big") + body


async def read(reader: asyncio.StreamReader) -> str | bytes:
    """The next frame."""
    letter, length = await reader.readexactly(1), int.from_bytes(await reader.readexactly(4), "big")
    body = await reader.readexactly(length)
    return body.decode() if letter == b"T" else body


class Lines:
    """See the module's text."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._writer: asyncio.StreamWriter | None = None
        self._out: deque[str | bytes] = deque([b"\x00hello\xff"])
        self._closing = False

    async def run(
        self, on_open: Callable[[], None], on_frames: OnFrames, relief: Callable[[], Awaitable[None]]
    ) -> None:
        """See `Transport.run`."""
        parts = urlsplit(self._address.url)
        try:
            reader, self._writer = await asyncio.open_connection(parts.hostname, parts.port)
        except OSError as error:
            raise TransportError("connect", error.strerror or str(error)) from None
        on_open()
        self._flush()
        try:
            while True:
                if on_frames([await read(reader)]):
                    await relief()
        except (asyncio.IncompleteReadError, OSError):
            if not self._closing:
                raise TransportError("lost", "the connection was lost") from None
        finally:
            self._writer.close()

    def send(self, frame: str | bytes) -> None:
        """See `Transport.send`."""
        self._out.append(frame)
        self._flush()

    def _flush(self) -> None:
        while self._out and self._writer is not None:
            self._writer.write(framed(self._out.popleft()))

    async def close(self, reason: str = "") -> None:
        """See `Transport.close`."""
        self._closing = True
        if self._writer is not None:
            self._writer.close()


def _open(address: Address) -> Transport:
    return Lines(address)


TRANSPORT = TransportKind("Frames over plain TCP", {"lines": False, "liness": True}, _open)
