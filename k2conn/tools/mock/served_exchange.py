"""What the servers of this package need of a mock exchange; the exchange itself stands above them and starts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from websockets.asyncio.server import ServerConnection

from k2conn.plan import Json, Plan


class Listening(Protocol):
    """A running server, as an exchange sees it: the ports that its clients call."""

    port: int

    @property
    def http_port(self) -> int | None:
        """The port of the HTTP calls; None where none is served."""


class ServedExchange(Protocol):
    """One connector's venue behind a server."""

    plan: Plan

    @property
    def before(self) -> Sequence[Json]:
        """The answers to the HTTP calls that precede a connection, in the order of the plan."""

    def start(self, server: Listening) -> None:
        """Begins to play; called once the server listens."""

    async def stop(self) -> None:
        """Stops playing."""

    def admit(self) -> tuple[int, int] | None:
        """None where a client may connect now, else the HTTP status it gets and its Retry-After in seconds."""

    async def serve(self, socket: ServerConnection, target: str) -> None:
        """One client from its handshake to its end; ``target`` is its path behind the connector's name."""
