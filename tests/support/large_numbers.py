"""Numbers that decimal(18,8) does not hold, as venues have sent them, and a loopback venue that sends them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from threading import Thread
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

from k2conn.records import V2, WIDE, use_decimals

SYMBOL = "BTTCUSDT"
PRICE, SIZE = Decimal("0.0000001117"), Decimal("124500000000.5")
"""Ten places, and a size over 10^10: DAPPT-BTC on KuCoin, and BTTC on Binance."""


def frames() -> list[str]:
    """Two trades and a quote of such numbers, and a trade of everyday ones."""
    trade = {"e": "trade", "E": 1700000000123, "s": SYMBOL, "T": 1700000000120, "m": True, "M": True}
    sent: list[tuple[str, dict[str, Any]]] = [
        ("trade", {**trade, "t": 1, "p": "0.00000055", "q": "1.5"}),
        ("trade", {**trade, "t": 2, "p": f"{PRICE:f}", "q": str(SIZE)}),
        ("trade", {**trade, "t": 3, "p": "0.00000055", "q": "99999999999999999999.999999999999999999"}),
        ("bookTicker", {"u": 4, "s": SYMBOL, "b": f"{PRICE:f}", "B": str(SIZE), "a": "0.00000056", "A": "28100000000"}),
    ]
    return [json.dumps({"stream": f"{SYMBOL.lower()}@{stream}", "data": data}) for stream, data in sent]


TRADES = [("BINANCE-1", Decimal("0.00000055"), Decimal("1.5")), ("BINANCE-2", PRICE, SIZE),
          ("BINANCE-3", Decimal("0.00000055"), Decimal("99999999999999999999.999999999999999999"))]
QUOTES = [(PRICE, SIZE, Decimal("0.00000056"), Decimal("28100000000"))]
"""What readers are to find."""


@contextmanager
def binance() -> Iterator[str]:
    """The address of a venue that speaks as Binance does, and sends these frames after the subscription."""

    def talk(socket: ServerConnection) -> None:
        asked = json.loads(socket.recv())
        socket.send(json.dumps({"result": None, "id": asked["id"]}))
        for frame in frames():
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


@pytest.fixture
def larger_decimals() -> Iterator[None]:
    """Records have decimal(38,18) while a test runs."""
    use_decimals(WIDE)
    yield
    use_decimals(V2)
