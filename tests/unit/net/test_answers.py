"""Answers of a server that is an enemy: bounded in bytes and in values, whatever they unfold to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from socket import create_server

import pytest

from k2conn.errors import TransportError
from k2conn.net import http
from k2conn.net.http import Call, call


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    """The address of a server that answers once."""
    with closing(create_server(("127.0.0.1", 0))) as server:
        server.settimeout(10)

        def serve() -> None:
            with closing(server.accept()[0]) as client:
                client.recv(65536)
                try:
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                except OSError:
                    return  # it has had enough

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join(10)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b" " * http.MAX_ANSWER + b"{}", "more than 16777216 bytes"),
        (b"[" + b"1," * 260_000 + b"1]", "more than 250000 values"),
        (b"[" + b"{}," * 130_000 + b"1]", "more than 250000 values"),
        (b"[" + (b'{"a":' * 300 + b"1" + b"}" * 300 + b",") * 900 + b"1]", "more than 250000 values"),
        (b'["' + b"x" * 5_000_000 + "\u00e9".encode() + b'"]', "beyond ASCII"),
        (b'["' + b"x" * 5_000_000 + b'\\ud83d\\ude00"]', "beyond ASCII"),
        (b"[" * 401 + b"]" * 401, "nested too deeply"),
        (b"[" + b"9" * 5000 + b"]", "no JSON"),
    ],
)
def test_an_answer_beyond_a_bound_is_refused(body: bytes, why: str) -> None:
    with answering(body) as url, pytest.raises(TransportError, match=why):
        asyncio.run(call(Call("GET", url)))


def test_an_answer_within_the_bounds_is_read() -> None:
    with answering(b"[" + b"1," * 240_000 + b"1]") as url:
        found = asyncio.run(call(Call("GET", url)))
    assert isinstance(found, list)
    assert len(found) == 240_001


def test_a_large_answer_is_read_beside_the_event_loop() -> None:
    """It is decoded in the thread that has fetched it."""
    seen, decode = [], http.exactjson.decode

    def noted(body: bytes) -> object:
        seen.append(threading.current_thread().name)
        return decode(body)

    with answering(b"[1]") as url, pytest.MonkeyPatch.context() as patch:
        patch.setattr(http.exactjson, "decode", noted)
        assert asyncio.run(call(Call("GET", url))) == [1]
    assert seen == ["http"]
