"""Candles for features, and what the features are, reckoned apart: with fractions, and no library of arrays."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal, localcontext
from fractions import Fraction
from threading import Thread
from typing import Any

from websockets.sync.server import ServerConnection, serve

from tests.support.databases import CANDLE

MINUTE_US = 60_000_000
NEAR = Decimal("0.00000000005")
"""Of binary floating point at prices of 64,000 that differ by some: 16 digits, of which five are the same."""
INPUTS = (
    "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_base", "taker_buy_quote", "trade_count",
    "spread_bps", "taker_buy_ratio",
)
PRICES, SUMS = Fraction(1, 10**8), Fraction(1, 10**18)
UNITS = {"open": PRICES, "high": PRICES, "low": PRICES, "close": PRICES, "volume": SUMS, "quote_volume": SUMS,
         "taker_buy_base": SUMS, "taker_buy_quote": SUMS, "trade_count": Fraction(1)}


def minute(number: int, **fields: Any) -> dict[str, Any]:
    """The candle of a minute, in unscaled form."""
    begin = CANDLE["open_time"] + number * MINUTE_US
    return CANDLE | {"open_time": begin, "close_time": begin + MINUTE_US, "timestamp": begin + MINUTE_US} | fields


def walk(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Candles of a price that walks at random."""
    chance, found, last = random.Random(seed), [], 64_000 * 10**8
    for number in range(count):
        begin, last = last, last + chance.randint(-(10**10), 10**10)
        high, low = max(begin, last) + chance.randint(0, 10**9), min(begin, last) - chance.randint(0, 10**9)
        volume = 0 if number % 17 == 5 else chance.randint(1, 10**21)
        buys = chance.randint(0, volume)
        found.append(minute(
            number, open=begin, high=high, low=low, close=last, volume=volume, quote_volume=volume * 64_000,
            taker_buy_base=buys, taker_buy_quote=buys * 64_000, trade_count=chance.randint(0, 5_000),
        ))
    return found


def inputs(candle: Mapping[str, Any], spread_bps: Fraction = Fraction(0)) -> list[Fraction]:
    """The eleven inputs, exactly."""
    own = [candle[name] * unit for name, unit in UNITS.items()]
    return [*own, spread_bps, own[6] / own[4] if own[4] else Fraction(1, 2)]


def reference(rows: Sequence[Sequence[Fraction]]) -> tuple[list[Decimal], list[Decimal]]:
    """Min-max and z-score of the last of some rows, to 40 digits."""
    minmax, zscore = [], []
    with localcontext() as context:
        context.prec = 60
        for column in zip(*rows, strict=True):
            least, largest, count = min(column), max(column), len(column)
            mean = sum(column) / count
            variance = sum((one - mean) ** 2 for one in column) / count
            deviation = _decimal(variance).sqrt()
            minmax.append(_decimal((column[-1] - least) / (largest - least)) if largest != least else Decimal("0.5"))
            zscore.append(_decimal(column[-1] - mean) / deviation if deviation else Decimal(0))
    return minmax, zscore


def _decimal(number: Fraction) -> Decimal:
    return Decimal(number.numerator) / Decimal(number.denominator)


def near(record: Mapping[str, Any], minmax: Sequence[Decimal], zscore: Sequence[Decimal]) -> None:
    """Asserts that a record says this, but for the noise of binary floating point."""
    for kind, wanted in (("minmax", minmax), ("zscore", zscore)):
        for name, other in zip(INPUTS, wanted, strict=True):
            own = Decimal(record[f"{name}_{kind}"])
            assert abs(own - other) < NEAR, (record["open_time"], name, kind, own, other)


# --- a venue

COUNT = 70
"""Closed candles of each symbol, a minute each, one after another."""
BEGIN_MS = 1_767_312_000_000


def _number(symbol: str, number: int) -> int:
    """Anything that differs from candle to candle."""
    return random.Random(f"{symbol}{number}").randint(1, 10_000)


def _quote(symbol: str, number: int) -> tuple[int, int]:
    return 10_000, 10_001 + _number(symbol, -number) % 20


def minute_inputs(symbol: str) -> list[list[Fraction]]:
    """The inputs of all candles of a symbol."""
    found = []
    for number in range(COUNT):
        own = _number(symbol, number)
        bid, ask = _quote(symbol, number)
        found.append([
            Fraction(100), Fraction(100 + own), Fraction(99), Fraction(100 + own % 100), Fraction(own),
            Fraction(own * 2), Fraction(own, 4), Fraction(own, 2), Fraction(own + 7),
            Fraction((ask - bid) * 20_000, ask + bid), Fraction(1, 4),
        ])
    return found


def frames(symbol: str, number: int) -> list[str]:
    """A quote, and after it the closed candle of a minute."""
    own, begin, (bid, ask) = _number(symbol, number), BEGIN_MS + number * 60_000, _quote(symbol, number)
    name = symbol.lower()
    quote = {"u": number + 1, "s": symbol, "b": str(bid), "B": "1", "a": str(ask), "A": "1"}
    candle = {
        "t": begin, "T": begin + 59_999, "s": symbol, "i": "1m", "f": 1, "L": 9, "o": "100",
        "c": str(100 + own % 100), "h": str(100 + own), "l": "99", "v": str(own), "n": own + 7, "x": True,
        "q": str(own * 2), "V": str(own / 4), "Q": str(own / 2), "B": "0",
    }
    event = {"e": "kline", "E": begin + 60_007, "s": symbol, "k": candle}
    return [json.dumps({"stream": f"{name}@bookTicker", "data": quote}),
            json.dumps({"stream": f"{name}@kline_1m", "data": event})]


@contextmanager
def binance_minutes(
    symbols: Sequence[str] = ("BTCUSDT", "ETHUSDT"), without: int = -1, every: float = 0.0
) -> Iterator[str]:
    """The address of a venue that speaks as Binance does, and sends quotes and candles of a minute: all at once, or one
    of each symbol ``every`` so many seconds; the one of the minute ``without`` is left out.
    """

    def talk(socket: ServerConnection) -> None:
        told = False
        for text in socket:
            asked = json.loads(text)
            socket.send(json.dumps({"result": None, "id": asked["id"]}))
            if not told and any("@kline_1m" in topic for topic in asked.get("params", ())):
                told = True
                time.sleep(0.3)  # the other subscriptions
                for number in range(COUNT):
                    for frame in (one for symbol in symbols for one in frames(symbol, number)):
                        if number != without:
                            socket.send(frame)
                    time.sleep(every)

    with serve(talk, "127.0.0.1", 0) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/stream"
        finally:
            server.shutdown()
            thread.join()
