"""One connection to the venue, from its making to its end. Used once; a supervisor has one, or two while one replaces
the other.

Every connection has a new session; here frames, time and actions are carried between it and the transport. A connection
is ended by the transport (lost, closed, refused), by the session (silence, refusal), or by its supervisor, which stops
or replaces it. Our own bugs are not caught here: they end the connector (see `k2conn.runner.crashes`).
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum, auto
from typing import Any, NamedTuple

from k2conn.clock import monotonic, wall_us
from k2conn.ending_tasks import end_tasks
from k2conn.engine.accounting.troubles import TroubleKind
from k2conn.engine.conversation.session import Action, CallAgain, Close, EndCause, Note, NoteKind, Send, Session
from k2conn.engine.conversation.session_ids import session_ids
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.resilience.replicas import Replica
from k2conn.engine.sharding.shards import Shard
from k2conn.envelope import Envelope
from k2conn.errors import RecordError, SettingsError, TransportError
from k2conn.net.http import call
from k2conn.net.proxy import proxy_for
from k2conn.observe import Observer, Opening, SessionPlace
from k2conn.plan import HttpRequest, Json, SendScope
from k2conn.runner.connection_state import ConnectionState
from k2conn.runner.endpoint_group import ConnectorContext, EndpointGroup
from k2conn.runner.frame_turns import FrameTurns
from k2conn.runner.http_requests import http_call, offered, sendable
from k2conn.runner.transport_requests import Asking, program_of
from k2conn.secret_mask import SECRETS
from k2conn.transports import Address, Transport


class ConnectionEvent(Enum):
    """What a connection tells its supervisor."""

    SUBSCRIBED = auto()
    FIRST_RECORD = auto()
    OTHER = auto()
    """Something else after which the supervisor looks again: an end, a wish to be replaced, the first data."""



class ConnectionEnd(NamedTuple):
    """Why a connection ended, or is to be replaced: an `EndCause`, or a cause that is its transport's own. ``delay`` is
    the least number of seconds to stay away; ``unwelcome`` says that the venue wants less of us.
    """

    cause: str
    detail: str = ""
    delay: float = 0.0
    unwelcome: bool = False


class VenueConnection:
    """One connection of a shard, to the ``endpoint``-th address of its group.

    ``patience``: by how much a stream's `stale_after` is multiplied until the stream has had data. ``tell`` is called
    with what the supervisor must know.
    """

    def __init__(
        self,
        context: ConnectorContext,
        endpoint_group: EndpointGroup,
        shard: Shard,
        endpoint: int,
        replica: Replica | None,
        patience: int,
        tell: Callable[[VenueConnection, ConnectionEvent], None],
        log: Any,
        kept: dict[str, Json] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.state = ConnectionState.CONNECTING
        self.pipeline: FramePipeline | None = None
        self.opened_at: float | None = None
        """When it was opened, by the monotonic clock; None before."""
        self.last_frame_us = 0
        self.last_data_us = 0
        self.data = False
        """Whether a record came, a repeat or not."""
        self.held = False
        """Whether it waits for the sink."""
        self.due: ConnectionEnd | None = None
        """Why it is to be replaced; None while it is not."""
        self.replace_at: float | None = None
        self.task: asyncio.Task[ConnectionEnd] | None = None
        self._context = context
        self._endpoint_group = endpoint_group
        self._shard = shard
        self._replica = replica
        self._drift = context.drift
        self._patience = patience
        self._tell = tell
        self._log = log
        self._kept = kept
        """What earlier connections of the shard kept for this one (`keep: true`)."""
        self._transport: Transport | None = None
        self._turns: FrameTurns | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._calling: asyncio.Task[None] | None = None
        """The calls of `before`, made again."""
        self._close: Close | None = None
        self._stopped = False
        self._bug: Exception | None = None
        self._observers = context.observers
        self._seed = str(uuid.uuid4())
        """What the ids are made of that it sends: who has it can play the session again."""

    def start(self) -> None:
        """Begins; the supervisor is told of its end, whatever that is."""
        connector = self._context.connector_state.plan.name
        self.task = asyncio.create_task(self._run(), name=f"{connector}/{self._shard.name}")
        self.task.add_done_callback(lambda _: self._tell(self, ConnectionEvent.OTHER))

    @property
    def ended(self) -> ConnectionEnd | None:
        """Its end; None before. A bug is raised."""
        if self.task is None or not self.task.done():
            return None
        return ConnectionEnd(EndCause.STOPPED) if self.task.cancelled() else self.task.result()

    @property
    def heard(self) -> set[tuple[str, str]]:
        """The streams and symbols of which it delivered data."""
        every = self.pipeline.session.subscriptions.all if self.pipeline else ()
        return {(one.stream, one.symbol.native) for one in every if one.data}

    def carry(self, shard: Shard) -> None:
        """From now on its symbols are this shard's; new ones are subscribed, the others unsubscribed."""
        self._shard = shard
        if self.pipeline is None or self._stopped or self._closing is not None:
            return
        now, wall = monotonic(), wall_us()
        if self._observers.watching:
            self._observers.tell(Observer.carried, self._place, shard.symbols, now, wall)
        self._act(self.pipeline.session.carry(shard.symbols, now, wall))
        if self.opened_at is not None:
            self._arm()

    @property
    def changing(self) -> bool:
        """Whether what `carry` changed is not subscribed yet."""
        return self.pipeline is not None and self.pipeline.session.changing

    async def stop(self, reason: str = "stopping") -> None:
        """Unsubscribes and closes; where there is no connection yet, gives up making it."""
        self._stopped = True
        if self.opened_at is not None and self._transport is not None and self.pipeline is not None:
            self._act(self.pipeline.session.retire(monotonic(), wall_us()))
            if self._turns is not None:
                self._turns.closing()
            await self._transport.close(reason)
        elif self.task is not None:
            self.task.cancel()
        if self.task is not None:
            await asyncio.wait({self.task})

    async def _run(self) -> ConnectionEnd:
        end: ConnectionEnd | None = None
        try:
            end = await self._to_its_end()
            return end
        finally:
            if self._observers.watching:
                self._tell_end(end)

    def _tell_end(self, end: ConnectionEnd | None) -> None:
        cause, detail = (str(end.cause), end.detail) if end is not None else (str(EndCause.STOPPED), "")
        if self.opened_at is not None:
            self._observers.tell(Observer.ended, self._place, cause, detail, monotonic(), wall_us())
        elif end is not None:
            name = self._context.connector_state.plan.name
            self._observers.tell(Observer.failed, name, self._shard.name, cause, detail, monotonic(), wall_us())

    async def _to_its_end(self) -> ConnectionEnd:
        try:
            await self._once()
        except TransportError as error:
            if self._close is None:
                return ConnectionEnd(error.cause, error.detail, error.delay, error.unwelcome)
        except (SettingsError, RecordError) as error:
            return ConnectionEnd(EndCause.SETTINGS, str(error), self._shard.connection.reconnect.cap)
        except asyncio.CancelledError:
            if self._bug is None:
                raise
        finally:
            self._cancel_timer()
        if self._bug is not None:
            raise self._bug
        return ConnectionEnd(EndCause.CLOSED) if self._close is None else ConnectionEnd(*self._close)

    # -- one connection

    async def _once(self) -> None:
        await asyncio.sleep(self._endpoint_group.connect_limiter.wait(monotonic()))
        shard = self._shard
        pipeline = self.pipeline = FramePipeline(
            self._context.connector_state, shard.connection, shard.symbols,
            replace(self._context.session_context, uuid=session_ids(self._seed)), self._replica,
        )
        self._turns = FrameTurns(pipeline, self._deliver, self._watched, self._context.loop_share)
        self._transport = await self._new_transport(pipeline)
        try:
            await self._transport.run(self._opened, self._frames, self._relieved)
        finally:
            await end_tasks(self._calling)
            if self._closing is not None:
                await asyncio.gather(self._closing, return_exceptions=True)
                self._closing = None
            self._discarded(getattr(self._transport, "discarded", 0))
            self._transport = None
            self._give_up_frames()

    def _discarded(self, count: int) -> None:
        """Books the frames that came and could not be handed on."""
        if count:
            ledger, name = self._context.connector_state.ledger, self._shard.name
            ledger.frames += count
            ledger.discarded += count
            words = {"socket": name, "count": count, "cause": "cut off by the end of the connection, or no text"}
            ledger.troubles.note(TroubleKind.FRAME, "", "", wall_us(), lambda: words)

    async def reach(self) -> None:
        """Connects without subscribing, and closes: for who wants to know whether that can be done. Raises
        TransportError, SettingsError or RecordError where it cannot.
        """
        pipeline = FramePipeline(
            self._context.connector_state, self._shard.connection, self._shard.symbols, self._context.session_context
        )
        transport = await self._new_transport(pipeline)
        closing: list[asyncio.Task[None]] = []
        try:
            await transport.run(
                lambda: closing.append(asyncio.create_task(transport.close("only looking"))), lambda frames: False,
                self._context.relief,
            )
        except TransportError:
            if not closing:  # else it was reached, whatever came then
                raise
        finally:
            await asyncio.gather(*closing, return_exceptions=True)

    async def _new_transport(self, pipeline: FramePipeline) -> Transport:
        pipeline.session.begin(wall_us(), self._kept)
        for number, request in enumerate(self._shard.connection.before):
            await self._request_before(number, request, pipeline)
        return self._context.open_transport(self._address(pipeline))

    def _address(self, pipeline: FramePipeline) -> Address:
        connection, given = self._shard.connection, self._context.overrides
        wall = wall_us()
        beat = connection.heartbeat
        own = beat.every(pipeline.session.scope.state) if beat is not None and beat.send is None else 20.0
        url = self._endpoint_group.url(pipeline.session, self.endpoint, wall)
        asking = Asking(self._context, self._endpoint_group, pipeline.session, self.endpoint)
        return Address(
            url=url,
            headers=sendable(pipeline.session.headers(wall)),
            max_frame=connection.max_frame,
            compression=connection.compression,
            subprotocols=offered(pipeline.session.subprotocols(wall)),
            ping_every=given.ping_every or own,
            ping_timeout=given.ping_timeout or 20.0,
            verify=given.verify,
            ca_file=given.ca_file,
            destinations=self._context.destinations,
            proxy=proxy_for(url, given.proxy),
            framing=connection.framing,
            polling=asking.polling(),
            program=program_of(self._context, pipeline.session, wall) if connection.transport == "exec" else None,
        )

    async def _request_before(self, number: int, request: HttpRequest, pipeline: FramePipeline) -> None:
        scope = http_scope(self._context, self._shard, pipeline.session)
        answer = await call(http_call(request, scope, self._context.overrides, self._context.destinations))
        try:
            pipeline.session.captured(request.capture, answer)
        finally:
            for name in (capture.into for capture in request.capture):
                value = pipeline.session.scope.state.get(name)
                if "://" not in str(value) and name not in self._shard.connection.named_by_venue:  # no token
                    SECRETS.add_passing(value)
            if self._observers.watching:
                self._observers.tell(Observer.answered, self._place, number, answer, monotonic(), wall_us())

    async def _call_again(self) -> None:
        """Makes the calls of `before` on the open connection: what they give is renewed."""
        pipeline = self.pipeline
        assert pipeline is not None
        try:
            for number, request in enumerate(self._shard.connection.before):
                await self._request_before(number, request, pipeline)
        except (TransportError, SettingsError, RecordError) as error:
            self._log.warning("calls of before not made again", detail=str(error))
            pipeline.session.calls_failed(monotonic())
        except Exception as bug:
            self._fail(bug)
            return
        else:
            self._act(pipeline.session.called(monotonic(), wall_us()))
        self._arm()

    def _fail(self, bug: Exception) -> None:
        """Ends the connection for a bug that nobody awaits."""
        self._bug = bug
        if self.task is not None:
            self.task.cancel()

    def _opened(self) -> None:
        assert self.pipeline is not None
        self._context.connector_state.ledger.connects += 1
        now = self.opened_at = monotonic()
        self.state = ConnectionState.SUBSCRIBING
        self._log.info("connected", symbols=len(self._shard.symbols))
        self.replace_at = self._due_for_rotation(now)
        wall = wall_us()
        if self._observers.watching:
            shard, replica = self._shard, None if self._replica is None else self._shard.replica
            opening = Opening(shard.connection.name, shard.number, replica, shard.symbols, self._seed)
            self._observers.tell(Observer.opened, self._place, opening, now, wall)
        self._act(self.pipeline.session.open(now, wall))
        self._arm()

    def _due_for_rotation(self, now: float) -> float | None:
        """When this connection is to be replaced: somewhat early, and at another time than the others."""
        ages = [age for age in (self._context.overrides.max_age, self._shard.connection.limits.lifetime) if age]
        return now + min(ages) * random.uniform(0.9, 0.99) if ages else None

    async def _relieved(self) -> None:
        """Waits for the sink, or while others have their turn. Nothing is read meanwhile, so that time does not count
        as silence.
        """
        turns = self._turns
        assert turns is not None
        self.held, since = True, monotonic()
        try:
            waits = True
            while waits:
                await (self._context.relief() if turns.crowded else self._context.loop_share.turn())
                waits = turns.unfinished and turns.go_on()
        finally:
            self.held = False
            if self.pipeline is not None:
                self.pipeline.resume(monotonic() - since)
                self._arm()

    def _frames(self, frames: Sequence[str | bytes]) -> bool:
        assert self._turns is not None
        now_us = self.last_frame_us = wall_us()
        waits = self._turns.receive(frames, now_us)
        if self._drift is not None and now_us >= self._drift.due_us and frames and self.pipeline is not None:
            self._drift.look(self.pipeline, frames, now_us)
        return waits

    def _deliver(self, envelopes: list[Envelope], actions: Sequence[Action]) -> bool:
        """Hands on what frames gave; true where the sink is crowded."""
        if actions:
            self._act(actions)
            self._arm()
        if envelopes:
            self.last_data_us = self.last_frame_us
            if not self.data and any(envelope.schema is not None for envelope in envelopes):
                self._proved()
            return self._context.publish(envelopes)
        if actions and not self.data and any(type(one) is Note and one.kind == NoteKind.FIRST_DATA for one in actions):
            self._proved()  # repeats are data, too: those of a replica, or after a reconnect
        return False

    def _give_up_frames(self) -> None:
        """The connection is at its end, and what it received is in the books."""
        if self._turns is not None and (left := self._turns.give_up()):
            self._discarded(left)

    def _proved(self) -> None:
        self.data = True
        self._tell(self, ConnectionEvent.FIRST_RECORD)

    def _act(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if type(action) is Send:
                if self._transport is not None:
                    self._send(action.frame)
            elif type(action) is Note:
                self._note(action)
            elif type(action) is CallAgain:
                self._calling = asyncio.create_task(self._call_again(), name=f"{self._shard.name} calls again")
            elif type(action) is Close and action.cause == EndCause.NOTICE:
                self.ask_for_replacement(ConnectionEnd(*action))
            elif type(action) is Close and self._closing is None and self._transport is not None:
                self._close = action
                if self._turns is not None:
                    self._turns.closing()
                self._closing = asyncio.ensure_future(self._transport.close(action.cause))

    def _send(self, frame: str | bytes) -> None:
        assert self._transport is not None
        self._transport.send(frame)
        if self._observers.watching:
            self._observers.tell(Observer.sent, self._place, frame, monotonic(), wall_us())

    def _watched(self, frames: Sequence[str | bytes], now: float, wall: int) -> None:
        if self._observers.watching:
            self._observers.tell(Observer.received, self._place, frames, now, wall)

    @property
    def _place(self) -> SessionPlace:
        assert self.pipeline is not None
        name, epoch = self._context.connector_state.plan.name, self.pipeline.session.scope.epoch
        return SessionPlace(name, self._shard.name, epoch)

    def ask_for_replacement(self, due: ConnectionEnd) -> None:
        """Asks the supervisor for a replacement; this connection goes on until there is one."""
        if self.due is None:
            self.due = due
            self._tell(self, ConnectionEvent.OTHER)

    def _note(self, note: Note) -> None:
        if self._observers.watching:
            self._observers.tell(Observer.noted, self._place, str(note.kind), note.detail, monotonic(), wall_us())
        if note.kind == NoteKind.SETTLED:
            self.state = ConnectionState.LIVE
            self._log.info("subscribed", **note.detail)
            self._tell(self, ConnectionEvent.SUBSCRIBED)
        elif note.kind == NoteKind.CHANGED:
            self._log.info("symbols changed", **note.detail)
            self._tell(self, ConnectionEvent.OTHER)
        elif note.kind == NoteKind.REFUSED:
            self._context.connector_state.ledger.refused += 1
            self._say(note, loud="times" not in note.detail)
        elif note.kind == NoteKind.ERROR:
            self._say(note, loud=self._context.connector_state.ledger.venue_errors.heard(note.detail["reason"]))
        elif note.kind == NoteKind.UNACKNOWLEDGED:
            self._say(note, loud=True)
        elif note.kind == NoteKind.RENEWED or (note.kind == NoteKind.CONFIRMED and "after_failures" in note.detail):
            self._log.info(note.kind, **note.detail)
        else:
            self._log.debug(note.kind, **note.detail)
            if note.kind == NoteKind.FIRST_DATA:
                self._tell(self, ConnectionEvent.OTHER)

    def _say(self, note: Note, loud: bool) -> None:
        """A warning, or (what was said before) a line for who looks closely."""
        (self._log.warning if loud else self._log.debug)(note.kind, **note.detail)

    # -- time

    def _arm(self) -> None:
        """One timer, for the session's next deadline, a stream's silence or the connection's age."""
        self._cancel_timer()
        assert self.pipeline is not None
        times = [self.pipeline.session.deadline, self.pipeline.silent_at(self._patience), self.replace_at]
        due = [moment for moment in times if moment is not None]
        if due and not self.held and not self._stopped:
            delay = max(0.0, min(due) - monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        """The timer. An exception here would only be logged by the loop, so it is handed to `run`."""
        self._timer = None
        if self.pipeline is None or self._transport is None:
            return
        now = monotonic()
        try:
            if self.replace_at is not None and now >= self.replace_at:
                self.replace_at = None
                self.ask_for_replacement(ConnectionEnd(EndCause.ROTATION, "the connection is old enough"))
            silent_at = self.pipeline.silent_at(self._patience)
            if silent_at is not None and now >= silent_at:
                self._act([self.pipeline.silent(self._patience, now)])
            self._act(self.pipeline.session.timer(now, wall_us()))
            if self._closing is None:
                self._arm()
        except Exception as bug:
            self._fail(bug)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def http_scope(context: ConnectorContext, shard: Shard, session: Session) -> SendScope:
    """What a request before a connection can be built from."""
    return SendScope(counter=lambda: 0, uuid=context.session_context.uuid, now_us=wall_us(), state=session.scope.state,
                     environment=context.session_context.environment, sign=shard.connection.sign)

