"""One socket's life: connect, converse, and connect again, for ever.

A session is new for every connection; the socket only carries frames, time and actions between it and the transport.
What ends a connection: the transport (lost, closed, refused), the session (silence, refusal, notice), or the runner.
Our own bugs are not caught here: they end the process.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from k2conn import exactjson
from k2conn.engine.backoff import Delays
from k2conn.engine.intake import Books, Intake
from k2conn.engine.session import Action, Close, Note, Send, World
from k2conn.engine.sharding import Shard
from k2conn.envelope import Envelope
from k2conn.errors import MissingVariable, RecordError, TransportError
from k2conn.plan import HttpRequest, SendScope
from k2conn.runner.journal import journal
from k2conn.transports import Address, Transport
from k2conn.transports.http import Call, call

STATES = ("waiting", "connecting", "subscribing", "live", "stopped", "failed")


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the environment changes about a connector's connections."""

    urls: tuple[str, ...] = ()
    """Instead of the plan's; a connection other than the first gets its name as a last path segment."""
    http_url: str | None = None
    """Scheme and host instead of those of the HTTP calls that the plan declares."""
    verify: bool = True
    ca_file: str | None = None
    ping_every: float | None = None
    ping_timeout: float | None = None
    stale_after: float | None = None
    attempts: int | None = None
    base_delay: float | None = None
    max_age: float | None = None


