"""Pages for as long as somebody looks: server-sent events, one for each part of a page that has changed.

While nobody looks, nothing is done here and nothing is kept. While somebody does, all pages together take a bounded
share of the time: they come less often rather than cost more. What one client is sent is bounded, too: the next page is
only made when the last one has been read, and a client that does not read is sent away.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import Any, Protocol

from k2conn import exactjson
from k2conn.clock import monotonic, thread_time
from k2conn.monitoring.board.document import Board
from k2conn.monitoring.board.query import BoardQuery
from k2conn.monitoring.console.examples import Examples
from k2conn.monitoring.console.pages import PageQuery, most, page_of
from k2conn.monitoring.process_status import AnomalyReport, DriftReport
from k2conn.monitoring.replies import Headers
from k2conn.monitoring.requests import BadRequest

MOST_LOOKING = 8
"""Pages at a time that are kept up to date."""
EVERY = 1.0
"""Seconds between two states of a page, at least."""
SHARE = 0.015
"""The part of the time that goes into all pages together."""
SLOWEST = 15.0
"""Seconds between two states of a page, at most."""
STALLED = 10.0
"""Seconds after which a client that does not read is sent away."""
BUFFER = 64 * 1024
"""Bytes that the system takes for a client beyond what it has read."""
HISTORY = 150
"""States of each connector that are kept for the curves, while somebody looks."""
APART = 2.0
"""Seconds between two of them."""
LINGERS = 120.0
"""Seconds for which they are kept when nobody looks any more: a page that is loaded again still has them."""
EXAMPLES_EVERY = 3
"""States of a page between two looks at dead letters and gaps."""


class ShownView(Protocol):
    """What a console shows: the part of `k2conn.monitoring.health.View` that it asks for."""

    async def board(self, query: BoardQuery) -> Board:
        """What an operator looks at."""

    async def drift(self) -> DriftReport:
        """Changes of venues' messages, by connector."""

    async def anomalies(self) -> AnomalyReport:
        """The latest odd records, by connector."""

    async def examples(self, connector: str) -> Examples:
        """Dead letters, gaps, and which way the data takes."""


class ConsoleFeed:
    """The clients of one process."""

    def __init__(self, view: ShownView) -> None:
        self._view = view
        self._looking = 0
        self._history: dict[str, deque[tuple[float, float | None, float | None]]] = {}
        """By connector: seconds of the monotonic clock, records a second, latency (p99, milliseconds)."""
        self._sampled = 0.0
        self.dropped = 0
        """Clients that did not read, and were sent away."""

    def begin(self, query: PageQuery) -> PageFeed:
        """A new client; BadRequest where there are too many."""
        if self._looking >= MOST_LOOKING:
            raise BadRequest(429, f"{MOST_LOOKING} look already")
        return PageFeed(self, query)

    async def serve(self, query: PageQuery, writer: asyncio.StreamWriter) -> None:
        """Sends what a page shows until the client leaves or stalls."""
        self._looking += 1
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        try:
            await self._send_all(query, writer)
        except TimeoutError:
            self.dropped += 1
            raise
        finally:
            self._looking -= 1

    async def _send_all(self, query: PageQuery, writer: asyncio.StreamWriter) -> None:
        sent: dict[str, bytes] = {}
        number = 0
        while True:
            began = thread_time()
            parts = await self._parts(query, number)
            for name, part in parts.items():
                body = exactjson.encode(part)
                if sent.get(name) != body:
                    sent[name] = body
                    writer.write(b"event: %s\ndata: %s\n\n" % (name.encode(), body))
            if number and not parts:
                writer.write(b":\n\n")
            spent = thread_time() - began
            async with asyncio.timeout(STALLED):
                await writer.drain()
            number += 1
            await asyncio.sleep(min(SLOWEST, max(EVERY, spent * self._looking / SHARE)))

    async def _parts(self, query: PageQuery, number: int) -> dict[str, Any]:
        drift = await self._view.drift()
        board = await self._view.board(query.board)
        self._remember(board)
        parts = page_of(query, board, drift, await self._view.anomalies())
        if query.page != "overview" and not number % EXAMPLES_EVERY:
            parts["examples"] = _of_symbol(await self._view.examples(query.board.connector), query)
        if not number:
            parts["history"] = self._curves(query.board.connector)
        return parts

    # -- curves

    def _remember(self, board: Board) -> None:
        """The next point of the curves of those connectors whose streams the board has, where it is due."""
        now = monotonic()
        if now - self._sampled > LINGERS:
            self._history.clear()
        self._sampled = now
        latencies: dict[str, list[float | None]] = {}
        for stream in board["streams"]:
            latencies.setdefault(stream["connector"], []).append(stream["exchange_to_ack_ms"]["p99"])
        for one in board["connectors"]:
            kept = self._history.setdefault(one["connector"], deque(maxlen=HISTORY))
            if one["connector"] in latencies and not (kept and now - kept[-1][0] < APART):
                kept.append((round(now, 1), one["per_second"], most(latencies[one["connector"]])))

    def _curves(self, connector: str) -> dict[str, Any]:
        shown = {connector: self._history.get(connector, ())} if connector else self._history
        return {name: [list(one) for one in zip(*points, strict=True)] for name, points in shown.items() if points}


class PageFeed:
    """One client's page."""

    kind = "text/event-stream"
    headers: Headers = ()

    def __init__(self, feed: ConsoleFeed, query: PageQuery) -> None:
        self._feed = feed
        self._query = query

    async def serve(self, writer: asyncio.StreamWriter) -> None:
        """See `Ongoing`."""
        await self._feed.serve(self._query, writer)


def _of_symbol(found: Examples, query: PageQuery) -> Examples:
    if not query.symbol:
        return found
    return {
        "letters": [one for one in found["letters"] if one["symbol"] == query.symbol],
        "gaps": [one for one in found["gaps"] if one["symbol"] == query.symbol],
        "way": None,
    }
