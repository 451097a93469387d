"""The HTTP server of mock exchanges: answers the calls made before connecting, and that for the instrument list, as the
connector's tests show.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

from k2conn import exactjson
from k2conn.tools.mock.served_exchange import ServedExchange
from k2conn.tools.mock.shown_lists import call_of, shown_body

_WITHIN = 5.0
"""Seconds a request may take to arrive."""


class MockHttp:
    """Answers ``/<connector>/<path of the declared call>``, with any method; one request per connection."""

    def __init__(self, exchanges: Mapping[str, ServedExchange], host: str) -> None:
        self.port = 0
        self.calls = 0
        self._exchanges = exchanges
        self._host = host
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Starts listening on a free port."""
        self._server = await asyncio.start_server(self._serve, self._host, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target, _ = await read_request(reader)
            body = self._answer(target)
            status = "200 OK" if body is not None else "404 Not Found"
            text = b"null" if body is None else body
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n"
                "Connection: close\r\n\r\n".encode()
                + text
            )
            await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, IndexError):
            return
        finally:
            writer.close()

    def _answer(self, target: str) -> bytes | None:
        """The body for a path; None where no declared call has that path."""
        whole, _, query = target.partition("?")
        _, name, *rest = whole.split("/", 2)
        exchange = self._exchanges.get(name)
        if exchange is None:
            return None
        path = "/" + "/".join(rest)
        requests = [request for connection in exchange.plan.connections for request in connection.before]
        for request, answer in zip(requests, exchange.before, strict=False):
            if urlsplit(request.url_text).path == path:
                self.calls += 1
                return exactjson.encode(answer)
        listing = exchange.plan.symbols.list
        if listing is not None and (call := call_of(listing, path, query)) is not None:
            self.calls += 1
            return shown_body(listing, query, call)
        return None


async def read_request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    """The target of a request and its headers, by their names in small letters; its body is read and forgotten."""
    async with asyncio.timeout(_WITHIN):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = headers.get("content-length", "")
        await reader.readexactly(int(length) if length.isdecimal() else 0)
    return first.split(" ", 2)[1], headers
