"""Where a connector may connect to, and that the address that was looked at is the one that is used."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import closing

import pytest

from k2conn.errors import TransportError
from k2conn.hosts import is_public
from k2conn.net import destinations
from k2conn.net.destinations import CAUSE, Destinations, open_socket, open_socket_async
from k2conn.net.http import Call, NoAnswer, exchange
from k2conn.transports import Address
from k2conn.transports.websocket.connection import WebSocket


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"])
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "100.100.100.200", "168.63.129.16", "0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "192.0.2.1",
        "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "127.1", "0x7f000001",
        "2130706433", "0177.0.0.1", "no address",
    ],
)
def test_not_public(address: str) -> None:
    assert not is_public(address)


VENUE = Destinations(frozenset({"api.venue.example", "*.feeds.example"}))
LOCAL = Destinations(frozenset({"127.0.0.1"}))
NEAR = Destinations(frozenset({"10.0.0.1", "127.0.0.1", "169.254.169.254"}), told=frozenset({"10.0.0.1"}))
HERE = Destinations(frozenset({"10.0.0.1", "127.0.0.1", "localhost"}), told=frozenset({"localhost"}))
MIXED = Destinations(frozenset({"127.0.0.1", "stranger.example"}), told=frozenset({"stranger.example"}))
ASKED = Destinations(frozenset({"127.0.0.1", "api.venue.example"}), told=frozenset({"127.0.0.1"}))
GIVEN = Destinations(frozenset({"api.venue.example"}), frozenset({"mock", "127.0.0.1"}))


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        (VENUE, "api.venue.example"), (VENUE, "API.venue.example."), (VENUE, "a.feeds.example"),
        (VENUE, "a.b.feeds.example"), (LOCAL, "127.0.0.1"), (ASKED, "127.0.0.1"), (GIVEN, "mock"), (GIVEN, "127.0.0.1"),
        (HERE, "127.0.0.1"), (Destinations(frozenset({"10.0.0.1", "stranger.example"}), private=True), "10.0.0.1"),
    ],
)
def test_what_was_named(allowed: Destinations, host: str) -> None:
    allowed.check(host)


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        (VENUE, "venue.example"), (VENUE, "feeds.example"), (VENUE, "evilfeeds.example"), (VENUE, "127.0.0.1"),
        (VENUE, "169.254.169.254"), (VENUE, "localhost"), (VENUE, ""), (VENUE, "api.venue.example.evil.example"),
        (LOCAL, "localhost"), (LOCAL, "127.0.0.2"), (MIXED, "127.0.0.1"), (GIVEN, "10.0.0.1"),
        (NEAR, "10.0.0.1"), (NEAR, "127.0.0.1"), (NEAR, "169.254.169.254"), (HERE, "10.0.0.1"),
    ],
)
def test_what_nobody_named_or_is_not_public(allowed: Destinations, host: str) -> None:
    with pytest.raises(TransportError) as caught:
        allowed.check(host)
    assert caught.value.cause == CAUSE


def answers(*addresses: str) -> list[tuple[object, ...]]:
    return [(socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 443))
            for one in addresses]


def test_of_a_name_s_addresses_only_public_ones_are_used() -> None:
    found = VENUE.places("api.venue.example", answers("10.0.0.1", "1.1.1.1", "::1", "2606:4700::1111"))
    assert [place[1][0] for place in found] == ["1.1.1.1", "2606:4700::1111"]
    with pytest.raises(TransportError, match=r"is not public.*ALLOW_PRIVATE_HOSTS=true") as caught:
        VENUE.places("api.venue.example", answers("10.0.0.1", "::ffff:127.0.0.1"))
    assert caught.value.cause == CAUSE
    assert len(GIVEN.places("mock", answers("172.18.0.2"))) == 1
    with pytest.raises(TransportError):
        LOCAL.places("internal", answers("10.0.0.1"))


class Names:
    """A name server that says another address each time it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        self.asked: list[str] = []
        self._left = list(addresses)
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self.look)

    def look(self, host: str, port: int, *more: object, **named: object) -> object:
        if not host.endswith(".example"):
            return self._real(host, port, *more, **named)  # type: ignore[arg-type]
        self.asked.append(host)
        address = self._left.pop(0) if len(self._left) > 1 else self._left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


def listener(address: str = "127.0.0.1", port: int = 0) -> socket.socket:
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind((address, port))
    found.listen()
    found.settimeout(5)
    return found


BLOCKING: Callable[[int], socket.socket] = lambda port: open_socket("a.venue.example", port, 5, None)  # noqa: E731
LOOPED: Callable[[int], socket.socket] = lambda port: asyncio.run(  # noqa: E731
    open_socket_async("a.venue.example", port, None)
)


@pytest.mark.parametrize("opened", [BLOCKING, LOOPED])
def test_a_name_is_resolved_once_and_that_address_is_used(
    monkeypatch: pytest.MonkeyPatch, opened: Callable[[int], socket.socket]
) -> None:
    names = Names(monkeypatch, "127.0.0.2", "127.0.0.3")
    with closing(listener("127.0.0.2")) as first:
        port = first.getsockname()[1]
        with closing(listener("127.0.0.3", port)) as second, closing(opened(port)) as found:
            assert found.getpeername() == ("127.0.0.2", port)
            first.accept()[0].close()
            second.settimeout(0.1)
            with pytest.raises(TimeoutError):
                second.accept()
    assert names.asked == ["a.venue.example"]


def test_rebinding_reaches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A venue's name that leads to this machine, at once or the second time: both ways end before a connection."""
    allowed = Destinations(frozenset({"a.venue.example"}))
    with closing(listener()) as inside:
        port = inside.getsockname()[1]
        inside.settimeout(0.1)
        Names(monkeypatch, "127.0.0.1")
        with pytest.raises(NoAnswer, match="not public") as told:
            exchange(Call("GET", f"http://a.venue.example:{port}/", destinations=allowed))
        assert told.value.cause == CAUSE
        with pytest.raises(TransportError, match="not public") as refused:
            asyncio.run(by_websocket(f"ws://a.venue.example:{port}/", allowed))
        assert refused.value.cause == CAUSE
        with pytest.raises(TimeoutError):
            inside.accept()


async def by_websocket(url: str, allowed: Destinations) -> None:
    async def relief() -> None:
        raise AssertionError

    await WebSocket(Address(url, open_timeout=2, destinations=allowed)).run(lambda: None, lambda frames: False, relief)


def test_the_next_address_is_tried_where_one_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(listener()) as there:
        port = there.getsockname()[1]
        both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in ("127.0.0.9", "127.0.0.1")]
        monkeypatch.setattr(destinations.socket, "getaddrinfo", lambda *given, **named: both)
        with closing(open_socket("v.example", port, 5, None)) as found:
            assert found.getpeername()[0] == "127.0.0.1"
        with closing(asyncio.run(open_socket_async("v.example", port, None))) as found:
            assert found.getpeername()[0] == "127.0.0.1"
