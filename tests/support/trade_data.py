"""Trades made up by a seed, in an order as bad as it gets, and their candles by other means than k2conn's.

The reference knows all trades at once, sorts them, and reckons in Decimal with 100 digits.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Context, Decimal, localcontext
from typing import Any

from k2conn.candles.trades import Trade

BEGIN_US = 1_767_312_000_000_000
"""2026-01-02T00:00:00Z"""
LENGTHS = {
    "1m": 60_000_000, "5m": 300_000_000, "15m": 900_000_000, "30m": 1_800_000_000, "1h": 3_600_000_000,
    "1d": 86_400_000_000,
}
SIDES = {"BUY": True, "SELL": False, "UNKNOWN": None}


def trade(number: int, time_us: int, price: str = "100", quantity: str = "1", **changed: Any) -> Trade:
    """A trade; ``side`` among what is changed."""
    side = changed.pop("side", "BUY")
    found = Trade(
        "VENUE", "BTCUSDT", time_us, unscaled(price), unscaled(quantity), SIDES[side], f"id-{number}", None,
        f"VENUE-{number}", time_us + 1000, "crypto", "USDT",
    )
    return found._replace(**changed)


def unscaled(text: str) -> int:
    return int(Decimal(text).scaleb(8))


def many(count: int, seed: int = 1, step_us: int = 86_400) -> list[Trade]:
    """So many trades of three busy symbols and one that is not, in order; many of them share a millisecond."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        symbol = "RAREUSDT" if chance.random() < 0.0005 else chance.choice(("BTCUSDT", "ETHUSDT", "XRPUSDT"))
        time_us = BEGIN_US + number * step_us // 1000 * 1000 - chance.randrange(4) * 1000
        found.append(trade(number, max(time_us, BEGIN_US))._replace(
            symbol=symbol, price=chance.randrange(1, 10**13), quantity=chance.randrange(0, 10**13),
            buys=chance.random() < 0.5, message_id=f"{chance.getrandbits(128):032x}",
        ))
    return found


def shuffled(trades: list[Trade], within_us: int, seed: int = 2) -> list[Trade]:
    """The same with each tenth late by at most so much, and each fiftieth twice."""
    chance = random.Random(seed)
    keyed = [(one.time_us + (chance.randrange(within_us) if chance.random() < 0.1 else 0), one) for one in trades]
    keyed += [(one.time_us + chance.randrange(within_us), one) for one in chance.sample(trades, len(trades) // 50)]
    return [one for _, one in sorted(keyed, key=lambda pair: pair[0])]


def reference(trades: Iterable[Trade], interval: str) -> dict[tuple[str, int], dict[str, Any]]:
    """The candles of trades, each once, by symbol and beginning."""
    groups: dict[tuple[str, int], list[Trade]] = defaultdict(list)
    for one in trades:
        begin = BEGIN_US + (one.time_us - BEGIN_US) // LENGTHS[interval] * LENGTHS[interval]
        groups[one.symbol, begin].append(one)
    with localcontext(Context(prec=100)):
        return {key: _candle(group) for key, group in groups.items()}


def _candle(group: list[Trade]) -> dict[str, Any]:
    group.sort(key=lambda one: (one.time_us, int(one.trade_id.split("-")[1])))
    rows = [(Decimal(one.price).scaleb(-8), Decimal(one.quantity).scaleb(-8), one.buys) for one in group]
    bought = [(price, amount) for price, amount, buys in rows if buys]
    told = all(buys is not None for _, _, buys in rows)
    prices = [price for price, _, _ in rows]
    return {
        "open": prices[0], "high": max(prices), "low": min(prices), "close": prices[-1],
        "volume": sum(amount for _, amount, _ in rows),
        "quote_volume": sum(price * amount for price, amount, _ in rows),
        "taker_buy_base": sum(amount for _, amount in bought) if told else None,
        "taker_buy_quote": sum(price * amount for price, amount in bought) if told else None,
        "trade_count": len(rows),
    }


def parts(trades: list[Trade], size: int) -> Iterator[list[Trade]]:
    for first in range(0, len(trades), size):
        yield trades[first : first + size]
