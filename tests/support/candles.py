"""A loopback venue that speaks as Binance does and sends candles, and what readers are to find of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from threading import Thread
from typing import Any

from websockets.sync.server import ServerConnection, serve

BEGIN_MS = 1_767_312_000_000
"""2026-01-02T00:00:00Z"""
LENGTHS = {"1m": 60_000, "1h": 3_600_000}
VOLUME = Decimal("98765432109876.123456789012345678")
"""More than decimal(18,8) holds: candles sum up."""
CLOSED = 3
"""Closed candles of each interval; each comes after an open state of it."""


def frames(symbol: str, interval: str) -> list[str]:
    """An open and a closed state of each candle."""
    sent = []
    for number in range(CLOSED):
        begin = BEGIN_MS + number * LENGTHS[interval]
        end = begin + LENGTHS[interval]
        for closed in (False, True):
            candle: dict[str, Any] = {
                "t": begin, "T": end - 1, "s": symbol, "i": interval, "f": 1, "L": 9, "o": "0.5", "c": f"0.7{number}",
                "h": "0.9", "l": "0.4", "v": f"{VOLUME + number}", "n": 9 + number, "x": closed, "q": "12.5",
                "V": "3.25", "Q": "1.5", "B": "0",
            }
            event = {"e": "kline", "E": end + 7 if closed else begin + 9, "s": symbol, "k": candle}
            sent.append(json.dumps({"stream": f"{symbol.lower()}@kline_{interval}", "data": event}))
    return sent


def expected(symbol: str, interval: str) -> list[dict[str, Any]]:
    """The closed candles, without the fields that the engine makes up; times and numbers as fastavro reads them."""
    found = []
    for number in range(CLOSED):
        begin = BEGIN_MS + number * LENGTHS[interval]
        end = begin + LENGTHS[interval]
        found.append({
            "symbol": symbol, "exchange": "BINANCE", "asset_class": "crypto", "currency": "USDT", "interval": interval,
            "open_time": moment(begin), "close_time": moment(end), "open": Decimal("0.5"), "high": Decimal("0.9"),
            "low": Decimal("0.4"), "close": Decimal(f"0.7{number}"), "volume": VOLUME + number,
            "quote_volume": Decimal("12.5"), "taker_buy_base": Decimal("3.25"), "taker_buy_quote": Decimal("1.5"),
            "trade_count": 9 + number, "is_closed": True, "timestamp": moment(end + 7), "source_sequence": None,
            "platform_sequence": None,
        })
    return found


def moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


@contextmanager
def binance() -> Iterator[str]:
    """The address of the venue: it acknowledges, and sends the candles of all topics that are asked for."""

    def talk(socket: ServerConnection) -> None:
        asked = json.loads(socket.recv())
        socket.send(json.dumps({"result": None, "id": asked["id"]}))
        for topic in asked["params"]:
            symbol, _, interval = topic.partition("@kline_")
            for frame in frames(symbol.upper(), interval):
                socket.send(frame)
        for _ in socket:
            pass

    with serve(talk, "127.0.0.1", 0) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/stream"
        finally:
            server.shutdown()
            thread.join()
