"""What all connections of one kind share: the venue's limits on them, its addresses and their breakers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import Session, SessionContext
from k2conn.engine.resilience.circuit_breaker import Endpoints
from k2conn.envelope import Envelope
from k2conn.errors import SettingsError
from k2conn.hosts import host_of
from k2conn.net.destinations import Destinations
from k2conn.observe import Observers
from k2conn.plan import Connection
from k2conn.runner.drift_watch import DriftWatch
from k2conn.runner.loop_share import LoopShare
from k2conn.runner.overrides import Overrides
from k2conn.runner.status import EndpointStatus
from k2conn.schemes import family
from k2conn.transports import Address, Transport

OVERLAPS = 4
"""Replacements that may be under way at a time, where the venue's limit on connections allows more."""


@dataclass(frozen=True, slots=True)
class ConnectorContext:
    """What every connection of a connector is given."""

    connector_state: ConnectorState
    publish: Callable[[list[Envelope]], bool]
    """Hands envelopes to the sink; true where ``relief`` must be awaited before more is read."""
    relief: Callable[[], Awaitable[None]]
    overrides: Overrides
    destinations: Destinations
    session_context: SessionContext
    open_transport: Callable[[Address], Transport]
    observers: Observers
    loop_share: LoopShare
    """What the frames of all connections of the process may take of a turn of the event loop."""
    drift: DriftWatch | None = None
    """Who looks for changes of the venue's messages; None: nobody."""


class EndpointGroup:
    """The connections of one kind (one entry of a plan's connections) of a running connector."""

    def __init__(self, context: ConnectorContext, connection: Connection, count: int) -> None:
        given, self._context = context.overrides, context
        self.connection = connection
        self.connect_limiter = context.connector_state.connect_limiters[connection.name]
        own = range(1 if given.failover else len(connection.urls))
        self._choices: list[str | int] = [*(given.urls or own), *given.failover]
        self._first = connection is context.connector_state.plan.connections[0]
        self.endpoints = Endpoints(len(self._choices), given.breaker_settings)
        self._most = connection.limits.connections
        self._beside = self._room(count)
        """Replacements that may be under way at a time."""
        self.spare = self._beside
        """Connections that may be opened now beside those that are to be replaced."""

    def _room(self, count: int) -> int:
        return OVERLAPS if self._most is None else max(0, min(OVERLAPS, self._most - count))

    @property
    def overlaps(self) -> bool:
        """Whether the venue's limit on connections leaves room to open the new before the old is closed."""
        return self._beside > 0

    def resize(self, count: int) -> None:
        """There are so many connections from now on; replacements under way go on."""
        room = self._room(count)
        self.spare += room - self._beside
        self._beside = room

    def url(self, session: Session, at: int, wall: int) -> str:
        """The ``at``-th address: of the given ones, or else of the plan's. TransportError for a host that it must not
        lead to.
        """
        url = self._url(session, at, wall)
        if self.connection.transport != "exec":
            self._context.destinations.check(host_of(url))
        return url

    def check(self) -> None:
        """SettingsError where an address that the operator set is for another transport than the connection's own."""
        for choice in self._choices:
            own = self.connection.transport
            if isinstance(choice, str) and family(choice) != own:
                raise SettingsError(f"connection {self.connection.name}: the address that is set for it is for another "
                                    f"transport than its own, {urlsplit(self.connection.url_texts[0]).scheme}://")

    def _url(self, session: Session, at: int, wall: int) -> str:
        choice = self._choices[at]
        if isinstance(choice, int):
            return session.url(choice, wall)
        if not self._first:
            choice = f"{choice.rstrip('/')}/{self.connection.name}"
        if self.connection.url_uses_topics or self.connection.transport == "http":  # what it asks for stands there
            parts = urlsplit(session.url(at, wall))
            choice = choice.rstrip("/") + parts.path + (f"?{parts.query}" if parts.query else "")
        return choice

    def host(self, at: int) -> str:
        """An address's host, for people; never more of it, for the rest may hold a key."""
        choice = self._choices[at]
        text = self.connection.url_texts[choice] if isinstance(choice, int) else choice
        return host_of(text) or "-"  # a host that only a live connection knows

    def status(self, now: float) -> list[EndpointStatus]:
        """The addresses and their breakers, for /health."""
        return [
            {"host": self.host(at), "breaker": breaker.state(now), "opened": breaker.opened}
            for at, breaker in enumerate(self.endpoints.breakers)
        ]
