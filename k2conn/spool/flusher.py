"""The flusher: writes what was appended to the disk, and removes what is done with. One task for all logs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from k2conn.spool.disk import Disk
from k2conn.spool.segment import SpoolSegment
from k2conn.spool.segmented_log import SegmentedLog

WRITE_EVERY = 0.01
"""Seconds an entry may wait in memory before it is handed to the operating system."""

LOOK_EVERY = 0.2
"""Seconds between two looks at how the inner sink is."""

AGAIN = 1.0
"""Seconds after a failed write."""

log = logging.getLogger("k2conn.spool")


class Flusher:
    """Flushes ``logs()``. ``look`` is called now and then, ``moved`` when something was written or removed."""

    def __init__(
        self,
        disk: Disk,
        logs: Callable[[], Sequence[SegmentedLog]],
        fsync_every: float,
        look: Callable[[], None],
        moved: Callable[[], None],
    ) -> None:
        self.errors = 0
        self.last_error: str | None = None
        self.trouble: str | None = None
        self.synced = 0
        self._disk = disk
        self._logs = logs
        self._fsync_every = fsync_every
        self._look = look
        self._moved = moved
        self._dirty = asyncio.Event()
        self._one = asyncio.Lock()
        self._unsynced = False
        self._synced_at = 0.0

    def touched(self) -> None:
        """Something was appended."""
        self._dirty.set()

    async def run(self) -> None:
        """Write, force, mark and remove, for ever."""
        now = asyncio.get_running_loop().time
        looked = now()
        while True:
            await self._woken(self._fsync_every if self._unsynced else LOOK_EVERY)
            if now() - looked >= LOOK_EVERY:
                looked = now()
                self._look()
            due = now() - self._synced_at >= self._fsync_every
            if self._dirty.is_set() or (due and self._to_do()):
                await self.tick(due)
                await asyncio.sleep(WRITE_EVERY if self.trouble is None else AGAIN)

    async def tick(self, sync: bool) -> bool:
        """Write what waits; with ``sync`` also force it to the disk, note the marks and remove what is done with.
        False where the disk did not take it: it stays in memory, and is tried again.
        """
        async with self._one:
            try:
                await self._write(sync)
            except OSError as error:
                self._failed(error)
                await self._make_room()
                return False
        if self.trouble is not None:
            log.warning("spool: the disk takes records again")
        self.trouble = None
        self._moved()
        return True

    async def _write(self, sync: bool) -> None:
        logs = list(self._logs())
        # What is done with is looked up first. Whatever took its place (a dead letter, a record that changed its log)
        # is then among the parts, and on the disk before the mark moves and files go.
        done = [(one, one.position(), one.finished()) for one in logs] if sync else []
        appended = sum(one.appended for one in logs)
        self._dirty.clear()
        parts = [(one, segment, data) for one in logs for segment, data in one.parts()]
        error = await self._append(parts) if parts else None
        del parts  # it is as much as waits in memory, and an error that is raised here keeps what this function has
        if sync:
            await self._force(logs)
        if error is not None:
            raise OSError(error.errno, error.strerror, error.filename)  # not that one: it would keep itself
        if sync:
            self.synced = appended
        for one, position, finished in done:
            await self._forget(one, position, finished)

    async def _append(self, parts: Sequence[tuple[SegmentedLog, SpoolSegment, bytes]]) -> OSError | None:
        """Writes as much as the disk takes; why that is not all."""
        self._unsynced = True
        count, error = await self._disk.run(self._disk.write, [(segment, data) for _, segment, data in parts])
        for one, segment, data in parts[:count]:
            one.wrote(segment, len(data))
        if error is not None:
            self._dirty.set()
        return error

    async def _force(self, logs: Sequence[SegmentedLog]) -> None:
        if self._unsynced:
            await self._disk.run(self._disk.sync)
            for one in logs:
                one.forced()
        self._unsynced = False
        self._synced_at = asyncio.get_running_loop().time()

    async def _forget(self, one: SegmentedLog, position: tuple[int, int], finished: list[SpoolSegment]) -> None:
        if one.stale:
            await self._disk.run(self._disk.mark, one.folder, *position)
            one.marked(position)
        if finished:
            await self._disk.run(self._disk.remove, finished)
            one.removed(finished)

    async def _make_room(self) -> None:
        """While the disk takes nothing, what is done with goes all the same: it may be what fills the disk. First what
        is acknowledged; if that is nothing, also what went from one log to another, and so is only in memory until the
        disk takes it there.
        """
        finished = [(one, one.finished()) for one in self._logs()]
        acknowledged = [(one, [segment for segment in some if not segment.moved]) for one, some in finished]
        for one, segments in acknowledged if any(some for _, some in acknowledged) else finished:
            if segments:
                try:
                    await self._disk.run(self._disk.remove, segments)
                except OSError as error:
                    self._failed(error)
                    return
                one.removed(segments)
                self._moved()

    def _to_do(self) -> bool:
        return self._unsynced or any(one.segments and (one.finished() or one.stale) for one in self._logs())

    def _failed(self, error: OSError) -> None:
        self.errors += 1
        text = f"{error.strerror or error} ({error.filename})" if error.filename else str(error.strerror or error)
        if self.trouble is None:
            log.error("spool: cannot write: %s; what waits for it is in memory", text)
        self.trouble = self.last_error = text

    async def _woken(self, within: float) -> None:
        # Not wait_for: Python 3.11's forgets a cancellation that comes in the moment the event is set.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(within, LOOK_EVERY)):
                await self._dirty.wait()
