"""Hosts and ports that are captured: what fills them is that, and nothing more."""

from __future__ import annotations

import pytest

from k2conn.engine.planning.written_hosts import written_hosts
from k2conn.errors import TransportError
from tests.support.plans import STREAMS, Script, plan_of

CONNECTION = """
connection:
  before: [{http: GET https://venue.example/where, capture: {host: h, port: p}}]
  url: "%s"
  hosts: ["*.example.com"]
  steps: [{send: {sub: $symbols}, for: trade, expect: first-data}]
"""
BOTH = "wss://{$state.host}:{$state.port}/ws?k={$state.host}"


def address(url: str, host: str, port: object) -> str:
    session = Script(plan_of(CONNECTION % url, STREAMS)).session
    session.begin(0)
    session.scope.state.update(host=host, port=port)
    return session.url(0, 0)


@pytest.mark.parametrize(
    ("url", "host", "port", "found"),
    [
        (BOTH, "a.example.com", 443, "wss://a.example.com:443/ws?k=a.example.com"),
        ("wss://{$state.host}.example.com/ws", "eu-1", 0, "wss://eu-1.example.com/ws"),
        ("wss://{$state.host}-{$state.port}.example.com", "eu", 1, "wss://eu-1.example.com"),
        ("wss://ws.example.com:{$state.port}/ws", "", "8443", "wss://ws.example.com:8443/ws"),
        ("tcps://{$state.host}:{$state.port}", "a.example.com", 9000, "tcps://a.example.com:9000"),
    ],
)
def test_they_fill_their_places(url: str, host: str, port: object, found: str) -> None:
    more = "" if url.startswith("wss") else "\"\n  framing: lines\n  name: \"main"
    assert address(url + more, host, port) == found


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("evil.example/", 443), ("evil.example#", 443), ("evil.example?", 443), ("u@evil.example", 443),
        ("u:p@evil.example", 443), ("[::1]", 443), ("a\\b", 443), ("a b", 443), ("a\n", 443), ("", 443),
        ("a", "443/x"), ("a", "443@evil.example"), ("a", ""), ("a", "4430000"), ("a", -1), ("a:1", 443),
    ],
)
def test_they_are_nothing_more(host: str, port: object) -> None:
    with pytest.raises(TransportError):
        address(BOTH, host, port)


def test_hosts_that_are_captured_are_not_written_out() -> None:
    plan = plan_of(CONNECTION % BOTH, STREAMS)


    assert written_hosts(plan) == {"*.example.com", "venue.example"}
    assert plan.connections[0].named_by_venue == {"host", "port"}
