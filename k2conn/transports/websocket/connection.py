"""WebSockets (RFC 6455), by the library websockets.

permessage-deflate is allowed, TLS is verified, frames are bounded, redirects are not followed, and a connection goes to
an address that was looked at (`k2conn.net.destinations`). Protocol pings are the library's: they notice a half-open
connection, which no application heartbeat is needed for. What waits to be sent is bounded, in bytes and in time: a peer
that does not read is left (see `k2conn.transports.websocket.reader` for what the library itself sends).
"""

from __future__ import annotations

import asyncio
import logging
import socket as sockets
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import (
    ConnectionClosed,
    InvalidProxy,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
    NegotiationError,
    ProxyError,
    WebSocketException,
)
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from k2conn import __version__
from k2conn.compat.websockets import ConnectOnce
from k2conn.compression import Compression
from k2conn.ending_tasks import end_tasks
from k2conn.errors import TransportError
from k2conn.net.destinations import open_socket_async
from k2conn.net.http import REDIRECTED, stay_away
from k2conn.net.tls import client_context, tls_trouble
from k2conn.transports import Address, OnFrames
from k2conn.transports.websocket.reader import MOST_UNSENT, NOT_READING, Reader

CLOSE_TIMEOUT = 2.0
_UNWELCOME = (1008, 1013)
"""Close codes by which a server wants less of us: "policy violation", "try again later"."""
_OWN_CODES = 4000
"""From here on close codes are a server's own: too many connections, a limit, a bad key."""
_LOG = logging.getLogger(__name__)


class _NoSense(TransportError):
    """The server takes up what was not offered."""


class WebSocket:
    """One WebSocket connection."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._socket: Reader | None = None
        self._out: deque[str | bytes] = deque()
        self._waiting = 0
        """Bytes, nearly, of the frames that wait."""
        self._wake = asyncio.Event()
        self._closing = False

    @property
    def discarded(self) -> int:
        """See `Transport`."""
        return self._socket.discarded if self._socket is not None else 0

    async def run(
        self, on_open: Callable[[], None], on_frames: OnFrames, relief: Callable[[], Awaitable[None]]
    ) -> None:
        """See `Transport.run`."""
        self._socket = await self._connect()
        sender = asyncio.ensure_future(self._send_all(self._socket))
        try:
            on_open()
            self._socket.begin(on_frames, relief, self.address.max_frame)
            await self._socket.recv()  # gives nothing, for the reader takes all; raises when the connection ends
        except ConnectionClosed as error:
            await self._socket.finish()
            if self._socket.bug is not None:
                raise self._socket.bug from None
            if self._socket.unread is not None:
                raise TransportError(*self._socket.unread, unwelcome=True) from None
            if self._closing:
                return
            raise _closed(error) from None
        finally:
            self._socket.release()
            (ended,) = await end_tasks(sender)
            await self.close()
            if isinstance(ended, Exception):
                raise ended

    def send(self, frame: str | bytes) -> None:
        """See `Transport.send`."""
        if self._waiting > MOST_UNSENT and self._socket is not None:
            self._socket.leave(NOT_READING, f"more than {MOST_UNSENT} bytes wait to be sent, and it does not read them")
            return
        self._out.append(frame)
        self._waiting += len(frame)
        self._wake.set()

    async def close(self, reason: str = "") -> None:
        """See `Transport.close`."""
        self._closing = True
        if self._socket is not None:
            await self._drain_out(self._socket)
            await self._socket.close(1000, reason[:100])

    async def _drain_out(self, socket: Reader) -> None:
        """Sends what is still queued (unsubscribes), for a moment."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                while self._out:
                    await self._send_next(socket)
        except (ConnectionClosed, TimeoutError):
            self._out.clear()

    async def _send_all(self, socket: Reader) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._out:
                    await self._send_next(socket)
        except ConnectionClosed:
            return  # the reader gets the same error and reports it

    async def _send_next(self, socket: Reader) -> None:
        frame = self._out.popleft()
        await socket.send(frame)
        self._waiting -= len(frame)

    async def _connect(self) -> Reader:
        """Connects; where the server's answer about compression makes no sense, once more without it."""
        try:
            return await self._connect_once(self.address.compression)
        except _NoSense as error:
            if self.address.compression is None or "extension" not in error.detail.lower():
                raise
            _LOG.info("%s: connecting again without compression", error.detail)
            return await self._connect_once(None)

    async def _connect_once(self, compression: Compression | None) -> Reader:
        address = self.address
        deadline = asyncio.get_running_loop().time() + address.open_timeout
        try:
            made: dict[str, Any] = {} if address.proxy is not None else {"sock": await self._opened()}
            socket = await ConnectOnce(
                address.url,
                additional_headers=address.headers,
                subprotocols=[Subprotocol(name) for name in address.subprotocols] or None,
                extensions=[_deflate(compression)] if compression is not None else None,
                compression=None,
                user_agent_header=f"k2conn/{__version__}",
                ssl=client_context(address.ca_file, address.verify) if address.url.startswith("wss:") else None,
                open_timeout=max(0.01, deadline - asyncio.get_running_loop().time()),
                ping_interval=address.ping_every,
                ping_timeout=address.ping_timeout,
                close_timeout=CLOSE_TIMEOUT,
                max_size=address.max_frame,
                create_connection=Reader,
                proxy=address.proxy.url if address.proxy is not None else None,
                **made,
            )
            assert isinstance(socket, Reader)
            if address.subprotocols and socket.subprotocol is None:  # the library lets that pass
                socket.transport.abort()
                raise TransportError("handshake", "the server speaks none of the sub-protocols that were offered")
            return socket
        except TransportError:
            raise
        except (WebSocketException, OSError, ValueError) as error:
            raise self._trouble(error) from None

    async def _opened(self) -> sockets.socket:
        """A socket to an address that was looked at."""
        address, parts = self.address, urlsplit(self.address.url)
        parse_uri(address.url)  # before there is a socket that nobody would close
        port = parts.port or (443 if parts.scheme == "wss" else 80)
        async with asyncio.timeout(address.open_timeout):
            return await open_socket_async(parts.hostname or "", port, address.destinations)

    def _trouble(self, error: Exception) -> TransportError:
        """Why there is no connection. The address, which may hold a secret, is not repeated."""
        if isinstance(error, InvalidStatus):
            return _refused(error)
        if trouble := tls_trouble(error):  # before the others, for an untrusted certificate is a ValueError, too
            return TransportError("tls", trouble)
        through = self.address.proxy
        if isinstance(error, TimeoutError):
            by = f" by the {through}" if through is not None else ""
            return TransportError("connect", f"no answer within {self.address.open_timeout:g} s{by}")
        if through is not None and isinstance(error, ProxyError | InvalidProxy | OSError):
            return TransportError("proxy", f"{through}: {_said_by_proxy(error)}")
        if isinstance(error, InvalidURI | InvalidProxy):
            return TransportError("handshake", error.msg)
        if isinstance(error, NegotiationError):
            return _NoSense("handshake", str(error))
        if isinstance(error, OSError):
            return TransportError("connect", error.strerror or type(error).__name__)
        if isinstance(error, ValueError):  # its text may repeat the address, or a header
            return TransportError("handshake", "the address or a header has characters or a port that cannot be")
        return TransportError("handshake", str(error))


