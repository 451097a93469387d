"""The errors of a process, looked at now and then, so that each is counted at about its time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from k2conn.clock import monotonic
from k2conn.engine.accounting.rolling_errors import ErrorKind, RollingErrors
from k2conn.engine.conversation.end_causes import PLANNED
from k2conn.runner.connector import Connector
from k2conn.spool.status import SpooledSinkStatus

LOOK_EVERY = 60.0
"""Seconds between two looks, where nobody asks."""

Figures = Mapping[tuple[str, ErrorKind], int]
"""Counts that only grow, by source and kind."""


class ErrorCount:
    """``figures`` gives the counts as they are now."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures
        self._errors = RollingErrors()

    def look(self) -> None:
        """Takes in what there is."""
        self._errors.look(monotonic(), self._figures())

    def totals(self) -> dict[ErrorKind, int]:
        """All since the start."""
        self.look()
        return {kind: self._errors.totals[kind] for kind in ErrorKind}

    def recent(self) -> dict[ErrorKind, int]:
        """Those of the last 24 hours; kinds without any are left out."""
        self.look()
        return self._errors.recent(monotonic())

    async def keep(self) -> None:
        """Looks again and again, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY)


def runner_errors(connectors: Iterable[Connector], sink: SpooledSinkStatus) -> Figures:
    """Those of connectors, by their ledgers, and of the sink and the spool before it."""
    spool = sink["spool"]["errors"] if "spool" in sink else 0
    found = {("", ErrorKind.SINK): sink["errors"] + spool}
    for connector in connectors:
        found |= {(connector.plan.name, kind): count for kind, count in _of(connector).items()}
    return found


def _of(connector: Connector) -> dict[ErrorKind, int]:
    ledger = connector.connector_state.ledger
    whole = connector.shown.totals()
    ends = sum(count for cause, count in ledger.reconnects.items() if cause not in PLANNED)
    return {
        ErrorKind.WEBSOCKET: ends + ledger.refused + ledger.venue_errors.count,
        ErrorKind.HTTP: ledger.failed_calls,
        ErrorKind.DATA: whole["dead_letters"] + ledger.unrecognised,
        ErrorKind.GAP: whole["gaps"],
        ErrorKind.FEATURE: connector.features.left_out if connector.features is not None else 0,
        ErrorKind.LOST: whole["lost"],
        ErrorKind.BUG: ledger.crashes,
    }
