"""Connections of uvicorn with bounds in number and time.

uvicorn bounds the size of a request's head, and how long a connection may be idle after an answer; it waits for ever
for the first request, for the rest of a head, and for a client that does not read. Its protocols are asyncio's, so we
stand in asyncio's own methods; what we use beside those are the names ``transport``, ``connections`` and ``cycle``.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

VERSIONS = ">=0.40,<1"

HEAD_WITHIN = 10.0
"""Seconds for a request's head, from its connection or its first byte on."""
READ_WITHIN = 10.0
"""Seconds in which a client has to read so much that we can go on writing."""


class _Reader:
    """Cuts a client off that does not read."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    _stalled: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()  # type: ignore[misc]
        self._stalled = self.loop.call_later(READ_WITHIN, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()  # type: ignore[misc]
        self._going()

    def connection_lost(self, exc: Exception | None) -> None:
        self._going()
        super().connection_lost(exc)  # type: ignore[misc]

    def _going(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


class BoundedHttp(_Reader, H11Protocol):
    """HTTP/1.1. ``most``: connections at a time; one more is closed at once."""

    most = 200
    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
            return
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        if self._head is None and not self._answering:
            self._wait_for_head()
        super().data_received(data)
        if self._answering:
            self._have_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_head()
        super().connection_lost(exc)

    @property
    def _answering(self) -> bool:
        """Whether there is a request that has no whole answer yet, or another protocol has taken over."""
        taken = self.transport.get_protocol() is not self
        return taken or (self.cycle is not None and not self.cycle.response_complete)

    def _wait_for_head(self) -> None:
        self._head = self.loop.call_later(HEAD_WITHIN, self.transport.abort)

    def _have_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


class BoundedWebSocket(_Reader, WebSocketsSansIOProtocol):
    """A WebSocket."""


def bounded_http(most: int) -> type[H11Protocol]:
    """The protocol with a bound of its own."""
    return type("BoundedHttp", (BoundedHttp,), {"most": most})
