"""The progress line: now and then one line of the log that says how far a run is, with its latest record.

It costs nothing a record: the counts are the ledger's, and the record is the last one of what the sink has just made
durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from k2conn import exactjson
from k2conn.clock import monotonic
from k2conn.engine.accounting.ledger import Account
from k2conn.envelope import Envelope
from k2conn.records import load_record
from k2conn.runner.connector import Connector
from k2conn.runner.event_log import get_logger

LEAST = 1.0
"""Seconds between two lines, whatever the rate."""
VALUE = 100
"""Characters of a value."""


@dataclass(frozen=True, slots=True)
class ProgressSettings:
    """When there is a line: after so many ``records``, or so many ``seconds`` after the last one, whichever comes
    first; None: not for that.
    """

    records: int | None = None
    seconds: float | None = 10.0


class ProgressOf(Protocol):
    """What has got so far: a runner, or several."""

    @property
    def connectors(self) -> Sequence[Connector]:
        """Those at work."""

    @property
    def latest(self) -> Envelope | None:
        """The latest record that is durable."""


class ProgressLine:
    """Says how far a run is."""

    def __init__(self, runner: ProgressOf, settings: ProgressSettings) -> None:
        self._runner = runner
        self._settings = settings
        self._log = get_logger()
        self._published = 0
        self._at = monotonic()

    async def keep(self) -> None:
        """Goes on until it is cancelled."""
        if self._settings == ProgressSettings(None, None):
            return
        while True:
            await asyncio.sleep(LEAST)
            self.look(monotonic())

    def look(self, now: float) -> None:
        """A line, where one is due and something was published since the last one."""
        given, seconds = self._settings, now - self._at
        if given.records is None and given.seconds is not None and seconds < given.seconds:
            return  # without counting
        totals = [one.shown.totals() for one in self._runner.connectors]
        published = sum(one["published"] for one in totals)
        new = published - self._published
        due = (given.records is not None and new >= given.records) or (
            given.seconds is not None and seconds >= given.seconds
        )
        if not due or new <= 0 or seconds < LEAST / 2:
            return
        self._published, self._at = published, now
        errors = sum(one["dead_letters"] + one["lost"] for one in totals)
        self._log.info(
            "progress", records=published, per_second=round(new / seconds, 1), errors=errors, **self._latest()
        )

    def _latest(self) -> dict[str, Any]:
        """The latest durable record: whose it is, and those of its fields that are worth a look."""
        envelope = self._runner.latest
        if envelope is None or envelope.schema is None or not isinstance(envelope.account, Account):
            return {}
        record, kind = envelope.schema.decode_plain(envelope.value), load_record(envelope.schema.name)
        shown = {name: exactjson.excerpt(record[name], VALUE) for name in kind.shown if record.get(name) is not None}
        return {"stream": envelope.account.stream, "symbol": envelope.account.symbol, "topic": envelope.topic, **shown}
