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
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

from k2conn import exactjson
from k2conn.engine.backoff import Delays
from k2conn.engine.gate import Gate
from k2conn.engine.intake import Books, Intake
from k2conn.engine.session import Action, Close, Note, Send, Session, World
from k2conn.engine.sharding import Shard
from k2conn.envelope import Envelope
from k2conn.errors import RecordError, SettingsError, TransportError
from k2conn.plan import HttpRequest, SendScope
from k2conn.runner.journal import journal
from k2conn.transports import Address, Transport
from k2conn.transports.http import Call, call

STATES = ("waiting", "connecting", "subscribing", "live", "stopped", "failed")


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the environment changes about a connector's connections; None (or empty): nothing. Times are seconds."""

    urls: tuple[str, ...] = ()
    """Instead of the plan's; a connection other than the first gets its name as a last path segment. Where the plan's
    address names symbols, its path and query go behind the given one."""
    failover: tuple[str, ...] = ()
    """Instead of the plan's addresses after the first: tried in turn when a connection cannot be made."""
    http_url: str | None = None
    """Scheme and host instead of those of the HTTP calls that the plan declares."""
    verify: bool = True
    ca_file: str | None = None
    ping_every: float | None = None
    ping_timeout: float | None = None
    stale_after: float | None = None
    """0: silence is never taken for death."""
    attempts: int | None = None
    """0: never give up."""
    base_delay: float | None = None
    max_age: float | None = None
    """A connection older than this is replaced by a new one."""


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
        gate: Gate | None = None,
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
        self._gate = gate or Gate(shard.connection.limits.connect)

        self._delays = Delays(shard.connection.backoff, random.random)
        self._stop_asked = asyncio.Event()
        self._attempt: asyncio.Future[None] | None = None
        self._held = False
        self._retire_at: float | None = None
        self._bug: BaseException | None = None
        self._transport: Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._close: Close | None = None
        self._url_at = 0
        self._log = journal(connector=books.plan.name, socket=shard.name)

    def check(self) -> None:
        """Builds what a connection says, as far as that can be told before one is made. Raises MissingVariable for a
        variable it needs, SettingsError for a frame that cannot be sent.
        """
        connection, wall = self.shard.connection, _wall()
        session = Intake(self.books, connection, self.shard.symbols, self._world).session
        scope = self._http_scope(session, wall)
        builds: list[Callable[[], object]] = [
            partial(http_call, request, scope, self._overrides) for request in connection.before
        ]
        builds += [partial(session.url, 0, wall), partial(session.headers, wall), partial(session.frames, wall)]
        for build in builds:
            with suppress(RecordError):  # a value that only a live connection has
                build()

    async def run(self) -> None:
        """Keeps the connection until `stop`; returns early only where the attempts are used up."""
        while not self._stop_asked.is_set():
            try:
                await self._attempted()
                cause, detail, delay = self._ended()
            except TransportError as error:
                cause, detail, delay = error.cause, error.detail, error.delay
                self._url_at += 1
            except (SettingsError, RecordError) as error:
                cause, detail, delay = "settings", str(error), self.shard.connection.backoff.cap
            finally:
                self._cancel_timer()
            if self._bug is not None:
                raise self._bug
            if self._stop_asked.is_set():
                break
            await self._again(cause, detail, delay)
            if self.state == "failed":
                return
        self._be("stopped")

    async def stop(self) -> None:
        """Takes subscriptions back and closes; `run` then returns."""
        self._stop_asked.set()
        if self.connected_us and self._transport is not None and self.intake is not None:
            self._act(self.intake.session.retire(time.monotonic(), _wall()))
            await self._transport.close("stopping")
        elif self._attempt is not None:
            self._attempt.cancel()

    async def _attempted(self) -> None:
        """One connection from its making to its end; `stop` may cut the making short."""
        self._attempt = asyncio.ensure_future(self._once())
        try:
            await self._attempt
        except asyncio.CancelledError:
            if not self._stop_asked.is_set() and self._bug is None:
                raise
        finally:
            self._attempt.cancel()
            self._attempt = None

    # -- one connection

    async def _once(self) -> None:
        self._close = None
        self._held = False
        self.connected_us = 0
        shard = self.shard
        await self._sleep(self._gate.wait(time.monotonic()))
        if self._stop_asked.is_set():
            return
        self._be("connecting")
        intake = self.intake = Intake(self.books, shard.connection, shard.symbols, self._world)
        for request in shard.connection.before:
            await self._before(request, intake)
        self._transport = self._open_transport(self._address(intake))
        try:
            await self._transport.run(self._opened, self._frame, self._relieved)
        finally:
            if self._closing is not None:
                await asyncio.gather(self._closing, return_exceptions=True)
                self._closing = None
            self._transport = None

    def _address(self, intake: Intake) -> Address:
        connection, given = self.shard.connection, self._overrides
        wall = _wall()
        beat = connection.heartbeat
        own = beat.every(intake.session.scope.state) if beat is not None and beat.send is None else 20.0
        every = given.ping_every or own
        return Address(
            url=self._url(intake, wall),
            headers=intake.session.headers(wall),
            max_frame=connection.max_frame,
            ping_every=every,
            ping_timeout=given.ping_timeout or 20.0,
            verify=given.verify,
            ca_file=given.ca_file,
        )

    def _url(self, intake: Intake, wall: int) -> str:
        """The address whose turn it is: of the given ones, or else of the plan's."""
        given, connection, at = self._overrides, self.shard.connection, self._url_at
        own = range(1 if given.failover else len(connection.urls))
        choices: list[str | int] = [*(given.urls or own), *given.failover]
        choice = choices[at % len(choices)]
        if isinstance(choice, int):
            return intake.session.url(choice, wall)
        if connection is not self.books.plan.connections[0]:
            choice = f"{choice.rstrip('/')}/{connection.name}"
        if connection.url_uses_topics:
            parts = urlsplit(intake.session.url(at, wall))
            choice = choice.rstrip("/") + parts.path + (f"?{parts.query}" if parts.query else "")
        return choice

    async def _before(self, request: HttpRequest, intake: Intake) -> None:
        scope = self._http_scope(intake.session, _wall())
        answer = await call(http_call(request, scope, self._overrides))
        intake.session.captured(request.capture, answer)

    def _http_scope(self, session: Session, wall: int) -> SendScope:
        return SendScope(counter=lambda: 0, uuid=self._world.uuid, now_us=wall, state=session.scope.state,
                         environment=self._world.environment, sign=self.shard.connection.sign)

    def _opened(self) -> None:
        assert self.intake is not None
        self.books.ledger.connects += 1
        self.connected_us = _wall()
        self._be("subscribing")
        self._log.info("connected", symbols=len(self.shard.symbols))
        self._retire_at = self._old_at(time.monotonic())
        self._act(self.intake.session.open(time.monotonic(), _wall()))
        self._arm()

    def _old_at(self, now: float) -> float | None:
        """When this connection is to be replaced: somewhat early, and not at the same time as its sisters."""
        ages = [age for age in (self._overrides.max_age, self.shard.connection.limits.lifetime) if age]
        return now + min(ages) * random.uniform(0.9, 0.99) if ages else None

    async def _relieved(self) -> None:
        """Waits for the sink. Nothing is read meanwhile, so the session's clocks stand still."""
        self._held, since = True, time.monotonic()
        try:
            await self._relief()
        finally:
            self._held = False
            if self.intake is not None:
                self.intake.session.resume(time.monotonic() - since)
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
            if self._delays.attempts and any(envelope.schema is not None for envelope in envelopes):
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
        """One timer, for the session's next deadline or the connection's age."""
        self._cancel_timer()
        assert self.intake is not None
        times = [self.intake.session.deadline, self._retire_at]
        due = [moment for moment in times if moment is not None]
        if due and not self._held:
            delay = max(0.0, min(due) - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        """The timer. An exception here would only be logged by the loop, so it is handed to `run`."""
        self._timer = None
        if self.intake is None or self._transport is None:
            return
        now = time.monotonic()
        try:
            if self._retire_at is not None and now >= self._retire_at:
                self._retire_at = None
                self._act([Close("rotation", "the connection is old enough")])
            self._act(self.intake.session.timer(now, _wall()))
            self._arm()
        except Exception as bug:
            self._bug = bug
            if self._attempt is not None:
                self._attempt.cancel()

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
        if cause == "rotation":
            self._log.info("connection replaced", detail=detail)
            return
        if self._lasted() > self.shard.connection.backoff.cap:
            self._delays.reset()
        if self._delays.exhausted:
            self._be("failed", f"{cause}: {detail}")
            self._log.error("gave up", cause=cause, detail=detail, attempts=self._delays.attempts)
            return
        delay = self._delays.next(least)
        self._be("waiting", f"{cause}: {detail}")
        self._log.warning("connection lost", cause=cause, detail=detail, again_in=f"{delay:.1f} s")
        await self._sleep(delay)

    def _lasted(self) -> float:
        """Seconds the last connection stood; a long one counts as a good one, data or not."""
        return (_wall() - self.connected_us) / 1_000_000 if self.connected_us else 0.0

    async def _sleep(self, seconds: float) -> None:
        """Sleeps, but no longer than until stopped."""
        if seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop_asked.wait(), seconds)

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


def http_call(request: HttpRequest, scope: SendScope, given: Overrides) -> Call:
    """A declared HTTP request, filled in."""
    body = exactjson.encode(request.body(scope)) if request.body else None
    if request.form:
        body = urlencode({key: exactjson.spell(value) for key, value in request.form(scope).items()}).encode()
    headers = {key: str(value) for key, value in request.headers(scope).items()} if request.headers else {}
    if body is not None:
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded" if request.form else "application/json")
    url = str(request.url(scope))
    if given.http_url is not None:
        parts = urlsplit(url)
        url = given.http_url.rstrip("/") + (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Call(request.method, url, headers, body, request.within, given.ca_file, given.verify)


def _wall() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


def _ago(wall: int) -> float | None:
    return round((_wall() - wall) / 1_000_000, 3) if wall else None
