"""Encoded records of one symbol, and a marker that looks at them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from k2conn.anomalies.encoding import anomaly_record
from k2conn.anomalies.marker import AnomalyMarker
from k2conn.anomalies.settings import AnomalySettings
from k2conn.engine.accounting.ledger import Ledger
from k2conn.envelope import Envelope
from k2conn.records import load_record
from tests.support.plans import plan_of

LEDGER = Ledger("venue", "VENUE")
BEGIN = 1_767_323_045_000_000
UNIT = 10**8


def record(kind: str, number: int, stream: str = "", past: bool = False, **fields: Any) -> Envelope:
    """A record whose time is 50 ms before its receipt, one a second; numbers are unscaled."""
    received = fields.pop("received_us", BEGIN + number * 1_000_000)
    values: dict[str, Any] = {
        "message_id": f"00000000-0000-5000-8000-{number:012d}", "symbol": "BTCUSD", "exchange": "VENUE",
        "asset_class": "crypto", "currency": "USD", "timestamp": received - 50_000, "ingestion_timestamp": received,
        "trade_id": f"VENUE-{number}", "price": 64_000 * UNIT, "quantity": UNIT, "side": "BUY", "trade_conditions": [],
        "quote_id": f"VENUE-{number}", "bid_price": 63_999 * UNIT, "bid_quantity": UNIT, "ask_price": 64_001 * UNIT,
        "ask_quantity": UNIT, **fields,
    }
    schema = load_record(kind).schema
    body = schema.encode([values.get(field.name) for field in schema.fields])
    account = LEDGER.account(stream or kind, values["symbol"])
    came = 0 if past else received
    return Envelope("topic", values["symbol"].encode(), body, schema, received // 1000, account, came)


def usual(kind: str, count: int = 150, **fields: Any) -> list[Envelope]:
    """Records of a calm market: prices move by up to 2, sizes are 1 to 10, spreads 1 to 3."""
    found = []
    for number in range(count):
        price = (64_000 + number * 7 % 3) * UNIT
        of_trades = {"price": price, "quantity": (1 + number * 3 % 10) * UNIT}
        of_quotes = {"bid_price": price, "ask_price": price + (1 + number % 3) * UNIT}
        found.append(record(kind, number, **(of_trades if kind == "trade" else of_quotes), **fields))
    return found


class Looking:
    """A marker, and what it tells."""

    def __init__(self, settings: AnomalySettings | None = None, most: int = 20_000) -> None:
        self.marker = AnomalyMarker(plan_of(), settings or AnomalySettings(), most)

    def look(self, *envelopes: Envelope) -> list[dict[str, Any]]:
        """What is told of these at once."""
        return list(_plain(self.marker.look(envelopes, max(one.received_us for one in envelopes), lambda name: None)))

    def due(self, now_us: int, last: bool = False) -> list[dict[str, Any]]:
        """What is told later."""
        return list(_plain(list(self.marker.due(now_us, lambda name: None, last))))


def _plain(envelopes: Sequence[Envelope]) -> Iterator[dict[str, Any]]:
    for one in envelopes:
        assert one.schema is anomaly_record("crypto").schema
        yield one.schema.decode_plain(one.value)
