"""The hosts that a connector file writes out."""

from __future__ import annotations

from collections.abc import Iterator

from k2conn.hosts import host_of
from k2conn.plan import Plan


def written_hosts(plan: Plan) -> frozenset[str]:
    """The hosts that a file writes out; a program's name is none."""
    programs = {host_of(text) for one in plan.connections if one.transport == "exec" for text in one.url_texts}
    return frozenset(host for host in (*_told(plan), *_asked(plan)) if host and host not in programs)


def told_hosts(plan: Plan) -> frozenset[str]:
    """Those of them that are sent what the file likes, also what others have answered."""
    return frozenset(host for host in _told(plan) if host)


def _told(plan: Plan) -> Iterator[str]:
    for connection in plan.connections:
        yield from (host_of(text) for text in connection.url_texts if not text.startswith("{"))
        yield from connection.hosts
        yield from (host_of(request.url_text) for request in connection.before)


def _asked(plan: Plan) -> Iterator[str]:
    """Hosts that are only asked: for the symbols, and for what is missing."""
    if plan.symbols.list is not None:
        yield from (host_of(request.url_text) for request in plan.symbols.list.requests)
    for stream in plan.streams:
        yield from (host_of(one.request.url_text) for one in stream.backfill)
