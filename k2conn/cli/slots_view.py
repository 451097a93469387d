"""What a member of a group says of itself whose slots have a runner each: all of them as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from k2conn.envelope import Envelope
from k2conn.group.runner_per_slot import RunnerPerSlot
from k2conn.monitoring.board.document import Board, board_document
from k2conn.monitoring.board.figures import merge_figures
from k2conn.monitoring.board.query import BoardQuery
from k2conn.monitoring.board.watching import BoardWatch
from k2conn.monitoring.console.examples import Examples, examples_of, merge_examples
from k2conn.monitoring.metrics import MemberCollector, exposed, slot_exposition
from k2conn.monitoring.process_status import (
    AnomalyReport,
    DriftReport,
    ProcessStatus,
    Silence,
    anomaly_report,
    drift_report,
    merge_anomalies,
    merge_drift,
    merge_silence,
    process_status,
    silent_symbols,
    slots_as_one,
)
from k2conn.observe import Observers, SessionPlace
from k2conn.runner import Connector, Runner
from k2conn.runner.status import GroupStatus
from k2conn.workers.metrics_merge import merged


class SlotsView:
    """See `View`. It is also what progress lines and taps know of a runner."""

    def __init__(self, slots: RunnerPerSlot, group: Callable[[], GroupStatus], observers: Observers) -> None:
        self._slots = slots
        self._group = group
        self._observers = observers
        self._watches: dict[Runner, BoardWatch] = {}

    @property
    def connectors(self) -> tuple[Connector, ...]:
        """Those of all slots."""
        return tuple(connector for runner in self._slots.runners.values() for connector in runner.connectors)

    @property
    def latest(self) -> Envelope | None:
        """A record that became durable, and not long ago."""
        found = [one.latest for one in self._slots.runners.values() if one.latest is not None]
        return max(found, key=lambda one: one.timestamp_ms, default=None)

    def captured(self, place: SessionPlace) -> Mapping[str, Any]:
        """What was captured on a connection that is open; empty where there is none."""
        return next((found for one in self._slots.runners.values() if (found := one.captured(place))), {})

    async def health(self) -> ProcessStatus:
        """See `View`."""
        return slots_as_one(
            {slot: process_status(runner) for slot, runner in self._slots.runners.items()}, self._group()
        )

    async def silence(self) -> Silence:
        """See `View`."""
        return merge_silence([silent_symbols(one) for one in self._slots.runners.values()])

    async def drift(self) -> DriftReport:
        """See `View`."""
        return merge_drift([drift_report(one) for one in self._slots.runners.values()])

    async def anomalies(self) -> AnomalyReport:
        """See `View`."""
        return merge_anomalies([anomaly_report(one) for one in self._slots.runners.values()])

    async def board(self, query: BoardQuery) -> Board:
        """See `View`."""
        runners = self._slots.runners.values()
        self._watches = {one: self._watches.get(one) or BoardWatch(one) for one in runners}
        figures = merge_figures([watch.figures(query) for watch in self._watches.values()], query)
        return board_document(await self.health(), figures, query)

    async def examples(self, connector: str) -> Examples:
        """See `View`."""
        return merge_examples([examples_of(one, connector) for one in self._slots.runners.values()])

    async def metrics(self) -> bytes:
        """See `View`."""
        texts = {slot: slot_exposition(one).decode() for slot, one in self._slots.runners.items()}
        return exposed(MemberCollector(self._group(), self._observers)) + merged(texts, "slot").encode()
