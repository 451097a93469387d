"""Where the board comes from: another process, by its port, or this one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Protocol, cast
from urllib.parse import urlencode

from k2conn import exactjson
from k2conn.errors import TransportError
from k2conn.monitoring.board.document import Board
from k2conn.monitoring.board.query import BoardQuery
from k2conn.monitoring.health import View
from k2conn.monitoring.requests import BadRequest
from k2conn.monitoring.tap.listening import Taps
from k2conn.net.http import Call, NoAnswer, exchange
from k2conn.net.streaming import lines_of
from k2conn.settings import tap_token

WITHIN = 5.0
"""Seconds for an answer."""
LINES = 20
"""Lines a second of what passes: more nobody reads."""


class BoardSource(Protocol):
    """Gives the board, and what passes. Both raise TransportError with why they cannot."""

    where: str
    """Its name for people."""

    async def board(self, query: BoardQuery) -> Board:
        """The document, now."""

    def passing(self, **wanted: str) -> AsyncIterator[dict[str, Any]]:
        """Lines of the tap; ``wanted`` as the query of /tap has it."""


class RemoteBoard:
    """That of a process at an address."""

    def __init__(self, at: str, environment: Mapping[str, str] | None = None) -> None:
        self.where = at
        self._url = (at if "://" in at else f"http://{at}").rstrip("/")
        token = tap_token(os.environ if environment is None else environment)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def board(self, query: BoardQuery) -> Board:
        """See `BoardSource`."""
        call = Call("GET", f"{self._url}/board?{query.encoded()}", headers=self._headers, within=WITHIN)
        try:
            answer = await asyncio.to_thread(exchange, call)
        except NoAnswer as error:
            raise TransportError("http", f"no k2conn answers at {self.where}: {error.reason}") from None
        try:
            found = exactjson.decode(answer.body)
        except exactjson.JsonError:
            found = None
        if answer.status != 200 or not isinstance(found, dict) or "connectors" not in found:
            said = found.get("error") if isinstance(found, dict) else None
            raise TransportError("http", f"{self.where}: {said or 'what answers there has no board'}")
        return cast(Board, found)  # its shape is our own document's, of whatever version

    async def passing(self, **wanted: str) -> AsyncIterator[dict[str, Any]]:
        """See `BoardSource`."""
        url = f"{self._url}/tap?{urlencode({'rate': LINES, **wanted})}"
        async with aclosing(lines_of(url, self._headers)) as lines:
            async for raw in lines:
                yield _line(raw)


class LocalBoard:
    """That of this process."""

    where = "this process"

    def __init__(self, view: View, taps: Taps) -> None:
        self._view = view
        self._taps = taps

    async def board(self, query: BoardQuery) -> Board:
        """See `BoardSource`."""
        return await self._view.board(query)

    async def passing(self, **wanted: str) -> AsyncIterator[dict[str, Any]]:
        """See `BoardSource`."""
        try:
            async with aclosing(self._taps.listener(urlencode({"rate": LINES, **wanted})).lines()) as lines:
                async for raw in lines:
                    if raw.strip():
                        yield _line(raw)
        except BadRequest as error:
            raise TransportError("http", str(error)) from None


def _line(raw: bytes) -> dict[str, Any]:
    try:
        found = exactjson.decode(raw)
    except exactjson.JsonError:
        found = None
    if not isinstance(found, dict):
        raise TransportError("http", "what answers is no k2conn")
    return found
