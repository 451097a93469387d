"""A connector's records, looked at for what is odd while they pass, within a share of the processor's time.

It is given what goes to the sink, after that was decided, and looks at it a moment later. So nothing that is found
here, and no bug here, touches a record. Where records come faster than they can be looked at within the share, those
that are too many are passed over.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

from k2conn.anomalies.encoding import STREAM
from k2conn.anomalies.marker import MOST_SYMBOLS, AnomalyMarker
from k2conn.anomalies.settings import AnomalyMode, AnomalySettings
from k2conn.avro import RecordSchema
from k2conn.clock import monotonic, thread_time
from k2conn.engine.connector_state import ConnectorState
from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.plan import Plan
from k2conn.runner.event_log import get_logger

SHARE = 0.01
"""The part of the time that goes into looking, in the long run."""
SAVED = 0.025
"""Seconds of it that are saved up while little comes, for a burst."""
FASTEST = 200_000
"""Records that can be looked at in a second of it at the very most: what is beyond that is not even kept."""
AT_ONCE = 500
"""Records that are looked at in one go, before everybody else has a turn."""
MOST_WAITING = 20_000
"""Records that wait to be looked at."""
MOST_BYTES = 8 * 1024 * 1024
"""And of these, bytes: what the sink has sent would not be kept without them."""
SHOWN = 200
"""The latest anomalies, which /anomalies shows."""
_BODY = itemgetter(2)
_LEFT_OUT = ("message_id", "exchange", "asset_class", "connector")
"""Of an anomaly's record; what has it says so itself."""


class AnomalyWatch:
    """That of one connector. ``most``: symbols, each counted for each of its streams, whose habits are learnt."""

    def __init__(self, plan: Plan, settings: AnomalySettings, most: int = MOST_SYMBOLS) -> None:
        self.marker = AnomalyMarker(plan, settings, most)
        self.publishes = settings.mode == AnomalyMode.PUBLISH
        self.latest: deque[dict[str, Any]] = deque(maxlen=SHOWN)
        """What was told, the oldest first."""
        self.passed_over = 0
        """Records that there was no time to look at."""
        self.spent = 0.0
        """Seconds of work that went into it."""
        self._waiting: list[Sequence[Envelope]] = []
        self._count = self._bytes = 0
        """Records that wait."""
        self._credit = SAVED
        self._most = MOST_WAITING
        """Records that wait, which there may be time for."""
        self._looked = monotonic()
        self._log = get_logger(connector=plan.name)
        self._failed = False

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """Odd records by stream and kind, told or not."""
        return Counter({(stream, str(kind)): count for (stream, kind), count in self.marker.reports.counts.items()})

    @property
    def by_kind(self) -> dict[str, int]:
        """Odd records by kind."""
        found: Counter[str] = Counter()
        for (_, kind), count in self.counts.items():
            found[kind] += count
        return dict(sorted(found.items()))

    def topics(self) -> dict[str, RecordSchema]:
        """Where its anomalies go, and as what; none where they are not published."""
        return self.marker.topics() if self.publishes else {}

    def take(self, envelopes: Sequence[Envelope]) -> None:
        """Takes in what goes to the sink."""
        count = len(envelopes)
        if self._failed or self._count >= self._most:
            self.passed_over += count
            return
        size = sum(map(len, map(_BODY, envelopes)))
        if self._count + count > MOST_WAITING or self._bytes + size > MOST_BYTES:
            self.passed_over += count
            return
        self._waiting.append(tuple(envelopes))
        self._count += count
        self._bytes += size

    def look(self, state: ConnectorState, now_us: int, last: bool = False) -> Iterator[list[Envelope]]:
        """What is to be published of what waits; stops after some records, so that others have a turn. ``last``: also
        what is to be told only later.
        """
        waiting, self._waiting, self._count, self._bytes = self._waiting, [], 0, 0
        began = monotonic()
        self._credit = min(SAVED, self._credit + (began - self._looked) * SHARE)
        self._looked = began
        self._most = min(MOST_WAITING, AT_ONCE + int(FASTEST * (self._credit + SHARE)))
        due = last or self.marker.is_due(now_us)
        if not (waiting or due):
            return
        records = (envelope for read in waiting for envelope in read)
        left = sum(map(len, waiting))
        while left and self._credit > 0 and not self._failed:
            some = list(islice(records, AT_ONCE))
            left -= len(some)
            yield self._guarded(state, some, now_us)
        self.passed_over += left
        if due and not self._failed:
            yield self._guarded(state, None, now_us, last)

    def _guarded(
        self, state: ConnectorState, some: Sequence[Envelope] | None, now_us: int, last: bool = False
    ) -> list[Envelope]:
        """Looks at some records, or (None) at what is due; what is to be published."""
        began = thread_time()
        try:
            self.marker.know(state.symbols.instruments, state.symbols.whole)
            account = state.ledger.account if self.publishes else None

            def of(symbol: str) -> DeliveryAccount | None:
                return None if account is None else account(STREAM, symbol)

            found = list(self.marker.due(now_us, of, last)) if some is None else self.marker.look(some, now_us, of)
            for envelope in found:
                self._tell(envelope)
        except Exception:  # a bug of ours: the looking ends, and the connector, which did not ask for it, goes on
            self._failed = True
            self._log.exception("anomalies are not looked for any more: a bug")
            found = []
        spent = thread_time() - began
        self.spent += spent
        self._credit -= spent
        if not self.publishes:
            return []
        for envelope in found:
            state.ledger.account(STREAM, (envelope[1] or b"").decode()).received += 1
        return found

    def _tell(self, envelope: Envelope) -> None:
        assert envelope.schema is not None
        shown = envelope.schema.decode_plain(envelope.value)
        self.latest.append({name: value for name, value in shown.items() if name not in _LEFT_OUT})
        words = ("stream", "symbol", "kind", "observed", "bound", "unit", "detail", "count", "record_message_id")
        self._log.warning("anomaly", **{name: shown[name] for name in words if shown[name] is not None})
