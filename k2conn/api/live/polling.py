"""The end of a store as a source of live records: asked again and again, while somebody listens.

A record is live where its time is not older than the newest one by more than ``LATE``: what is loaded or fetched of the
past later is in the store, and no news.
"""

from __future__ import annotations

import asyncio

from k2conn.api.asked import ID, Asked, time_of
from k2conn.api.live.hub import Hub
from k2conn.api.store import Store, TooSlow
from k2conn.errors import K2Error
from k2conn.records import RecordType
from k2conn.runner.event_log import get_logger

EVERY = 0.5
"""Seconds between two looks."""
LATE = 30_000_000
"""Microseconds."""
AT_ONCE = 5000
"""Records of one look. Where more have come, the oldest of them are left out, which the log says."""


class StoreTail:
    """Follows the store for the kinds that somebody listens to."""

    def __init__(self, store: Store, hub: Hub, records: dict[str, RecordType]) -> None:
        self._store = store
        self._hub = hub
        self._records = records
        self._newest: dict[str, int] = {}
        """Of each kind that is followed, the time of its newest record (0: there was none)."""

    async def run(self) -> None:
        """Until it is cancelled."""
        trouble = ""
        while True:
            try:
                await self._look()
                if trouble:
                    get_logger().info("the store is followed again", store=self._store.place)
                trouble = ""
            except K2Error as error:
                if not trouble:
                    get_logger().warning("the store cannot be followed", store=self._store.place, error=str(error))
                trouble = str(error)
            await asyncio.sleep(EVERY)

    async def _look(self) -> None:
        wanted = self._hub.wanted
        for kind in [one for one in self._newest if one not in wanted]:
            del self._newest[kind]
        for kind in wanted & self._records.keys():
            try:
                await self._look_at(kind)
            except TooSlow as error:
                get_logger().warning("the store is too slow to be followed", kind=kind, error=str(error))

    async def _look_at(self, kind: str) -> None:
        record = self._records[kind]
        time = time_of(record)
        newest = self._newest.get(kind)
        if newest is None:  # what is there already is no news
            rows = await self._store.records(Asked(record=record, limit=1))
            start = max(0, rows[0][time] - LATE) if rows else 0
            rows = await self._store.records(Asked(record=record, since=start, limit=AT_ONCE)) if rows else []
            self._hub.know(row[ID] for row in rows)
            self._newest[kind] = rows[0][time] if rows else 0
            return
        rows = await self._store.records(Asked(record=record, since=max(0, newest - LATE), limit=AT_ONCE))
        if not rows:
            return
        news = self._hub.publish(kind, reversed(rows))
        if news == AT_ONCE:
            get_logger().warning("more has come than is looked at at once: listeners miss some", kind=kind)
        self._newest[kind] = max(newest, rows[0][time])
