"""Candles as records of the type that connector files make of a venue's own ones.

A closed candle's ``message_id`` follows from exchange, `STREAM`, symbol, interval and beginning; a correction's, and
that of a state of a candle that is not over, from its content besides. So a second run over the same trades makes the
same records.
"""

from __future__ import annotations

from collections.abc import Mapping

from k2conn.candles.series import Candle
from k2conn.candles.trades import trade_record
from k2conn.engine.identity.message_ids import MessageIds
from k2conn.engine.identity.record_content import content_maker, told_apart
from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.records import RecordType, earliest_revision, load_record

RECORD = "candle"
STREAM = "candle-of-trades"
"""Stands in message ids for the stream: a venue's own candle of the same key is another record."""
SOURCE = {"source": "trades"}
"""Tells in vendor_data that a candle was added up here."""
TOPIC = "market.{asset_class}.{plural}.{exchange}"


def candle_record(asset_class: str) -> RecordType:
    """The record type that is made, for instruments of that class. Its revisions have the same fields."""
    return earliest_revision(RECORD, asset_classes=[asset_class])


class CandleEncoder:
    """Makes envelopes of candles. ``topic`` is a template with ``{asset_class}``, ``{plural}`` and ``{exchange}``."""

    def __init__(self, topic: str = TOPIC) -> None:
        self._topic = topic
        record, trade = load_record(RECORD), trade_record()
        self._record = record
        profile = record.profile
        at = {field.name: place for place, field in enumerate(record.schema.fields)}
        words = [name for name in profile.content if record.field(name).kind in ("enum", "string")]
        numbers = [name for name in profile.content if name not in words]
        self._content = content_maker([at[name] for name in numbers], [at[name] for name in words])
        self._id_at = at["message_id"]
        self._ids: dict[tuple[str, str], MessageIds] = {}
        quantity, price = trade.field("quantity").scale, trade.field("price").scale
        self._price = 10 ** (record.field("close").scale - price)
        self._amount = 10 ** (record.field("volume").scale - quantity)
        self._quote_places: int = price + quantity - record.field("quote_volume").scale
        """Places that a quote amount has and the record has not; below 0: the other way round."""
        self._quote: int = 10 ** max(0, -self._quote_places)

    def topic(self, exchange: str, asset_class: str) -> str:
        """Where candles of an exchange go."""
        plural = self._record.profile.plural
        return self._topic.format(asset_class=asset_class, plural=plural, exchange=exchange.lower())

    def envelope(
        self, candle: Candle, account: DeliveryAccount | None = None, notes: Mapping[str, str] | None = None
    ) -> Envelope:
        """The record of a candle; ``notes`` go into vendor_data. EncodeError where a number does not fit."""
        values = self._values(candle, {**SOURCE, **(notes or {})})
        schema = candle_record(candle.asset_class).schema
        row = [values.get(field.name) for field in schema.fields]
        row[self._id_at] = self._message_id(candle, row)
        body = schema.encode(row)
        end_us = candle.begin_us + candle.interval.length_us
        exchange, symbol = candle.symbol
        topic = self.topic(exchange, candle.asset_class)
        return Envelope(topic, symbol.encode(), body, schema, end_us // 1000, account)

    def _values(self, candle: Candle, notes: dict[str, str]) -> dict[str, object]:
        sums, (exchange, symbol) = candle.sums, candle.symbol
        end_us = candle.begin_us + candle.interval.length_us
        return {
            "symbol": symbol,
            "exchange": exchange,
            "asset_class": candle.asset_class,
            "currency": candle.currency,
            "interval": candle.interval.name,
            "open_time": candle.begin_us,
            "close_time": end_us,
            "open": sums.open * self._price,
            "high": sums.high * self._price,
            "low": sums.low * self._price,
            "close": sums.close * self._price,
            "volume": sums.volume * self._amount,
            "quote_volume": self._quote_amount("quote_volume", sums.quote, notes),
            "taker_buy_base": sums.buy_base * self._amount if sums.told else None,
            "taker_buy_quote": self._quote_amount("taker_buy_quote", sums.buy_quote, notes) if sums.told else None,
            "trade_count": sums.count,
            "is_closed": candle.closed,
            "timestamp": end_us if candle.closed else sums.latest_us,
            "ingestion_timestamp": sums.received_us,
            "vendor_data": notes,
        }

    def _message_id(self, candle: Candle, row: list[object]) -> str:
        known = self._ids.get(candle.symbol)
        if known is None:
            exchange, symbol = candle.symbol
            known = self._ids[candle.symbol] = MessageIds(exchange, STREAM, symbol)
        found = known.make(f"{candle.interval.name}|{candle.begin_us}")
        if candle.closed and not candle.correction:
            return found
        told = told_apart(found, self._content(row, 0))
        return told if candle.closed else told_apart(told, b"open")

    def _quote_amount(self, name: str, unscaled: int, notes: dict[str, str]) -> int:
        """A quote amount at the record's scale; where it has more places it is rounded half-even, and exact in
        vendor_data.
        """
        if self._quote_places <= 0:
            return unscaled * self._quote
        unit: int = 10**self._quote_places
        whole, rest = divmod(unscaled, unit)
        if not rest:
            return whole
        notes[f"{name}_exact"] = _plain(unscaled, self._quote_places + self._record.field(name).scale)
        return whole + (rest * 2 > unit or (rest * 2 == unit and whole % 2 == 1))


def _plain(unscaled: int, scale: int) -> str:
    sign, digits = "-" * (unscaled < 0), str(abs(unscaled)).rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}".rstrip("0").rstrip(".")

