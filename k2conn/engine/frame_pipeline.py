"""From frame to envelopes: the entry point of the engine. A connector has one `ConnectorState`, and one `FramePipeline`
for each connection.

Pure: the runner, `k2conn map`, `k2conn test`, `k2conn certify` and the benchmarks all feed frames through
`FramePipeline.receive`; a caller with a single frame passes a list of one.
"""

from __future__ import annotations

from collections.abc import Sequence

from k2conn.codecs.decoding import UNREADABLE, quick
from k2conn.engine.accounting.dead_letter import dead_letter
from k2conn.engine.accounting.ledger import NOWHERE
from k2conn.engine.accounting.troubles import TroubleKind, short
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation import routing
from k2conn.engine.conversation.routing import Route
from k2conn.engine.conversation.session import Action, Close, EndCause, Malformed, Session, SessionContext
from k2conn.engine.mapping.stream_mapping import StreamMapping
from k2conn.engine.resilience.replicas import Replica
from k2conn.envelope import Envelope
from k2conn.errors import RecordError
from k2conn.exactjson import SHORT
from k2conn.plan import Connection, Json, Symbol


class FramePipeline:
    """Processes the frames of one connection."""

    def __init__(
        self, connector_state: ConnectorState, connection: Connection, symbols: Sequence[Symbol],
        session_context: SessionContext, replica: Replica | None = None,
    ) -> None:
        self.connector_state = connector_state
        streams = tuple(stream for stream in connector_state.streams if stream.name in connection.streams)
        self.session = Session(connection, streams, symbols, session_context)
        self.session.scope.epoch = next(connector_state.epochs)
        self._mappings = tuple(connector_state.mappings[stream.name] for stream in streams)
        self._ledger = connector_state.ledger
        self._scope = self.session.scope
        self._each = connection.each
        self._decode = quick(self.session.decode)
        self._replica = replica
        self._stale = [(at, stream.name, stream.stale_after) for at, stream in enumerate(streams) if stream.stale_after]
        self._heard_at: dict[int, float] | None = {} if self._stale else None
        """When each stream was last heard, where somebody wants to know."""
        self.rescued: list[Envelope] = []
        """Where `receive` raised a bug: what the frames gave all the same, and a dead letter for each that did not."""

    def receive(
        self, frames: Sequence[str | bytes], now: float, wall: int
    ) -> tuple[list[Envelope], list[Action]]:
        """The frames of one read, in their order, received at ``wall`` (microseconds since the epoch; ``now`` is the
        same moment in seconds of a monotonic clock): envelopes for the sink, actions for the socket.

        A bug that a frame meets is raised when all frames were gone through; what they gave is in `rescued` then.
        """
        envelopes: list[Envelope] = []
        actions: list[Action] = []
        session, scope, mappings, heard_at, each = (
            self.session, self._scope, self._mappings, self._heard_at, self._each
        )
        decode, route, subscriptions = self._decode, session.router.route, session.subscriptions
        session.wake(now, wall)
        scope.received_at = wall
        self._ledger.frames += len(frames)
        if self._replica is not None:
            self._replica.now_us = wall
            self._set_replica(self._replica)
        bug: Exception | None = None
        for frame in frames:
            try:
                try:
                    message = decode(frame) if len(frame) < SHORT else session.decode(frame)
                except UNREADABLE:
                    try:
                        message = session.decode(frame)
                    except RecordError as error:
                        envelopes.append(self._malformed(error, frame, wall))
                        continue
                if each is not None:
                    found = each(message, scope)
                    for one in found if type(found) is list else (message,):
                        self._handle_message(one, route(one, scope), frame, wall, envelopes, actions)
                    continue
                rule = route(message, scope)
                if rule[0] == routing.STREAM and heard_at is None and not subscriptions.quiet:
                    mappings[rule[1]].take(message, frame, scope, envelopes)
                else:
                    self._handle_message(message, rule, frame, wall, envelopes, actions)
            except Exception as caught:  # nothing of the other frames is lost for it, and the frame is kept
                bug = bug or caught
                detail = f"k2conn met a bug: {type(caught).__name__}"
                envelopes.append(self._malformed(RecordError("frame", None, None, "bug", detail), frame, wall))
        if self._replica is not None:
            self._set_replica(None)
        if bug is not None:
            self.rescued = envelopes
            raise bug
        return envelopes, actions

    def _set_replica(self, replica: Replica | None) -> None:
        """Sets in the dedup windows the replica that the current records come from."""
        for mapping in self._mappings:
            mapping.window.replica = replica

    # -- silence of a whole stream

    def silent_at(self, patience: int) -> float | None:
        """When the first stream with a `stale_after` counts as stale, unless it has data before; None for never. A
        stream that has had no data yet gets ``patience`` times as long.
        """
        if self._heard_at is None:
            return None
        since, heard = self.session.opened, self._heard_at
        return min(heard.get(at, since) + span * (1 if at in heard else patience) for at, _, span in self._stale)

    def silent(self, patience: int, now: float) -> Close:
        """The Close for stale streams. A stream is stale only when none of its symbols has had data."""
        since, heard = self.session.opened, self._heard_at or {}
        names = [
            name for at, name, span in self._stale
            if heard.get(at, since) + span * (1 if at in heard else patience) <= now
        ]
        return Close(EndCause.STALE_STREAM, f"no data of {', '.join(names)} for {now - self._latest(names):.0f} s")

    def resume(self, held: float) -> None:
        """Reading was paused for ``held`` seconds: they do not count as silence."""
        self.session.resume(held)
        if self._heard_at is not None:
            self._heard_at = {at: then + held for at, then in self._heard_at.items()}

    def _latest(self, names: Sequence[str]) -> float:
        """When one of the named streams last had data, or else the connection was opened."""
        heard = self._heard_at or {}
        return max((heard.get(at, self.session.opened) for at, name, _ in self._stale if name in names), default=0.0)

    def _handle_message(
        self, message: Json, route: Route, frame: str | bytes, wall: int, envelopes: list[Envelope],
        actions: list[Action],
    ) -> None:
        session = self.session
        if route[0] == routing.STREAM:
            if self._heard_at is not None:
                self._heard_at[route[1]] = session.last_frame
            mapping = self._mappings[route[1]]
            if session.subscriptions.waiting:
                self._first_data(mapping, message, frame, envelopes, actions)
            else:
                mapping.take(message, frame, self._scope, envelopes)
            return
        control, unknown = session.control, session.unrecognised
        found = session.respond(message, route)
        self._ledger.control += session.control - control
        if session.unrecognised != unknown:
            self._ledger.unrecognised += session.unrecognised - unknown
            self._ledger.troubles.note(TroubleKind.UNKNOWN, "", "", wall, lambda: {"message": short(message)})
        for action in found:
            if type(action) is Malformed:
                envelopes.append(self._malformed(action.error, frame, wall))
            else:
                actions.append(action)

    def _first_data(
        self, mapping: StreamMapping, message: Json, frame: str | bytes, out: list[Envelope], actions: list[Action]
    ) -> None:
        """Maps a message while some subscriptions have had no data, and tells the session which subscriptions it was
        for.
        """
        scope = self._scope
        heard: set[str] = set()
        scope.heard = heard
        mapping.take(message, frame, scope, out)
        scope.heard = None
        for native in sorted(heard):
            self.session.heard(mapping.stream.name, native, actions)

    def _malformed(self, error: RecordError, frame: str | bytes, wall: int) -> Envelope:
        plan, ledger = self.connector_state.plan, self._ledger
        ledger.malformed += 1
        account = ledger.account(NOWHERE, NOWHERE)
        account.received += 1
        ledger.dead_reasons[error.reason] += 1
        ledger.troubles.note(
            TroubleKind.DEAD_LETTER, NOWHERE, error.reason, wall,
            lambda: {"frame": short(frame) if isinstance(frame, str) else f"{len(frame)} bytes",
                     "detail": short(error.detail)},
        )
        topic = self.connector_state.malformed_topic
        return dead_letter(plan.name, plan.exchange, NOWHERE, topic, "", error, frame, wall, account)
