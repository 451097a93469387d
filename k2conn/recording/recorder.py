"""The observer that records: hands what it is told to a thread, which writes it. The feed never waits for the disk.

What waits for the thread is bounded. Beyond the bound nothing more is taken until there is room, and then a line says
in the recording how many frames are missing there; so it does where the disk was full. Every file begins with what a
reader must know of the sessions that are open, and with the venues' last instrument lists.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from k2conn.clock import monotonic, wall_us
from k2conn.observe import Observer, Opening, SessionPlace
from k2conn.plan import Symbol
from k2conn.recording.entries import EntryKind, frame_lines, line, opening_members, symbol_rows
from k2conn.recording.folder import Bounds, MiB, RecordingFolder

_LOG = logging.getLogger(__name__)

WAITING = 64 * MiB
"""Bytes of frames that wait for the disk."""
BLOCK = 256 * 1024
"""Bytes of lines after which a block is written."""
BLOCK_SECONDS = 1.0
"""Seconds after which it is written in any case."""
AGAIN = 2.0
"""Seconds until a disk that failed is tried again."""
CLOSE_WITHIN = 10.0
_ANSWER = 64 * 1024
"""Bytes that an answer counts for while it waits: how long it is, is known when it is written."""
_LONGEST_ANSWER = 16 * MiB
"""Bytes of an instrument list that begins every file."""

Work = tuple[int, int, Callable[[], list[bytes]], Callable[[list[bytes]], None] | None]
"""Its bytes in the queue, its frames, its lines, and who else wants them."""


class Recorder(Observer):
    """Records into a folder, from `start` to `close`."""

    def __init__(self, folder: Path, bounds: Bounds | None = None, waiting: int = WAITING) -> None:
        """SettingsError where the folder cannot be used."""
        self._folder = RecordingFolder(folder, bounds or Bounds())
        self._bound = waiting
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._put = self._taken = 0
        """Bytes that were put into the queue (by the feed) and taken from it (by the thread)."""
        self._missed = self._missed_events = 0
        """Not taken since the last thing that was."""
        self._told = 0
        """Frames that it was told of."""
        self._closed = False
        self.late = 0
        """Frames that were not taken because the disk was too slow."""
        self.frames = self.missing = 0
        """Frames that were written, and that a failing disk did not take."""
        self._failing = ""
        self._try_at = 0.0
        self._lines: list[bytes] = []
        self._size = self._count = self._first = self._last = 0
        self._since: float | None = None
        self._standing: dict[SessionPlace, bytes] = {}
        """How the sessions began that are open; of the thread, as all below."""
        self._gone: list[SessionPlace] = []
        """Sessions that have ended in the block that is not written yet."""
        self._begun: dict[str, bytes] = {}
        self._lists: dict[str, list[bytes]] = {}
        self._unwritten = 0
        """Frames that a failing disk did not take, and that no line tells of yet."""
        self._thread = threading.Thread(target=self._write, name="recorder", daemon=True)

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    @property
    def folder(self) -> Path:
        """Where it records."""
        return self._folder.folder

    def close(self) -> bool:
        """Writes what waits, for some seconds at most; whether that was enough."""
        self._queue.put(None)
        self._thread.join(CLOSE_WITHIN)
        self._closed = True
        return not self._thread.is_alive()

    @property
    def lost(self) -> int:
        """Frames that the recording lacks."""
        return self._told - self.frames if self._closed else self.late + self.missing + self._unwritten

    def figures(self) -> dict[str, int]:
        """See `Observer`."""
        return {"recorded_frames": self.frames, "recording_lost_frames": self.lost}

    # -- the feed's side

    def begun(self, connector: str, streams: Sequence[str], kept: bool, wall: int) -> None:
        """See `Observer`."""
        place, now = SessionPlace(connector, "", 0), monotonic()
        self._take(100, 0, lambda: [line(EntryKind.BEGUN, place, now, wall, streams=list(streams), kept=kept)],
                   lambda made: self._begun.update({connector: made[0]}))

    def opened(self, place: SessionPlace, opening: Opening, now: float, wall: int) -> None:
        """See `Observer`."""
        self._take(1000, 0, lambda: [line(EntryKind.OPENED, place, now, wall, **opening_members(opening))],
                   lambda made: self._standing.update({place: made[0]}))

    def received(self, place: SessionPlace, frames: Sequence[str | bytes], now: float, wall: int) -> None:
        """See `Observer`."""
        self._take(sum(map(len, frames)), len(frames),
                   lambda: list(frame_lines(EntryKind.RECEIVED, place, frames, now, wall)))

    def sent(self, place: SessionPlace, frame: str | bytes, now: float, wall: int) -> None:
        """See `Observer`."""
        self._take(len(frame), 1, lambda: list(frame_lines(EntryKind.SENT, place, (frame,), now, wall)))

    def answered(self, place: SessionPlace, request: int | None, answer: Any, now: float, wall: int) -> None:
        """See `Observer`."""

        def keep(made: list[bytes]) -> None:
            if request is None and len(made[0]) <= _LONGEST_ANSWER:
                self._lists[place.connector] = made

        self._take(_ANSWER, 0, lambda: [line(EntryKind.ANSWERED, place, now, wall, request=request, answer=answer)],
                   keep)

    def carried(self, place: SessionPlace, symbols: tuple[Symbol, ...], now: float, wall: int) -> None:
        """See `Observer`."""
        self._take(1000, 0, lambda: [line(EntryKind.CARRIED, place, now, wall, symbols=symbol_rows(symbols))])

    def looked(self, connector: str, wall: int) -> None:
        """See `Observer`."""
        now = monotonic()
        self._take(100, 0, lambda: [line(EntryKind.LOOKED, SessionPlace(connector, "", 0), now, wall)])

    def ended(self, place: SessionPlace, cause: str, detail: str, now: float, wall: int) -> None:
        """See `Observer`."""
        self._take(200, 0, lambda: [line(EntryKind.ENDED, place, now, wall, cause=cause, detail=detail)],
                   lambda made: self._gone.append(place))

    def _take(
        self, size: int, frames: int, make: Callable[[], list[bytes]],
        also: Callable[[list[bytes]], None] | None = None,
    ) -> None:
        self._told += frames
        if frames and self._put - self._taken > self._bound:
            self._missed += frames
            self._missed_events += 1
            self.late += frames
            return
        if self._missed:
            missed, events, now, wall = self._missed, self._missed_events, monotonic(), wall_us()
            self._missed = self._missed_events = 0
            self._queue.put((0, 0, lambda: [_lost(missed, events, "the disk is too slow", now, wall)], None))
        self._put += size
        self._queue.put((size, frames, make, also))

    # -- the thread's side

    def _write(self) -> None:
        while True:
            wait = None if self._since is None else max(0.0, self._since + BLOCK_SECONDS - monotonic())
            try:
                work = self._queue.get(timeout=wait)
            except queue.Empty:
                self._flush()
                continue
            if work is None:
                break
            size, frames, make, also = work
            made = make()
            if also is not None:
                also(made)
            self._taken += size
            self._add(made, frames)
            if self._size >= BLOCK:
                self._flush()
        if self._missed:
            self._add([_lost(self._missed, self._missed_events, "the disk is too slow", monotonic(), wall_us())], 0)
        self._try_at = 0.0
        self._flush()
        self._folder.close()

    def _add(self, lines: list[bytes], frames: int) -> None:
        moment = wall_us()
        if not self._lines:
            self._first, self._since = moment, monotonic()
        self._last = moment
        self._lines += lines
        self._size += sum(map(len, lines)) + len(lines)
        self._count += frames

    def _flush(self) -> None:
        """Writes the block; where the disk does not take it, it is counted."""
        if not self._lines:
            self._since = None
            return
        frames, lines = self._count, self._lines
        self._lines, self._size, self._count, self._since = [], 0, 0, None
        if monotonic() < self._try_at:
            self._unwritten += frames
            return
        said = self._unwritten
        try:
            lost = [_lost(said, 0, self._failing, monotonic(), wall_us())] if said else []
            if self._folder.fresh:
                lost += self._known(lines)
            whole = b"\n".join([*lost, *lines]) + b"\n"
            self._folder.write(whole, len(lines) + len(lost), self._first, self._last)
        except OSError as error:
            if not self._failing:
                _LOG.error("recording: %s: %s; what comes is not recorded until it goes again", self.folder,
                           error.strerror or error)
            self._failing, self._try_at = error.strerror or str(error), monotonic() + AGAIN
            self._unwritten += frames
            return
        if self._failing:
            _LOG.warning("recording: %s takes frames again; %d are missing", self.folder, said)
        self.frames += frames
        self.missing += said
        self._failing, self._unwritten = "", 0
        for place in self._gone:
            self._standing.pop(place, None)
        self._gone.clear()

    def _known(self, coming: Sequence[bytes]) -> list[bytes]:
        """What begins a file: how connectors and sessions began, and the last lists, but for what is just coming."""
        new = set(coming)
        lists = [one for made in self._lists.values() for one in made]
        return [one for one in (*self._begun.values(), *lists, *self._standing.values()) if one not in new]


def _lost(frames: int, events: int, cause: str, now: float, wall: int) -> bytes:
    return line(EntryKind.LOST, SessionPlace("", "", 0), now, wall, frames=frames, events=events, cause=cause)
