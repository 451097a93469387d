"""Transports: every way a connection or a call can fail has its cause, and no secret in its text."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from k2conn.engine.conversation.session import Session, SessionContext
from k2conn.errors import SettingsError, TransportError
from k2conn.net.http import Call, HttpAnswer, NoAnswer, call, exchange
from k2conn.transports import TRANSPORTS, Address, open_transport, secure
from k2conn.transports.websocket.connection import CLOSE_TIMEOUT, WebSocket
from tests.support.plans import plan_of
from tests.support.venues import CONNECTION, Run


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
        async with serve(lambda client: client.wait_closed(), "127.0.0.1", 0, process_request=admit) as server:
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
        (HTTPStatus.TOO_MANY_REQUESTS, {"Retry_After": "Fri, 31 Dec 2027 23:59:59 GMT"}, 900),
        (HTTPStatus.TOO_MANY_REQUESTS, {"Retry_After": "Fri, 31 Dec 1999 23:59:59 GMT"}, 60),
        (HTTPStatus.TOO_MANY_REQUESTS, {"Retry_After": "Fri, 99 Dec 2027 23:59:59 GMT"}, 60),
        (HTTPStatus.TOO_MANY_REQUESTS, {"Retry_After": "-5"}, 60),
        (HTTPStatus.SERVICE_UNAVAILABLE, {"Retry_After": "999999"}, 900),
        (HTTPStatus.SERVICE_UNAVAILABLE, {"Retry_After": "9" * 90}, 900),
        (HTTPStatus.SERVICE_UNAVAILABLE, {"Retry_After": "3e3"}, 0),
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
        async with serve(lambda client: client.wait_closed(), "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            with pytest.raises(TransportError) as caught:
                await WebSocket(Address(f"wss://127.0.0.1:{port}/")).run(lambda: None, bool, relief)
            return caught.value

    assert asyncio.run(main()).cause in ("tls", "connect", "handshake")


def test_what_was_queued_is_sent_before_closing() -> None:
    async def main() -> list[str | bytes]:
        heard: list[str | bytes] = []

        async def listen(client: ServerConnection) -> None:
            async for frame in client:
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


def test_what_a_step_sends_may_be_binary() -> None:
    body = bytes(range(256))

    async def main() -> list[str | bytes]:
        heard: asyncio.Queue[str | bytes] = asyncio.Queue()

        async def listen(client: ServerConnection) -> None:
            async for frame in client:
                heard.put_nowait(frame)

        async with serve(listen, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            plan = plan_of(CONNECTION % port)
            (connection,) = plan.connections
            (step,) = connection.steps
            binary = replace(connection, steps=(replace(step, send=lambda scope: body),))
            async with Run(replace(plan, connections=(binary,))) as run:
                found = [await asyncio.wait_for(heard.get(), 5)]
                run.stop.set()
                return [*found, await asyncio.wait_for(heard.get(), 5)]

    assert asyncio.run(main()) == [body, '{"op":"unsub","symbols":["BTC-USD","ETH-USD"]}']


@pytest.mark.parametrize(
    ("url", "insecure", "allowed"),
    [
        ("wss://venue.example/", False, True),
        ("ws://127.0.0.1:1/", False, True),
        ("ws://venue.example/", False, False),
        ("ws://venue.example/", True, True),
        ("ftp://venue.example/", True, False),
        ("tape://venue.example/", False, True),
    ],
)
def test_an_address_that_a_venue_gives_is_held_to_the_rule(url: str, insecure: bool, allowed: bool) -> None:
    plan = plan_of(CONNECTION % 1)
    connection = replace(plan.connections[0], urls=(lambda scope: url,), allow_insecure=insecure)
    session_context = SessionContext(lambda: "", {}, {"wss": True, "ws": False, "tape": True}.get)
    session = Session(connection, plan.streams, [], session_context)
    if allowed:
        assert session.url(0, 1) == url
    else:
        with pytest.raises(TransportError) as caught:
            session.url(0, 1)
        assert caught.value.cause == "insecure"


def test_the_transport_is_the_one_of_the_scheme() -> None:
    assert isinstance(open_transport(Address("wss://venue.example/")), WebSocket)
    assert (secure("ws"), secure("wss"), secure("ftp")) == (False, True, None)
    assert TRANSPORTS.names() == ("exec", "file", "http", "https", "tcp", "tcps", "ws", "wss")
    with pytest.raises(SettingsError, match="there is no transport 'ftp'"):
        open_transport(Address("ftp://venue.example/?key=hunter2"))


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


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted", "299 Odd"])
def test_every_answer_of_success_is_one(status: str) -> None:
    assert asked(f"HTTP/1.1 {status}\r\n\r\n{{}}".encode()) == {}


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


def test_an_answer_to_who_asks_for_it_is_any_answer() -> None:
    async def main() -> HttpAnswer:
        async with web(b"HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\nRetry-After: 5\r\n\r\nno") as url:
            return await asyncio.to_thread(exchange, Call("GET", url, {"Authorization": "hunter2"}))

    answer = asyncio.run(main())
    assert (answer.status, answer.retry_after, answer.body) == (307, "5", b"no"), "it was not followed"


def test_who_does_not_answer_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/?key=hunter2"
        with pytest.raises(NoAnswer) as caught:
            exchange(Call("GET", url, within=0.1))
    assert (caught.value.reason, str(caught.value)) == ("no answer in time", "127.0.0.1: no answer in time")


def test_a_call_to_nobody() -> None:
    with pytest.raises(TransportError) as caught:
        asyncio.run(call(Call("GET", "http://127.0.0.1:1/?key=hunter2")))
    assert caught.value.cause == "http"
    assert "hunter2" not in repr(Call("GET", "http://x/?key=hunter2", {"X": "hunter2"}, b"hunter2"))


@pytest.mark.parametrize(
    ("code", "unwelcome"), [(1000, False), (1001, False), (1008, True), (1013, True), (4008, True)]
)
def test_a_goodbye_ends_the_connection_although_tcp_stays_open(code: int, unwelcome: bool) -> None:
    async def main() -> TransportError:
        async def leave(client: ServerConnection) -> None:
            client.transport.write(b"\x88\x02" + code.to_bytes(2, "big"))
            client.transport.pause_reading()  # our goodbye is not even read
            await asyncio.sleep(10)

        async with serve(leave, "127.0.0.1", 0, close_timeout=0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            with pytest.raises(TransportError) as caught:
                async with asyncio.timeout(CLOSE_TIMEOUT + 2):
                    await WebSocket(Address(f"ws://127.0.0.1:{port}/")).run(lambda: None, bool, relief)
            server.close()
            for client in tuple(server.connections):
                client.transport.abort()
            return caught.value

    error = asyncio.run(main())
    assert (error.cause, error.unwelcome) == ("closed", unwelcome)
    assert str(code) in error.detail
