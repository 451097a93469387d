"""A sink with a spool before it: what the inner sink cannot take now waits on disk, in order.

Theory of operation. While the inner sink does well (and in mode ``trouble``) an envelope goes straight on: *direct*.
When the inner sink cannot be reached, or holds more than its bound for longer than connections may be kept waiting, the
sink *diverts*: what the inner sink has in memory is copied to the main log, and every new envelope is first appended
there, then handed on where there is room. What did not fit is read back in its turn. When the inner sink has been well
for a moment with the log read to its end, new envelopes go straight on again, and the log's files go as its records are
acknowledged. A topic that alone is in trouble (it does not exist, its schema cannot be registered, we may not write to
it) is *parked*: it has a log of its own and holds up no other topic. In mode ``always`` the main log is never left:
every record is on its way to the disk before the inner sink sees it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, cast

from k2conn.avro import RecordSchema
from k2conn.ending_tasks import end_tasks
from k2conn.envelope import Envelope
from k2conn.errors import Superseded, Unreachable
from k2conn.sinks import JournalSink, Reject, Settle, SpoolableSink, putter
from k2conn.sinks.journal import JournalEntries
from k2conn.sinks.settings import SpoolSettings
from k2conn.spool.buffer_manager import BufferManager
from k2conn.spool.disk import Disk
from k2conn.spool.flusher import LOOK_EVERY, Flusher
from k2conn.spool.queue import SpoolQueue
from k2conn.spool.segmented_log import SegmentedLog
from k2conn.spool.status import SpooledSinkStatus, SpoolState, SpoolStatus

CALM = 1.0
"""Seconds the inner sink must be well, with nothing behind, before envelopes go straight on again."""

OVERFULL = "more waits than memory is meant to hold"

log = logging.getLogger("k2conn.spool")


class SpoolingSink:
    """See the module's text, and ``Sink`` for the contract. ``make`` makes the inner sink."""

    def __init__(
        self, make: Callable[[Settle, Reject], SpoolableSink], settings: SpoolSettings, settle: Settle, reject: Reject
    ) -> None:
        self._inner = make(self._settled, self._rejected)
        self.name = self._inner.name
        self._put = self._inner.put
        self._put_all = putter(self._inner)
        self._settings = settings
        self._settle = settle
        self._reject = reject
        self._always = settings.mode == "always"
        self._patience = settings.patience_ms / 1000
        self._disk = Disk()
        self._moved = asyncio.Event()
        self._flusher = Flusher(self._disk, self._logs, settings.fsync_ms / 1000, self._look, self._moved.set)
        self._buffers = BufferManager(settings, self._disk, self._inner, self._feed, self._flusher.touched)
        self._tasks: set[asyncio.Task[None]] = set()
        self._feeding: dict[SpoolQueue, asyncio.Task[None]] = {}
        self._diverted = self._always
        self._direct = not self._always
        self._calm = 0.0

    # --- the contract

    async def open(self) -> None:
        """Open the inner sink, then take up what an earlier process left. Unreachable where either fails."""
        await self._inner.open()
        try:
            await self._buffers.take_up(self._always)
        except OSError as error:
            if self._always:
                await self._inner.close()
                raise Unreachable(f"spool folder {self._settings.folder}: {error.strerror or error}") from error
            self._buffers.disable(error)
        except BaseException:  # whatever it is, a sink that was opened is closed
            await self._inner.close()
            raise
        self._diverted = self._always or self._buffers.recovered > 0
        self._direct = not self._diverted
        self._task(self._flusher.run(), "spool-flusher")

    async def prepare(self, topics: Mapping[str, RecordSchema | None]) -> None:
        """The inner sink's."""
        await self._inner.prepare(topics)

    async def warm_up(self, topics: Mapping[str, RecordSchema | None]) -> None:
        """The inner sink's."""
        await cast(JournalSink, self._inner).warm_up(topics)

    async def keep_warm(self) -> None:
        """The inner sink's."""
        await cast(JournalSink, self._inner).keep_warm()

    async def read_journal(self) -> JournalEntries:
        """The inner sink's."""
        return await cast(JournalSink, self._inner).read_journal()

    def put(self, envelope: Envelope) -> None:
        """Take one envelope: straight on, or by way of the spool."""
        if self._direct:
            self._put(envelope)
        else:
            self._take(envelope)

    def put_all(self, envelopes: Sequence[Envelope]) -> None:
        """Take some envelopes, in order."""
        if self._direct:
            self._put_all(envelopes)
        else:
            for envelope in envelopes:
                self._take(envelope)

    @property
    def crowded(self) -> bool:
        """Whether the inner sink is (`drain` waits a while, then diverts), or the spool is full, or a bug has ended a
        task.
        """
        if not self._diverted and self._inner.crowded and (self._patience or not self._divert(OVERFULL)):
            return True
        return not self._direct and (self._buffers.full(1.0) or any(task.done() for task in self._tasks))

    async def drain(self) -> None:
        """Wait until the inner sink has room, or has had none for a while; then until an eighth of the spool is free.
        Raises what ended a task.
        """
        if not self._diverted and self._inner.crowded:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await self._inner.drain()
            if not self._diverted and self._inner.crowded and not self._divert(OVERFULL):
                await self._inner.drain()
        while self._buffers.full(7 / 8):
            self._check()
            self._moved.clear()
            await self._moved.wait()
        self._check()

    async def flush(self, within: float) -> int:
        """Wait for all acknowledgements, at most ``within`` seconds; then what is left is put on the disk for the next
        start. How many envelopes are neither acknowledged nor on the disk. Where the inner sink or a task raises, all
        that it holds is put on the disk first.
        """
        try:
            return await self._flush(within)
        except Superseded:  # what it holds is another process's to send
            raise
        except Exception:  # whatever ends the run, what the sink holds goes to the disk first
            await self._rescue()
            raise

    async def _flush(self, within: float) -> int:
        now = asyncio.get_running_loop().time
        end = now() + within
        while True:
            self._check()
            left = await self._inner.flush(max(0.0, min(end - now(), LOOK_EVERY)))
            behind = self._buffers.behind
            if not left and not behind:
                return 0
            if now() >= end:
                return await self._leave(left, behind)
            if not left:
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Close the inner sink and the files. What is on the disk is for the next start."""
        await end_tasks(*self._tasks)
        self._tasks.clear()
        await self._inner.close()
        for one in self._logs():
            one.seal()
        if not await self._flusher.tick(True):
            await self._lose()
        await asyncio.to_thread(self._disk.end)
        self._buffers.release()

    def status(self) -> SpooledSinkStatus:
        """The inner sink's, and ``spool``."""
        inner, behind = self._inner.status(), self._buffers.behind
        stopped = self._always and self._flusher.trouble is not None
        return {
            **inner,
            "queued": inner["queued"] + behind,
            "reachable": inner["reachable"] and not stopped,
            "spool": self._status(behind),
        }

    def _status(self, behind: int) -> SpoolStatus:
        buffers, logs = self._buffers, self._logs()
        state = SpoolState.OFF if buffers.off else SpoolState.DIRECT if self._direct else SpoolState.SPOOLING
        return {
            "mode": self._settings.mode,
            "state": state,
            "folder": str(buffers.folder),
            "bytes": buffers.bytes,
            "max_bytes": self._settings.max_bytes,
            "full": buffers.full(1.0),
            "records": sum(one.records for one in logs),
            "behind": behind,
            "segments": sum(one.segments for one in logs),
            "parked": sorted(buffers.parked),
            "synced": self._flusher.synced,
            "recovered": buffers.recovered,
            "recovered_published": buffers.recovered_accounts.published,
            "recovered_lost": buffers.recovered_accounts.lost,
            "damaged": buffers.damaged,
            "errors": self._flusher.errors,
            "last_error": buffers.off or self._flusher.last_error,
        }

    # --- taking envelopes

    def _take(self, envelope: Envelope) -> None:
        main = self._buffers.main
        if main is not None and not main.log.live:
            main.take(envelope)  # behind those of its own topic that are there
            return
        queue = self._buffers.parked.get(envelope.topic)
        if queue is None and self._diverted:
            queue = main
        if queue is None:
            self._put(envelope)
        else:
            queue.take(envelope)

    def _settled(self, batch: Sequence[Envelope]) -> None:
        for one in self._logs():
            if one.handed:
                done = one.done
                for envelope in batch:
                    done(envelope)
        self._settle(batch)

    def _rejected(self, envelope: Envelope, reason: str, words: str = "") -> None:
        for one in self._logs():
            one.done(envelope, moved=True)  # its dead letter comes
        self._reject(envelope, reason, words)

    # --- to the spool and back

    def _look(self) -> None:
        """See how the inner sink is, and act on it."""
        status = self._inner.status()
        reachable, buffers = status["reachable"], self._buffers
        buffers.troubled = frozenset(status.get("trouble", ()))
        if not reachable and not self._diverted:
            self._divert("the sink cannot be reached")
        for topic in buffers.troubled if reachable else ():
            if topic in buffers.parked:  # keep it from filling the inner sink's memory
                buffers.parked[topic].give_back(self._inner.withdraw(topic))
            else:
                self._park(topic)
        self._unpark()
        self._return(reachable)
        self._direct = not self._diverted and not buffers.parked
        for event in (self._moved, buffers.looked):  # those who wait for room look again
            event.set()
        buffers.looked.clear()

    def _divert(self, why: str) -> bool:
        """Begin to spool; False where there is no place for it."""
        main = self._buffers.opened()
        if main is None:
            return False
        self._direct, self._diverted, self._calm = False, True, 0.0
        for envelope in self._inner.unsettled():
            if not any(id(envelope) in one.handed for one in self._logs()):
                main.adopt(envelope)
        log.warning("spooling to %s: %s", main.log.folder, why)
        return True

    def _return(self, reachable: bool) -> None:
        """Let envelopes go straight on again, once the inner sink has been well for a while."""
        main = self._buffers.main
        if not self._diverted or self._always or main is None:
            return
        calm = reachable and main.log.live and not self._inner.crowded
        self._calm = self._calm + LOOK_EVERY if calm else 0.0
        if self._calm >= CALM:
            self._diverted = False
            main.log.seal()
            log.warning("the sink takes records again; the spool is read to its end")

    def _park(self, topic: str) -> None:
        """Give ``topic`` a log of its own, where there is a place for it."""
        main = self._buffers.opened()
        if main is None:
            return
        queue = self._buffers.park(topic)
        if queue is None:
            return
        self._direct = False
        given = self._inner.withdraw(topic)
        for envelope in self._inner.unsettled():
            if envelope.topic == topic:
                main.log.done(envelope, moved=True)
                queue.adopt(envelope)
        for envelope in given:
            main.log.done(envelope, moved=True)
            queue.take(envelope)
        log.warning("spooling to %s: its topic is in trouble, the others go on", queue.log.folder)

    def _unpark(self) -> None:
        """Leave the logs of topics that are well again, once these are empty."""
        for topic, queue in list(self._buffers.parked.items()):
            if topic not in self._buffers.troubled and queue.log.live and not queue.log.handed:
                queue.log.seal()
                if not queue.log.segments:
                    task = self._feeding.pop(queue)
                    self._tasks.discard(task)
                    task.cancel()
                    self._buffers.drop(topic)
                    log.warning("topic %s is well again", topic)

    async def _leave(self, left: int, behind: int) -> int:
        """Puts what is left on the disk, for the next start."""
        if not self._diverted and not self._divert("stopping with records the sink did not take"):
            return left + behind
        if await self._flusher.tick(True):
            log.warning("%d records stay in %s; the next start sends them", left + behind, self._buffers.folder)
            return 0
        return left + behind

    async def _rescue(self) -> None:
        """The end has come by a bug, or by a sink that cannot go on: nothing of what it holds is lost."""
        if (self._diverted or self._divert("the sink has failed")) and await self._flusher.tick(True):
            log.warning("what the sink did not take stays in %s; the next start sends it", self._buffers.folder)
    async def _lose(self) -> None:
        """At the end, what the disk did not take is lost: it is in the accounts, and said."""
        accounts = [account for one in self._logs() for account in one.unwritten()]
        for account in accounts:
            account.lost += 1
        if accounts:
            log.error("spool: %d records are lost: the sink did not take them, nor the disk (%s)",
                      len(accounts), self._flusher.last_error)
        with contextlib.suppress(OSError):  # what is left of a write is then read as a torn end, or sent though lost
            await self._disk.run(self._disk.cut, [segment for one in self._logs() for segment in one.cut_short()])

    # --- tasks

    def _logs(self) -> list[SegmentedLog]:
        return self._buffers.logs

    def _feed(self, queue: SpoolQueue) -> None:
        self._feeding[queue] = self._task(queue.feed(), "spool-feed")

    def _task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._moved.set())
        return task

    def _check(self) -> None:
        """Raise what ended a task, which only a bug does, or an inner sink that cannot go on."""
        for task in self._tasks:
            if task.done():
                task.result()
