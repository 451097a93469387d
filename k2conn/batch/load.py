"""Loads files: rows to envelopes to the sink, and positions when the sink has made everything before them durable.

The sink is waited for: a file is its own spool. Its confirmation is asked for every second, and at the end of each
file; the position is written after it, so whatever ends the process, no row is left out. What a killed process had
handed over since the last position comes again, with the same ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from k2conn.batch.delivery import FLUSH_WITHIN, Delivery
from k2conn.batch.positions import Positions
from k2conn.batch.reading import RowSource
from k2conn.clock import monotonic, wall_us
from k2conn.codecs import Row
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.row_pipeline import RowPipeline
from k2conn.plan import Plan
from k2conn.runner.event_log import get_logger
from k2conn.runner.stopping import unless_stopped
from k2conn.sinks.settings import SinkSettings
from k2conn.transports.file.source import UnreadableFile

CONFIRM_EVERY = 1.0
"""Seconds between two positions that are written."""
_SOON = 0.02
_ROWS = 4000
"""Rows that are mapped before the event loop has its turn."""


@dataclass(slots=True)
class FileOutcome:
    """What came of one file. ``rows`` of this process; ``before`` those of earlier ones; ``trouble``: why it could not
    be read, or not to its end.
    """

    path: Path
    rows: int = 0
    before: int = 0
    trouble: str = ""
    ended: bool = False
    bytes: int = 0
    """On the disk, of which ``done`` were read."""
    done: int = 0

    def report(self) -> dict[str, Any]:
        """For the summary."""
        return {"file": str(self.path), "rows": self.rows, "rows_before": self.before, "ended": self.ended,
                "trouble": self.trouble or None}


@dataclass(slots=True)
class LoadOutcome:
    """What came of all. ``unsent``: envelopes that the sink had not confirmed at the end."""

    files: list[FileOutcome] = field(default_factory=list)
    seconds: float = 0.0
    unsent: int = 0
    stopped: bool = False

    @property
    def rows(self) -> int:
        """Read by this process."""
        return sum(one.rows for one in self.files)


class Load:
    """Some files of one connector, into one sink."""

    def __init__(
        self, plan: Plan, streams: Sequence[str] | None, files: Sequence[Path], settings: SinkSettings,
        positions: Positions,
    ) -> None:
        self.plan = plan
        self.state = ConnectorState(plan, streams)
        self.outcome = LoadOutcome([FileOutcome(path) for path in files])
        self._pipeline = RowPipeline(self.state, plan.connections[0])
        self._positions = positions
        self._delivery = Delivery(settings, [self.state])
        self._watch: Callable[[Load], None] = lambda load: None
        self._confirmed = 0.0
        self._since_turn = 0
        """Rows that were mapped since the event loop had its turn."""
        self._log = get_logger(connector=plan.name)

    def watch(self, watch: Callable[[Load], None]) -> None:
        """From now on this is called now and then, to show how far it is."""
        self._watch = watch

    async def run(self, stop: asyncio.Event) -> LoadOutcome:
        """Loads until the files end, or ``stop`` is set. Raises Unreachable where the sink cannot be opened, SinkError
        where it cannot go on.
        """
        if not await unless_stopped(self._delivery.open(), stop):
            self.outcome.stopped = True
            return self.outcome
        began = self._confirmed = monotonic()
        try:
            for one in self.outcome.files:
                if stop.is_set():
                    break
                await self._file(one, stop)
            self.outcome.unsent = await self._delivery.flush(FLUSH_WITHIN)
        finally:
            await self._delivery.close()
            self.outcome.stopped = stop.is_set()
            self.outcome.seconds = monotonic() - began
            self._watch(self)
        return self.outcome

    # -- one file

    async def _file(self, one: FileOutcome, stop: asyncio.Event) -> None:
        try:
            source = RowSource(one.path, self.plan.connections[0].codec, self._positions.find(one.path))
        except UnreadableFile as error:
            self._give_up(one, error)
            return
        one.before, one.bytes = source.position.row, source.size
        self._pipeline.begin(str(one.path), one.before)
        try:
            for rows in source.pieces():
                await self._rows(rows, one, source, stop)
                if stop.is_set():
                    break
            else:
                one.ended = True
        except UnreadableFile as error:
            self._give_up(one, error)
        finally:
            source.close()
        await self._confirm(one, source, stop)

    def _give_up(self, one: FileOutcome, error: UnreadableFile) -> None:
        one.trouble = str(error)
        self._log.error("a file cannot be loaded", file=str(one.path), row=one.before + one.rows, detail=one.trouble)

    async def _rows(self, rows: Sequence[Row], one: FileOutcome, source: RowSource, stop: asyncio.Event) -> None:
        """The rows of one piece, all of them: the position is behind the piece."""
        for at in range(0, len(rows), _ROWS):
            some = rows[at : at + _ROWS]
            self._since_turn += len(some)
            if self._delivery.put(self._pipeline.receive(some, wall_us())):
                await unless_stopped(self._delivery.drain(), stop)
            elif self._since_turn >= _ROWS:
                await asyncio.sleep(0)
            else:
                continue
            self._since_turn = 0
        one.rows += len(rows)
        one.done = source.done
        self._watch(self)
        if monotonic() - self._confirmed >= CONFIRM_EVERY:
            await self._confirm(one, source, stop)

    async def _confirm(self, one: FileOutcome, source: RowSource, stop: asyncio.Event) -> None:
        """Waits until the sink has made all durable, then writes the position down. A stop ends the waiting; the
        position stays where it was then.
        """
        while True:
            unsent = await self._delivery.flush(FLUSH_WITHIN)
            if not unsent and not self._delivery.in_flight:
                break
            if stop.is_set():
                return
            if unsent:
                self._log.warning("waiting for the sink", unsent=unsent, last_error=self._delivery.last_error)
            else:  # what it rejected is on its way as dead letters
                await asyncio.sleep(_SOON)
            self._watch(self)
        self._positions.save(one.path, source.position, source.digest)
        self._confirmed = monotonic()
