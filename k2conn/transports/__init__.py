"""Transports: how frames come in. One file each, named by the scheme it speaks.

A transport is a callable thing for one connection: `run` opens it and calls `on_frames` with the frames that came at
once, synchronously, in order; `send` queues a frame and never blocks; when `on_frames` answers true, the transport
stops reading until `relief()` returns, which slows the socket down (back-pressure).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ssl import CERT_NONE, SSLContext, create_default_context
from typing import Protocol

OnFrames = Callable[[Sequence[str | bytes]], bool]
"""Takes some frames, at least one; true asks the transport to wait for relief before it reads on."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where and how to connect. ``ping_every`` seconds between protocol pings (None: none)."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_frame: int = 16 * 1024 * 1024
    ping_every: float | None = 20.0
    ping_timeout: float | None = 20.0
    open_timeout: float = 10.0
    verify: bool = True
    ca_file: str | None = None


def client_context(ca_file: str | None, verify: bool) -> SSLContext:
    """TLS that checks the server's certificate and name, unless told not to."""
    context = create_default_context(cafile=ca_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = CERT_NONE
    return context


class Transport(Protocol):
    """One connection; used once."""

    async def run(
        self, on_open: Callable[[], None], on_frames: OnFrames, relief: Callable[[], Awaitable[None]]
    ) -> None:
        """Connects, calls ``on_open`` once, then ``on_frames`` until the connection ends; always raises TransportError
        with the cause, except after `close`.
        """

    def send(self, frame: str) -> None:
        """Queues a text frame; silently nothing once the connection has ended."""

    async def close(self, reason: str = "") -> None:
        """Ends the connection, within seconds."""
