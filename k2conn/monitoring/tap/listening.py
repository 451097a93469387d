"""Who may listen at `/tap`, and the lines that a listener is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from hmac import compare_digest
from typing import Protocol

from k2conn import exactjson
from k2conn.clock import monotonic
from k2conn.monitoring.replies import Headers
from k2conn.monitoring.requests import BadRequest
from k2conn.monitoring.tap.query import Compile, TapFilter, asked_tap

MOST_TAPS = 4
"""Listeners at a time."""
STALLED = 20.0
"""Seconds after which a listener that does not read is sent away."""
_QUIET = 10.0
"""Seconds after which an empty line says that the process is still there."""
_TELL = 1.0
"""Seconds between two lines of what was lost."""


class TapSource(Protocol):
    """Where the lines of one listener come from."""

    @property
    def lost(self) -> int:
        """What there was no room for, so far."""

    @property
    def sampled(self) -> int:
        """Lines beyond the rate, so far."""

    def begin(self) -> None:
        """From now on it watches."""

    def end(self) -> None:
        """From now on nothing is watched for it."""

    def batches(self) -> AsyncGenerator[list[bytes], None]:
        """Lines, each with its end, some at a time as they come; without any at least once a second an empty list. The
        next are made when these have been sent.
        """


class TapListener:
    """One listener, and what it is sent: a `k2conn.monitoring.replies.Ongoing`."""

    kind = "application/jsonl"
    headers: Headers = ()

    def __init__(self, wanted: TapFilter, source: TapSource, taps: Taps) -> None:
        self._left = wanted.count
        self._source = source
        self._taps = taps

    async def serve(self, writer: asyncio.StreamWriter) -> None:
        """Sends lines until the listener leaves, has all it wants, or stalls."""
        async with aclosing(self.lines()) as lines:
            async for line in lines:
                writer.write(line)
                async with asyncio.timeout(STALLED):
                    await writer.drain()

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """What it is sent."""
        source, said, told, spoke = self._source, 0, 0.0, monotonic()
        self._taps.listening += 1
        source.begin()
        try:
            async with aclosing(source.batches()) as batches:
                async for batch in batches:
                    for line in batch:
                        yield line
                        self._left -= 1
                        if not self._left:
                            return
                    now, missed = monotonic(), source.lost + source.sampled
                    if missed > said and now - told >= _TELL:
                        said, told, spoke = missed, now, now
                        yield _missed(source)
                    elif batch:
                        spoke = now
                    elif now - spoke >= _QUIET:
                        spoke = now
                        yield b"\n"
        finally:
            source.end()
            self._taps.listening -= 1


def _missed(source: TapSource) -> bytes:
    return exactjson.encode({"kind": "lost", "lost": source.lost, "sampled": source.sampled}) + b"\n"


class Taps:
    """The listeners of one process. ``source``: where the lines of a new one come from."""

    def __init__(self, source: Callable[[TapFilter], TapSource], compile_condition: Compile, token: str = "") -> None:
        """``token``: what a request must have as its bearer token; without one only this machine may listen."""
        self._source = source
        self._compile = compile_condition
        self._token = token.encode()
        self.listening = 0
        """How many listen now."""

    def begin(self, query: str, said: str, bound_here: bool) -> TapListener:
        """A new listener. ``said``: the Authorization line of its request; ``bound_here``: only this machine can ask.
        BadRequest where it may not listen, or as `listener` raises it.
        """
        if not self._token and not bound_here:
            raise BadRequest(403, "others can reach this port, so that tap needs K2_TAP_TOKEN")
        kind, _, given = said.partition(" ")
        if self._token and not (kind.lower() == "bearer" and compare_digest(given.strip().encode(), self._token)):
            raise BadRequest(401, "the bearer token is missing or wrong (K2_TAP_TOKEN)")
        return self.listener(query)

    def listener(self, query: str) -> TapListener:
        """A new listener who may listen. BadRequest where it asks wrongly, or there are too many."""
        wanted = asked_tap(query, self._compile)
        if self.listening >= MOST_TAPS:
            raise BadRequest(429, f"{MOST_TAPS} listen already")
        return TapListener(wanted, self._source(wanted), self)
