"""What the tests of all sinks share: trades as envelopes, and a book of what became of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from k2conn.avro import load_schema
from k2conn.envelope import Envelope

TRADE: dict[str, Any] = {
    "message_id": "2f0c8f0e-7f5c-5d0a-9c63-3f4f4e8f9a10",
    "trade_id": "X-0",
    "symbol": "BTCUSD",
    "exchange": "X",
    "asset_class": "crypto",
    "timestamp": 1_767_323_045_678_901,
    "price": 6_400_010_000_000,
    "quantity": 25_000_000,
    "currency": "USD",
    "side": "SELL",
    "trade_conditions": ["@", "T"],
    "source_sequence": 0,
    "ingestion_timestamp": 1_767_323_045_700_000,
    "platform_sequence": None,
    "vendor_data": {"ord_type": "limit", "b": "ü"},
}


def trade(number: int, topic: str, symbol: str = "BTCUSD", **fields: Any) -> Envelope:
    """Trade ``number`` as an envelope; ``fields`` replace those of ``TRADE``."""
    values = TRADE | {"trade_id": f"X-{number}", "source_sequence": number, "symbol": symbol} | fields
    schema = load_schema("trade")
    stamp = values["timestamp"] // 1000
    return Envelope(topic, symbol.encode(), schema.encode(list(values.values())), schema, stamp)


def dead(number: int, topic: str) -> Envelope:
    """Dead letter ``number``."""
    document = {"reason": "bad-number", "number": number, "raw": '{"p": "x"}\n'}
    return Envelope(topic, None, json.dumps(document).encode(), None, 1_767_323_045_678)


@dataclass
class Book:
    """What a sink said."""

    settled: list[Envelope] = field(default_factory=list)
    rejected: list[tuple[Envelope, str]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    """What was said of those that were rejected."""

    def settle(self, batch: Sequence[Envelope]) -> None:
        self.settled += batch

    def reject(self, envelope: Envelope, reason: str, words: str = "") -> None:
        self.rejected.append((envelope, reason))
        self.words.append(words)
