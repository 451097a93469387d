"""The log: a queue on disk. Appended at one end, read at the other; its files go when their records are acknowledged.

Theory of operation. A log is a row of segments. An entry is appended to the last segment's buffer, which the flusher
writes to the disk every few milliseconds. The reader's place is ``_next`` (None where it has read everything); it reads
from the file, or from the buffer what is not written yet, and so never waits for a disk in trouble. What was handed on
is in ``handed`` until it is *done*, that is acknowledged; a segment whose records are all done is removed, and the mark
on disk says where a later process has to begin.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path

from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.spool.disk import Disk, read_mark
from k2conn.spool.entries import MAGIC, RECORD, Entry, EntryScan, needed, scan
from k2conn.spool.segment import SUFFIX, SpoolSegment

CHUNK = 256 * 1024
"""Bytes read at once."""

Position = tuple[SpoolSegment, int]
"""Where a record is: its segment, and where in it the entry begins."""

log = logging.getLogger("k2conn.spool")


class SegmentedLog:
    """One queue, in a folder of its own. ``touched`` is called when something was appended."""

    def __init__(self, folder: Path, disk: Disk, segment_bytes: int, touched: Callable[[], None]) -> None:
        self.folder = folder
        self.handed: dict[int, Position] = {}
        self.chunk: deque[tuple[Envelope, Position]] = deque()
        self.bytes = 0
        self.buffered = 0
        self.appended = 0
        self.damaged = 0
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._touched = touched
        self._segments: dict[int, SpoolSegment] = {}
        self._writing: SpoolSegment | None = None
        self._next: Position | None = None
        # Numbers go on behind an old mark: what is before a mark is taken for done with.
        self._marked = read_mark(folder)
        self.number = self._marked[0]

    @property
    def live(self) -> bool:
        """Whether everything was handed on, so that what is appended now may be handed on at once."""
        return self._next is None and not self.chunk

    @property
    def records(self) -> int:
        """Records that are not done with."""
        return sum(segment.open for segment in self._segments.values())

    @property
    def segments(self) -> int:
        """Files there are, or will be when they are written."""
        return len(self._segments)

    @property
    def stale(self) -> bool:
        """Whether the mark on disk is behind."""
        return self._marked != self.position()

    def append(self, envelope: Envelope) -> Position:
        """Append one record; it is on its way to the disk."""
        segment = self._writing
        if segment is None or segment.size >= self._segment_bytes:
            segment = self._new_segment()
        before = segment.size
        start = segment.append(envelope)
        self.bytes += segment.size - before
        self.buffered += segment.size - before
        self.appended += 1
        self._touched()
        return segment, start

    def hand(self, envelope: Envelope, position: Position) -> None:
        """The record goes on to where it is acknowledged; ``done`` will be told."""
        self.handed[id(envelope)] = position

    def behind(self, position: Position) -> None:
        """The reader stands before ``position``, the first record that was not handed on."""
        self._next = position

    def take(self, position: Position) -> None:
        """The record just appended was handed on without being read."""
        position[0].taken += 1

    def done(self, envelope: Envelope) -> bool:
        """The record is durable elsewhere; False where it is none of this log's."""
        position = self.handed.pop(id(envelope), None)
        if position is None:
            return False
        segment, start = position
        segment.done(start, envelope.account)
        return True

    def seal(self) -> None:
        """What comes next begins a new segment."""
        if self._writing is not None:
            self._writing.seal()
            self._writing = None

    # --- reading

    async def fill(self) -> bool:
        """Read the next records into ``chunk``; False, and live, where there are none."""
        size = CHUNK
        while self._next is not None:
            segment, at = self._next
            if at < segment.size:
                data = await self._read(segment, at, size)
                found = scan(data, at, at + len(data) in (segment.written, segment.size))
                if found.end == at and not found.stuck:
                    size = max(2 * size, needed(data))
                    continue
                self._found(segment, found)
                if self.chunk:
                    return True
            else:
                self._go_on(segment)
        return False

    async def _read(self, segment: SpoolSegment, at: int, size: int) -> bytes:
        if at >= segment.written:
            begin = at - segment.written
            return bytes(segment.buffer[begin : begin + size])
        return await self._disk.run(self._disk.read, segment, at, min(size, segment.written - at))

    def _found(self, segment: SpoolSegment, found: EntryScan) -> None:
        for entry in found.entries:
            if entry.kind == RECORD and (envelope := segment.envelope(entry)) is not None:
                segment.taken += 1
                self.chunk.append((envelope, (segment, entry.start)))
        after = segment.written if found.end < segment.written else segment.size
        self._next = segment, after if found.stuck else found.end

    def _go_on(self, segment: SpoolSegment) -> None:
        """To the segment that follows, if there is one."""
        following = next((one for one in self._segments.values() if one.number > segment.number), None)
        if following is None:
            self._next = None
            return
        self._next = following, following.first
        lost = segment.records - segment.taken
        if lost:
            self.damaged += lost
            segment.open -= lost
            log.error("spool: %d records of %s are damaged and lost", lost, segment.path)

    # --- to the disk, and away

    def parts(self) -> list[tuple[SpoolSegment, bytes]]:
        """What is to be written, oldest first; ``wrote`` is told when it was."""
        return [(one, bytes(one.buffer)) for one in self._segments.values() if one.buffer]

    def wrote(self, segment: SpoolSegment, count: int) -> None:
        """So many bytes of its buffer are in the file."""
        segment.wrote(count)
        self.buffered -= count

    def forced(self) -> None:
        """What is written is on the disk now."""
        for segment in self._segments.values():
            segment.forced()

    def position(self) -> tuple[int, int]:
        """The oldest record that is not done with, as the mark says it."""
        oldest = next(iter(self.handed.values()), None) or (self.chunk[0][1] if self.chunk else self._next)
        if oldest is not None:
            return oldest[0].number, oldest[1]
        last = next(reversed(self._segments.values()), None)
        return (last.number, last.size) if last is not None else (self.number + 1, 0)

    def marked(self, position: tuple[int, int]) -> None:
        """The mark on disk says this now."""
        self._marked = position

    def finished(self) -> list[SpoolSegment]:
        """Segments that may be removed; ``removed`` is told when they were."""
        return [one for one in self._segments.values() if not one.open and one is not self._writing and self._past(one)]

    def removed(self, segments: list[SpoolSegment]) -> None:
        """These files are gone."""
        for segment in segments:
            if self._segments.pop(segment.number, None) is not None:
                self.bytes -= segment.size
                self.buffered -= len(segment.buffer)

    def _past(self, segment: SpoolSegment) -> bool:
        """Whether the reader needs it no more."""
        return self._next is None or self._next[0].number > segment.number

    def _new_segment(self) -> SpoolSegment:
        self.seal()
        self.number += 1
        segment = self._writing = self._segments[self.number] = SpoolSegment(self.folder, self.number)
        self.bytes += segment.size
        self.buffered += segment.size
        return segment

    # --- what an earlier process left

    async def load(self, account: Callable[[str, str], DeliveryAccount]) -> int:
        """Find what is left, cut torn ends off; how many records will be read first. OSError where that fails."""
        found = await self._disk.run(self._scan, account)
        for segment in found:
            self._segments[segment.number] = segment
            self.number = max(self.number, segment.number)
            self.bytes += segment.size
        if found:
            self._next = found[0], found[0].first
        return self.records

    def _scan(self, account: Callable[[str, str], DeliveryAccount]) -> list[SpoolSegment]:
        self.folder.mkdir(parents=True, exist_ok=True)
        number, offset = self._marked
        found = []
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            segment = SpoolSegment(self.folder, int(path.stem))
            if segment.number >= number:
                self._examine(segment, offset if segment.number == number else 0, account)
            if segment.records:
                found.append(segment)
            else:
                self._disk.remove([segment])
        return found

    def _examine(self, segment: SpoolSegment, offset: int, account: Callable[[str, str], DeliveryAccount]) -> None:
        data = segment.path.read_bytes()
        segment.buffer.clear()
        if not data.startswith(MAGIC):
            log.warning("spool: %s holds nothing readable (%d bytes)", segment.path, len(data))
            return
        result = scan(data[len(MAGIC) :], len(MAGIC), True)
        for entry in result.entries:
            if entry.kind != RECORD:
                segment.learn(entry, account)
            elif entry.start >= offset:
                self._count(segment, entry)
        segment.open = segment.records
        segment.first = max(offset, len(MAGIC))
        segment.size = segment.written = segment.synced = result.end
        if result.damaged:
            self.damaged += result.damaged
            log.error("spool: %d entries of %s are damaged, what they held is lost", result.damaged, segment.path)
        if result.stuck:
            log.warning("spool: the end of %s was torn: %d bytes cut off", segment.path, len(data) - result.end)
            self._disk.cut(segment, result.end)

    @staticmethod
    def _count(segment: SpoolSegment, entry: Entry) -> None:
        route = segment.routes.get(entry.route)
        if route is not None:
            segment.records += 1
            if route.account is not None:
                route.account.spooled += 1
