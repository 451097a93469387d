"""Where a connector may connect to, of its plan and of what the environment changes about it."""

from __future__ import annotations

from k2conn.engine.planning.written_hosts import told_hosts, written_hosts
from k2conn.hosts import host_of
from k2conn.net.destinations import Destinations
from k2conn.plan import Plan
from k2conn.runner.overrides import Overrides


def destinations(plan: Plan, given: Overrides) -> Destinations:
    """The hosts that the file writes out, and those that the operator set."""
    own = (*given.urls, *given.failover, *((given.http_url,) if given.http_url else ()))
    return Destinations(
        declared=written_hosts(plan),
        told=told_hosts(plan),
        given=frozenset(host for host in map(host_of, own) if host),
        private=given.allow_private_hosts,
        allowed_by=given.private_hosts_by,
    )
