"""The queues of one process, in its part of the spool's folder."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from k2conn.envelope import Envelope
from k2conn.files import make_folder
from k2conn.sinks import SpoolableSink
from k2conn.sinks.settings import SpoolSettings
from k2conn.spool.disk import Disk
from k2conn.spool.entries import MAX_ENTRY
from k2conn.spool.names import MAIN, topic_folder, topic_folders
from k2conn.spool.process_lock import ProcessLock, abandoned, fresh, left_over
from k2conn.spool.queue import SpoolQueue
from k2conn.spool.recovered_accounts import RecoveredAccounts
from k2conn.spool.segmented_log import SegmentedLog

BUFFERED = 16 * 1024 * 1024
"""Bytes that may wait for a slow disk in memory before the spool counts as full."""

log = logging.getLogger("k2conn.spool")


class BufferManager:
    """The main queue and one for each ``parked`` topic.

    ``feed`` starts a queue's reader, ``touched`` is called when something was appended. ``troubled`` and ``looked`` are
    the sink's: which topics are in trouble, and when that was last looked at.
    """

    def __init__(
        self,
        settings: SpoolSettings,
        disk: Disk,
        inner: SpoolableSink,
        feed: Callable[[SpoolQueue], None],
        touched: Callable[[], None],
    ) -> None:
        self.recovered_accounts = RecoveredAccounts()
        self.main: SpoolQueue | None = None
        self.parked: dict[str, SpoolQueue] = {}
        self.recovered = 0
        self.off: str | None = None
        self.troubled: frozenset[str] = frozenset()
        self.looked = asyncio.Event()
        self._settings = settings
        self._disk = disk
        self._inner = inner
        self._feed = feed
        self._touched = touched
        self._lock: ProcessLock | None = None
        self._damaged = 0
        self._numbers: dict[str, int] = {}

    # --- what there is

    @property
    def folder(self) -> Path:
        """Where everything is."""
        return self._lock.folder if self._lock is not None else self._settings.folder

    @property
    def logs(self) -> list[SegmentedLog]:
        """All logs."""
        parked = [queue.log for queue in self.parked.values()]
        return parked if self.main is None else [self.main.log, *parked]

    @property
    def bytes(self) -> int:
        """What is on the disk, or on its way there."""
        return sum(one.bytes for one in self.logs)

    @property
    def behind(self) -> int:
        """Records that are on the disk only."""
        return sum(one.records - len(one.handed) for one in self.logs)

    @property
    def damaged(self) -> int:
        """Records that could not be read back."""
        return self._damaged + sum(one.damaged for one in self.logs)

    def full(self, share: float) -> bool:
        """Whether more than this share of the bound is taken, on disk or in the memory before it."""
        logs = self.logs
        if sum(one.bytes for one in logs) > share * self._settings.max_bytes:
            return True
        return sum(one.buffered for one in logs) > share * BUFFERED

    # --- opening and leaving

    async def take_up(self, always: bool) -> None:
        """Take a part in which something was left, or else (``always``) a fresh one. OSError where that fails."""
        base = self._settings.folder
        self._lock = await asyncio.to_thread(left_over, base)
        if self._lock is not None:
            try:
                await self._load(self._lock.folder)
            except OSError:
                self.release()
                raise
        elif always:
            self._lock = await asyncio.to_thread(fresh, base)
            self._open_main(self._lock.folder)
        for folder in await asyncio.to_thread(abandoned, base):
            log.warning("%s holds records of a process that is gone; another start sends them", folder)

    def opened(self) -> SpoolQueue | None:
        """The main queue, made if need be; None where its folder cannot be used."""
        if self.main is None:
            try:
                # Not a part with something in it: that must be read first, which a start does.
                self._lock = fresh(self._settings.folder)
                self._open_main(self._lock.folder)
            except OSError as error:
                self.disable(error)
                return None
            self.off = None
        return self.main

    def disable(self, error: OSError) -> None:
        """Go on without a spool, and say why."""
        text = str(error.strerror or error)
        if self.off is None:
            log.error(
                "no spool in %s: %s; only memory holds what the sink does not take", self._settings.folder, text
            )
        self.off = text

    def release(self) -> None:
        """Give the part back; what is in it is for the next process."""
        self.main = None
        self.parked.clear()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # --- topics

    def park(self, topic: str) -> SpoolQueue | None:
        """A queue of its own for ``topic``; None where its folder cannot be used."""
        try:
            queue = self.parked[topic] = self._topic_queue(topic)
        except OSError as error:
            self.disable(error)
            return None
        self._feed(queue)
        return queue

    def drop(self, topic: str) -> None:
        """Remove a topic's queue, which is empty."""
        gone = self.parked.pop(topic).log
        self._damaged += gone.damaged
        self._numbers[topic] = gone.number

    # --- queues

    async def _load(self, lock: Path) -> None:
        make_folder(lock / MAIN)
        main = self._main_queue(lock)
        parked = {topic: self._topic_queue(topic) for _, topic in topic_folders(lock)}
        queues = [*parked.values(), main]
        for queue in queues:
            self.recovered += await queue.log.load(self.recovered_accounts.account)
        self.main, self.parked = main, parked
        for queue in queues:
            queue.look()
            self._feed(queue)
        if self.recovered:
            log.warning("%d records of an earlier run are in %s and go out first", self.recovered, lock)

    def _open_main(self, lock: Path) -> None:
        make_folder(lock / MAIN)
        self.main = self._main_queue(lock)
        self._feed(self.main)

    def _main_queue(self, lock: Path) -> SpoolQueue:
        return self._queue(lock / MAIN, self._hand_from_main, lambda: not self._inner.crowded, self._inner.drain)

    def _topic_queue(self, topic: str) -> SpoolQueue:
        folder = topic_folder(self.folder, topic)
        if folder is None:
            raise OSError(f"{topic!r} cannot be a topic's name")
        make_folder(folder.parent)
        make_folder(folder)
        room = partial(self._topic_room, topic)
        queue = self._queue(folder, self._inner.put, room, partial(self._topic_relief, room))
        queue.log.number = max(
            queue.log.number, self._numbers.get(topic, 0)
        )  # a late mark of the last one hides nothing
        return queue

    def _queue(
        self,
        folder: Path,
        hand: Callable[[Envelope], None],
        room: Callable[[], bool],
        relief: Callable[[], Awaitable[None]],
    ) -> SpoolQueue:
        largest = self._settings.max_bytes + MAX_ENTRY
        segmented = SegmentedLog(folder, self._disk, self._settings.segment_bytes, self._touched, largest)
        return SpoolQueue(segmented, hand, room, relief)

    def _hand_from_main(self, envelope: Envelope) -> None:
        """From the main log to the inner sink, or to the log of a parked topic."""
        queue = self.parked.get(envelope.topic)
        if queue is None:
            self._inner.put(envelope)
            return
        assert self.main is not None
        self.main.log.done(envelope, moved=True)
        queue.take(envelope)

    def _topic_room(self, topic: str) -> bool:
        return topic not in self.troubled and not self._inner.crowded

    async def _topic_relief(self, room: Callable[[], bool]) -> None:
        while not room():
            await self.looked.wait()
