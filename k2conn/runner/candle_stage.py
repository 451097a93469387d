"""Candles of one connector's own trades, made while they pass.

Fed with what goes to the sink, it gives closed candles and their corrections back. It begins with the first moment at
which every connection stands: what spans of time have begun before that is not known whole, and is not published. Spans
during which a connection was lost say so in vendor_data, for trades may be missing in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from k2conn.avro import RecordSchema
from k2conn.candles.aggregator import CandleAggregator
from k2conn.candles.bodies import AT_ONCE, TradeBodies
from k2conn.candles.envelopes import STREAM, CandleEncoder, candle_record
from k2conn.candles.series import Candle
from k2conn.candles.settings import CandleSettings
from k2conn.candles.trades import RECORD
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.end_causes import PLANNED
from k2conn.envelope import Envelope
from k2conn.errors import EncodeError
from k2conn.plan import Plan
from k2conn.runner.event_log import get_logger

INTERRUPTED = {"interrupted": "true"}
MOST_OUTAGES = 1000


class CandleStage:
    """See the module's text."""

    def __init__(self, plan: Plan, settings: CandleSettings) -> None:
        self.settings = settings
        self.aggregator = CandleAggregator(settings)
        self.partial = 0
        """Candles that are not published: they began before everything that is known here."""
        self.unfit = 0
        """Candles with a number that does not fit the record."""
        self._bodies = TradeBodies()
        self._encoder = CandleEncoder()
        self._stream = ""
        self._since_us: int | None = None
        self._outages: list[tuple[int, int]] = []
        self._looked_us = 0
        self._reconnects = 0
        self._told = 0
        self._log = get_logger(connector=plan.name)

    @property
    def amendments(self) -> int:
        """Corrections of trades, and what takes them back, that were left out."""
        return self._bodies.amendments

    def topics(self, state: ConnectorState) -> dict[str, RecordSchema]:
        """Where its candles go, and as what; none where the connector has no trades."""
        classes = {name for mapping in state.mappings.values() if mapping.stream.record == RECORD
                   for name in mapping.stream.kafka_topics}
        return {self._encoder.topic(state.plan.exchange, name): candle_record(name).schema for name in sorted(classes)}

    def choose(self, state: ConnectorState) -> None:
        """Which of the connector's streams it counts: the first one of trades, for two would count each trade twice."""
        names = [stream.name for stream in state.streams if stream.record == RECORD]
        if not names:
            self._log.warning("no candles: none of the streams that run has trades")
        elif len(names) > 1:
            self._log.warning("candles are made of one stream of trades only", stream=names[0], others=names[1:])
        self._stream = names[0] if names else ""

    def take(self, envelopes: Iterable[Envelope]) -> None:
        """Counts the trades among what goes to the sink."""
        stream, waiting = self._stream, self._bodies.waiting
        waiting += [
            (envelope[3], envelope[2]) for envelope in envelopes
            if envelope[3] is not None and envelope[5] is not None and envelope[5].stream == stream
        ]
        if len(waiting) >= AT_ONCE:
            self.aggregator.add(self._bodies.read())

    def look(self, state: ConnectorState, now_us: int, standing: bool) -> list[Envelope]:
        """The candles that are over, and corrections. ``standing``: whether every connection stands now; ``now_us`` is
        microseconds since the epoch.
        """
        self._note(state, now_us, standing)
        self.aggregator.add(self._bodies.read())
        self.aggregator.advance(now_us)
        found = self._envelopes(state, self.aggregator.collect())
        late = self.aggregator.counts.late + self.aggregator.counts.ahead
        if late > self._told:
            self._log.warning("trades not counted in candles", count=late - self._told,
                              hint="their time is too old, or after their receipt")
            self._told = late
        return found

    def _note(self, state: ConnectorState, now_us: int, standing: bool) -> None:
        reconnects = sum(count for cause, count in state.ledger.reconnects.items() if cause not in PLANNED)
        if self._since_us is None:
            self._since_us = now_us if standing else None
        elif not standing or reconnects != self._reconnects:
            self._outages.append((self._looked_us, now_us))
            if len(self._outages) > 1 and self._outages[-2][1] >= self._looked_us:
                (begin, _), _ = self._outages[-2:]
                self._outages[-2:] = [(begin, now_us)]
            del self._outages[:-MOST_OUTAGES]
        self._reconnects, self._looked_us = reconnects, now_us

    def _envelopes(self, state: ConnectorState, candles: Sequence[Candle]) -> list[Envelope]:
        found = []
        for candle in candles:
            if self._since_us is None or candle.begin_us < self._since_us:
                self.partial += 1
                continue
            account = state.ledger.account(STREAM, candle.symbol[1])
            try:
                made = self._encoder.envelope(candle, account, INTERRUPTED if self._interrupted(candle) else {})
            except EncodeError as error:
                self.unfit += 1
                self._log.warning("a candle does not fit", symbol=candle.symbol[1], detail=str(error))
                continue
            account.received += 1
            account.last_event_us = max(account.last_event_us, candle.begin_us + candle.interval.length_us)
            found.append(made)
        return found

    def _interrupted(self, candle: Candle) -> bool:
        end_us = candle.begin_us + candle.interval.length_us
        return any(begin < end_us and candle.begin_us < end for begin, end in self._outages)
