"""The supervisor of one connection: connects, and connects again, until it is stopped.

A connection that was lost is made again after a delay. One that is to be *replaced* (it is old, the venue asks for it,
or a better address has recovered) goes on until its successor stands: the new connection is opened first, and the old
one is closed when the new one has delivered every stream of every symbol that the old one delivered, or a bound has
passed. The dedup window drops what both deliver meanwhile.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from k2conn.clock import monotonic, wall_us
from k2conn.engine.conversation.end_causes import EndCause
from k2conn.engine.conversation.session import Session
from k2conn.engine.conversation.subscriptions import SubscriptionState
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.resilience.backoff import BackoffDelays
from k2conn.engine.resilience.circuit_breaker import BreakerState
from k2conn.engine.resilience.replicas import Replica
from k2conn.engine.sharding.shards import Shard
from k2conn.errors import RecordError, SettingsError, TransportError
from k2conn.net.destinations import CAUSE as FORBIDDEN_HOST
from k2conn.net.proxy import proxy_for
from k2conn.plan import Json
from k2conn.runner.connection import ConnectionEnd, ConnectionEvent, VenueConnection, http_scope
from k2conn.runner.connection_state import ConnectionState
from k2conn.runner.endpoint_group import ConnectorContext, EndpointGroup
from k2conn.runner.event_log import get_logger
from k2conn.runner.http_requests import check_call
from k2conn.runner.status import ConnectionStatus
from k2conn.runner.transport_requests import program_of

PROVE_WITHIN = 30.0
"""Seconds after its subscription in which a new connection shows every symbol; then it takes over all the same."""
SETTLE_WITHIN = 60.0
"""Seconds a new connection may take to be subscribed; then it is given up and the old one goes on."""
DRAIN = 0.5
"""Seconds the old connection is still read when the new one has proved itself: it may lag behind."""
TRY_AGAIN = 10.0
"""Seconds after which a replacement that could not be made is tried again."""
ABANDON_WITHIN = 5.0
"""Seconds that connections may take to end when a bug has ended their supervisor."""
LOOK = 1.0
"""Seconds between two looks whether a better address has recovered."""
MOST_LATER = 5
"""How often the time after which a replacement is tried again doubles."""
SUBSCRIBED_FOR = 5.0
"""Seconds for which a connection without data is subscribed until it counts as one that stood, for the exit code."""
UNWELCOME = 10
"""By how much longer a connection must stand that the venue ended by a rule of its own."""
MOST_PATIENCE = 16
"""The largest factor by which a stream's `stale_after` is multiplied after connections that had no data: a venue that
has nothing to say is not asked again and again."""
_NOT_THE_ADDRESS = (EndCause.SETTINGS, EndCause.REFUSED, EndCause.STOPPED)
"""Ends that say nothing about the address: its breaker does not count them."""


class ConnectionSupervisor:
    """Keeps one shard connected until stopped."""

    def __init__(
        self, context: ConnectorContext, endpoint_group: EndpointGroup, shard: Shard, replica: Replica | None = None
    ) -> None:
        self.endpoint_group = endpoint_group
        self.shard = shard
        self.connection: VenueConnection | None = None
        self.replica = replica
        self.detail = ""
        self.replacing = False
        self._context = context
        self._state = ConnectionState.WAITING
        self._delays = BackoffDelays(shard.connection.reconnect, random.random)
        self._stop_asked = asyncio.Event()
        self._news = asyncio.Event()
        self._connections: set[VenueConnection] = set()
        """All that have a task."""
        self._kept: dict[str, Json] = {}
        """What its connections keep for those after them (`keep: true`)."""
        self._silences = 0
        """Connections in a row that were closed for a stream's silence without having had any data."""
        self._notices = 0
        """Connections in a row that the venue asked to replace before they had stood for a while."""
        self.failed_replacements = 0
        """In a row; the old connection goes on."""
        self._log = get_logger(connector=context.connector_state.plan.name, socket=shard.name)

    def check(self) -> None:
        """Builds what a connection says, as far as that can be told before one is made. Raises MissingVariable for a
        variable it needs, SettingsError for a frame that cannot be sent.
        """
        connection, wall, context = self.shard.connection, wall_us(), self._context
        state, symbols = context.connector_state, self.shard.symbols
        session = FramePipeline(state, connection, symbols, context.session_context).session
        scope = http_scope(context, self.shard, session)
        builds: list[Callable[[], object]] = [
            partial(check_call, request, scope, context.overrides, context.destinations)
            for request in connection.before
        ]
        builds.append(partial(self._check_url, session, wall))
        builds += [partial(session.headers, wall), partial(session.frames, wall)]
        if connection.transport == "exec":
            builds.append(partial(program_of, context, session, wall))
        for build in builds:
            with suppress(RecordError):  # a value that only a live connection has
                _in_settings(build)

    def _check_url(self, session: Session, wall: int) -> None:
        """SettingsError where the address, or the proxy to it, cannot be used."""
        self.endpoint_group.check()
        proxy_for(self.endpoint_group.url(session, 0, wall), self._context.overrides.proxy)

    def pipelines(self) -> list[FramePipeline]:
        """Those of its connections that are open."""
        return [one.pipeline for one in self._connections if one.pipeline is not None]

    async def reach(self) -> str:
        """Connects once without subscribing; the host that was reached. Raises as `VenueConnection.reach`."""
        connection = VenueConnection(
            self._context, self.endpoint_group, self.shard, 0, None, 1, lambda *news: None, self._log
        )
        await connection.reach()
        return self.endpoint_group.host(0)

    async def run(self) -> None:
        """Keeps the shard connected until `stop`; returns early only where the attempts are used up."""
        try:
            while not self._stop_asked.is_set():
                end = await self._connected()
                if end is None or self._stop_asked.is_set():
                    break
                await self._wait_to_reconnect(end)
                if self._state == ConnectionState.FAILED:
                    return
            await self._all_ended()
            self._be(ConnectionState.STOPPED)
        finally:
            for connection in self._connections:
                if connection.task is not None:
                    connection.task.cancel()

    def carry(self, shard: Shard) -> None:
        """From now on its symbols are this shard's, on the connections that there are and on all to come."""
        self.shard = shard
        for connection in self._connections:
            if connection.task is not None and not connection.task.done():
                connection.carry(shard)

    @property
    def changing(self) -> bool:
        """Whether what `carry` changed is not subscribed yet."""
        return any(
            connection.changing
            for connection in self._connections
            if connection.task is not None and not connection.task.done()
        )

    async def stop(self) -> None:
        """Unsubscribes and closes; `run` then returns."""
        if self.state == ConnectionState.LIVE:
            self._context.connector_state.ledger.stood = True
        self._stop_asked.set()
        self._news.set()
        await asyncio.gather(*(connection.stop() for connection in tuple(self._connections)))

    async def abandon(self) -> None:
        """Ends all connections at once, and waits for that, within a bound; after a bug has ended `run`."""
        self._be(ConnectionState.FAILED, "ended by a bug")
        tasks = [connection.task for connection in self._connections if connection.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            done, _ = await asyncio.wait(tasks, timeout=ABANDON_WITHIN)
            await asyncio.gather(*done, return_exceptions=True)  # of several bugs the first was told

    # -- one connection after the other

    async def _connected(self) -> ConnectionEnd | None:
        """A connection and whatever replaces it, until one is lost; None where stopped before one was made."""
        endpoint = await self._endpoint()
        if endpoint is None:
            return None
        connection = self.connection = self._begin(endpoint)
        self.failed_replacements = 0
        self._be(ConnectionState.CONNECTING)
        while True:
            end = connection.ended
            if end is not None:
                self._judge(connection, end)
                return end
            if self._stop_asked.is_set():
                await self._next_event(None)
            elif connection.due is not None:
                connection = await self._replaced(connection, connection.due)
            else:
                self._prefer_better(connection)
                await self._next_event(LOOK if self._has_better(connection) else None)

    async def _endpoint(self) -> int | None:
        """Waits for an address that may be tried; None where stopped meanwhile."""
        while not self._stop_asked.is_set():
            endpoint, wait = self.endpoint_group.endpoints.choose(monotonic(), self.shard.replica)
            if wait <= 0:
                return endpoint
            detail = self.detail or f"all addresses are out of order; the next try in {wait:.0f} s"
            self._be(ConnectionState.WAITING, detail)
            await self._next_event(wait)
        return None

    def _begin(self, endpoint: int) -> VenueConnection:
        self.endpoint_group.endpoints.breakers[endpoint].attempt(monotonic())
        patience = min(MOST_PATIENCE, 2 ** min(self._silences, 10))
        connection = VenueConnection(
            self._context, self.endpoint_group, self.shard, endpoint, self.replica, patience, self._reported, self._log,
            self._kept,
        )
        self._connections.add(connection)
        connection.start()
        return connection

    def _reported(self, connection: VenueConnection, what: ConnectionEvent) -> None:
        """A connection reports something."""
        self._news.set()
        if what is not ConnectionEvent.OTHER:
            breaker = self.endpoint_group.endpoints.breakers[connection.endpoint]
            self._tried(connection, partial(breaker.succeed, monotonic()))
        if what is ConnectionEvent.FIRST_RECORD:
            breaker.proved()
            self._delays.proved()
            self._silences = 0
            self._context.connector_state.ledger.stood = True

    def _judge(self, connection: VenueConnection, end: ConnectionEnd) -> None:
        """Tells the address's breaker of an end that was not planned, where that says something about the address."""
        breaker = self.endpoint_group.endpoints.breakers[connection.endpoint]
        stood = self._stood(connection, end)
        good = stood or (connection.data and not end.unwelcome)
        if connection.state == ConnectionState.LIVE and _lasted(connection) > SUBSCRIBED_FOR:
            self._context.connector_state.ledger.stood = True
        if self._stop_asked.is_set() or good or end.cause in _NOT_THE_ADDRESS:
            breaker.ignore()
        else:
            self._tried(connection, partial(breaker.fail, monotonic()))
        if end.cause == EndCause.STALE_STREAM and not connection.data:
            self._silences += 1

    def _stood(self, connection: VenueConnection, end: ConnectionEnd) -> bool:
        """Whether a connection lasted so long that the next one may be made without delay; longer where the venue ended
        it because it wants less of us.
        """
        return _lasted(connection) > self._delays.stands * (UNWELCOME if end.unwelcome else 1)

    def _tried(self, connection: VenueConnection, tell: Callable[[], None]) -> None:
        """Tells a breaker of an attempt, and logs where that changes its state."""
        breaker = self.endpoint_group.endpoints.breakers[connection.endpoint]
        before = breaker.state(monotonic())
        tell()
        after = breaker.state(monotonic())
        if after != before:
            host = self.endpoint_group.host(connection.endpoint)
            event = "address recovered" if after == BreakerState.CLOSED else "address out of order"
            self._log.warning(event, host=host, breaker=after)

    # -- replacement

    def _has_better(self, connection: VenueConnection) -> bool:
        return self.endpoint_group.endpoints.order(self.shard.replica)[0] != connection.endpoint

    def _prefer_better(self, connection: VenueConnection) -> None:
        """Asks for a replacement when an address that is preferred may be tried again."""
        if connection.state != ConnectionState.LIVE or not self._has_better(connection):
            return
        better = self.endpoint_group.endpoints.better(connection.endpoint, monotonic(), self.shard.replica)
        if better is not None:
            detail = f"{self.endpoint_group.host(better)} may have recovered"
            connection.ask_for_replacement(ConnectionEnd(EndCause.FAILBACK, detail))

    async def _replaced(self, old: VenueConnection, due: ConnectionEnd) -> VenueConnection:
        """Replaces a connection; the successor, or the old one where that could not be done or has ended before."""
        until = monotonic() + max(due.delay, self._courtesy(old, due))
        if not self.endpoint_group.overlaps:
            while (left := until - monotonic()) > 0 and old.ended is None and not self._stop_asked.is_set():
                await self._next_event(left)
            return await self._closed_first(old, due)
        while self.endpoint_group.spare <= 0 or monotonic() < until:
            if old.ended is not None or self._stop_asked.is_set():
                return old
            await self._next_event(min(0.25, max(0.01, until - monotonic())))
        endpoint, wait = self.endpoint_group.endpoints.choose(monotonic(), self.shard.replica)
        if old.ended is not None or self._stop_asked.is_set():
            return old
        if wait > 0:
            self._put_off(old, due, wait)
            return old
        self.endpoint_group.spare -= 1
        self.replacing = True
        try:
            return await self._overlapped(old, due, self._begin(endpoint))
        finally:
            self.endpoint_group.spare += 1
            self.replacing = False

    def _courtesy(self, old: VenueConnection, due: ConnectionEnd) -> float:
        """Seconds to wait before a replacement: a venue that asks for one again and again is not overrun."""
        if due.cause != EndCause.NOTICE:
            return 0.0
        if self._stood(old, due):
            self._notices = 0
            self._delays.reset()
            return 0.0
        self._notices += 1
        return self._delays.next() if self._notices > 1 else 0.0

    async def _overlapped(self, old: VenueConnection, due: ConnectionEnd, new: VenueConnection) -> VenueConnection:
        """Both connections at work, until the new one has proved itself, or one of them ends."""
        began, settled = monotonic(), 0.0
        while not self._stop_asked.is_set():
            now = monotonic()
            end = new.ended
            if end is not None:
                self._judge(new, end)
                self._count(end)
                self._put_off(old, due, TRY_AGAIN * 2 ** min(self.failed_replacements, MOST_LATER))
                self.failed_replacements += 1
                self._log.warning("replacement failed, the old connection goes on", cause=end.cause, detail=end.detail)
                return old
            if (lost := old.ended) is not None:
                self._count(lost)
                self._log.warning("connection lost", cause=lost.cause, detail=lost.detail, again_in="its successor's")
                self.connection = new
                return new
            if new.state == ConnectionState.LIVE:
                settled = settled or now
                proved = old.heard <= new.heard
                if proved or now >= settled + PROVE_WITHIN:
                    await self._taken_over(old, due, new, proved)
                    return new
            elif now >= began + SETTLE_WITHIN:
                await new.stop("no answer")
                continue
            await self._next_event(max(0.01, (settled + PROVE_WITHIN if settled else began + SETTLE_WITHIN) - now))
        return old

    async def _taken_over(self, old: VenueConnection, due: ConnectionEnd, new: VenueConnection, proved: bool) -> None:
        """The new connection takes over; the old one is read a moment longer, then closed."""
        self.failed_replacements = 0
        self.connection = new
        until = monotonic() + DRAIN
        while (monotonic() < until or old.held) and old.ended is None and not self._stop_asked.is_set():
            await self._next_event(max(0.01, until - monotonic()))
        self._count(due)
        self._log.info("connection replaced", cause=due.cause, detail=due.detail, all_symbols_seen=proved)
        await old.stop(due.cause)

    async def _closed_first(self, old: VenueConnection, due: ConnectionEnd) -> VenueConnection:
        """The new connection after the old one, where the venue allows no more at a time."""
        if old.ended is not None or self._stop_asked.is_set():
            return old
        await old.stop(due.cause)
        endpoint, wait = self.endpoint_group.endpoints.choose(monotonic(), self.shard.replica)
        if self._stop_asked.is_set():
            return old
        self._count(due)
        self._log.info("connection replaced", cause=due.cause, detail=due.detail, all_symbols_seen=False)
        self.connection = self._begin(endpoint if wait <= 0 else old.endpoint)
        return self.connection

    def _put_off(self, old: VenueConnection, due: ConnectionEnd, seconds: float) -> None:
        """Tries a replacement again later: by age where it was the age, at once again by `_prefer_better`."""
        old.due = None
        if due.cause != EndCause.FAILBACK:
            asyncio.get_running_loop().call_later(seconds, old.ask_for_replacement, due)

    # -- reconnecting

    def _count(self, end: ConnectionEnd) -> None:
        self._context.connector_state.ledger.reconnects[end.cause] += 1

    async def _wait_to_reconnect(self, end: ConnectionEnd) -> None:
        self._count(end)
        if self.connection is not None and self._stood(self.connection, end):
            self._delays.reset()
        if self._delays.exhausted:
            self._be(ConnectionState.FAILED, f"{end.cause}: {end.detail}")
            self._log.error("gave up", cause=end.cause, detail=end.detail, attempts=self._delays.attempts)
            return
        delay = self._until_free(self._delays.next(end.delay))
        self._be(ConnectionState.WAITING, f"{end.cause}: {end.detail}")
        again_in = delay + self.endpoint_group.connect_limiter.foreseen(monotonic() + delay)
        self._log.warning("connection lost", cause=end.cause, detail=end.detail, again_in=f"{again_in:.1f} s")
        until = monotonic() + delay
        while (left := until - monotonic()) > 0 and not self._stop_asked.is_set():
            await self._next_event(left)

    def _until_free(self, delay: float) -> float:
        """A delay, longer where by then no address may be tried."""
        _, blocked = self.endpoint_group.endpoints.choose(monotonic() + delay, self.shard.replica)
        return delay + blocked

    async def _next_event(self, seconds: float | None) -> None:
        """Waits until something happens, at most so long; raises what ended a connection where that was a bug."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()
        for connection in tuple(self._connections):
            if connection.ended is not None and connection is not self.connection:
                self._connections.discard(connection)

    async def _all_ended(self) -> None:
        while any(connection.ended is None for connection in self._connections):
            await self._next_event(None)

    # -- what is seen from outside

    @property
    def state(self) -> ConnectionState:
        """Its own, or while there is a connection that one's."""
        if self._state == ConnectionState.CONNECTING and self.connection is not None:
            return self.connection.state
        return self._state

    @property
    def pipeline(self) -> FramePipeline | None:
        """Where its connection's frames go in; None where there is none yet."""
        return self.connection.pipeline if self.connection is not None else None

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        connection = self.connection
        return self._state == ConnectionState.CONNECTING and connection is not None and connection.opened_at is not None

    def _be(self, state: ConnectionState, detail: str = "") -> None:
        self._state, self.detail = state, detail

    def status(self) -> ConnectionStatus:
        """For /health, as it is now."""
        connection, replica = self.connection, self.replica
        pipeline = self.pipeline
        subscriptions = pipeline.session.subscriptions if pipeline is not None else None
        opened = connection.opened_at if connection is not None and self.connected else None
        status: ConnectionStatus = {
            "socket": self.shard.name,
            "state": self.state,
            "detail": self.detail,
            "host": self.endpoint_group.host(connection.endpoint) if connection is not None else None,
            "seconds_connected": round(monotonic() - opened, 3) if opened is not None else None,
            "replacing": self.replacing,
            "symbols": len(self.shard.symbols),
            "confirmed": subscriptions.count(SubscriptionState.CONFIRMED) if subscriptions else 0,
            "refused": subscriptions.count(SubscriptionState.REFUSED) if subscriptions else 0,
            "seconds_since_frame": _ago(connection.last_frame_us) if connection is not None else None,
            "seconds_since_data": self._since_data(connection) if connection is not None else None,
        }
        if replica is not None:
            status["leg"] = replica.tally.figures()
        return status

    def _since_data(self, connection: VenueConnection) -> float | None:
        """Seconds since its latest data; a replica's repeats are no envelopes, but data all the same."""
        return _ago(max(connection.last_data_us, self.replica.last_us if self.replica is not None else 0))


def _in_settings(build: Callable[[], object]) -> None:
    """Before a connection is made, a host that it must not go to is the file's own, or the operator's."""
    try:
        build()
    except TransportError as error:
        if error.cause == FORBIDDEN_HOST:
            raise SettingsError(error.detail) from None
        raise


def _lasted(connection: VenueConnection) -> float:
    """Seconds that a connection lasted; a long one counts as a good one, with data or without."""
    return monotonic() - connection.opened_at if connection.opened_at is not None else 0.0


def _ago(wall: int) -> float | None:
    return round((wall_us() - wall) / 1_000_000, 3) if wall else None
