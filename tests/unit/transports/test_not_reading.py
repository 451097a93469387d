"""A peer that does not read, or pings without end, is left: what waits for it is bounded, in bytes and in time."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import pytest

from k2conn.errors import TransportError
from k2conn.transports import Address
from k2conn.transports.websocket import connection as connections
from k2conn.transports.websocket import reader as readers
from k2conn.transports.websocket.connection import WebSocket
from k2conn.transports.websocket.reader import FLOOD, MOST_PINGS, NOT_READING

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PING = b"\x89\x7d" + b"p" * 125


async def shaken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]


def left(peer: Peer, talk: Callable[[WebSocket], None] = lambda transport: None, echo: bool = False) -> TransportError:
    """Why a connection to a peer that does not read ended."""

    async def main() -> TransportError:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await shaken(reader, writer)
                with suppress(ConnectionError, asyncio.CancelledError):
                    await peer(reader, writer)
            finally:
                writer.transport.abort()

        async def relief() -> None:
            raise AssertionError

        def hear(frames: Sequence[str | bytes]) -> bool:
            if echo:
                for frame in frames:
                    transport.send(frame)
            return False

        listening = socket.create_server(("127.0.0.1", 0))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)  # the system is not to keep megabytes for it
        server = await asyncio.start_server(serve, sock=listening)
        async with server:
            port = server.sockets[0].getsockname()[1]
            transport = WebSocket(Address(f"ws://127.0.0.1:{port}/", ping_every=None))
            async with asyncio.timeout(60):
                with pytest.raises(TransportError) as caught:
                    await transport.run(lambda: talk(transport), hear, relief)
        return caught.value

    return asyncio.run(main())


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def pinging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        writer.write(PING * 1000)
        await asyncio.sleep(0)
        await writer.drain()


async def talking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Large frames without end, each of which is to be echoed."""
    size = 1024 * 1024
    while not writer.is_closing():
        writer.write(b"\x81\x7f" + size.to_bytes(8, "big") + b"x" * size)
        await writer.drain()


def test_bytes_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_UNSENT", 100_000)

    def talk(transport: WebSocket) -> None:
        for _ in range(1000):
            transport.send("x" * 100_000)
        assert len(transport._out) == 2

    error = left(silent, talk)
    assert (error.cause, error.unwelcome) == (NOT_READING, True)


def test_echoes_are_bounded() -> None:
    assert left(talking, echo=True).cause == NOT_READING


def test_a_send_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "SEND_WITHIN", 0.3)
    error = left(silent, lambda transport: transport.send("x" * 7_000_000))
    assert (error.cause, error.detail) == (NOT_READING, "it has not read for 0.3 s what was sent to it")


def test_pings_whose_answers_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MOST_PINGS", 10**9)
    monkeypatch.setattr(readers, "MOST_UNSENT", 100_000)
    assert left(pinging).cause == NOT_READING


def test_pings_without_end() -> None:
    error = left(pinging)
    assert error.cause == FLOOD
    assert str(MOST_PINGS) in error.detail


def test_a_peer_that_reads_gets_everything() -> None:
    heard = bytearray()

    async def reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        while len(heard) < 7_500_000 and (part := await reader.read(1 << 16)):
            heard.extend(part)

    def talk(transport: WebSocket) -> None:
        for _ in range(3):
            transport.send("x" * 2_500_000)

    assert left(reading, talk).cause == "lost"
    assert len(heard) > 7_500_000
