"""What the tests of sinks for databases share: the sink at work, records that differ."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from k2conn.avro import load_schema
from k2conn.envelope import Envelope
from k2conn.sinks.postgres.settings import PostgresSettings
from k2conn.sinks.settings import SinkSettings, SpoolSettings
from k2conn.spool import make_spooled
from tests.support.sinks import Book, trade

CANDLE: dict[str, Any] = {
    "message_id": "", "symbol": "BTCUSD", "exchange": "X", "asset_class": "crypto", "currency": "USD",
    "interval": "1m", "open_time": 1_767_323_040_000_000, "close_time": 1_767_323_100_000_000,
    "open": 6_400_000_000_000, "high": 6_500_000_000_000, "low": 6_300_000_000_000, "close": 6_410_000_000_000,
    "volume": 3 * 10**18, "quote_volume": None, "taker_buy_base": 10**18, "taker_buy_quote": None, "trade_count": 7,
    "is_closed": True, "timestamp": 1_767_323_100_000_000, "source_sequence": None,
    "ingestion_timestamp": 1_767_323_100_500_000, "platform_sequence": None, "vendor_data": None,
}


def numbered(number: int, topic: str = "market.crypto.trades.x", **fields: Any) -> Envelope:
    """Trade ``number``, with an id of its own."""
    return trade(number, topic, **{"message_id": str(UUID(int=number)), **fields})


def candle(number: int = 0, **fields: Any) -> Envelope:
    """A candle: the ``number``-th minute of a day."""
    schema = load_schema("candle")
    start = CANDLE["open_time"] + number * 60_000_000
    ids = {"message_id": str(UUID(int=number)), "open_time": start, "close_time": start + 60_000_000}
    values = CANDLE | ids | fields
    return Envelope(
        "market.crypto.candles.x", b"BTCUSD", schema.encode(list(values.values())), schema, start // 1000
    )


def drive(
    dsn: str, book: Book, work: Callable[[Any], Awaitable[None]], spool: SpoolSettings | None = None,
    buffer_bytes: int = 32 * 1024 * 1024, **given: Any,
) -> None:
    """Run ``work`` on an open postgres sink, with a spool before it where one is given."""

    async def run() -> None:
        settings = SinkSettings(
            kind="postgres", options=PostgresSettings(dsn=dsn, **{"batch_ms": 20, "update_ms": 20, **given}),
            spool=spool or SpoolSettings(mode="never"), buffer_bytes=buffer_bytes,
        )
        sink = make_spooled(settings, book.settle, book.reject)
        await sink.open()
        try:
            await work(sink)
        finally:
            await sink.close()
        await asyncio.sleep(0.01)
        assert len(asyncio.all_tasks()) == 1, "a task outlives the sink"

    asyncio.run(run())
