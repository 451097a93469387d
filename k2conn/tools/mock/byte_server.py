"""The sockets that a mock exchange listens on whose connections are no WebSockets: HTTP, TCP, or the bridge that stands
for a program.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus

from k2conn.ending_tasks import end_tasks
from k2conn.framing import LINES
from k2conn.tools.mock.byte_socket import ByteSocket, PollSocket
from k2conn.tools.mock.http import read_request
from k2conn.tools.mock.served_exchange import ServedExchange


class ByteServer:
    """One exchange on one loopback port."""

    def __init__(self, exchange: ServedExchange, host: str) -> None:
        self.port = 0
        self._exchange = exchange
        self._host = host
        self._server: asyncio.Server | None = None
        self._pollers: dict[object, PollSocket] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> None:
        """Starts listening; port 0 is any free one."""
        self._server = await asyncio.start_server(self._serve, self._host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stops listening, and ends all connections."""
        if self._server is not None:
            self._server.close()
        await end_tasks(*self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            connection = self._exchange.plan.connections[0]
            if connection.transport == "http":
                await self._http(reader, writer)
            else:
                await self._exchange.serve(ByteSocket(reader, writer, connection.framing or LINES), "/")
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, IndexError):
            return
        finally:
            self._tasks.discard(task)
            writer.close()

    # -- HTTP

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target, headers = await read_request(reader)
        rejected = self._exchange.admit()
        if rejected is not None:
            _write(writer, rejected[0], b"not now\n", f"Retry-After: {rejected[1]}\r\n")
            return
        name, _, rest = target[1:].partition("/")
        inside = "/" + (rest if "?" not in name else "?" + name.partition("?")[2])
        if name.partition("?")[0] != self._exchange.plan.name:
            _write(writer, 404, b"no such connector here\n")
            return
        connection = self._exchange.connection_of(inside)
        if connection.poll is not None:
            await self._poll(inside, headers.get("if-none-match", ""), writer)
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await self._exchange.serve(ByteSocket(reader, writer, connection.framing or LINES, chunked=True), inside)

    async def _poll(self, target: str, known: str, writer: asyncio.StreamWriter) -> None:
        key = self._exchange.asked_for(target)
        poller = self._pollers.get(key)
        if poller is None or not poller.is_asked_by(target, known):
            poller = self._pollers[key] = PollSocket(() if poller is None else poller.leave())
            task = asyncio.create_task(self._exchange.serve(poller, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        found = await poller.answer(target, known)
        if poller.gone and self._pollers.get(key) is poller:
            del self._pollers[key]
        if found is None:
            writer.transport.abort()
            return
        status, tag, body = found
        _write(writer, status, body, f"ETag: {tag}\r\n" if tag else "")
        with suppress(ConnectionError):
            await writer.drain()


def _write(writer: asyncio.StreamWriter, status: int, body: bytes, more: str = "") -> None:
    length = "" if status in (204, 304) else f"Content-Length: {len(body)}\r\n"
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{length}{more}Connection: close\r\n\r\n"
    writer.write(head.encode() + body)