class Socket:
    """One connection of a connector, kept alive until stopped."""

    def __init__(
        self,
        books: Books,
        shard: Shard,
        publish: Callable[[list[Envelope]], bool],
        relief: Callable[[], Awaitable[None]],
        overrides: Overrides,
        environment: Mapping[str, str],
        open_transport: Callable[[Address], Transport],
    ) -> None:
        self.books = books
        self.shard = shard
        self.state = "waiting"
        self.detail = ""
        self.since = time.monotonic()
        self.last_frame_us = 0
        self.last_data_us = 0
        self.connected_us = 0
        self.intake: Intake | None = None
        self._publish = publish
        self._relief = relief
        self._overrides = overrides
        self._world = World(lambda: str(uuid.uuid4()), environment)
        self._open_transport = open_transport
        self._delays = Delays(shard.connection.backoff, random.random)
        self._stopping = False
        self._transport: Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._close: Close | None = None
        self._url_at = 0
        self._log = journal(connector=books.plan.name, socket=shard.name)

    async def run(self) -> None:
        """Keeps the connection until `stop`; returns early only where the attempts are used up."""
        while not self._stopping:
            try:
                await self._once()
                cause, detail, delay = self._ended()
            except TransportError as error:
                cause, detail, delay = error.cause, error.detail, error.delay
                self._url_at += 1
            except (MissingVariable, RecordError) as error:
                cause, detail, delay = "settings", str(error), self.shard.connection.backoff.cap
            finally:
                self._cancel_timer()
            if self._stopping:
                break
            await self._again(cause, detail, delay)
            if self.state == "failed":
                return
        self._be("stopped")

    async def stop(self) -> None:
        """Takes subscriptions back and closes; `run` then returns."""
        self._stopping = True
        if self._closing is not None:
            self._closing.cancel()
        if self._transport is not None:
            if self.intake is not None:
                self._act(self.intake.session.retire(time.monotonic(), _wall()))
            await self._transport.close("stopping")

    # -- one connection

    async def _once(self) -> None:
        self._close = None
        self._be("connecting")
        shard = self.shard
        intake = self.intake = Intake(self.books, shard.connection, shard.symbols, self._world)
        for request in shard.connection.before:
            await self._before(request, intake)
        self._transport = self._open_transport(self._address(intake))
        try:
            await self._transport.run(self._opened, self._frame, self._relief)
        finally:
            if self._closing is not None:
                await asyncio.gather(self._closing, return_exceptions=True)
                self._closing = None
            self._transport = None

    def _address(self, intake: Intake) -> Address:
        connection, given = self.shard.connection, self._overrides
        wall = _wall()
        url = self._given_url() if given.urls else intake.session.url(self._url_at, wall)
        beat = connection.heartbeat
        every = given.ping_every or (beat.every({}) if beat is not None and beat.send is None else 20.0)
        return Address(
            url=url,
            headers=intake.session.headers(wall),
            max_frame=connection.max_frame,
            ping_every=every,
            ping_timeout=given.ping_timeout or 20.0,
            verify=given.verify,
            ca_file=given.ca_file,
        )

    def _given_url(self) -> str:
        """The overriding address; where a connector has several kinds of socket, all but the first add their name."""
        urls = self._overrides.urls
        url = urls[self._url_at % len(urls)]
        connection = self.shard.connection
        return url if connection is self.books.plan.connections[0] else f"{url.rstrip('/')}/{connection.name}"

    async def _before(self, request: HttpRequest, intake: Intake) -> None:
        wall = _wall()
        scope = SendScope(counter=lambda: 0, uuid=self._world.uuid, now_us=wall, state=intake.session.scope.state,
                          environment=self._world.environment, sign=self.shard.connection.sign)
        answer = await call(http_call(request, scope, self._overrides.ca_file, self._overrides.http_url))
        intake.session.captured(request.capture, answer)

    def _opened(self) -> None:
        assert self.intake is not None
        self.books.ledger.connects += 1
        self.connected_us = _wall()
        self._be("subscribing")
        self._log.info("connected", symbols=len(self.shard.symbols))
        self._act(self.intake.session.open(time.monotonic(), _wall()))
        self._arm()

    def _frame(self, frame: str | bytes) -> bool:
        intake = self.intake
        assert intake is not None
        wall = _wall()
        envelopes, actions = intake.receive(frame, time.monotonic(), wall)
        self.last_frame_us = wall
        if actions:
            self._act(actions)
            self._arm()
        if envelopes:
            self.last_data_us = wall
            if self._delays.attempts:
                self._delays.reset()
            return self._publish(envelopes)
        return False

    def _act(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if type(action) is Send:
                if self._transport is not None:
                    self._transport.send(action.frame)
            elif type(action) is Note:
                self._note(action)
            elif type(action) is Close and self._closing is None and self._transport is not None:
                self._close = action
                self._closing = asyncio.ensure_future(self._transport.close(action.cause))

    def _note(self, note: Note) -> None:
        if note.kind == "settled":
            self._be("live")
            self._log.info("subscribed", **note.detail)
        elif note.kind in ("refused", "unacknowledged", "error"):
            self.books.ledger.refused += note.kind == "refused"
            self._log.warning(note.kind, **note.detail)
        else:
            self._log.debug(note.kind, **note.detail)

    # -- time

    def _arm(self) -> None:
        """One timer, for the session's next deadline."""
        self._cancel_timer()
        assert self.intake is not None
        deadline = self.intake.session.deadline
        if deadline is not None:
            delay = max(0.0, deadline - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self.intake is not None and self._transport is not None:
            self._act(self.intake.session.timer(time.monotonic(), _wall()))
            self._arm()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- again

    def _ended(self) -> tuple[str, str, float]:
        """Why a connection that we closed was closed."""
        if self._close is None:
            return "closed", "", 0.0
        return self._close.cause, self._close.detail, self._close.delay

    async def _again(self, cause: str, detail: str, least: float) -> None:
        self.books.ledger.reconnects[cause] += 1
        if self._delays.exhausted or self._over(self._delays.attempts):
            self._be("failed", f"{cause}: {detail}")
            self._log.error("gave up", cause=cause, detail=detail, attempts=self._delays.attempts)
            return
        delay = self._delays.next(least)
        self._be("waiting", f"{cause}: {detail}")
        self._log.warning("connection lost", cause=cause, detail=detail, again_in=f"{delay:.1f} s")
        end = time.monotonic() + delay
        while not self._stopping and (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 0.2))

    def _over(self, attempts: int) -> bool:
        limit = self._overrides.attempts
        return limit is not None and attempts >= limit

    def _be(self, state: str, detail: str = "") -> None:
        self.state, self.detail, self.since = state, detail, time.monotonic()

    def status(self) -> dict[str, Any]:
        """For /health and the demo's table."""
        subscriptions = self.intake.session.subscriptions if self.intake else None
        return {
            "socket": self.shard.name,
            "state": self.state,
            "detail": self.detail,
            "symbols": len(self.shard.symbols),
            "confirmed": subscriptions.count("confirmed") if subscriptions else 0,
            "refused": subscriptions.count("refused") if subscriptions else 0,
            "seconds_since_frame": _ago(self.last_frame_us),
            "seconds_since_data": _ago(self.last_data_us),
        }


def http_call(request: HttpRequest, scope: SendScope, ca_file: str | None, base: str | None = None) -> Call:
    """A declared HTTP request, filled in; ``base`` (scheme and host) replaces the declared one."""
    body = exactjson.encode(request.body(scope)) if request.body else None
    if request.form:
        body = urlencode({key: exactjson.spell(value) for key, value in request.form(scope).items()}).encode()
    headers = {key: str(value) for key, value in request.headers(scope).items()} if request.headers else {}
    if body is not None:
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded" if request.form else "application/json")
    url = str(request.url(scope))
    if base is not None:
        parts = urlsplit(url)
        url = base.rstrip("/") + (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Call(request.method, url, headers, body, request.within, ca_file)


def _wall() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


def _ago(wall: int) -> float | None:
    return round((_wall() - wall) / 1_000_000, 3) if wall else None
