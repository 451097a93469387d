"""One TCP connection, its bytes cut into frames both ways.

TLS is verified, frames and what waits to be sent are bounded, and the connection goes to an address that was looked at
(`k2conn.net.destinations`), or through an HTTP CONNECT or SOCKS proxy.
"""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import Awaitable, Callable
from typing import cast
from urllib.parse import urlsplit

from k2conn.errors import TransportError
from k2conn.framing import LINES, FrameTooLarge, cutter, framed
from k2conn.net.destinations import open_socket_async
from k2conn.net.http import in_thread, proxied_socket
from k2conn.net.tls import client_context, tls_trouble
from k2conn.transports import Address, OnFrames
from k2conn.transports.byte_frames import NOT_READING, Inbox, SendWatch, hand_on_all

CLOSE_TIMEOUT = 2.0
"""Seconds in which what waits to be sent at the end is sent."""


class _Wire(asyncio.Protocol):
    """The socket's side of a connection."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.watch = SendWatch(self._leave)
        self.transport: asyncio.Transport | None = None
        self.lost: Exception | None = None
        self.left = ""
        """Why it was left, where that is for what the other side does."""
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        socket = self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self.inbox.pause, self.inbox.resume = socket.pause_reading, socket.resume_reading

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self.inbox.put(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.lost = exc
        self.watch.resume_writing()
        self.inbox.resume = lambda: None
        self.inbox.end()
        self.ended.set()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self.watch.pause_writing()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self.watch.resume_writing()

    def _leave(self, why: str) -> None:
        self.left = self.left or why
        if self.transport is not None:
            self.transport.abort()


class TcpConnection:
    """One connection."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._framing = address.framing or LINES
        self._cut = cutter(self._framing, address.max_frame)
        self._wire: _Wire | None = None
        self._before: list[str | bytes] = []
        self._closing = False

    @property
    def discarded(self) -> int:
        """See `Transport`."""
        return int(self._cut.pending or (self._wire is not None and self._wire.inbox.unread))

    async def run(
        self, on_open: Callable[[], None], on_frames: OnFrames, relief: Callable[[], Awaitable[None]]
    ) -> None:
        """See `Transport.run`."""
        wire = self._wire = await self._connected()
        assert wire.transport is not None
        try:
            on_open()
            await hand_on_all(wire.inbox.take, self._cut, on_frames, relief)
        finally:
            wire.transport.abort()
        if self._closing:
            return
        if wire.left:
            raise TransportError(NOT_READING, wire.left, unwelcome=True)
        if wire.lost is not None:
            raise TransportError("lost", f"the connection was lost: {_words(wire.lost)}")
        raise TransportError("closed", "the server closed the connection")

    async def _connected(self) -> _Wire:
        address, parts = self._address, urlsplit(self._address.url)
        secured = parts.scheme == "tcps"
        host = parts.hostname or ""
        try:
            async with asyncio.timeout(address.open_timeout):
                opened = await self._opened(host, parts.port or 0)
                try:
                    _, wire = await asyncio.get_running_loop().create_connection(
                        _Wire, sock=opened, ssl=client_context(address.ca_file, address.verify) if secured else None,
                        server_hostname=host if secured else None,
                    )
                except BaseException:  # whatever it is, a socket that is not handed on is closed
                    opened.close()
                    raise
        except TransportError:
            raise
        except TimeoutError:
            raise TransportError("connect", f"no connection within {address.open_timeout:g} s") from None
        except (OSError, ValueError) as error:
            if trouble := tls_trouble(error):
                raise TransportError("tls", trouble) from None
            raise TransportError("connect", _words(error)) from None
        return wire

    async def _opened(self, host: str, port: int) -> sockets.socket:
        address = self._address
        if address.proxy is None:
            return await open_socket_async(host, port, address.destinations)
        proxy = address.proxy
        opened = await in_thread(lambda: proxied_socket(host, port, address.open_timeout, proxy))
        opened.setblocking(False)
        return opened

    def send(self, frame: str | bytes) -> None:
        """See `Transport.send`."""
        wire = self._wire
        if wire is None or wire.transport is None or wire.transport.is_closing():
            return
        try:
            data = framed(frame, self._framing)
        except FrameTooLarge as error:
            wire.left = str(error)
            wire.transport.abort()
            return
        if wire.watch.room(wire.transport.get_write_buffer_size()):
            wire.transport.write(data)

    async def close(self, reason: str = "") -> None:
        """See `Transport.close`."""
        self._closing = True
        wire = self._wire
        if wire is None or wire.transport is None:
            return
        wire.transport.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await wire.ended.wait()
        except TimeoutError:
            wire.transport.abort()


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
