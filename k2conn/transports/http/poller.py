"""The same question again and again: each answer's body is a frame.

An answer that the server says is unchanged (by its ETag or Last-Modified, which are sent back to it) is no frame, only
a sign of life; so is one without a body. The connection is open from the first answer on and ends with the first that
is none: how long to stay away then is the server's to say (Retry-After), and the supervisor's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import urlsplit

from k2conn.clock import monotonic
from k2conn.errors import TransportError
from k2conn.net.http import Call, HttpAnswer, exchange, in_thread
from k2conn.transports import Address, OnFrames, Polling
from k2conn.transports.http.answers import check

_NOT_MODIFIED = 304


class Poller:
    """One endless series of requests, one at a time."""

    def __init__(self, address: Address, polling: Polling) -> None:
        self._address = address
        self._polling = polling
        self._closing = asyncio.Event()
        self._validators: dict[str, str] = {}
        """What the latest answer said about itself, as the headers of the next request."""
        self._validated = ""
        """The address that it was the answer of."""

    async def run(
        self, on_open: Callable[[], None], on_frames: OnFrames, relief: Callable[[], Awaitable[None]]
    ) -> None:
        """See `Transport.run`."""
        opened, due = False, monotonic()
        while not self._closing.is_set():
            await self._pause(due - monotonic())
            await self._pause(self._polling.wait() if not self._closing.is_set() else 0.0)
            due = monotonic() + self._polling.every
            frames = await self._asked()
            if self._closing.is_set():
                return
            if not opened:
                opened = True
                on_open()
            if on_frames(frames):
                await relief()

    async def _asked(self) -> list[str | bytes]:
        """One request; the frame of its answer, or none."""
        address = self._address
        method, url, headers, body = self._polling.request()
        if url != self._validated:
            self._validators = {}
        call = Call(
            method, url, {**self._validators, **headers}, body, self._polling.within, address.ca_file, address.verify,
            proxy=address.proxy, destinations=address.destinations,
        )
        asked = asyncio.ensure_future(in_thread(lambda: exchange(call)))
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({asked, closing}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                return []
            answer = asked.result()
        finally:
            closing.cancel()
            asked.cancel()
        if answer.status == _NOT_MODIFIED and self._validators:
            return []
        check(url, answer)
        self._remember(url, answer)
        return self._frames(url, answer)

    def _remember(self, url: str, answer: HttpAnswer) -> None:
        said = {"If-None-Match": "etag", "If-Modified-Since": "last-modified"}
        self._validated = url
        self._validators = {
            name: value for name, header in said.items() if (value := answer.headers.get(header, ""))
        }

    def _frames(self, url: str, answer: HttpAnswer) -> list[str | bytes]:
        if not answer.body:
            return []
        most = self._address.max_frame
        if len(answer.body) > most:
            raise TransportError("frame-too-large", f"{urlsplit(url).hostname} answered more than {most} bytes")
        kind = answer.headers.get("content-type", "").lower()
        if "json" in kind or kind.startswith("text/") or not kind:
            with suppress(UnicodeDecodeError):  # the codec judges what is no text
                return [answer.body.decode()]
        return [answer.body]

    async def _pause(self, seconds: float) -> None:
        """Waits, but not once it is to close."""
        if seconds <= 0:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    def send(self, frame: str | bytes) -> None:
        """See `Transport.send`: nothing can be sent, which the connector file's check says."""

    async def close(self, reason: str = "") -> None:
        """See `Transport.close`."""
        self._closing.set()
