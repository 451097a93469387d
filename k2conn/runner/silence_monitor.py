"""Looks at a connector's connections and ledger now and then, and says which symbols are silent and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from k2conn.clock import monotonic
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.subscriptions import Subscription, SubscriptionState
from k2conn.engine.resilience.silence_detection import SilenceDetector, SilenceReading, SilenceState
from k2conn.runner.connection import VenueConnection
from k2conn.runner.connection_supervisor import ConnectionSupervisor
from k2conn.runner.status import SilenceStatus, SilentSymbol

LOOK_EVERY = 1.0
"""Seconds between two looks."""
WORST = 5
"""Silent symbols of a stream that are named."""


class SilenceMonitor:
    """Looks after one connector."""

    def __init__(self, connector_state: ConnectorState, log: Any) -> None:
        self.watch = SilenceDetector(connector_state.baselines)
        self._ledger = connector_state.ledger
        self._log = log
        self._logged: dict[str, SilenceState | None] = {}
        self._looked = 0.0

    def look(self, supervisors: Sequence[ConnectionSupervisor]) -> None:
        """Looks, unless it has just looked; logs where all of a stream's symbols fall silent, or one has data again."""
        now = monotonic()
        if now < self._looked + LOOK_EVERY:
            return
        self._looked = now
        carriers = _carriers(supervisors)
        for key, (connection, one) in carriers.items():
            received = self._ledger.account(*key).received
            if connection is None:
                reading = SilenceReading(None, None, received)
            else:
                reading = SilenceReading(max(connection.opened_at or 0.0, one.asked), one.state, received)
            self.watch.look(key, reading, now)
        self.watch.forget(carriers.keys())
        self._log_changes({stream for stream, _ in carriers})

    def _log_changes(self, streams: Iterable[str]) -> None:
        for stream in streams:
            worst = self.watch.silent(stream)
            if worst != self._logged.get(stream):
                if worst is None:
                    if not self.watch.counts(stream)[SilenceState.LIVE]:
                        continue  # connected again, but not heard yet
                    self._log.info("stream has data again", stream=stream)
                elif worst != SilenceState.DEAD:  # the loss of its connections is logged elsewhere
                    counts = {state: number for state, number in self.watch.counts(stream).items() if number}
                    self._log.warning("stream is silent", stream=stream, reason=worst.reason, symbols=counts)
                self._logged[stream] = worst

    def causes(self, stream: str) -> dict[str, int]:
        """How many symbols are silent, by cause; only those that there are."""
        return {state: number for state, number in self.watch.counts(stream).items() if number and state.silent}

    def counts(self, stream: str) -> dict[SilenceState, int]:
        """How many of a stream's symbols are in each state."""
        return self.watch.counts(stream)

    def worst_state(self, stream: str) -> SilenceState | None:
        """The worst state of a stream whose symbols are all silent; None where one is not."""
        return self.watch.silent(stream)

    def status(self, stream: str) -> SilenceStatus:
        """For /health: symbols by state, and the worst of them by name."""
        now = monotonic()
        worst: list[SilentSymbol] = []
        for symbol, state in self.watch.worst(stream, WORST):
            silence = self.watch.silence((stream, symbol), now)
            seconds = round(silence, 1) if silence is not None else None
            worst.append({"symbol": symbol, "state": state, "reason": state.reason, "seconds_since_data": seconds})
        return {"states": {state: n for state, n in self.watch.counts(stream).items() if n}, "worst": worst}


def _carriers(
    supervisors: Sequence[ConnectionSupervisor],
) -> dict[tuple[str, str], tuple[VenueConnection | None, Subscription]]:
    """For each stream and symbol the connection that carries it best: an open one rather than none, a confirmed
    subscription rather than another.
    """
    found: dict[tuple[str, str], tuple[int, VenueConnection | None, Subscription]] = {}
    for supervisor in supervisors:
        connection = supervisor.connection
        if connection is None or connection.pipeline is None:
            continue
        live = connection.opened_at is not None and supervisor.connected
        for one in connection.pipeline.session.subscriptions.all:
            if one.symbol.is_every:  # nobody knows which symbols are to have data
                continue
            rank = (2 if one.state == SubscriptionState.CONFIRMED else 1) if live else 0
            key = (one.stream, one.symbol.record)
            if key not in found or found[key][0] < rank:
                found[key] = (rank, connection if live else None, one)
    return {key: (connection, one) for key, (_, connection, one) in found.items()}
