"""Features as records."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from k2conn.engine.identity.message_ids import MessageIds
from k2conn.engine.identity.record_content import told_apart
from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.features.inputs import NAMES
from k2conn.features.normalised import PLACES, Normalised
from k2conn.features.settings import FeatureSettings
from k2conn.records import RecordType, earliest_revision, load_record

RECORD = "feature"
STREAM = "features"
"""The ledger's name for them."""
TOPIC = "market.{asset_class}.{plural}.{exchange}"
_OF_THE_CANDLE = (
    "symbol", "exchange", "asset_class", "currency", "interval", "open_time", "close_time", "timestamp",
    "ingestion_timestamp",
)


def feature_record(asset_class: str) -> RecordType:
    """The record type that is made, for instruments of that class. Its revisions have the same fields."""
    return earliest_revision(RECORD, asset_classes=[asset_class])


class FeatureEncoder:
    """Makes envelopes of features. ``topic`` is a template with ``{asset_class}``, ``{plural}`` and ``{exchange}``."""

    def __init__(self, settings: FeatureSettings, topic: str = TOPIC) -> None:
        self._window = settings.window
        self._topic = topic
        self._record = record = load_record(RECORD)
        self._names = [field.name for field in record.schema.fields]
        self._minmax, self._zscore = (
            [(f"{name}_{kind}", 10 ** (record.field(f"{name}_{kind}").scale - PLACES)) for name in NAMES]
            for kind in ("minmax", "zscore")
        )
        self._ids: dict[tuple[str, str, str], MessageIds] = {}

    def topic(self, exchange: str, asset_class: str) -> str:
        """Where features of an exchange go."""
        plural = self._record.profile.plural
        return self._topic.format(asset_class=asset_class, plural=plural, exchange=exchange.lower())

    def envelope(
        self, candle: Mapping[str, Any], stream: str, found: Normalised, account: DeliveryAccount | None
    ) -> Envelope:
        """The record of a candle's features; ``candle`` is in unscaled form, ``stream`` is where it is from."""
        values: dict[str, Any] = {name: candle[name] for name in _OF_THE_CANDLE}
        values |= {
            "stream": stream,
            "window": self._window,
            "candles": found.candles,
            "missing": found.missing,
            "is_warmed_up": found.candles >= self._window,
            "message_id": self._message_id(candle, stream, found),
        }
        for names, numbers in ((self._minmax, found.minmax), (self._zscore, found.zscore)):
            for (name, unit), number in zip(names, numbers, strict=True):
                values[name] = None if number is None else number * unit
        schema = feature_record(candle["asset_class"]).schema
        body = schema.encode([values[name] for name in self._names])
        topic = self.topic(candle["exchange"], candle["asset_class"])
        return Envelope(topic, candle["symbol"].encode(), body, schema, candle["timestamp"] // 1000, account)

    def _message_id(self, candle: Mapping[str, Any], stream: str, found: Normalised) -> str:
        key = candle["exchange"], stream, candle["symbol"]
        known = self._ids.get(key)
        if known is None:
            known = self._ids[key] = MessageIds(key[0], f"{STREAM}|{stream}", key[2])
        content = hashlib.sha1(repr((self._window, found)).encode(), usedforsecurity=False).digest()
        return told_apart(known.make(f"{candle['interval']}|{candle['open_time']}"), content)
