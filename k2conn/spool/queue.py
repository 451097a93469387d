"""A queue through the disk: a log and its reader. What comes later never overtakes what is on disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from k2conn.envelope import Envelope
from k2conn.spool.segmented_log import SegmentedLog

CHUNK = 500
"""Records handed on before the event loop gets a turn: about two milliseconds."""

AGAIN = 1.0
"""Seconds before a file that could not be read is tried again."""

log = logging.getLogger("k2conn.spool")


class SpoolQueue:
    """Records in order through a log.

    A record is appended, and handed on at once where nothing is before it and there is ``room``; else ``feed`` reads it
    back when its turn comes, after ``relief``. ``hand`` takes what is handed on.
    """

    def __init__(
        self,
        segmented_log: SegmentedLog,
        hand: Callable[[Envelope], None],
        room: Callable[[], bool],
        relief: Callable[[], Awaitable[None]],
    ) -> None:
        self.log = segmented_log
        self._hand = hand
        self._room = room
        self._relief = relief
        self._behind = asyncio.Event()

    def take(self, envelope: Envelope) -> None:
        """Take one record."""
        entries = self.log
        position = entries.append(envelope)
        if not entries.live:
            return
        if self._room():
            entries.take(position)
            if id(envelope) in entries.handed:  # put twice: each must be told apart
                envelope = Envelope(*envelope)
            entries.hand(envelope, position)
            self._hand(envelope)
        else:
            entries.behind(position)
            self._behind.set()

    def adopt(self, envelope: Envelope) -> None:
        """Keep a record on disk that was handed on before."""
        entries = self.log
        if id(envelope) not in entries.handed:
            position = entries.append(envelope)
            entries.take(position)
            entries.hand(envelope, position)

    def give_back(self, envelopes: Sequence[Envelope]) -> None:
        """Records that were handed on and came back, in order: they are first again."""
        entries = self.log
        for envelope in reversed(envelopes):
            position = entries.handed.pop(id(envelope), None)
            if position is not None:
                entries.chunk.appendleft((envelope, position))
            else:
                self.take(envelope)
        self.look()

    def look(self) -> None:
        """Starts reading where something is on disk already."""
        if not self.log.live:
            self._behind.set()

    async def feed(self) -> None:
        """Hand on what waits on disk, for ever."""
        while True:
            await self._behind.wait()
            try:
                while await self.log.fill():
                    await self._hand_chunk()
            except OSError as error:
                log.error("spool: %s cannot be read: %s", self.log.folder, error)
                await asyncio.sleep(AGAIN)
                continue
            self._behind.clear()

    async def _hand_chunk(self) -> None:
        chunk = self.log.chunk
        count = 0
        while chunk:
            while not self._room():
                await self._relief()
            envelope, position = chunk.popleft()
            self.log.hand(envelope, position)
            self._hand(envelope)
            count += 1
            if count % CHUNK == 0:
                await asyncio.sleep(0)
