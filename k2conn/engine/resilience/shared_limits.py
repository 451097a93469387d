"""Limits that a venue counts by IP address: the connections of all kinds and connectors to a host share them."""

from __future__ import annotations

from collections.abc import Mapping

from k2conn.engine.resilience.limit_share import LimitShare
from k2conn.engine.resilience.rate_limiter import Attempts, RateLimiter
from k2conn.hosts import host_of
from k2conn.plan import Connection, Rate


class SharedLimits:
    """Those of one process."""

    def __init__(self) -> None:
        self._attempts: dict[tuple[str, str], Attempts] = {}
        self._everybody = LimitShare()
        self._shares: dict[str, LimitShare] = {}

    def share_of(self, connector: str) -> LimitShare:
        """The part of a connector's own limits that is this process's."""
        return self._shares.setdefault(connector, LimitShare())

    def divide(self, everybody: int, among: Mapping[str, int]) -> None:
        """From now on the limits are divided among so many processes: those of an address among all, those of a
        connector among those that run it.
        """
        self._everybody.among = max(1, everybody)
        for connector, number in among.items():
            self.share_of(connector).among = max(1, number)

    def limiter(self, what: str, connection: Connection, limit: Rate | None) -> RateLimiter | None:
        """The limit on ``what`` a connection does (connecting, asking), which counts what others do at its host; None
        where the venue counts each kind of connection by itself, or names the host on a live connection only.
        """
        host = host_of(connection.url_texts[0])
        if connection.limits.per != "ip" or not host:
            return None
        return RateLimiter(limit, self._attempts.setdefault((what, host), Attempts()), self._everybody)
