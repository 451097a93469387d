"""A segment file that an earlier process left: what in it can be read, found out before anything of it is sent."""

from __future__ import annotations

import logging
from collections.abc import Callable

from k2conn.envelope import DeliveryAccount
from k2conn.spool.disk import Disk
from k2conn.spool.entries import MAX_ENTRY, RECORD, Entry, EntryFormat, EntryScan, KeyedFormat, recognised
from k2conn.spool.segment import SpoolSegment

WINDOW = 1024 * 1024
"""Bytes read at once."""
LEAST = 21
"""Bytes that an entry takes at least."""

log = logging.getLogger("k2conn.spool")


class UnreadableSegmentError(Exception):
    """The file is no segment, or cannot be read; it says why."""


def examine(
    segment: SpoolSegment,
    disk: Disk,
    offset: int,
    largest: int,
    account: Callable[[str, str], DeliveryAccount],
) -> int:
    """Reads a segment's routes and counts its records from ``offset`` on. How many entries are damaged, as far as that
    can be told. UnreadableSegmentError where it is none. Memory is bounded by the largest entry.
    """
    try:
        size = disk.open(segment)
        if size > largest:
            raise UnreadableSegmentError(f"is larger than a whole spool ({size} bytes)")
        return _Examination(segment, disk, offset, size, account).damaged
    except OSError as error:
        raise UnreadableSegmentError(f"cannot be read ({error.strerror or error})") from None


class _Examination:
    def __init__(
        self,
        segment: SpoolSegment,
        disk: Disk,
        offset: int,
        size: int,
        account: Callable[[str, str], DeliveryAccount],
    ) -> None:
        self._segment, self._disk, self._offset, self._size, self._account = segment, disk, offset, size, account
        self.damaged = 0
        begin = disk.read(segment, 0, WINDOW)
        known = recognised(begin)
        if known is None:
            raise UnreadableSegmentError(f"is no spool file ({size} bytes)")
        self._format: EntryFormat = known
        if isinstance(known, KeyedFormat) and size >= known.first and not begin.startswith(known.head):
            self.damaged += 1
        self._number, self._end = 0, known.first
        self._first: int | None = None
        self._walk()

    def _walk(self) -> None:
        segment, at, window = self._segment, self._format.first, WINDOW
        while at < self._size:
            data = self._disk.read(segment, at, window)
            whole = not data or at + len(data) >= self._size or window > 2 * MAX_ENTRY
            found = self._format.scan(data, at, whole)
            for entry in found.entries:
                self._take(entry)
            if not isinstance(self._format, KeyedFormat):
                self.damaged += found.damaged
            if found.stuck or not data:
                self._tail(found)
                break
            window = max(2 * window, self._format.needed(data)) if found.end == at else WINDOW
            at = found.end
        else:
            self._tail(EntryScan([], self._size, 0))
        segment.buffer.clear()
        segment.format = self._format
        segment.open = segment.records
        segment.first = self._end if self._first is None else self._first
        segment.size = segment.written = segment.synced = self._end
        if self.damaged:
            log.error("spool: %d entries of %s or more are damaged, their records are lost", self.damaged, segment.path)

    def _take(self, entry: Entry) -> None:
        if isinstance(self._format, KeyedFormat):
            between = entry.start - self._end
            if between > 0:
                self.damaged += min(max(entry.number - self._number, 1), max(between // LEAST, 1))
            self._number = entry.number + 1
        self._end = entry.end
        if entry.kind == RECORD:
            if entry.start >= self._offset:
                self._count(entry)
        elif not self._segment.learn(entry, self._account):
            self.damaged += 1

    def _count(self, entry: Entry) -> None:
        route = self._segment.routes.get(entry.route)
        if route is None:
            self.damaged += 1
            return
        if self._first is None:
            self._first = entry.start
        self._segment.records += 1
        if route.account is not None:
            route.account.spooled += 1

    def _tail(self, found: EntryScan) -> None:
        """What is behind the last good entry."""
        if found.torn:
            torn = self._size - found.end
            log.warning("spool: the end of %s was torn: %d bytes are left out", self._segment.path, torn)
        if isinstance(self._format, KeyedFormat) and (found.end if found.torn else self._size) > self._end:
            self.damaged += 1
