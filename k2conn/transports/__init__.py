"""Transports: how frames come in and go out. A file or folder each, found by the URL schemes that it declares.

A transport is an object for one connection: `run` opens it and calls `on_frames` with the frames that came at
once, synchronously, in order; `send` queues a frame and never blocks; when `on_frames` answers true, the transport
stops reading until `relief()` returns, which slows the socket down (back-pressure).

A component's file only says what it is (its ``TRANSPORT``); what it needs is imported when it opens a connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from k2conn.compression import PLAIN, Compression
from k2conn.framing import Framing
from k2conn.net.destinations import Destinations
from k2conn.net.proxy import Proxy
from k2conn.registry import Registry
from k2conn.schemes import BUILT_IN

OnFrames = Callable[[Sequence[str | bytes]], bool]
"""Takes frames, none where something came that shows life and is no frame (an answer "not modified", a comment); true
asks the transport to await ``relief`` before it reads on.
"""


@dataclass(frozen=True, slots=True)
class Polling:
    """How an address is asked again and again: every so many seconds, each answer within others. ``request`` gives the
    method, the address, the headers and the body of the next request, and raises what `runner.http_requests.http_call`
    raises; ``wait`` books a request and gives the seconds until it may be made.
    """

    every: float
    within: float
    request: Callable[[], tuple[str, str, Mapping[str, str], bytes | None]]
    wait: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Program:
    """What is run: the command that the operator allowed, with the connector file's arguments behind it, and all that
    stands in its environment.
    """

    command: tuple[str, ...] = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Address:
    """Where and how to connect. ``ping_every`` seconds between protocol pings (None: none). ``compression``: what is
    offered for it (None: nothing). ``subprotocols``: those of a WebSocket that are offered, of which the server must
    pick one; where there are none, it must pick none.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_frame: int = 8 * 1024 * 1024
    compression: Compression | None = PLAIN
    subprotocols: tuple[str, ...] = field(default=(), repr=False)
    ping_every: float | None = 20.0
    ping_timeout: float | None = 20.0
    open_timeout: float = 10.0
    verify: bool = True
    ca_file: str | None = None
    destinations: Destinations | None = None
    """Where the connection may go (see `k2conn.net.destinations`); None: anywhere. The host was looked at already, what
    it resolves to is for the transport to look at.
    """
    proxy: Proxy | None = None
    """Where the connection goes by one (see `k2conn.net.proxy`)."""
    framing: Framing | None = None
    """Where frames begin and end, for a transport of bytes."""
    polling: Polling | None = None
    """Where the address is asked again and again; None: once."""
    program: Program | None = None
    """Where the address is a program."""


class Transport(Protocol):
    """One connection; used once.

    One that receives frames it cannot hand on (cut off in the middle, no text) may say how many in an attribute
    ``discarded``.
    """

    async def run(
        self, on_open: Callable[[], None], on_frames: OnFrames, relief: Callable[[], Awaitable[None]]
    ) -> None:
        """Connects, calls ``on_open`` once, then ``on_frames`` until the connection ends; always raises TransportError
        with the cause, except after `close`.
        """

    def send(self, frame: str | bytes) -> None:
        """Queues a frame, text or binary; silently nothing once the connection has ended."""

    async def close(self, reason: str = "") -> None:
        """Sends what is queued, then ends the connection, within seconds."""


@dataclass(frozen=True, slots=True)
class TransportKind:
    """The description of a transport: the ``TRANSPORT`` of its file, or what an entry point of `k2conn.transports`
    names.
    """

    summary: str
    """One line for people."""
    schemes: Mapping[str, bool]
    """The URL schemes it speaks, in small letters, and whether what goes over each is encrypted. Where it is not, an
    address must be on this machine, or its connector say `allow_insecure: true`.
    """
    open: Callable[[Address], Transport]
    """Makes a connection, not yet opened."""
    files: bool = False
    """Whether it reads files, which a command line names, and connects to nothing."""


TRANSPORTS = Registry(
    "transport", "k2conn.transports", "TRANSPORT", TransportKind, lambda kind: kind.schemes, shared=("byte_frames",)
)
"""All transports, by URL scheme."""


def secure(scheme: str) -> bool | None:
    """Whether a scheme's transport encrypts; None for a scheme that no transport speaks (see `k2conn.schemes`)."""
    if scheme in BUILT_IN:  # known without looking at what is installed
        return BUILT_IN[scheme]
    return TRANSPORTS.get(scheme).schemes[scheme] if scheme in TRANSPORTS else None


def open_transport(address: Address) -> Transport:
    """A connection by the scheme of its address, not yet opened. SettingsError where no transport speaks it."""
    return TRANSPORTS.get(urlsplit(address.url).scheme).open(address)
