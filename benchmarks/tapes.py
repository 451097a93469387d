"""Tapes: endless trades of one venue as it sends them, each with an id, a price and a time of its own.

The frames have the venues' own members, order and number formats (Binance combined streams, Kraken v2, Coinbase
Exchange); nothing in them is made easier for whoever reads them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

KNOWN = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LINK", "AVAX", "LTC", "DOT")
FIRST_ID = 3_000_000_000
"""Ids have ten digits, as the large venues' do."""


def bases(count: int) -> tuple[str, ...]:
    """So many base assets: well-known ones first, then made-up ones."""
    return (*KNOWN, *(f"K{number:04d}" for number in range(count)))[:count]


class Tape:
    """One venue's frames by number. ``trades`` in a frame; ``symbols`` as the venue writes them."""

    venue = ""
    stream = ""
    path = ""
    trades = 1

    def __init__(self, symbols: int, started_ms: int) -> None:
        self.bases = bases(symbols)
        self.symbols = tuple(self.spell(base) for base in self.bases)
        self.started_ms = started_ms

    def spell(self, base: str) -> str:
        """The venue's name of a base asset's main market."""
        raise NotImplementedError

    def frame(self, number: int) -> bytes:
        """The text of frame ``number``. Symbols take turns, so an id and its symbol tell the number again."""
        raise NotImplementedError

    def answers(self, asked: Any) -> tuple[list[Any], int]:
        """What the venue says to a client's frame, and how many symbols that frame subscribed."""
        raise NotImplementedError

    def turn(self, number: int) -> tuple[int, int]:
        """Whose turn frame ``number`` is, and how many frames of that symbol came before."""
        return number % len(self.symbols), number // len(self.symbols)

    def place(self, symbol: str, sequence: int) -> int:
        """The number of the trade with that record symbol and that id, counted over all trades of the tape."""
        before, within = divmod(sequence - FIRST_ID, self.trades)
        turn = next(at for at, name in enumerate(self.symbols) if _bare(name) == symbol)
        return (before * len(self.symbols) + turn) * self.trades + within


class BinanceTape(Tape):
    """aggTrade on combined streams."""

    venue, stream, path = "binance", "agg_trade", "/stream"

    def spell(self, base: str) -> str:
        return f"{base}USDT"

    def frame(self, number: int) -> bytes:
        at, sequence = self.turn(number)
        symbol = self.symbols[at]
        cents = 4_215_050 + (number * 7919) % 100_000
        amount = 1000 + (number * 104_729) % 99_999_000
        time = self.started_ms + number // 20
        identity = FIRST_ID + sequence
        maker = "true" if number % 3 else "false"
        return (
            f'{{"stream":"{symbol.lower()}@aggTrade","data":{{"e":"aggTrade","E":{time + 1},"s":"{symbol}",'
            f'"a":{identity},'
            f'"p":"{cents // 100}.{cents % 100:02d}000000","q":"{amount // 10**8}.{amount % 10**8:08d}",'
            f'"f":{identity * 2},"l":{identity * 2 + 1},"T":{time},"m":{maker},"M":true}}}}'
        ).encode()

    def answers(self, asked: Any) -> tuple[list[Any], int]:
        return [{"result": None, "id": asked["id"]}], len(asked["params"])


class KrakenTape(Tape):
    """Trades of WebSocket API v2, ten to a frame, numbers as JSON numbers."""

    venue, stream, path, trades = "kraken", "trade", "/v2", 10

    def spell(self, base: str) -> str:
        return f"{base}/USD"

    def frame(self, number: int) -> bytes:
        at, before = self.turn(number)
        rows = [self._row(self.symbols[at], number, before * 10 + within, within) for within in range(10)]
        return f'{{"channel":"trade","type":"update","data":[{",".join(rows)}]}}'.encode()

    def _row(self, symbol: str, number: int, sequence: int, within: int) -> str:
        dimes = 640_001 + (number * 7919 + within) % 10_000
        amount = 1000 + (number * 104_729 + within) % 999_999
        return (
            f'{{"symbol":"{symbol}","side":"{"buy" if (number + within) % 3 else "sell"}","price":'
            f'{dimes // 10}.{dimes % 10},'
            f'"qty":{amount // 10**6}.{amount % 10**6:06d}25,"ord_type":"limit","trade_id":{FIRST_ID + sequence},'
            f'"timestamp":"{_iso(self.started_ms * 1000 + number * 500 + within)}"}}'
        )

    def answers(self, asked: Any) -> tuple[list[Any], int]:
        if asked["method"] == "ping":
            return [{"method": "pong", "req_id": asked["req_id"]}], 0
        symbols = asked["params"]["symbol"]
        said = [
            {"method": "subscribe", "result": {"channel": "trade", "snapshot": True, "symbol": symbol},
             "success": True, "req_id": asked["req_id"]}
            for symbol in symbols
        ]
        return (said, len(symbols)) if asked["method"] == "subscribe" else ([], 0)


class CoinbaseTape(Tape):
    """Matches of Coinbase Exchange."""

    venue, stream, path = "coinbase", "trade", "/"

    def spell(self, base: str) -> str:
        return f"{base}-USD"

    def frame(self, number: int) -> bytes:
        at, sequence = self.turn(number)
        cents = 6_400_010 + (number * 7919) % 100_000
        amount = 1000 + (number * 104_729) % 99_999_000
        return (
            f'{{"type":"match","trade_id":{FIRST_ID + sequence},"maker_order_id":"{_order(number)}",'
            f'"taker_order_id":"{_order(number + 7)}","side":"{"buy" if number % 3 else "sell"}",'
            f'"size":"{amount // 10**8}.{amount % 10**8:08d}","price":"{cents // 100}.{cents % 100:02d}",'
            f'"product_id":"{self.symbols[at]}","sequence":{90_000_000_000 + number},'
            f'"time":"{_iso(self.started_ms * 1000 + number * 50)}"}}'
        ).encode()

    def answers(self, asked: Any) -> tuple[list[Any], int]:
        (channel,) = asked["channels"]
        said = {"type": "subscriptions", "channels": [{**channel, "account_ids": None}]}
        return [said], len(channel["product_ids"]) if channel["name"] == "matches" else 0


TAPES: dict[str, type[Tape]] = {tape.venue: tape for tape in (BinanceTape, KrakenTape, CoinbaseTape)}


class Leg(NamedTuple):
    """So many frames a second for so many seconds."""

    rate: float
    seconds: float

    @property
    def frames(self) -> int:
        """Frames in all."""
        return round(self.rate * self.seconds)


def due(legs: Sequence[Leg]) -> Callable[[int], float]:
    """When frame ``number`` is due, in seconds after the start."""
    starts: list[tuple[int, float, float]] = []
    first, begin = 0, 0.0
    for leg in legs:
        starts.append((first, begin, leg.rate))
        first, begin = first + leg.frames, begin + leg.seconds
    starts.reverse()

    def at(number: int) -> float:
        for start, seconds, rate in starts:
            if number >= start:
                return seconds + (number - start) / rate
        return 0.0

    return at


def told(said: Any) -> bytes:
    """An answer as compact JSON."""
    return json.dumps(said, separators=(",", ":")).encode()


def _bare(symbol: str) -> str:
    return symbol.replace("/", "").replace("-", "")


def _order(number: int) -> str:
    digits = f"{number * 0x9E3779B97F4A7C15 % 2**128:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _iso(micros: int) -> str:
    moment = datetime.fromtimestamp(micros // 10**6, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{micros % 10**6:06d}Z"
