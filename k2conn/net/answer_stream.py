"""An HTTP answer that goes on: its bytes as they come, a bounded number of them at a time.

The client is the one of `k2conn.net.http`, with all that is decided there, in a thread of its own. The thread reads on
only when what it read was taken: whoever takes slowly slows the server down.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

from k2conn.errors import TransportError
from k2conn.net.deadline import Deadline
from k2conn.net.http import (
    Call,
    HttpAnswer,
    HttpError,
    NoAnswer,
    Response,
    begun,
    in_words_of_ours,
    small_letters,
)

PIECE = 64 * 1024
"""Bytes that are read at once."""
_AHEAD = 2
"""Pieces that are read before anybody takes them."""


class AnswerStream:
    """The answer to one request; used once, by one task."""

    def __init__(self, request: Call) -> None:
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._found: asyncio.Queue[HttpAnswer | bytes | Exception] = asyncio.Queue()
        self._room = threading.Semaphore(_AHEAD)
        self._closed = False
        self._socket: socket.socket | None = None
        self._ended = False

    async def open(self) -> HttpAnswer:
        """The head of the answer, whatever its status, with an empty body. NoAnswer where there is none in time."""
        threading.Thread(target=self._work, name="http stream", daemon=True).start()
        found = await self._found.get()
        if isinstance(found, Exception):
            raise found
        if isinstance(found, bytes):
            raise TransportError("closed", "it was closed before there was an answer")
        return found

    async def read(self) -> bytes:
        """The next bytes; empty at the end. NoAnswer where the answer broke off."""
        if self._ended:
            return b""
        found = await self._found.get()
        self._room.release()
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, bytes)
        self._ended = not found
        return found

    @property
    def unread(self) -> int:
        """Pieces that were received and not taken; asked for at the end, for they are gone then."""
        return sum(isinstance(one, bytes) and len(one) > 0 for one in tuple(self._pieces()))

    def _pieces(self) -> list[HttpAnswer | bytes | Exception]:
        found = []
        while not self._found.empty():
            found.append(self._found.get_nowait())
        return found

    def close(self) -> None:
        """Ends the answer; its thread ends then."""
        self._closed = True
        self._room.release()
        self._shut_down()

    def _shut_down(self) -> None:
        opened = self._socket
        if opened is not None:
            with suppress(OSError):  # it is closed already
                socket.socket.shutdown(opened, socket.SHUT_RDWR)  # not TLS's own, which is not for another thread

    # -- in the thread

    def _work(self) -> None:
        try:
            self._stream()
        except TransportError as error:
            self._post(error)
        except Exception as bug:  # handed to whoever takes: it is not this thread's to judge
            self._post(bug)

    def _stream(self) -> None:
        request = self._request
        with Deadline(request.within) as deadline, in_words_of_ours(request.url, deadline):
            answer, opened = begun(request, deadline)
        try:
            with answer:
                self._socket = opened
                if self._closed:
                    self._post(b"")
                    return
                opened.settimeout(None)  # silence is for the connector to judge
                head = HttpAnswer(answer.status, answer.headers.get("Retry-After", ""), b"", small_letters(answer))
                self._post(head)
                self._pass_on(answer, urlsplit(request.url).hostname or "")
        finally:
            self._socket = None
            opened.close()

    def _pass_on(self, answer: Response, host: str) -> None:
        while True:
            self._room.acquire()
            if self._closed:
                self._post(b"")
                return
            try:
                piece = answer.read1(PIECE)
            except (OSError, HttpError, ValueError):
                self._post(b"" if self._closed else NoAnswer(host, "the answer broke off", "lost"))
                return
            self._post(piece)
            if not piece:
                return

    def _post(self, found: HttpAnswer | bytes | Exception) -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(self._found.put_nowait, found)
