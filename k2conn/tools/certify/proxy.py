"""A TCP proxy in front of a broker or a registry that can make it unreachable, or slow, for a while.

It forwards bytes without interpreting them, so TLS passes through unchanged. For each address behind it, it listens on
a port of its own on this machine.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

from k2conn.ending_tasks import end_tasks

HOST = "127.0.0.1"
_ENDS_WITHIN = 3.0
_CHUNK = 64 * 1024
_SLOW_CHUNK = 4 * 1024


class FaultProxy:
    """``delay``: seconds that each chunk is delayed; ``rate``: bytes a second at most, 0 for no limit. After `cut`,
    existing connections are aborted, and so is every new one.
    """

    def __init__(self) -> None:
        self.down = False
        self.delay = 0.0
        self.rate = 0
        self.cuts = 0
        """Established connections that were aborted."""
        self.refused = 0
        """New connections that were aborted."""
        self.carried = 0
        """Bytes forwarded, in both directions."""
        self._ports: dict[tuple[str, int], int] = {}
        self._servers: list[asyncio.Server] = []
        self._links: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def through(self, host: str, port: int) -> tuple[str, int]:
        """The host and port that lead to an address through this proxy."""
        if (host, port) not in self._ports:

            async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await self._serve(reader, writer, host, port)

            server = await asyncio.start_server(accept, HOST, 0)
            self._servers.append(server)
            self._ports[host, port] = server.sockets[0].getsockname()[1]
        return HOST, self._ports[host, port]

    async def before(self, url: str) -> str:
        """The URL that leads to an http:// URL through this proxy."""
        parts = urlsplit(url)
        host, port = await self.through(parts.hostname or "", parts.port or 80)
        return urlunsplit(parts._replace(netloc=f"{host}:{port}"))

    def cut(self) -> None:
        """Aborts all connections, and refuses new ones until `mend`."""
        self.down = True
        for link in tuple(self._links):
            self.cuts += 1
            for writer in link:
                writer.transport.abort()

    def mend(self) -> None:
        """Ends `cut`, ``delay`` and ``rate``."""
        self.down, self.delay, self.rate = False, 0.0, 0

    async def close(self) -> None:
        """Aborts all connections and stops listening."""
        for server in self._servers:
            server.close()
        self.cut()
        if self._tasks:  # the aborts end them; a connection attempt has a timeout of its own
            await asyncio.wait(self._tasks, timeout=_ENDS_WITHIN)

    # -- one connection

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.down:
                self.refused += 1
                return
            beyond, onward = await asyncio.open_connection(host, port)
            await self._pump_both_ways(reader, writer, beyond, onward)
        except OSError:  # the target refuses, or one side failed: `finally` aborts the other
            return
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _pump_both_ways(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, beyond: asyncio.StreamReader,
        onward: asyncio.StreamWriter,
    ) -> None:
        """Forwards in both directions until one side closes."""
        link = writer, onward
        self._links.add(link)
        ways = {asyncio.create_task(self._pump(reader, onward)), asyncio.create_task(self._pump(beyond, writer))}
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._links.discard(link)
            await end_tasks(*ways)
            onward.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_SLOW_CHUNK if self.rate else _CHUNK):
                if self.delay or self.rate:
                    await asyncio.sleep(self.delay + (len(data) / self.rate if self.rate else 0))
                writer.write(data)
                await writer.drain()
                self.carried += len(data)
