"""A sink with a spool before it: what the inner sink cannot take now waits on disk, in order.

Theory of operation. With the inner sink in good order (and mode ``trouble``) an envelope goes straight on: *direct*.
When the inner sink cannot be reached, or holds more than its bound, the sink *diverts*: what the inner sink has in
memory is copied to the main log, and every new envelope is appended there first, then handed on where there is room.
What did not fit is read back in its turn. When the inner sink has been well and the log been read to its end for a
moment, new envelopes go straight on again and the log dissolves as its records are acknowledged. A topic that alone is
in trouble (it does not exist, its schema cannot be registered, we may not write it) is *parked*: it has a log of its
own and holds nobody up. In mode ``always`` the main log is never left: every record is on its way to the disk before
the inner sink sees it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from k2conn.avro import RecordSchema
from k2conn.envelope import Envelope
from k2conn.errors import Unreachable
from k2conn.sinks import Reject, Settle, SpoolableSink
from k2conn.sinks.settings import SpoolSettings
from k2conn.spool.disk import Disk
from k2conn.spool.keeper import LOOK_EVERY, Keeper
from k2conn.spool.lane import Lane
from k2conn.spool.log import Log
from k2conn.spool.recovered import Books
from k2conn.spool.slot import Slot, abandoned, any_slot, left_over

CALM = 1.0
"""Seconds the inner sink must be well, with nothing behind, before envelopes go straight on again."""

MAIN, TOPICS = "main", "topics"
"""Folders of a slot."""

BUFFERED = 16 * 1024 * 1024
"""Bytes that may wait for a slow disk in memory before the sink is crowded."""

Relief = Callable[[], Awaitable[None]]

log = logging.getLogger("k2conn.spool")


class SpoolingSink:
    """See the module's text, and ``Sink`` for the contract. ``make`` makes the inner sink."""

    def __init__(
        self, make: Callable[[Settle, Reject], SpoolableSink], settings: SpoolSettings, settle: Settle, reject: Reject
    ) -> None:
        self._inner = make(self._settled, self._rejected)
        self.name = self._inner.name
        self._put = self._inner.put
        self._settings = settings
        self._settle = settle
        self._reject = reject
        self._always = settings.mode == "always"
        self._disk = Disk()
        self._keeper = Keeper(self._disk, self._logs, settings.fsync_ms / 1000, self._look, self._was_moved)
        self._books = Books()
        self._slot: Slot | None = None
        self._main: Lane | None = None
        self._parked: dict[str, Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._feeding: dict[Lane, asyncio.Task[None]] = {}
        self._moved = asyncio.Event()
        self._looked = asyncio.Event()
        self._direct = not self._always
        self._diverted = self._always
        self._troubled: frozenset[str] = frozenset()
        self._calm = 0.0
        self._recovered = 0
        self._off: str | None = None

    # --- the contract

    async def open(self) -> None:
        """Open the inner sink, then take up what an earlier process left. Unreachable where either fails."""
        await self._inner.open()
        try:
            await self._take_up()
        except OSError as error:
            if self._always:
                await self._inner.close()
                raise Unreachable(f"spool folder {self._settings.folder}: {error.strerror or error}") from error
            self._cannot(error)
        except BaseException:
            await self._inner.close()
            raise
        self._task(self._keeper.keep(), "spool-keeper")

    async def prepare(self, topics: Mapping[str, RecordSchema | None]) -> None:
        """The inner sink's."""
        await self._inner.prepare(topics)

    def put(self, envelope: Envelope) -> None:
        """Take one envelope: straight on, or by way of the spool."""
        if self._direct:
            self._put(envelope)
        else:
            self._take(envelope)

    @property
    def crowded(self) -> bool:
        """Whether the spool is full too (or is off and the inner sink is crowded), or a bug has ended a task."""
        if self._direct and (not self._inner.crowded or self._divert("more waits than memory is meant to hold")):
            return False
        return self._direct or self._full(1.0) or any(task.done() for task in self._tasks)

    async def drain(self) -> None:
        """Wait until an eighth of the spool is free. Raises what ended a task."""
        if self._direct:
            await self._inner.drain()
        while not self._direct and self._full(7 / 8):
            self._check()
            self._moved.clear()
            await self._moved.wait()
        self._check()

    async def flush(self, within: float) -> int:
        """Wait for all acknowledgements, at most ``within`` seconds; then what is left is put on the disk for the next
        start. How many envelopes are neither acknowledged nor on the disk.
        """
        now = asyncio.get_running_loop().time
        end = now() + within
        while True:
            self._check()
            left = await self._inner.flush(max(0.0, min(end - now(), LOOK_EVERY)))
            behind = self._behind()
            if not left and not behind:
                return 0
            if now() >= end:
                return await self._leave(left, behind)
            if not left:
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Close the inner sink and the files. What is on the disk is for the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._inner.close()
        if self._slot is not None:
            for one in self._logs():
                one.seal()
            await self._keeper.tick(True)
        await asyncio.to_thread(self._disk.end)
        if self._slot is not None:
            self._slot.release()
            self._slot = None

    def status(self) -> dict[str, object]:
        """The inner sink's, and ``spool``."""
        inner = self._inner.status()
        queued, behind = inner["queued"], self._behind()
        assert isinstance(queued, int)
        stopped = self._always and self._keeper.trouble is not None
        return {
            **inner,
            "queued": queued + behind,
            "reachable": bool(inner["reachable"]) and not stopped,
            "spool": self._status(behind),
        }

    def _status(self, behind: int) -> dict[str, object]:
        logs = self._logs()
        return {
            "mode": self._settings.mode,
            "state": "off" if self._off else "direct" if self._direct else "spooling",
            "folder": str(self._slot.folder if self._slot else self._settings.folder),
            "bytes": self._bytes(),
            "max_bytes": self._settings.max_bytes,
            "full": self._full(1.0),
            "records": sum(one.records for one in logs),
            "behind": behind,
            "segments": sum(one.segments for one in logs),
            "parked": sorted(self._parked),
            "synced": self._keeper.synced,
            "recovered": self._recovered,
            "recovered_published": self._books.published,
            "damaged": sum(one.damaged for one in logs),
            "errors": self._keeper.errors,
            "last_error": self._off or self._keeper.last_error,
        }

    # --- the way of an envelope

    def _take(self, envelope: Envelope) -> None:
        main = self._main
        if main is not None and not main.log.live:
            main.take(envelope)  # behind those of its own topic that are there
            return
        lane = self._parked.get(envelope.topic)
        if lane is None and self._diverted:
            lane = main
        if lane is None:
            self._put(envelope)
        else:
            lane.take(envelope)

    def _hand_from_main(self, envelope: Envelope) -> None:
        """From the main log to the inner sink, or to the log of a parked topic."""
        lane = self._parked.get(envelope.topic)
        if lane is None:
            self._put(envelope)
            return
        assert self._main is not None
        self._main.log.done(envelope)
        lane.take(envelope)

    def _settled(self, batch: Sequence[Envelope]) -> None:
        for one in self._logs():
            if one.handed:
                done = one.done
                for envelope in batch:
                    done(envelope)
        self._settle(batch)

    def _rejected(self, envelope: Envelope, reason: str) -> None:
        for one in self._logs():
            one.done(envelope)
        self._reject(envelope, reason)

    # --- to the spool and back

    def _look(self) -> None:
        """See how the inner sink is, and act on it."""
        status = self._inner.status()
        reachable = bool(status["reachable"])
        trouble = status.get("trouble")
        self._troubled = frozenset(trouble) if isinstance(trouble, Mapping) else frozenset()
        if not reachable and self._direct:
            self._divert("the sink cannot be reached")
        if reachable:
            for topic in self._troubled:
                if topic in self._parked:  # keep it from filling the inner sink's memory
                    self._parked[topic].give_back(self._inner.withdraw(topic))
                else:
                    self._park(topic)
        self._dissolve(reachable)
        for event in (self._moved, self._looked):  # those who wait for room look again
            event.set()
        self._looked.clear()

    def _divert(self, why: str) -> bool:
        """Begin to spool; False where there is no place for it."""
        main = self._opened()
        if main is None:
            return False
        self._direct, self._diverted, self._calm = False, True, 0.0
        for envelope in self._inner.unsettled():
            if not any(id(envelope) in one.handed for one in self._logs()):
                main.adopt(envelope)
        log.warning("spooling to %s: %s", main.log.folder, why)
        return True

    def _park(self, topic: str) -> None:
        """Give ``topic`` a log of its own, where there is a place for it."""
        main = self._opened()
        if main is None:
            return
        lane = self._parked[topic] = self._topic_lane(topic)
        given = self._inner.withdraw(topic)
        for envelope in self._inner.unsettled():
            if envelope.topic == topic:
                main.log.done(envelope)
                lane.adopt(envelope)
        for envelope in given:
            main.log.done(envelope)
            lane.take(envelope)
        self._feed(lane)
        self._direct = False
        log.warning("spooling to %s: its topic is in trouble, the others go on", lane.log.folder)

    def _dissolve(self, reachable: bool) -> None:
        """Leave logs that have nothing left to say."""
        for topic, lane in list(self._parked.items()):
            if topic not in self._troubled and lane.log.live and not lane.log.handed:
                lane.log.seal()
                if not lane.log.segments:
                    self._unfeed(lane)
                    del self._parked[topic]
                    log.warning("topic %s is well again", topic)
        if not self._diverted or self._always or self._main is None:
            self._direct = not self._always and not self._diverted and not self._parked
            return
        calm = reachable and self._main.log.live and not self._inner.crowded
        self._calm = self._calm + LOOK_EVERY if calm else 0.0
        if self._calm >= CALM:
            self._diverted = False
            self._direct = not self._parked
            self._main.log.seal()
            log.warning("the sink takes records again; the spool is read to its end")

    async def _leave(self, left: int, behind: int) -> int:
        """The end has come: what is left waits on the disk."""
        if self._direct and not self._divert("stopping with records the sink did not take"):
            return left
        if await self._keeper.tick(True):
            log.warning("%d records stay in %s; the next start sends them", left + behind, self._settings.folder)
            return 0
        return left + behind

    # --- the folder

    async def _take_up(self) -> None:
        base = self._settings.folder
        self._slot = await asyncio.to_thread(any_slot if self._always else left_over, base)
        if self._slot is None:
            return
        main = self._opened()
        assert main is not None
        self._recovered = await main.log.load(self._books.account)
        for folder in sorted((self._slot.folder / TOPICS).glob("*")):
            lane = self._topic_lane(unquote(folder.name))
            self._recovered += await lane.log.load(self._books.account)
            lane.look()
            self._parked[unquote(folder.name)] = lane
            self._feed(lane)
        main.look()
        if self._recovered:
            self._direct, self._diverted = False, True
            log.warning("%d records of an earlier run are in %s and go out first", self._recovered, self._slot.folder)
        for folder in await asyncio.to_thread(abandoned, base):
            log.warning("%s holds records of a process that is gone; another start sends them", folder)

    def _opened(self) -> Lane | None:
        """The main log, in a slot of ours."""
        if self._main is not None:
            return self._main
        try:
            if self._slot is None:
                self._slot = any_slot(self._settings.folder)
            (self._slot.folder / MAIN).mkdir(exist_ok=True)
        except OSError as error:
            self._cannot(error)
            return None
        self._off = None
        self._main = self._lane(
            self._slot.folder / MAIN, self._hand_from_main, lambda: not self._inner.crowded, self._inner.drain
        )
        self._feed(self._main)
        return self._main

    def _cannot(self, error: OSError) -> None:
        if self._off is None:
            log.error("no spool in %s: %s; only memory holds what the sink does not take",
                      self._settings.folder, error.strerror or error)
        self._off = str(error.strerror or error)

    def _topic_lane(self, topic: str) -> Lane:
        assert self._slot is not None
        folder = self._slot.folder / TOPICS / quote(topic, safe="")
        folder.mkdir(parents=True, exist_ok=True)
        room = partial(self._topic_room, topic)
        return self._lane(folder, self._put, room, partial(self._topic_relief, room))

    def _topic_room(self, topic: str) -> bool:
        return topic not in self._troubled and not self._inner.crowded

    async def _topic_relief(self, room: Callable[[], bool]) -> None:
        while not room():
            await self._looked.wait()

    def _lane(self, folder: Path, hand: Callable[[Envelope], None], room: Callable[[], bool], relief: Relief) -> Lane:
        books = Log(folder, self._disk, self._settings.segment_bytes, self._keeper.touched)
        return Lane(books, hand, room, relief)

    # --- small things

    def _logs(self) -> list[Log]:
        lanes = self._parked.values()
        return [lane.log for lane in lanes] if self._main is None else [self._main.log, *(lane.log for lane in lanes)]

    def _bytes(self) -> int:
        return sum(one.bytes for one in self._logs())

    def _full(self, share: float) -> bool:
        logs = self._logs()
        if sum(one.bytes for one in logs) > share * self._settings.max_bytes:
            return True
        return sum(one.buffered for one in logs) > share * BUFFERED

    def _behind(self) -> int:
        """Records that are on the disk only."""
        return sum(one.records - len(one.handed) for one in self._logs())

    def _was_moved(self) -> None:
        self._moved.set()

    def _feed(self, lane: Lane) -> None:
        self._feeding[lane] = self._task(lane.feed(), "spool-feed")

    def _unfeed(self, lane: Lane) -> None:
        task = self._feeding.pop(lane)
        self._tasks.discard(task)
        task.cancel()

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
