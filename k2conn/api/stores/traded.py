"""What trades come to, one after the other, in whatever order they come; exact."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

from k2conn.api.asked import ID, Row
from k2conn.api.store import Traded

_WIDE = Context(prec=80)
"""Python's own is 28 digits: decimal(38,18) has more."""


class TradedSums:
    """Of the trades of one symbol at one exchange in one currency."""

    def __init__(self) -> None:
        self._trades = 0
        self._quantity = Decimal(0)
        self._first: tuple[int, str, Decimal] | None = None
        self._last: tuple[int, str, Decimal] | None = None
        self._high: Decimal | None = None
        self._low: Decimal | None = None

    def take(self, row: Row) -> None:
        """One trade more."""
        price: Decimal = row["price"]
        self._trades += 1
        self._quantity = _WIDE.add(self._quantity, row["quantity"])
        at = (row["timestamp"], row[ID], price)
        self._first = at if self._first is None else min(self._first, at)
        self._last = at if self._last is None else max(self._last, at)
        self._high = price if self._high is None else max(self._high, price)
        self._low = price if self._low is None else min(self._low, price)

    def of(self, exchange: str, currency: str) -> Traded:
        """The sums. ValueError where there was no trade."""
        ends: tuple[Any, ...] = (self._first, self._last, self._high, self._low)
        if None in ends:
            raise ValueError("there was no trade")
        first, last, high, low = ends
        return Traded(exchange, currency, first[0], last[0], first[2], high, low, last[2], self._quantity, self._trades)
