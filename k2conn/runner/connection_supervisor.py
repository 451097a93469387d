"""One socket of a connector, kept alive: connect, and connect again, for ever.

A connection that was lost is made again after a delay. One that is to be *replaced* (it is old, the venue asks for it,
or a better address has recovered) goes on until its successor stands: the new connection is opened first, and the old
one is closed when the new one has delivered every stream of every symbol that the old one delivered, or a bound has
passed. What both deliver meanwhile falls away in the duplicate window.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from k2conn.engine.frame_pipeline import Intake
from k2conn.engine.resilience.backoff import Delays
from k2conn.engine.resilience.replicas import Leg
from k2conn.engine.sharding.shards import Shard
from k2conn.errors import RecordError
from k2conn.runner.connection import RECORD, SETTLED, End, Link, http_scope, wall_us
from k2conn.runner.endpoint_group import Kit, Site
from k2conn.runner.event_log import journal
from k2conn.runner.http_requests import http_call

STATES = ("waiting", "connecting", "subscribing", "live", "stopped", "failed")

PROVE_WITHIN = 30.0
"""Seconds after its subscription in which a new connection shows every symbol; then it takes over all the same."""
SETTLE_WITHIN = 60.0
"""Seconds a new connection may take to be subscribed; then it is given up and the old one goes on."""
DRAIN = 0.5
"""Seconds the old connection is still read when the new one has proved itself: it may lag behind."""
TRY_AGAIN = 10.0
"""Seconds after which a replacement that could not be made is tried again."""
LOOK = 1.0
"""Seconds between two looks whether a better address has recovered."""
PATIENCE = 16
"""How many times its `stale_after` a stream may at most be silent after connections without any data."""


class Socket:
    """Keeps one shard connected until stopped."""

    def __init__(self, kit: Kit, site: Site, shard: Shard, leg: Leg | None = None) -> None:
        self.site = site
        self.shard = shard
        self.link: Link | None = None
        self.leg = leg
        self.detail = ""
        self.replacing = False
        self._kit = kit
        self._state = "waiting"
        self._delays = Delays(shard.connection.backoff, random.random)
        self._stop_asked = asyncio.Event()
        self._news = asyncio.Event()
        self._links: set[Link] = set()
        """All that have a task."""
        self._silences = 0
        """Connections in a row that were closed for a stream's silence without having had any data."""
        self._log = journal(connector=kit.books.plan.name, socket=shard.name)

    def check(self) -> None:
        """Builds what a connection says, as far as that can be told before one is made. Raises MissingVariable for a
        variable it needs, SettingsError for a frame that cannot be sent.
        """
        connection, wall, kit = self.shard.connection, wall_us(), self._kit
        session = Intake(kit.books, connection, self.shard.symbols, kit.world).session
        scope = http_scope(kit, self.shard, session)
        builds: list[Callable[[], object]] = [
            partial(http_call, request, scope, kit.overrides) for request in connection.before
        ]
        builds += [partial(session.url, 0, wall), partial(session.headers, wall), partial(session.frames, wall)]
        for build in builds:
            with suppress(RecordError):  # a value that only a live connection has
                build()

    async def run(self) -> None:
        """Keeps the connection until `stop`; returns early only where the attempts are used up."""
        try:
            while not self._stop_asked.is_set():
                end = await self._connected()
                if end is None or self._stop_asked.is_set():
                    break
                await self._again(end)
                if self._state == "failed":
                    return
            await self._all_ended()
            self._be("stopped")
        finally:
            for link in self._links:
                if link.task is not None:
                    link.task.cancel()

    def carry(self, shard: Shard) -> None:
        """From now on its symbols are this shard's, on the connections that there are and on all to come."""
        self.shard = shard
        for link in self._links:
            if link.task is not None and not link.task.done():
                link.carry(shard)

    @property
    def changing(self) -> bool:
        """Whether a connection is still asking for what `carry` said."""
        return any(link.changing for link in self._links if link.task is not None and not link.task.done())

    async def stop(self) -> None:
        """Takes subscriptions back and closes; `run` then returns."""
        self._stop_asked.set()
        self._news.set()
        await asyncio.gather(*(link.stop() for link in tuple(self._links)))

    # -- one connection after the other

    async def _connected(self) -> End | None:
        """A connection and whatever replaces it, until one is lost; None where stopped before one was made."""
        endpoint = await self._endpoint()
        if endpoint is None:
            return None
        link = self.link = self._begin(endpoint)
        self._be("connecting")
        while True:
            end = link.ended
            if end is not None:
                self._judge(link, end)
                return end
            if self._stop_asked.is_set():
                await self._turn(None)
            elif link.due is not None:
                link = await self._replaced(link, link.due)
            else:
                self._ask_for_better(link)
                await self._turn(LOOK if self._has_better(link) else None)

    async def _endpoint(self) -> int | None:
        """The address to connect to, as soon as there is one that is not out of order; None where stopped."""
        while not self._stop_asked.is_set():
            endpoint, wait = self.site.endpoints.choose(time.monotonic(), self.shard.leg)
            if wait <= 0:
                return endpoint
            self._be("waiting", self.detail or f"all addresses are out of order; the next try in {wait:.0f} s")
            await self._turn(wait)
        return None

    def _begin(self, endpoint: int) -> Link:
        self.site.endpoints.breakers[endpoint].attempt(time.monotonic())
        patience = min(PATIENCE, 2 ** min(self._silences, 10))
        link = Link(self._kit, self.site, self.shard, endpoint, self.leg, patience, self._heard, self._log)
        self._links.add(link)
        link.start()
        return link

    def _heard(self, link: Link, what: str) -> None:
        """What a link tells."""
        self._news.set()
        if what in (SETTLED, RECORD):
            breaker = self.site.endpoints.breakers[link.endpoint]
            self._tried(link, partial(breaker.succeed, time.monotonic()))
        if what == RECORD:
            breaker.proved()
            self._delays.reset()
            self._silences = 0

    def _judge(self, link: Link, end: End) -> None:
        """What an end that was not planned says about the address."""
        breaker = self.site.endpoints.breakers[link.endpoint]
        good = link.data or _lasted(link) > self.shard.connection.backoff.cap
        if self._stop_asked.is_set() or good or end.cause in ("settings", "refused", "stopped"):
            breaker.leave()
        else:
            self._tried(link, partial(breaker.fail, time.monotonic()))
        if end.cause == "stale-stream" and not link.data:
            self._silences += 1

    def _tried(self, link: Link, tell: Callable[[], None]) -> None:
        """Tells a breaker something, and says where that changes its state."""
        breaker = self.site.endpoints.breakers[link.endpoint]
        before = breaker.state(time.monotonic())
        tell()
        after = breaker.state(time.monotonic())
        if after != before:
            host = self.site.host(link.endpoint)
            self._log.warning("address " + ("recovered" if after == "closed" else "out of order"), host=host,
                              breaker=after)

    # -- replacement

    def _has_better(self, link: Link) -> bool:
        return self.site.endpoints.order(self.shard.leg)[0] != link.endpoint

    def _ask_for_better(self, link: Link) -> None:
        """Goes back to an earlier address when it may be tried again."""
        if link.state != "live" or not self._has_better(link):
            return
        better = self.site.endpoints.better(link.endpoint, time.monotonic(), self.shard.leg)
        if better is not None:
            link.ask(End("failback", f"{self.site.host(better)} may have recovered"))

    async def _replaced(self, old: Link, due: End) -> Link:
        """Replaces a connection; the successor, or the old one where that could not be done or has ended before."""
        until = time.monotonic() + due.delay
        if not self.site.overlaps:
            while (left := until - time.monotonic()) > 0 and old.ended is None and not self._stop_asked.is_set():
                await self._turn(left)
            return await self._closed_first(old, due)
        while self.site.spare <= 0 or time.monotonic() < until:
            if old.ended is not None or self._stop_asked.is_set():
                return old
            await self._turn(min(0.25, max(0.01, until - time.monotonic())))
        endpoint, wait = self.site.endpoints.choose(time.monotonic(), self.shard.leg)
        if old.ended is not None or self._stop_asked.is_set():
            return old
        if wait > 0:
            self._put_off(old, due, wait)
            return old
        self.site.spare -= 1
        self.replacing = True
        try:
            return await self._overlapped(old, due, self._begin(endpoint))
        finally:
            self.site.spare += 1
            self.replacing = False

    async def _overlapped(self, old: Link, due: End, new: Link) -> Link:
        """Both connections at work, until the new one has proved itself, or one of them ends."""
        began, settled = time.monotonic(), 0.0
        while not self._stop_asked.is_set():
            now = time.monotonic()
            end = new.ended
            if end is not None:
                self._judge(new, end)
                self._count(end)
                self._put_off(old, due, TRY_AGAIN)
                self._log.warning("replacement failed, the old connection goes on", cause=end.cause, detail=end.detail)
                return old
            if (lost := old.ended) is not None:
                self._count(lost)
                self._log.warning("connection lost", cause=lost.cause, detail=lost.detail, again_in="its successor's")
                self.link = new
                return new
            if new.state == "live":
                settled = settled or now
                proved = old.heard <= new.heard
                if proved or now >= settled + PROVE_WITHIN:
                    await self._taken_over(old, due, new, proved)
                    return new
            elif now >= began + SETTLE_WITHIN:
                await new.stop("no answer")
                continue
            await self._turn(max(0.01, (settled + PROVE_WITHIN if settled else began + SETTLE_WITHIN) - now))
        return old

    async def _taken_over(self, old: Link, due: End, new: Link, proved: bool) -> None:
        """The new connection is the socket's; the old one is read a moment longer, then closed."""
        self.link = new
        until = time.monotonic() + DRAIN
        while (time.monotonic() < until or old.held) and old.ended is None and not self._stop_asked.is_set():
            await self._turn(max(0.01, until - time.monotonic()))
        self._count(due)
        self._log.info("connection replaced", cause=due.cause, detail=due.detail, all_symbols_seen=proved)
        await old.stop(due.cause)

    async def _closed_first(self, old: Link, due: End) -> Link:
        """The new connection after the old one, where the venue allows no more at a time."""
        if old.ended is not None or self._stop_asked.is_set():
            return old
        await old.stop(due.cause)
        endpoint, wait = self.site.endpoints.choose(time.monotonic(), self.shard.leg)
        if self._stop_asked.is_set():
            return old
        self._count(due)
        self._log.info("connection replaced", cause=due.cause, detail=due.detail, all_symbols_seen=False)
        self.link = self._begin(endpoint if wait <= 0 else old.endpoint)
        return self.link

    def _put_off(self, old: Link, due: End, seconds: float) -> None:
        """Tries a replacement again later: by age where it was the age, at once again by `_ask_for_better`."""
        old.due = None
        if due.cause != "failback":
            asyncio.get_running_loop().call_later(seconds, old.ask, due)

    # -- again

    def _count(self, end: End) -> None:
        self._kit.books.ledger.reconnects[end.cause] += 1

    async def _again(self, end: End) -> None:
        self._count(end)
        if self.link is not None and _lasted(self.link) > self.shard.connection.backoff.cap:
            self._delays.reset()
        if self._delays.exhausted:
            self._be("failed", f"{end.cause}: {end.detail}")
            self._log.error("gave up", cause=end.cause, detail=end.detail, attempts=self._delays.attempts)
            return
        delay = self._delays.next(end.delay)
        self._be("waiting", f"{end.cause}: {end.detail}")
        self._log.warning("connection lost", cause=end.cause, detail=end.detail, again_in=f"{delay:.1f} s")
        until = time.monotonic() + delay
        while (left := until - time.monotonic()) > 0 and not self._stop_asked.is_set():
            await self._turn(left)

    async def _turn(self, seconds: float | None) -> None:
        """Waits until something happens, at most so long; a bug in any link is raised."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()
        for link in tuple(self._links):
            if link.ended is not None and link is not self.link:
                self._links.discard(link)

    async def _all_ended(self) -> None:
        while any(link.ended is None for link in self._links):
            await self._turn(None)

    # -- what is seen from outside

    @property
    def state(self) -> str:
        """waiting, connecting, subscribing, live, stopped or failed."""
        return self.link.state if self._state == "connecting" and self.link is not None else self._state

    @property
    def intake(self) -> Intake | None:
        """Where its connection's frames go in; None where there is none yet."""
        return self.link.intake if self.link is not None else None

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._state == "connecting" and self.link is not None and self.link.opened_at is not None

    def _be(self, state: str, detail: str = "") -> None:
        self._state, self.detail = state, detail

    def status(self) -> dict[str, Any]:
        """For /health and the demo's table."""
        link = self.link
        subscriptions = link.intake.session.subscriptions if link is not None and link.intake is not None else None
        opened = link.opened_at if link is not None and self.connected else None
        return {
            "socket": self.shard.name,
            "state": self.state,
            "detail": self.detail,
            "host": self.site.host(link.endpoint) if link is not None else None,
            "seconds_connected": round(time.monotonic() - opened, 3) if opened is not None else None,
            "replacing": self.replacing,
            "symbols": len(self.shard.symbols),
            "confirmed": subscriptions.count("confirmed") if subscriptions else 0,
            "refused": subscriptions.count("refused") if subscriptions else 0,
            "seconds_since_frame": _ago(link.last_frame_us) if link is not None else None,
            "seconds_since_data": _ago(max(link.last_data_us, self.leg.last_us if self.leg else 0)) if link else None,
            **({"leg": self.leg.tally.figures()} if self.leg is not None else {}),
        }


def _lasted(link: Link) -> float:
    """Seconds a connection stood; a long one counts as a good one, data or not."""
    return time.monotonic() - link.opened_at if link.opened_at is not None else 0.0


def _ago(wall: int) -> float | None:
    return round((wall_us() - wall) / 1_000_000, 3) if wall else None
