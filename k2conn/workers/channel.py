"""The channel between the parent and a worker: JSON messages, one a line, over a pair of connected sockets.

Not over standard output, which belongs to whoever reads records there. The system closes a socket with its
process, kill -9 included, so that each side sees at once when the other is gone.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from typing import Any

from k2conn import exactjson
from k2conn.errors import SettingsError

LARGEST = 256 * 1024 * 1024
"""Bytes of a message; the largest are the figures of many thousand symbols."""
BOARD = "board"
"""What a worker is asked for its part of the board, with the query of the request behind it."""
EXAMPLES = "examples"
"""What a worker is asked for its part of a connector's page, with the connector's name behind it."""
TAP = "tap"
"""The key of messages about a tap; beneath it stands the tap's number."""
IDENTITY = "K2_WORKER"
"""The variable by which a process knows that it is a worker: ``INDEX/WORKERS/SOCKET``."""


class Channel:
    """One end of a channel."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Channel:
        """A channel over one end of a socket pair."""
        return cls(*await asyncio.open_connection(sock=end, limit=LARGEST))

    def send(self, message: Mapping[str, Any]) -> None:
        """Sends; dropped where the other side is gone."""
        if not self._writer.is_closing():
            self._writer.write(exactjson.encode(message) + b"\n")

    async def receive(self) -> Any:
        """The next message; None where the other side is gone."""
        try:
            found = await self._reader.readline()
        except ConnectionError:
            return None
        return exactjson.decode(found) if found.endswith(b"\n") else None

    async def close(self) -> None:
        """Sends what waits, then lets go."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return  # the other side was gone before


class WorkerIdentity:
    """Which worker a process is: its index (from 0), how many workers there are, and the socket to the parent."""

    def __init__(self, index: int, workers: int, handle: int) -> None:
        self.index = index
        self.workers = workers
        self._handle = handle

    def __str__(self) -> str:
        return f"{self.index}/{self.workers}/{self._handle}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> WorkerIdentity | None:
        """What a parent told this process; None where it is no worker. SettingsError where it names no open socket."""
        text = environment.get(IDENTITY)
        if not text:
            return None
        try:
            identity = cls(*map(int, text.split("/")))
            os.fstat(identity._handle)
        except (TypeError, ValueError, OSError):
            raise SettingsError(f"{IDENTITY} is k2conn's own: unset it, and say --workers or K2_WORKERS") from None
        return identity

    async def channel(self) -> Channel:
        """The channel to the parent. SettingsError where there is none."""
        try:
            end = socket.socket(fileno=self._handle)
        except OSError:
            raise SettingsError(f"{IDENTITY} names no socket: it is k2conn's own; unset it") from None
        end.setblocking(False)
        return await Channel.over(end)