def _deflate(wanted: Compression) -> ClientPerMessageDeflateFactory:
    return ClientPerMessageDeflateFactory(
        server_no_context_takeover=wanted.server_no_context_takeover,
        client_no_context_takeover=wanted.client_no_context_takeover,
        server_max_window_bits=wanted.server_max_window_bits,
        client_max_window_bits=wanted.client_max_window_bits or True,
        compress_settings={"memLevel": 5},  # the library's own choice
    )


def _said_by_proxy(error: Exception) -> str:
    """What a proxy answered, or why it did not."""
    if isinstance(error, InvalidProxyStatus):
        return f"it answered HTTP {error.response.status_code}"
    if isinstance(error, InvalidProxy):
        return error.msg
    inner = error.__cause__ if error.__cause__ is not None else error
    if isinstance(inner, ConnectionRefusedError):
        return "connection refused"
    return getattr(inner, "strerror", None) or str(inner) or str(error)


def _refused(error: InvalidStatus) -> TransportError:
    """HTTP 429 and 418 say how long to stay away (Retry-After, in seconds)."""
    status = error.response.status_code
    delay = stay_away(status, error.response.headers.get("Retry-After", ""))
    hint = REDIRECTED if 300 <= status < 400 else ""
    return TransportError(f"http-{status}", f"the server answered HTTP {status}{hint}", delay)


def _closed(error: ConnectionClosed) -> TransportError:
    received = error.rcvd
    if received is None:
        cause = "ping-timeout" if error.sent is not None and error.sent.code == 1011 else "lost"
        if error.sent is not None and error.sent.code == 1007:
            return TransportError("no-text", f"a text frame is not UTF-8: {error.sent.reason}")
        if error.sent is not None and error.sent.code == 1009:
            return TransportError("frame-too-large", "a frame is larger than the connector allows")
        if error.sent is not None and error.sent.code == 1002:
            return TransportError("protocol", f"what came is no WebSocket: {error.sent.reason}")
        return TransportError(cause, "the connection was lost without a close frame")
    unwelcome = received.code in _UNWELCOME or received.code >= _OWN_CODES
    detail = f"closed by the server: {received.code} {received.reason}".rstrip()
    return TransportError("closed", detail, unwelcome=unwelcome)
