"""A naive connector, as one writes it in an afternoon with the usual libraries: the yardstick, not a straw man.

Expressions are compiled once, the schema is parsed once, numbers are Decimals, nothing is awaited that need not be.
There is no check, no duplicate window, no dead letter, no gap handling, no reconnecting, no metric. asyncio's own event
loop and aiokafka's own level of lz4 (9), as one gets them.

    python -m benchmarks.peers.naive WEBSOCKET_URL KAFKA REGISTRY_URL TOPIC SYMBOL,SYMBOL,...
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
import time
import urllib.request
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import jmespath
import websockets
from aiokafka import AIOKafkaProducer

SCHEMA = Path(__file__).parents[2] / "schemas" / "trade_v2.avsc"
IS_TRADE = jmespath.compile("data.e == 'aggTrade'")
ITEM = jmespath.compile("data")
FIELDS = {
    name: jmespath.compile(path)
    for name, path in {"symbol": "s", "id": "a", "price": "p", "quantity": "q", "time": "T", "maker": "m"}.items()
}
VENDOR = {
    name: jmespath.compile(path)
    for name, path in {
        "is_buyer_maker": "m", "event_type": "e", "event_time": "E", "trade_time": "T", "is_best_match": "M",
        "first_trade_id": "f", "last_trade_id": "l",
    }.items()
}


def record_of(item: Any, received_us: int) -> dict[str, Any]:
    """One trade in the form that all exchanges share."""
    found = {name: expression.search(item) for name, expression in FIELDS.items()}
    vendor = {name: text(expression.search(item)) for name, expression in VENDOR.items()}
    symbol = found["symbol"]
    trade_id = f"BINANCE-{found['id']}"
    return {
        "message_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"BINANCE|agg_trade|{symbol}|{trade_id}")),
        "trade_id": trade_id,
        "symbol": symbol,
        "exchange": "BINANCE",
        "asset_class": "crypto",
        "timestamp": found["time"] * 1000,
        "price": Decimal(found["price"]),
        "quantity": Decimal(found["quantity"]),
        "currency": "USDT",
        "side": "SELL" if found["maker"] else "BUY",
        "trade_conditions": [],
        "source_sequence": found["id"],
        "ingestion_timestamp": received_us,
        "platform_sequence": None,
        "vendor_data": {**vendor, "native_symbol": symbol, "base_asset": symbol[:-4], "quote_asset": "USDT"},
    }


def text(value: Any) -> str:
    """A value in JSON's spelling."""
    return value if isinstance(value, str) else json.dumps(value)


def register(registry: str, subject: str) -> int:
    """The schema's id."""
    body = json.dumps({"schema": SCHEMA.read_text()}).encode()
    kind = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    request = urllib.request.Request(f"{registry}/subjects/{subject}/versions", body, kind)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return int(json.load(answer)["id"])


async def main(url: str, kafka: str, registry: str, topic: str, symbols: str) -> None:
    """Runs until it is told to stop."""
    head = b"\0" + register(registry, f"{topic}-value").to_bytes(4, "big")
    schema = fastavro.parse_schema(json.loads(SCHEMA.read_text()))
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", enable_idempotence=True, compression_type="lz4", linger_ms=5
    )
    await producer.start()
    async with websockets.connect(url) as socket:
        topics = [f"{symbol.lower()}@aggTrade" for symbol in symbols.split(",")]
        await socket.send(json.dumps({"method": "SUBSCRIBE", "params": topics, "id": 1}))
        async for frame in socket:
            received_us = time.time_ns() // 1000
            message = json.loads(frame, parse_float=Decimal)
            if IS_TRADE.search(message):
                record = record_of(ITEM.search(message), received_us)
                out = io.BytesIO()
                fastavro.schemaless_writer(out, schema, record)
                await producer.send(topic, head + out.getvalue(), record["symbol"].encode())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:6]))
