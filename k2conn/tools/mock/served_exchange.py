"""Protocols between the servers of this package and the mock exchange, so that they need not import each other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, Protocol

from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from k2conn.plan import Connection, Json, Plan


class MockSocket(Protocol):
    """One client's connection: a WebSocket's, or what has the same methods (see `byte_socket`)."""

    @property
    def transport(self) -> Any:
        """What can `pause_reading` and `abort`."""

    @property
    def state(self) -> State:
        """Whether it is open."""

    async def send(self, frame: str | bytes, /) -> None:
        """Sends one frame."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Ends it."""

    async def ping(self) -> Awaitable[object]:
        """Gives what is done when the client has read all that was sent before."""

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """The client's frames."""


class Listening(Protocol):
    """A running server, as an exchange sees it: the ports that its clients connect to."""

    def port_of(self, name: str) -> int:
        """The port of a connector's exchange."""

    @property
    def http_port(self) -> int | None:
        """The port of the HTTP calls; None where none is served."""


class ServedExchange(Protocol):
    """A mock exchange, as a server sees it."""

    plan: Plan

    @property
    def before(self) -> Sequence[Json]:
        """The answers to the HTTP calls made before connecting, in the order of the plan."""

    @property
    def answers_http(self) -> bool:
        """Whether there are HTTP calls that it knows the answers to."""

    def start(self, server: Listening) -> None:
        """Starts sending; called once the server listens."""

    async def stop(self) -> None:
        """Stops sending."""

    def admit(self) -> tuple[int, int] | None:
        """None where a client may connect now, else the HTTP status it gets and its Retry-After in seconds."""

    def handshake_refusal(self, target: str, request: Request, protocol: ServerProtocol) -> str | None:
        """Why a client of an address (the path after the connector's name) is not taken; None where it is, and then
        ``protocol`` answers as the venue does.
        """

    def connection_of(self, target: str) -> Connection:
        """The plan's connection that an address (the path after the connector's name) is of."""

    def asked_for(self, target: str) -> object:
        """What tells clients apart that ask again and again: what they ask for."""

    async def serve(self, socket: MockSocket, target: str) -> None:
        """Serves one client from its handshake to its end; ``target`` is the path after the connector's name."""
