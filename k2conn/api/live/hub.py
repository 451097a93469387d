"""One place through which live records go to all listeners. Each has a bounded queue; one that is behind by more is
sent away, so that a slow one costs the others nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from k2conn import exactjson
from k2conn.api.asked import ID, Asked, Row
from k2conn.api.problems import RequestRefused
from k2conn.api.wire import Wording
from k2conn.records import RecordType

REMEMBERED = 50_000
"""Ids by which a record that comes twice is known."""
RECENT = 50_000
"""Records of a type that are kept for questions about what is not in the store yet."""


@dataclass(frozen=True, slots=True)
class Live:
    """A record as listeners get it."""

    kind: str
    id: str
    text: bytes


@dataclass(eq=False)
class Listener:
    """Somebody who listens. ``behind``: more waited than it may; nothing more is taken in."""

    asked: Asked
    queue: asyncio.Queue[Live | None]
    behind: bool = False
    sent: int = 0

    async def records(self, every: float) -> AsyncIterator[Live | None]:
        """The records as they come; None where there was none for ``every`` seconds. Ends where the hub does, or where
        it is behind.
        """
        while not self.behind:
            try:
                async with asyncio.timeout(every):
                    found = await self.queue.get()
            except TimeoutError:
                yield None
                continue
            if found is None:
                return
            self.sent += 1
            yield found


@dataclass
class _Kind:
    record: RecordType
    wording: Wording
    recent: deque[Row] = field(default_factory=deque)


class Hub:
    """Takes in live records and hands them out."""

    def __init__(self, records: Iterable[RecordType], listeners: int, waiting: int) -> None:
        self._kinds = {one.profile.plural: _Kind(one, Wording(one)) for one in records}
        self._most = listeners
        self._waiting = waiting
        self._listeners: set[Listener] = set()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self.dropped = 0
        """Listeners that were sent away."""
        self.ended = False

    @property
    def listeners(self) -> int:
        """How many there are."""
        return len(self._listeners)

    @property
    def wanted(self) -> frozenset[str]:
        """The kinds that somebody listens to."""
        return frozenset(one.asked.kind for one in self._listeners)

    @contextmanager
    def listening(self, asked: Asked) -> Iterator[Listener]:
        """Somebody listens while the block lasts. RequestRefused where they are too many."""
        if self.ended or len(self._listeners) >= self._most:
            raise RequestRefused(503, "there are as many listeners as there may be", headers={"Retry-After": "5"})
        one = Listener(asked, asyncio.Queue(self._waiting))
        self._listeners.add(one)
        try:
            yield one
        finally:
            self._listeners.discard(one)

    def know(self, ids: Iterable[str]) -> None:
        """Takes records as handed out already."""
        for one in ids:
            self._is_new(one)

    def publish(self, kind: str, rows: Iterable[Row]) -> int:
        """Hands out records, the oldest first; those that were handed out already are left out. How many were new."""
        known = self._kinds.get(kind)
        if known is None:
            return 0
        count = 0
        for row in rows:
            if self._is_new(row[ID]):
                count += 1
                known.recent.append(row)
                if len(known.recent) > RECENT:
                    known.recent.popleft()
                self._hand_out(known, kind, row)
        return count

    def _is_new(self, record_id: str) -> bool:
        if record_id in self._seen:
            return False
        self._seen[record_id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return True

    def _hand_out(self, known: _Kind, kind: str, row: Row) -> None:
        made: Live | None = None
        for one in [one for one in self._listeners if one.asked.kind == kind and not one.behind]:
            if not one.asked.fits(row):
                continue
            made = made or Live(kind, row[ID], exactjson.encode(known.wording.document(row)))
            try:
                one.queue.put_nowait(made)
            except asyncio.QueueFull:
                one.behind = True
                self.dropped += 1

    def forget(self, before: int) -> None:
        """Leaves out of `recent` what has come before that time."""
        for known in self._kinds.values():
            while known.recent and known.recent[0].get("ingestion_timestamp", 0) < before:
                known.recent.popleft()

    def recent(self, asked: Asked) -> list[Row]:
        """What is kept of the records asked for, in no order."""
        known = self._kinds.get(asked.kind)
        return [] if known is None else [row for row in known.recent if asked.fits(row)]

    def end(self) -> None:
        """Sends everybody away."""
        self.ended = True
        for one in self._listeners:
            while one.queue.full():
                one.queue.get_nowait()
            one.queue.put_nowait(None)


def merged(stored: Iterable[Row], live: Iterable[Row], asked: Asked, key: tuple[str, ...]) -> list[Row]:
    """Records of both, each once, the newest first: the stored one where both have it, the live one of those that
    replace each other.
    """
    found: dict[tuple[Any, ...], Row] = {}
    for row in live:
        _take(found, row, key)
    for row in stored:
        if key == (ID,) or tuple(row[name] for name in key) not in found:
            _take(found, row, key)
    return sorted(found.values(), key=asked.place, reverse=True)[: asked.limit]


def _take(found: dict[tuple[Any, ...], Row], row: Mapping[str, Any], key: tuple[str, ...]) -> None:
    found[tuple(row[name] for name in key)] = row
