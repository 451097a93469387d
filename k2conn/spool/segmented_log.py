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
from k2conn.spool.entries import RECORD, EntryScan
from k2conn.spool.left_segment import UnreadableSegmentError, examine
from k2conn.spool.names import LAST_NUMBER, segment_numbers
from k2conn.spool.segment import SpoolSegment

CHUNK = 256 * 1024
"""Bytes read at once."""

Position = tuple[SpoolSegment, int]
"""Where a record is: its segment, and where in it the entry begins."""

log = logging.getLogger("k2conn.spool")


class SegmentedLog:
    """One queue, in a folder of its own. ``touched`` is called when something was appended. A file of more than
    ``largest`` bytes is not read.
    """

    def __init__(
        self, folder: Path, disk: Disk, segment_bytes: int, touched: Callable[[], None], largest: int = 1 << 40
    ) -> None:
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
        self._largest = largest
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

    def done(self, envelope: Envelope, moved: bool = False) -> bool:
        """The record is durable elsewhere, or (``moved``) on its way into another log; False where it is none of this
        log's.
        """
        position = self.handed.pop(id(envelope), None)
        if position is None:
            return False
        segment, start = position
        segment.done(start, envelope.account)
        segment.moved = segment.moved or moved
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
                whole = not data or at + len(data) in (segment.written, segment.size)
                found = segment.format.scan(data, at, whole)
                if found.end == at and not found.stuck and data:
                    size = max(2 * size, segment.format.needed(data))
                    continue
                self._found(segment, at, found)
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

    def _found(self, segment: SpoolSegment, position: int, found: EntryScan) -> None:
        for entry in found.entries:
            if entry.kind == RECORD and (envelope := segment.envelope(entry)) is not None:
                segment.taken += 1
                self.chunk.append((envelope, (segment, entry.start)))
        after = segment.written if found.end < segment.written else segment.size
        stuck = found.stuck or found.end == position
        self._next = segment, after if stuck else found.end

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
        return [
            (one, bytes(one.buffer))
            for one in self._segments.values()
            if one.buffer and (one.open or one is self._writing or not self._past(one))
        ]

    def wrote(self, segment: SpoolSegment, count: int) -> None:
        """So many bytes of its buffer are in the file."""
        segment.wrote(count)
        self.buffered -= count

    def forced(self) -> None:
        """What is written is on the disk now."""
        for segment in self._segments.values():
            segment.forced()

    def unwritten(self) -> list[DeliveryAccount]:
        """The accounts of records that are neither acknowledged nor on the disk, each as often as it has such."""
        return [account for segment in self._segments.values() for account in segment.unwritten()]

    def cut_short(self) -> list[SpoolSegment]:
        """Files that may end with a part of what could not be written."""
        return [segment for segment in self._segments.values() if segment.buffer]

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
        """Find what is left; how many records will be read first. OSError where that fails."""
        found = await self._disk.run(self._scan, account)
        for segment in found:
            self._segments[segment.number] = segment
            self.number = max(self.number, segment.number)
            self.bytes += segment.size
        if found:
            self._next = found[0], found[0].first
        return self.records

    def _scan(self, account: Callable[[str, str], DeliveryAccount]) -> list[SpoolSegment]:
        number, offset = self._marked
        found = []
        for one in segment_numbers(self.folder):
            segment = SpoolSegment(self.folder, one)
            if one > LAST_NUMBER:
                self._set_aside(segment, "has a number that none of ours has")
                continue
            self.number = max(self.number, one)
            if one < number:  # acknowledged, all of it
                if not segment.path.is_symlink() and segment.path.is_file():
                    self._disk.remove([segment])
                continue
            if self._usable(segment, offset if one == number else 0, account):
                found.append(segment)
        return found

    def _usable(self, segment: SpoolSegment, offset: int, account: Callable[[str, str], DeliveryAccount]) -> bool:
        """Whether there is something to be sent in a file. One without goes away; what cannot be read is set aside."""
        try:
            damage = examine(segment, self._disk, offset, self._largest, account)
        except UnreadableSegmentError as error:
            self.damaged += 1
            self._set_aside(segment, str(error))
            return False
        self.damaged += damage
        if segment.records:
            return True
        if damage:
            self._set_aside(segment, f"nothing of it can be read, {damage} entries or more are damaged")
        else:
            self._disk.remove([segment])
        return False

    def _set_aside(self, segment: SpoolSegment, why: str) -> None:
        try:
            log.error("spool: %s %s; it is %s now", segment.path, why, self._disk.set_aside(segment).name)
        except OSError as error:
            log.error("spool: %s %s, and stays: %s", segment.path, why, error.strerror or error)
