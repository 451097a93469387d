"""From frame to envelopes: the engine's front. A connector has one `Books` and, for each socket, one `Intake`.

Pure: the runner, `k2conn map`, `k2conn test` and the benchmarks all feed frames in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

from k2conn.engine.deadletter import dead_letter
from k2conn.engine.ledger import NOWHERE, Ledger
from k2conn.engine.mapping import StreamMapping
from k2conn.engine.session import Action, Deliver, Malformed, Session, World
from k2conn.engine.window import Window
from k2conn.envelope import Envelope
from k2conn.plan import Connection, Plan, Symbol


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
        self.malformed_topic = (self.streams or plan.streams)[0].kafka_topic


class Intake:
    """One socket's way in."""

    def __init__(self, books: Books, connection: Connection, symbols: Sequence[Symbol], world: World) -> None:
        self.books = books
        streams = tuple(stream for stream in books.streams if stream.name in connection.streams)
        self.session = Session(connection, streams, symbols, world)
        self._mappings = tuple(books.mappings[stream.name] for stream in streams)
        self._ledger = books.ledger
        self._scope = self.session.scope

    def receive(self, frame: str | bytes, now: float, wall: int) -> tuple[list[Envelope], list[Action]]:
        """One frame, received at ``wall`` microseconds since the epoch: envelopes for the sink, actions for the socket."""
        session, ledger = self.session, self._ledger
        ledger.frames += 1
        scope = self._scope
        scope.received_at = wall
        control, unknown = session.control, session.unrecognised
        envelopes: list[Envelope] = []
        rest: list[Action] = []
        for action in session.receive(frame, now, wall):
            if type(action) is Deliver:
                mapping = self._mappings[action.stream]
                mapping.take(action.message, frame, scope, envelopes)
                if session.subscriptions.waiting and scope.symbol is not None:
                    session.heard(mapping.stream.name, scope.symbol.native, rest)
            elif type(action) is Malformed:
                ledger.malformed += 1
                envelopes.append(self._malformed(action, frame, wall))
            else:
                rest.append(action)
        ledger.control += session.control - control
        ledger.unrecognised += session.unrecognised - unknown
        return envelopes, rest

    def _malformed(self, action: Malformed, frame: str | bytes, wall: int) -> Envelope:
        books = self.books
        account = books.ledger.account(NOWHERE, NOWHERE)
        account.received += 1
        books.ledger.dead_reasons[action.error.reason] += 1
        return dead_letter(books.plan.name, books.plan.exchange, NOWHERE, books.malformed_topic, "",
                           action.error, frame, wall, account)
