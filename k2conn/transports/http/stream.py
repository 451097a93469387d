"""One HTTP answer that goes on: its lines, or its server-sent events, are the frames. Nothing can be sent on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from k2conn.errors import TransportError
from k2conn.framing import LINES, cutter
from k2conn.net.answer_stream import AnswerStream
from k2conn.net.http import Call
from k2conn.transports import Address, OnFrames
from k2conn.transports.byte_frames import hand_on_all
from k2conn.transports.http.answers import check

_ACCEPT = {"lines": "application/json", "events": "text/event-stream", "named-events": "text/event-stream"}


class HttpStream:
    """One request and its answer."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._framing = address.framing or LINES
        self._cut = cutter(self._framing, address.max_frame)
        self._answer: AnswerStream | None = None
        self._closing = False

    @property
    def discarded(self) -> int:
        """See `Transport`."""
        return int(self._cut.pending or (self._answer is not None and self._answer.unread > 0))

    async def run(
        self, on_open: Callable[[], None], on_frames: OnFrames, relief: Callable[[], Awaitable[None]]
    ) -> None:
        """See `Transport.run`."""
        address = self._address
        headers = {"Accept": _ACCEPT.get(self._framing.kind, "*/*"), "Cache-Control": "no-cache", **address.headers}
        answer = self._answer = AnswerStream(
            Call("GET", address.url, headers, None, address.open_timeout, address.ca_file, address.verify,
                 proxy=address.proxy, destinations=address.destinations)
        )
        try:
            check(address.url, await answer.open())
            on_open()
            await hand_on_all(answer.read, self._cut, on_frames, relief)
        except TransportError:
            if not self._closing:
                raise
        finally:
            answer.close()
        if not self._closing:
            raise TransportError("closed", "the server ended its answer", self._cut.retry)

    def send(self, frame: str | bytes) -> None:
        """See `Transport.send`: nothing can be sent, which the connector file's check says."""

    async def close(self, reason: str = "") -> None:
        """See `Transport.close`."""
        self._closing = True
        if self._answer is not None:
            self._answer.close()
