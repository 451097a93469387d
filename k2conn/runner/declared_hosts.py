"""Where a connector may connect to, of its plan and of what the environment changes about it."""

from __future__ import annotations

from collections.abc import Iterator

from k2conn.net.destinations import Destinations, host_of
from k2conn.plan import Plan
from k2conn.runner.overrides import Overrides


def destinations(plan: Plan, given: Overrides) -> Destinations:
    """The hosts that the file writes out, and those that the operator set."""
    own = (*given.urls, *given.failover, *((given.http_url,) if given.http_url else ()))
    return Destinations(
        declared=written_hosts(plan),
        told=frozenset(host for host in _told(plan) if host),
        given=frozenset(host for host in map(host_of, own) if host),
        private=given.allow_private_hosts,
        allowed_by=given.private_hosts_by,
    )


def written_hosts(plan: Plan) -> frozenset[str]:
    """The hosts that a file writes out."""
    return frozenset(host for host in (*_told(plan), *_asked(plan)) if host)


def _told(plan: Plan) -> Iterator[str]:
    """Hosts that are sent what the file likes, also what others have answered."""
    for connection in plan.connections:
        yield from (host_of(text) for text in connection.url_texts if not text.startswith("{"))
        yield from connection.hosts
        yield from (host_of(request.url_text) for request in connection.before)


def _asked(plan: Plan) -> Iterator[str]:
    """Hosts that are only asked: for the symbols, and for what is missing."""
    if plan.symbols.list is not None:
        yield host_of(plan.symbols.list.request.url_text)
    for stream in plan.streams:
        yield from (host_of(one.request.url_text) for one in stream.backfill)
