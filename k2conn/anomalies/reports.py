"""Once told, the next anomalies of the same kind, stream and symbol are counted, and told of together when a while has
passed: a venue that is odd all the time fills no topic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from k2conn.anomalies.kinds import AnomalyKind, Oddity
from k2conn.avro import RecordSchema

MOST = 5_000
"""Kinds of streams and symbols of which it is remembered that they were told; anomalies of further ones are counted."""

Marked = tuple[AnomalyKind, str, str]
"""Kind, stream and symbol."""


class OddRecord(NamedTuple):
    """A record with one thing that is odd about it. ``fields`` are those that its anomaly needs, unscaled: read at once
    where the record is long, else (None) of its ``body``, once it is told of.
    """

    oddity: Oddity
    schema: RecordSchema
    body: bytes
    received_us: int
    fields: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What is to be told: the latest record, and how many there were since when."""

    stream: str
    latest: OddRecord
    count: int
    since_us: int


class _Pending:
    """What was told once, and what came of it since."""

    __slots__ = ("count", "latest", "quiet_until_us", "since_us")

    def __init__(self, quiet_until_us: int) -> None:
        self.quiet_until_us = quiet_until_us
        self.count = 0
        self.since_us = 0
        self.latest: OddRecord | None = None


class Reports:
    """Those of one connector."""

    def __init__(self, quiet_us: int, most: int = MOST) -> None:
        self.counts: Counter[tuple[str, AnomalyKind]] = Counter()
        """Odd records by stream and kind, told or not."""
        self._quiet_us = quiet_us
        self._most = most
        self._pending: dict[Marked, _Pending] = {}
        self._due_us = 0
        """No quiet ends before."""

    def note(self, stream: str, symbol: str, odd: OddRecord, now_us: int) -> Report | None:
        """Takes an odd record in; the report where it is to be told now."""
        self.counts[stream, odd.oddity.kind] += 1
        key = (odd.oddity.kind, stream, symbol)
        known = self._pending.get(key)
        if known is None:
            if len(self._pending) >= self._most:
                return None
            self._pending[key] = _Pending(now_us + self._quiet_us)
            self._due_us = min(self._due_us, now_us + self._quiet_us)
            return Report(stream, odd, 1, odd.received_us)
        if not known.count:
            known.since_us = odd.received_us
        known.count += 1
        known.latest = odd
        return None

    def is_due(self, now_us: int) -> bool:
        """Whether `due` may have something."""
        return bool(self._pending) and now_us >= self._due_us

    def due(self, now_us: int, last: bool = False) -> Iterator[Report]:
        """What came while it was quiet; with ``last`` what would be told later, too. Quick where nothing is due."""
        if now_us < self._due_us and not last:
            return
        over = [key for key, one in self._pending.items() if last or one.quiet_until_us <= now_us]
        for key in over:
            one = self._pending[key]
            if one.latest is None:
                del self._pending[key]
                continue
            report = Report(key[1], one.latest, one.count, one.since_us)
            self._pending[key] = _Pending(now_us + self._quiet_us)
            yield report
        self._due_us = min((one.quiet_until_us for one in self._pending.values()), default=now_us + self._quiet_us)
