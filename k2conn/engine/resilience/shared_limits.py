"""Limits that a venue counts by IP address: the connections of all kinds and connectors to a host share them."""

from __future__ import annotations

from collections.abc import Mapping

from k2conn.engine.resilience.limit_share import LimitShare
from k2conn.engine.resilience.rate_limiter import Attempts, RateLimiter
from k2conn.hosts import host_of
from k2conn.plan import Connection, Rate


class SharedLimits:
    """Those of one process. ``of_connectors``: a connector may run several times in it, for symbols of its own each, so
    that what the venue counts by itself is shared by these, too.
    """

    def __init__(self, of_connectors: bool = False) -> None:
        self._of_connectors = of_connectors
        self._attempts: dict[tuple[str, ...], Attempts] = {}
        self._everybody = LimitShare()
        self._shares: dict[str, LimitShare] = {}

    def share_of(self, connector: str) -> LimitShare:
        """The part of a connector's own limits that is this process's."""
        return self._shares.setdefault(connector, LimitShare())

    def divide(self, everybody: tuple[int, int], connectors: Mapping[str, tuple[int, int]]) -> None:
        """From now on the limits are divided: those of an address among all processes, those of a connector among those
        that run it. Each is said as (which of them this is, from 0; how many there are).
        """
        for share, (place, among) in (
            (self._everybody, everybody), *((self.share_of(name), one) for name, one in connectors.items())
        ):
            share.place, share.among = place, max(1, among)

    def limiter(self, connector: str, what: str, connection: Connection, limit: Rate | None) -> RateLimiter | None:
        """The limit on ``what`` a connection does (connecting, asking), which counts what others do at its host; None
        where the venue counts each kind of connection by itself, or names the host on a live connection only.
        """
        host = host_of(connection.url_texts[0])
        if connection.limits.per != "ip" or not host:
            return self.own(connector, f"{what} {connection.name}", limit) if self._of_connectors else None
        return RateLimiter(limit, self._attempts.setdefault((what, host), Attempts()), self._everybody)

    def own(self, connector: str, what: str, limit: Rate | None) -> RateLimiter:
        """A limit of a connector's own, on its part of it; shared by all that run it where there may be several."""
        attempts = self._attempts.setdefault((connector, what, ""), Attempts()) if self._of_connectors else None
        return RateLimiter(limit, attempts, self.share_of(connector))
