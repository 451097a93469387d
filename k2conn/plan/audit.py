"""By what the trades of a connector are compared with the venue's own candles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

AUDITED = ("volume", "quote_volume", "trade_count", "high", "low", "open", "close", "taker_buy_base", "taker_buy_quote")
"""The fields of a candle that can be compared."""


@dataclass(frozen=True, slots=True)
class Audit:
    """``trades``: the stream whose trades the venue adds up. ``fields``: what is compared. ``settle``: seconds after
    its end from which on a candle is compared. ``edge``: whether a trade at the very end of a span is of the span that
    begins there (``begin``) or of the one that ends (``end``). ``tolerance``: by how much a field may differ, as a
    whole number and its scale.
    """

    trades: str
    fields: tuple[str, ...]
    settle: float = 5.0
    edge: str = "begin"
    tolerance: Mapping[str, tuple[int, int]] = field(default_factory=dict)
