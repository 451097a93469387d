"""The line between the parent and a worker: JSON messages, a line each, over a pair of connected sockets.

A socket rather than standard output: that belongs to whoever reads records. The system closes a socket with its
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
"""Bytes of a message: the books of many thousand symbols are the largest."""
SEAT = "K2_WORKER"
"""The variable by which a process knows that it is a worker: ``INDEX/WORKERS/SOCKET``."""


class Channel:
    """One end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Channel:
        """A line over one end of a socket pair."""
        return cls(*await asyncio.open_connection(sock=end, limit=LARGEST))

    def send(self, message: Mapping[str, Any]) -> None:
        """Sends; what the other side does not live to read is dropped."""
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
    """A worker's place: its index (from 0), how many workers there are, and the socket to the parent."""

    def __init__(self, index: int, workers: int, handle: int) -> None:
        self.index = index
        self.workers = workers
        self._handle = handle

    def __str__(self) -> str:
        return f"{self.index}/{self.workers}/{self._handle}"

    @classmethod
    def taken(cls, environment: Mapping[str, str]) -> WorkerIdentity | None:
        """The place that a parent gave this process; None where there is none. SettingsError for a made-up one."""
        said = environment.get(SEAT)
        if not said:
            return None
        try:
            identity = cls(*map(int, said.split("/")))
            os.fstat(identity._handle)
        except (TypeError, ValueError, OSError):
            raise SettingsError(f"{SEAT} is k2conn's own: unset it, and say --workers or K2_WORKERS") from None
        return identity

    async def channel(self) -> Channel:
        """The line to the parent. SettingsError where there is none."""
        try:
            end = socket.socket(fileno=self._handle)
        except OSError:
            raise SettingsError(f"{SEAT} names no socket: it is k2conn's own; unset it") from None
        end.setblocking(False)
        return await Channel.over(end)
