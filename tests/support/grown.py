"""Records of later revisions: trades that say more than the first had room for, quotes of one side, prices."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from k2conn.envelope import Envelope
from k2conn.records import RecordType, load_record
from tests.support.sinks import TRADE

TERMS: dict[str, Any] = {
    "underlying": "SPY", "expiry": 20_440, "strike": 65_000_000_000, "option_right": "PUT", "multiplier": 100 * 10**8,
}
MORE: dict[str, Any] = {
    "venue": "XNAS", "trade_action": "CORRECT", "reference_trade_id": "X-7", "timestamp_nanos": 789,
    "sip_timestamp": TRADE["timestamp"] + 5, **TERMS,
}
QUOTE: dict[str, Any] = {
    "quote_id": "X-0", "symbol": "EURUSD", "exchange": "X", "asset_class": "forex", "currency": "USD",
    "timestamp": TRADE["timestamp"], "ingestion_timestamp": TRADE["ingestion_timestamp"], "bid_price": 115_235_000,
    "ask_price": None, "ask_quantity": None, "bid_quantity": None, "quote_conditions": ["R", "X"],
}
PRICE: dict[str, Any] = {
    "symbol": "SPX", "exchange": "X", "asset_class": "index", "currency": "USD", "timestamp": TRADE["timestamp"],
    "ingestion_timestamp": TRADE["ingestion_timestamp"], "price": -5 * 10**7, "price_type": "INDEX",
}


def envelope_of(record: RecordType, number: int, topic: str, values: dict[str, Any]) -> Envelope:
    """Record ``number``; what ``values`` does not say is null."""
    given = {"message_id": str(UUID(int=number)), **values}
    body = record.schema.encode([given.get(field.name) for field in record.schema.fields])
    return Envelope(topic, given["symbol"].encode(), body, record.schema, given["timestamp"] // 1000)


def grown_trade(number: int, topic: str = "market.crypto.trades.x", revision: int = 2, **fields: Any) -> Envelope:
    """Trade ``number``, which corrects another one."""
    ids = {"message_id": str(UUID(int=number)), "trade_id": f"X-{number}", "source_sequence": number}
    return envelope_of(load_record("trade", revision), number, topic, TRADE | ids | MORE | fields)


def one_sided(number: int, topic: str = "market.forex.quotes.x", **fields: Any) -> Envelope:
    """Quote ``number`` of an indicative market where nobody offers."""
    return envelope_of(load_record("quote", 3), number, topic, QUOTE | {"quote_id": f"X-{number}"} | fields)


def whole_quote(number: int, revision: int = 1, topic: str = "market.crypto.quotes.x", **fields: Any) -> Envelope:
    """Quote ``number`` of both sides, of a class that every revision knows."""
    sides = {"asset_class": "crypto", "ask_price": 115_236_000, "bid_quantity": 10**8, "ask_quantity": 2 * 10**8}
    return envelope_of(load_record("quote", revision), number, topic,
                       QUOTE | {"quote_id": f"X-{number}"} | sides | fields)


def priced(number: int, topic: str = "market.index.prices.x", **fields: Any) -> Envelope:
    """Price ``number``: a level of an index, below zero."""
    return envelope_of(load_record("price"), number, topic, PRICE | fields)
