"""Features of one connector's candles, made while they pass.

Fed with what goes to the sink: closed candles, the venue's own where their stream runs, else those that are made here
of its trades; and quotes, of which the latest of each symbol is remembered for the spread.
"""

from __future__ import annotations

from collections.abc import Iterable

from k2conn.avro import RecordSchema
from k2conn.avro.unscaled import UnscaledRecords
from k2conn.candles.envelopes import STREAM as MADE_HERE
from k2conn.candles.trades import RECORD as TRADE
from k2conn.engine.accounting.ledger import MOST_SYMBOLS
from k2conn.engine.connector_state import ConnectorState
from k2conn.envelope import Envelope
from k2conn.features.envelopes import STREAM, feature_record
from k2conn.features.inputs import CANDLE, QUOTE
from k2conn.features.making import feature_maker
from k2conn.features.settings import FeatureSettings
from k2conn.plan import Plan
from k2conn.runner.candle_stage import CandleStage
from k2conn.runner.event_log import get_logger

Encoded = tuple[RecordSchema, bytes]
"""A record's schema and its body."""
AT_ONCE = 500
"""Candles whose features are made in one go, before everybody else has a turn."""


class FeatureStage:
    """See the module's text. SettingsError where numpy is not installed."""

    def __init__(self, plan: Plan, settings: FeatureSettings) -> None:
        self.settings = settings
        self.maker = feature_maker(settings)
        self._reader = UnscaledRecords()
        self._sources: set[tuple[str, str]] = set()
        """Stream and interval of the candles that are taken."""
        self._streams: set[str] = set()
        self._quote_stream = ""
        self._latest: dict[bytes | None, Encoded] = {}
        """The latest quote of each symbol, by the key of its records."""
        self._waiting: list[tuple[Encoded, str, Encoded | None]] = []
        """Candles, their streams, and the quotes that were the latest when they came."""
        self._told = 0
        self._log = get_logger(connector=plan.name)

    def topics(self, state: ConnectorState) -> dict[str, RecordSchema]:
        """Where its features go, and as what; none where the connector has no candles."""
        streams = [mapping.stream for mapping in state.mappings.values()]
        classes = {name for stream in streams for name in stream.kafka_topics
                   if stream.name in self._streams or (stream.record == TRADE and MADE_HERE in self._streams)}
        topic, exchange = self.maker.encoder.topic, state.plan.exchange
        return {topic(exchange, name): feature_record(name).schema for name in sorted(classes)}

    def choose(self, state: ConnectorState, made: CandleStage | None) -> None:
        """Of which candles features are made: for each interval the venue's own, where a stream of them runs, else
        those that ``made`` makes. Two kinds of candles in one window would be two measures.
        """
        self._sources = set()
        made_here = {one.name for one in made.settings.intervals} if made is not None else set()
        for name in self.settings.intervals:
            own = [one.name for one in state.streams
                   if one.record == CANDLE and one.span is not None and one.span.interval.name == name]
            if own:
                self._sources.add((own[0], name))
            elif name in made_here:
                self._sources.add((MADE_HERE, name))
            else:
                self._log.warning("no features: no candles of this interval", interval=name,
                                  hint=f"a stream of such candles, or --candles {name}")
        self._streams = {stream for stream, _ in self._sources}
        quotes = [stream.name for stream in state.streams if stream.record == QUOTE]
        self._quote_stream = quotes[0] if quotes else ""

    def take(self, envelopes: Iterable[Envelope]) -> None:
        """Takes in the closed candles and the quotes among what goes to the sink."""
        streams, quote_stream, latest = self._streams, self._quote_stream, self._latest
        for envelope in envelopes:
            schema, account = envelope[3], envelope[5]
            if account is None or schema is None:
                continue
            if account.stream in streams:
                self._waiting.append(((schema, envelope[2]), account.stream, latest.get(envelope[1])))
            elif account.stream == quote_stream and (envelope[1] in latest or len(latest) < MOST_SYMBOLS):
                latest[envelope[1]] = schema, envelope[2]

    def look(self, state: ConnectorState) -> list[Envelope]:
        """The features of some of the candles that came; to be called until `waiting` is false."""
        now, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
        found = []
        for encoded, stream, quote in now:
            candle = self._reader.record(*encoded)
            if not candle["is_closed"] or (stream, candle["interval"]) not in self._sources:
                continue
            spread = self.maker.inputs.spread_bps(self._reader.record(*quote)) if quote is not None else 0.0
            account = state.ledger.account(STREAM, candle["symbol"])
            made = self.maker.features(candle, stream, spread, account)
            if made is not None:
                account.received += 1
                found.append(made)
        if self.left_out > self._told:
            self._log.warning("candles without features", count=self.left_out - self._told,
                              hint="they are older than all that is kept of their symbol, or of too many symbols")
            self._told = self.left_out
        return found

    @property
    def left_out(self) -> int:
        """Candles of which no features could be made, but for those before the first ones."""
        return self.maker.counts.late + self.maker.counts.unknown

    @property
    def waiting(self) -> bool:
        """Whether there are candles whose features are not made yet."""
        return bool(self._waiting)
