"""Anomalies as records, on ``market.{asset_class}.anomalies.{exchange}``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from k2conn.anomalies.kinds import PRICE, QUANTITY, UNITS
from k2conn.anomalies.reports import Report
from k2conn.engine.identity.message_ids import MessageIds
from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.records import RecordType, earliest_revision, load_record

RECORD = "anomaly"
STREAM = "anomalies"
"""The ledger's name for them."""
TOPIC = "market.{asset_class}.{plural}.{exchange}"
_OF_THE_RECORD = ("symbol", "exchange", "asset_class", "currency", "timestamp", "ingestion_timestamp")
_NUMBERS = ("price", "quantity", "bid_price", "ask_price")


def anomaly_record(asset_class: str) -> RecordType:
    """The record type that is made, for instruments of that class. Its revisions have the same fields."""
    return earliest_revision(RECORD, asset_classes=[asset_class])


def anomaly_topic(exchange: str, asset_class: str) -> str:
    """Where anomalies of an exchange go."""
    plural = anomaly_record(asset_class).profile.plural
    return TOPIC.format(asset_class=asset_class, plural=plural, exchange=exchange.lower())


def needed(marked: Mapping[str, Any]) -> dict[str, Any]:
    """Of a record in unscaled form, what its anomaly has."""
    return {name: marked[name] for name in ("message_id", *_OF_THE_RECORD, *_NUMBERS) if name in marked}


class AnomalyEncoder:
    """Makes envelopes of what one connector marks."""

    def __init__(self, connector: str) -> None:
        self._connector = connector
        self._record = record = load_record(RECORD)
        self._names = [field.name for field in record.schema.fields]
        observed = record.field("observed")
        self._unit = 10**observed.scale
        self._largest: int = 10**observed.precision - 1

    def envelope(
        self, report: Report, marked: Mapping[str, Any], account: Callable[[str], DeliveryAccount | None]
    ) -> Envelope:
        """The record of a report; ``marked`` is its record in unscaled form, ``account`` gives that of a symbol."""
        oddity, exchange, symbol = report.latest.oddity, marked["exchange"], marked["symbol"]
        unit = UNITS[oddity.kind]
        identity = f"{oddity.kind}|{marked['message_id']}|{report.count}"
        values: dict[str, Any] = dict.fromkeys(_NUMBERS)
        values |= {name: marked[name] for name in (*_OF_THE_RECORD, *_NUMBERS) if name in marked}
        values |= {
            "message_id": MessageIds(exchange, f"{STREAM}|{report.stream}", symbol).make(identity),
            "connector": self._connector,
            "stream": report.stream,
            "kind": oddity.kind,
            "count": report.count,
            "since_timestamp": report.since_us,
            "observed": self._number(oddity.observed, unit),
            "bound": self._number(oddity.bound, unit),
            "unit": unit,
            "detail": oddity.detail,
            "record_message_id": marked["message_id"],
        }
        schema = anomaly_record(marked["asset_class"]).schema
        body = schema.encode([values[name] for name in self._names])
        topic = anomaly_topic(exchange, marked["asset_class"])
        return Envelope(topic, symbol.encode(), body, schema, marked["timestamp"] // 1000, account(symbol))

    def _number(self, number: int | float | None, unit: str) -> int | None:
        """Unscaled: what is a price or a quantity is that already, and exact."""
        if number is None:
            return None
        if unit in (PRICE, QUANTITY):
            return min(round(number), self._largest)
        return round(number * self._unit) if number * self._unit < self._largest else self._largest
