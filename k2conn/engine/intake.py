"""From frame to envelopes: the engine's front. A connector has one `Books` and, for each socket, one `Intake`.

Pure: the runner, `k2conn map`, `k2conn test` and the benchmarks all feed frames in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

from k2conn.engine import routing
from k2conn.engine.deadletter import dead_letter
from k2conn.engine.gaprecords import STREAM, gap_envelope
from k2conn.engine.gaps import Gap
from k2conn.engine.ledger import NOWHERE, Ledger
from k2conn.engine.mapping import StreamMapping
from k2conn.engine.session import Action, Malformed, Session, World
from k2conn.engine.window import Window
from k2conn.envelope import Envelope
from k2conn.errors import RecordError
from k2conn.plan import Connection, Json, Plan, Symbol


class Books:
    """What all sockets of one connector share: mappings, the duplicate window, the ledger."""

    def __init__(self, plan: Plan, streams: Sequence[str] | None = None, window: int = 50_000) -> None:
        self.plan = plan
        wanted = [s.name for s in plan.streams if s.enabled] if streams is None else list(streams)
        self.streams = tuple(stream for stream in plan.streams if stream.name in wanted)
        self.ledger = Ledger(plan.name, plan.exchange)
        self.mappings = {
            stream.name: StreamMapping(plan, stream, self.ledger, Window(window)) for stream in self.streams
        }
        self.connections = 0
        self.malformed_topic = (self.streams or plan.streams)[0].kafka_topic


    def gap_records(self, now_us: int) -> list[Envelope]:
        """Records of the gaps found or closed since the last call; ``now_us`` is microseconds since the epoch."""
        found: list[Envelope] = []
        for mapping in self.mappings.values():
            if mapping.gaps is None:
                continue
            for gap in mapping.gaps.due(now_us):
                account = self.ledger.account(mapping.stream.name, gap.key)
                account.gaps += 1
                account.missing += gap.missing or 0
                found.append(self._gap(gap, now_us))
            closed, mapping.closed = mapping.closed, []
            for gap in closed:
                self.ledger.account(mapping.stream.name, gap.key).missing -= gap.reported or 0
                found.append(self._gap(gap, now_us))
        return found

    def _gap(self, gap: Gap, now_us: int) -> Envelope:
        account = self.ledger.account(STREAM, gap.key)
        account.received += 1
        return gap_envelope(self.plan, gap, now_us, account)


class Intake:
    """One socket's way in."""

    def __init__(self, books: Books, connection: Connection, symbols: Sequence[Symbol], world: World) -> None:
        self.books = books
        streams = tuple(stream for stream in books.streams if stream.name in connection.streams)
        self.session = Session(connection, streams, symbols, world)
        books.connections += 1
        self.session.scope.epoch = books.connections
        self._mappings = tuple(books.mappings[stream.name] for stream in streams)
        self._ledger = books.ledger
        self._scope = self.session.scope
        self._single = connection.each is None

    def receive(self, frame: str | bytes, now: float, wall: int) -> tuple[list[Envelope], list[Action]]:
        """One frame, received at ``wall`` (microseconds since the epoch): envelopes for the sink, actions for the
        socket.
        """
        session = self.session
        self._ledger.frames += 1
        self._scope.received_at = wall
        envelopes: list[Envelope] = []
        actions: list[Action] = []
        try:
            message = session.arrived(frame, now, wall)
        except RecordError as error:
            envelopes.append(self._malformed(error, frame, wall))
            return envelopes, actions
        if self._single:
            self._message(message, frame, wall, envelopes, actions)
        else:
            for one in session.messages(message):
                self._message(one, frame, wall, envelopes, actions)
        return envelopes, actions

    def _message(
        self, message: Json, frame: str | bytes, wall: int, envelopes: list[Envelope], actions: list[Action]
    ) -> None:
        session = self.session
        route = session.route(message)
        if route[0] == routing.STREAM:
            mapping = self._mappings[route[1]]
            if session.subscriptions.waiting:
                self._first_data(mapping, message, frame, envelopes, actions)
            else:
                mapping.take(message, frame, self._scope, envelopes)
            return
        control, unknown = session.control, session.unrecognised
        found: list[Action] = []
        session.handle(message, route, found)
        session.flush(found)
        self._ledger.control += session.control - control
        self._ledger.unrecognised += session.unrecognised - unknown
        for action in found:
            if type(action) is Malformed:
                envelopes.append(self._malformed(action.error, frame, wall))
            else:
                actions.append(action)

    def _first_data(
        self, mapping: StreamMapping, message: Json, frame: str | bytes, out: list[Envelope], actions: list[Action]
    ) -> None:
        """Maps a message while some subscriptions have had no data, and tells the session whose data it was."""
        scope = self._scope
        heard: set[str] = set()
        scope.heard = heard
        mapping.take(message, frame, scope, out)
        scope.heard = None
        for native in sorted(heard):
            self.session.heard(mapping.stream.name, native, actions)

    def _malformed(self, error: RecordError, frame: str | bytes, wall: int) -> Envelope:
        books = self.books
        books.ledger.malformed += 1
        account = books.ledger.account(NOWHERE, NOWHERE)
        account.received += 1
        books.ledger.dead_reasons[error.reason] += 1
        return dead_letter(books.plan.name, books.plan.exchange, NOWHERE, books.malformed_topic, "",
                           error, frame, wall, account)
