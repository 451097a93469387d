"""Real proxies on a loopback port: HTTP (CONNECT and whole addresses) and SOCKS5. Whatever host is asked for, they lead
to 127.0.0.1, so that a test may ask for hosts that are nowhere.
"""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class TestProxy:
    """What a proxy was asked for (``host:port`` each, or the first line), and the logins that came with it."""

    __test__ = False

    def __init__(self, scheme: str, login: str = "") -> None:
        self.scheme = scheme
        self.login = login
        self.asked: list[str] = []
        self.logins: list[str] = []
        self.port = 0

    @property
    def url(self) -> str:
        at = f"{self.login}@" if self.login else ""
        return f"{self.scheme}://{at}127.0.0.1:{self.port}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[TestProxy]:
        """Serves until the end of the block."""
        work = self._http if self.scheme == "http" else self._socks
        talks: set[asyncio.Task[None]] = set()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            talks.add(task)
            try:
                with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                    await work(reader, writer)
            finally:
                writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await asyncio.sleep(0.05)
            for task in talks:
                task.cancel()
            await asyncio.gather(*talks, return_exceptions=True)

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *fields = head.split("\r\n")
        self.asked.append(line)
        self.logins += [base64.b64decode(one.split()[-1]).decode() for one in fields if one.startswith("Proxy-Auth")]
        if self.login and self.logins[-1:] != [self.login]:
            writer.write(b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\n\r\n")
            return
        method, place, _ = line.split()
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await _joined(reader, writer, int(place.rpartition(":")[2]))
            return
        host, _, path = place.removeprefix("http://").partition("/")
        kept = [one for one in fields if one and not one.startswith("Proxy-")]
        await _joined(reader, writer, int(host.rpartition(":")[2]),
                      "\r\n".join([f"{method} /{path} HTTP/1.1", *kept, "", ""]).encode())

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        await reader.readexactly(count)
        writer.write(b"\x05\x02" if self.login else b"\x05\x00")
        if self.login:
            await reader.readexactly(1)
            name = await reader.readexactly((await reader.readexactly(1))[0])
            word = await reader.readexactly((await reader.readexactly(1))[0])
            self.logins.append(f"{name.decode()}:{word.decode()}")
            writer.write(b"\x01\x00" if self.logins[-1] == self.login else b"\x01\x01")
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = ".".join(map(str, await reader.readexactly(4)))
        (port,) = struct.unpack(">H", await reader.readexactly(2))
        self.asked.append(f"{host}:{port}")
        writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        await _joined(reader, writer, port)


async def _joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, first: bytes = b"") -> None:
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        far_writer.write(first)
        await asyncio.gather(_copied(reader, far_writer), _copied(far_reader, writer))
    finally:
        far_writer.close()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()
