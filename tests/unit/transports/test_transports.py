"""Transports: every way a connection or a call can fail has its cause, and no secret in its text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from k2conn.errors import TransportError
from k2conn.transports import Address
from k2conn.transports.http import Call, call
from k2conn.transports.websocket import WebSocket


async def relief() -> None:
    raise AssertionError


def failure(url: str, frames: list[str | bytes] | None = None) -> TransportError:
    heard: list[str | bytes] = frames if frames is not None else []

    async def main() -> TransportError:
        def hear(frames: Sequence[str | bytes]) -> bool:
            heard.extend(frames)
            return False

        with pytest.raises(TransportError) as caught:
            await WebSocket(Address(url, open_timeout=0.5)).run(lambda: None, hear, relief)
        return caught.value

    return asyncio.run(main())


def answered(status: HTTPStatus, **headers: str) -> TransportError:
    def admit(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(status, "no\n")
        response.headers.update({name.replace("_", "-"): text for name, text in headers.items()})
        return response

    async def main() -> TransportError:
        async with serve(lambda socket: socket.wait_closed(), "127.0.0.1", 0, process_request=admit) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            with pytest.raises(TransportError) as caught:
                await WebSocket(Address(f"ws://127.0.0.1:{port}/?key=hunter2")).run(lambda: None, bool, relief)
            return caught.value

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "headers", "delay"),
    [
        (HTTPStatus.TOO_MANY_REQUESTS, {"Retry_After": "7"}, 7),
        (HTTPStatus.TOO_MANY_REQUESTS, {}, 60),
        (HTTPStatus.TOO_MANY_REQUESTS, {"Retry_After": "Fri, 31 Dec 2027 23:59:59 GMT"}, 60),
        (HTTPStatus.IM_A_TEAPOT, {"Retry_After": "120"}, 120),
        (HTTPStatus.SERVICE_UNAVAILABLE, {}, 0),
        (HTTPStatus.FORBIDDEN, {}, 0),
    ],
)
def test_a_refused_handshake_says_how_long_to_stay_away(
    status: HTTPStatus, headers: dict[str, str], delay: int
) -> None:
    error = answered(status, **headers)
    assert (error.cause, error.delay) == (f"http-{status.value}", delay)
    assert "hunter2" not in str(error)


def test_nobody_there() -> None:
    assert failure("ws://127.0.0.1:1/?key=hunter2").cause == "connect"


@pytest.mark.parametrize("url", ["ws://127.0.0.1:notaport/?key=hunter2", "http://127.0.0.1/?key=hunter2"])
def test_an_address_that_is_none_is_not_repeated(url: str) -> None:
    error = failure(url)
    assert error.cause == "handshake"
    assert "hunter2" not in str(error)


def test_a_server_without_tls() -> None:
    async def main() -> TransportError:
        async with serve(lambda socket: socket.wait_closed(), "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            with pytest.raises(TransportError) as caught:
                await WebSocket(Address(f"wss://127.0.0.1:{port}/")).run(lambda: None, bool, relief)
            return caught.value

    assert asyncio.run(main()).cause in ("tls", "connect", "handshake")


def test_what_was_queued_is_sent_before_closing() -> None:
    async def main() -> list[str | bytes]:
        heard: list[str | bytes] = []

        async def listen(socket: ServerConnection) -> None:
            async for frame in socket:
                heard.append(frame)

        async with serve(listen, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            transport = WebSocket(Address(f"ws://127.0.0.1:{port}/"))

            def opened() -> None:
                for number in range(3):
                    transport.send(str(number))
                asyncio.get_running_loop().create_task(transport.close("done"))

            await transport.run(opened, bool, relief)
        return heard

    assert asyncio.run(main()) == ["0", "1", "2"]


# -- HTTP


@asynccontextmanager
async def web(answer: bytes) -> AsyncIterator[str]:
    """A web server that gives one answer to everything; its address."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"Content-Length: " in head:
            await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/token?key=hunter2"


def asked(answer: bytes, method: str = "GET", body: bytes | None = None) -> object:
    async def main() -> object:
        async with web(answer) as url:
            return await call(Call(method, url, {"X-Key": "hunter2"}, body))

    return asyncio.run(main())


def test_an_answer_is_exact() -> None:
    for method, body in (("GET", None), ("POST", b"{}")):
        found = asked(b'HTTP/1.1 200 OK\r\n\r\n{"n":1234567890.12345678}', method, body)
        assert str(found["n"]) == "1234567890.12345678"  # type: ignore[index]


@pytest.mark.parametrize(
    ("answer", "cause", "delay"),
    [
        (b"HTTP/1.1 429 Slow\r\nRetry-After: 9\r\n\r\n", "http-429", 9),
        (b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n", "http-302", 0),
        (b"HTTP/1.1 500 No\r\n\r\n", "http-500", 0),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", "http", 0),
        (b"nonsense\r\n\r\n", "http", 0),
    ],
)
def test_a_failed_call_has_its_cause(answer: bytes, cause: str, delay: int) -> None:
    with pytest.raises(TransportError) as caught:
        asked(answer)
    assert (caught.value.cause, caught.value.delay) == (cause, delay)
    assert "hunter2" not in str(caught.value)


def test_a_call_to_nobody() -> None:
    with pytest.raises(TransportError) as caught:
        asyncio.run(call(Call("GET", "http://127.0.0.1:1/?key=hunter2")))
    assert caught.value.cause == "http"
    assert "hunter2" not in repr(Call("GET", "http://x/?key=hunter2", {"X": "hunter2"}, b"hunter2"))
