"""Protocols between the servers of this package and the mock exchange, so that they need not import each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from websockets.asyncio.server import ServerConnection

from k2conn.plan import Json, Plan


class Listening(Protocol):
    """A running server, as an exchange sees it: the ports that its clients connect to."""

    port: int

    @property
    def http_port(self) -> int | None:
        """The port of the HTTP calls; None where none is served."""


class ServedExchange(Protocol):
    """A mock exchange, as a server sees it."""

    plan: Plan

    @property
    def before(self) -> Sequence[Json]:
        """The answers to the HTTP calls made before connecting, in the order of the plan."""

    def start(self, server: Listening) -> None:
        """Starts sending; called once the server listens."""

    async def stop(self) -> None:
        """Stops sending."""

    def admit(self) -> tuple[int, int] | None:
        """None where a client may connect now, else the HTTP status it gets and its Retry-After in seconds."""

    async def serve(self, socket: ServerConnection, target: str) -> None:
        """Serves one client from its handshake to its end; ``target`` is the path after the connector's name."""
