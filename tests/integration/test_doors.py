"""Both doors, WebSocket and HTTP, by real proxies and real TLS: the same rule, the same causes, no key to a
stranger.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from k2conn.errors import TransportError
from k2conn.net.http import Call, call
from k2conn.net.proxy import parse_proxy, proxy_for
from k2conn.transports import Address
from k2conn.transports.websocket.connection import WebSocket
from tests.support.certificates import Authority
from tests.support.proxies import TestProxy

HOST = "venue.test"
SCHEMES = ["http", "socks5h"]


async def relief() -> None:
    raise AssertionError


async def by_websocket(url: str, **address: Any) -> list[str | bytes]:
    """The frames of a connection that ends with the first of them."""
    heard: list[str | bytes] = []
    transport = WebSocket(Address(url, open_timeout=5, proxy=proxy_for(url), **address))

    def hear(frames: Any) -> bool:
        heard.extend(frames)
        asyncio.get_running_loop().create_task(transport.close())
        return False

    await transport.run(lambda: None, hear, relief)
    return heard


class Served:
    """A venue: a frame for each WebSocket, JSON for each request, or a redirect."""

    def __init__(self, to: str = "") -> None:
        self.to = to
        self.seen: list[tuple[str, dict[str, str]]] = []

    def http(self, connection: ServerConnection, request: Request) -> Response | None:
        self.seen.append((request.path, dict(request.headers.raw_items())))
        if self.to:
            response = connection.respond(HTTPStatus.TEMPORARY_REDIRECT, "")
            response.headers["Location"] = self.to
            return response
        return connection.respond(HTTPStatus.CREATED, '{"n": 1.10}') if request.path.startswith("/api") else None

    async def talk(self, socket: ServerConnection) -> None:
        await socket.send("hello")
        await socket.wait_closed()


def served(venue: Served, main: Callable[[int], Any], tls: ssl.SSLContext | None = None) -> Any:
    async def run() -> Any:
        async with serve(venue.talk, "127.0.0.1", 0, process_request=venue.http, ssl=tls) as server:
            return await main(next(iter(server.sockets)).getsockname()[1])

    return asyncio.run(run())


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("login", ["", "me:secret"])
def test_both_doors_go_by_the_environment_s_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, login: str
) -> None:
    authority = Authority(tmp_path)
    trusted = {"ca_file": str(authority.file)}

    async def main(port: int) -> tuple[Any, Any, TestProxy]:
        async with TestProxy(scheme, login).open() as proxy:
            monkeypatch.setenv("ALL_PROXY", proxy.url)
            frames = await by_websocket(f"wss://{HOST}:{port}/ws", **trusted)
            answer = await call(Call("GET", f"https://{HOST}:{port}/api", {"X-Key": "k"}, **trusted))
            return frames, answer, proxy

    frames, answer, proxy = served(Served(), main, authority.server(HOST))
    assert frames == ["hello"]
    assert str(answer["n"]) == "1.10"
    assert len(proxy.asked) == 2
    assert all(HOST in one for one in proxy.asked), "the proxy looks the name up"
    assert proxy.logins == ([login] * 2 if login else [])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_not_encrypted_goes_by_the_proxy_too(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    venue = Served()

    async def main(port: int) -> list[str]:
        async with TestProxy(scheme, "me:secret").open() as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            assert await by_websocket(f"ws://{HOST}:{port}/ws") == ["hello"]
            answer: Any = await call(Call("GET", f"http://{HOST}:{port}/api/x?y=1", {"X-Key": "k"}))
            assert str(answer["n"]) == "1.10"
            return proxy.asked

    asked = served(venue, main)
    assert len(asked) == 2
    path, headers = venue.seen[-1]
    assert (path, headers["X-Key"]) == ("/api/x?y=1", "k")
    assert not any(name.lower().startswith("proxy-") for name in headers), "the proxy's login is the proxy's"


@pytest.mark.parametrize("door", ["websocket", "http"])
def test_no_proxy_is_kept_to(monkeypatch: pytest.MonkeyPatch, door: str) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "other.test,.test")
    with pytest.raises(TransportError) as caught:
        asyncio.run(_door(door, f"{HOST}:1"))
    assert caught.value.cause != "proxy", "it was tried directly, and there is no such host"


async def _door(door: str, place: str, proxy: str = "") -> Any:
    own = parse_proxy("K2_X_PROXY", proxy) if proxy else None
    if door == "http":
        return await call(Call("GET", f"https://{place}/?key=hunter2", proxy=own))
    url = f"wss://{place}/?key=hunter2"
    return await WebSocket(Address(url, open_timeout=5, proxy=proxy_for(url, own))).run(lambda: None, bool, relief)


@pytest.mark.parametrize("door", ["websocket", "http"])
@pytest.mark.parametrize("proxy", ["http://me:hunter2@127.0.0.1:9", "socks5h://me:hunter2@127.0.0.1:9"])
def test_a_proxy_that_is_away_is_said_to_be_the_trouble(door: str, proxy: str) -> None:
    with pytest.raises(TransportError) as caught:
        asyncio.run(_door(door, f"{HOST}:1", proxy))
    assert caught.value.cause == "proxy"
    assert "proxy 127.0.0.1:9 (K2_X_PROXY)" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("door", ["websocket", "http"])
@pytest.mark.parametrize(("scheme", "said"), [("http", "407"), ("socks5h", "")])
def test_a_proxy_that_refuses_us_is_said_to_be_the_trouble(door: str, scheme: str, said: str) -> None:
    async def main() -> TransportError:
        async with TestProxy(scheme, "me:secret").open() as proxy:
            with pytest.raises(TransportError) as caught:
                await _door(door, f"{HOST}:1", proxy.url.replace("secret", "wrong"))
            return caught.value

    error = asyncio.run(main())
    assert error.cause == "proxy"
    assert said in str(error)
    assert "wrong" not in str(error)


# -- certificates


@pytest.mark.parametrize("door", ["websocket", "http"])
@pytest.mark.parametrize("trouble", ["untrusted", "other name"])
def test_trouble_with_a_certificate_is_called_tls(tmp_path: Path, door: str, trouble: str) -> None:
    authority = Authority(tmp_path)
    trusted = {"ca_file": str(authority.file)} if trouble != "untrusted" else {}
    place = "localhost" if trouble == "other name" else "127.0.0.1"

    async def main(port: int) -> TransportError:
        asking: Any = call(Call("GET", f"https://{place}:{port}/api", **trusted))
        if door == "websocket":
            asking.close()
            asking = by_websocket(f"wss://{place}:{port}/ws", **trusted)
        with pytest.raises(TransportError) as caught:
            await asking
        return caught.value

    error = served(Served(), main, authority.server(HOST))
    assert error.cause == "tls", error
    word = {"untrusted": "unable to get local issuer", "other name": "localhost"}[trouble]
    assert word in str(error)


# -- redirects


@pytest.mark.parametrize("door", ["websocket", "http"])
@pytest.mark.parametrize(
    "place", ["ws://127.0.0.1:{port}/x", "//127.0.0.1:{port}/x", "http://localhost:{port}/x", "/x", "\x01"]
)
def test_no_key_goes_where_an_answer_says(door: str, place: str) -> None:
    stranger = Served()
    headers = {"Authorization": "hunter2", "X-MBX-APIKEY": "hunter2", "Cookie": "hunter2"}

    async def main(port: int) -> tuple[TransportError, list[str]]:
        first = Served(place.format(port=port))
        async with serve(first.talk, "127.0.0.1", 0, process_request=first.http) as server:
            own = next(iter(server.sockets)).getsockname()[1]
            asking: Any = call(Call("GET", f"http://127.0.0.1:{own}/api", headers))
            if door == "websocket":
                asking.close()
                asking = by_websocket(f"ws://127.0.0.1:{own}/ws", headers=headers)
            with pytest.raises(TransportError) as caught:
                await asking
        return caught.value, [path for path, _ in first.seen]

    error, asked = served(stranger, main)
    assert stranger.seen == []
    assert len(asked) == 1, "not even where it leads to the same host"
    if place != "\x01":
        assert error.cause == "http-307"
        assert "redirects are not followed" in str(error)
    assert "hunter2" not in str(error)
