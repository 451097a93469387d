"""The eleven inputs of a candle, as numbers of binary floating point."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from k2conn.records import load_record

CANDLE, QUOTE = "candle", "quote"
"""The record types that are read."""
NAMES = (
    "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_base", "taker_buy_quote", "trade_count",
    "spread_bps", "taker_buy_ratio",
)
"""In order. The first nine are the candle's own fields."""
_OWN = NAMES[:9]
NO_VOLUME = 0.5
"""The share of buyers where nothing was traded."""


class CandleInputs:
    """Reads inputs of records in unscaled form (see `k2conn.avro.unscaled`), in this process's decimals."""

    def __init__(self) -> None:
        record = load_record(CANDLE)
        self._units: list[int] = [10 ** record.field(name).scale for name in _OWN]

    def row(self, candle: Mapping[str, Any], spread_bps: float) -> tuple[float, ...]:
        """The inputs of a candle; NaN for what its venue does not tell. Each is the nearest float to the exact value.
        """
        values = [_number(candle[name], unit) for name, unit in zip(_OWN, self._units, strict=True)]
        return (*values, spread_bps, self._buyers(candle["taker_buy_base"], candle["volume"]))

    def _buyers(self, buys: int | None, volume: int) -> float:
        """The share of buyers in the volume."""
        if not volume:
            return NO_VOLUME
        return math.nan if buys is None else buys * self._units[4] / (volume * self._units[6])

    def spread_bps(self, quote: Mapping[str, Any]) -> float:
        """The quoted spread in basis points of the middle: (ask - bid) / ((ask + bid) / 2) * 10,000; 0 where one side
        is missing.
        """
        bid: int | None = quote["bid_price"]
        ask: int | None = quote["ask_price"]
        if not bid or not ask or bid + ask <= 0:
            return 0.0
        return (ask - bid) * 20_000 / (ask + bid)


def _number(unscaled: int | None, unit: int) -> float:
    return math.nan if unscaled is None else unscaled / unit
