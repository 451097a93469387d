"""The whole of a call is bounded, however slowly an answer comes, and its thread ends."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from k2conn.errors import TransportError
from k2conn.net.http import Call, NoAnswer, call, exchange
from k2conn.net.proxy import parse_proxy

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


def dripping(start: bytes, every: float = 0.05) -> Callable[[socket.socket], None]:
    def drip(peer: socket.socket) -> None:
        peer.recv(65536)
        peer.sendall(start)
        while True:
            peer.sendall(b" ")
            time.sleep(every)

    return drip


@contextmanager
def served(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    server = socket.create_server(("127.0.0.1", 0))

    def one(peer: socket.socket) -> None:
        with suppress(OSError), peer:
            talk(peer)

    def loop() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=one, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\nX: ", HEAD])
def test_an_answer_that_drips(start: bytes) -> None:
    with served(dripping(start)) as port:
        began = time.monotonic()
        with pytest.raises(NoAnswer, match="no answer in time"):
            exchange(Call("GET", f"http://127.0.0.1:{port}/", within=0.5))
        assert time.monotonic() - began < 20


def test_tls_that_drips() -> None:
    def talk(peer: socket.socket) -> None:
        peer.recv(65536)
        peer.sendall(b"\x16\x03\x03\x40\x00")  # a record of 16 KiB, which never ends
        dripping(b"")(peer)

    with served(talk) as port, pytest.raises(NoAnswer, match="no answer in time"):
        exchange(Call("GET", f"https://127.0.0.1:{port}/", within=0.5, tls=ssl.create_default_context()))


def test_a_proxy_that_drips() -> None:
    with served(dripping(b"HTTP/1.1 200 ")) as port:
        proxy = parse_proxy("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(NoAnswer) as caught:
            exchange(Call("GET", "https://venue.test/", within=0.5, proxy=proxy))
        assert caught.value.cause == "proxy"
        assert "no answer in time" in caught.value.reason


def test_no_thread_is_left() -> None:
    before = threading.active_count()

    async def main() -> None:
        with served(dripping(HEAD)) as port:
            calls = [call(Call("GET", f"http://127.0.0.1:{port}/", within=0.3)) for _ in range(10)]
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(one, TransportError) for one in found)
            for _ in range(200):
                if not [one for one in threading.enumerate() if one.name == "http"]:
                    return
                await asyncio.sleep(0.02)
            raise AssertionError(f"{threading.active_count() - before} threads more than before")

    asyncio.run(main())
