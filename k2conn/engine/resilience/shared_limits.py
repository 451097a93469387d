"""Limits that a venue counts by IP address: the connections of all kinds and connectors to a host share them."""

from __future__ import annotations

from k2conn.engine.resilience.rate_limiter import Attempts, RateLimiter
from k2conn.hosts import host_of
from k2conn.plan import Connection, Rate


class SharedLimits:
    """Those of one process."""

    def __init__(self) -> None:
        self._attempts: dict[tuple[str, str], Attempts] = {}

    def limiter(self, what: str, connection: Connection, limit: Rate | None) -> RateLimiter | None:
        """The limit on ``what`` a connection does (connecting, asking), which counts what others do at its host; None
        where the venue counts each kind of connection by itself, or names the host on a live connection only.
        """
        host = host_of(connection.url_texts[0])
        if connection.limits.per != "ip" or not host:
            return None
        return RateLimiter(limit, self._attempts.setdefault((what, host), Attempts()))
