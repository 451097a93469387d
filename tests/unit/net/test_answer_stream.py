"""An HTTP answer that goes on: bounded ahead, slowed down by who takes it, and ended by `close`."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from k2conn.errors import TransportError
from k2conn.net.answer_stream import AnswerStream
from k2conn.net.http import Call
from tests.support.byte_venues import begin_answer, byte_venue, chunk, request


def call(port: int, within: float = 5.0) -> Call:
    return Call("GET", f"http://127.0.0.1:{port}/stream?key=hunter2", within=within)


def test_a_server_is_slowed_down_by_who_takes_slowly() -> None:
    sent: list[int] = []

    def act(opened: socket.socket, number: int) -> None:
        request(opened)
        begin_answer(opened)
        for _ in range(2000):
            chunk(opened, b"x" * 60_000)
            sent.append(60_000)

    async def main() -> int:
        stream = AnswerStream(call(port))
        assert (await stream.open()).status == 200
        assert len(await stream.read()) > 0
        await asyncio.sleep(1.0)
        stalled = sum(sent)
        await asyncio.sleep(0.5)
        assert sum(sent) == stalled, "nothing is read while nobody takes"
        total = 0
        while total < 20_000_000:
            total += len(await stream.read())
        assert sum(sent) > stalled, "and more when somebody does"
        stream.close()
        return stalled

    with byte_venue(act) as port:
        assert asyncio.run(main()) < 30_000_000  # what the system keeps in both sockets


def test_a_stream_that_is_closed_ends_for_its_reader_and_its_thread() -> None:
    def act(opened: socket.socket, number: int) -> None:
        request(opened)
        begin_answer(opened)
        opened.recv(1)

    async def main() -> bytes:
        stream = AnswerStream(call(port))
        await stream.open()
        asyncio.get_running_loop().call_later(0.2, stream.close)
        return await asyncio.wait_for(stream.read(), 5)

    with byte_venue(act) as port:
        assert asyncio.run(main()) == b""
        for thread in [one for one in threading.enumerate() if one.name == "http stream"]:
            thread.join(5)
            assert not thread.is_alive()


@pytest.mark.parametrize("what", [b"", b"HTTP/1.1 200 OK\r\n", b"garbage\r\n\r\n"])
def test_no_answer_is_an_error_that_names_the_host_only(what: bytes) -> None:
    def act(opened: socket.socket, number: int) -> None:
        request(opened)
        opened.sendall(what)
        if what:
            opened.recv(1)

    async def main() -> None:
        await AnswerStream(call(port, 1.0)).open()

    with byte_venue(act) as port, pytest.raises(TransportError) as caught:
        asyncio.run(main())
    assert "127.0.0.1" in caught.value.detail
    assert "hunter2" not in caught.value.detail


def test_an_answer_that_breaks_off_says_so_after_what_came() -> None:
    def act(opened: socket.socket, number: int) -> None:
        request(opened)
        begin_answer(opened)
        chunk(opened, b"whole")
        opened.sendall(b"10\r\nha")

    found: list[bytes] = []

    async def main() -> None:
        stream = AnswerStream(call(port))
        await stream.open()
        while piece := await stream.read():
            found.append(piece)

    with byte_venue(act) as port, pytest.raises(TransportError, match="broke off"):
        asyncio.run(main())
    assert b"".join(found).startswith(b"whole")
