"""One span of time: what our trades add up to, and what the venue says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from k2conn.candles.sums import Sums
from k2conn.candles.trades import trade_record
from k2conn.plan import Audit
from k2conn.records import load_record

SCALE = 40
"""All numbers are compared at this one: no product of price and quantity has more places."""


class FieldDifference(NamedTuple):
    """A field in which the two differ by more than the tolerance; unscaled at ``SCALE``, a count as it is."""

    field: str
    ours: int | None
    venue: int

    @property
    def lacking(self) -> bool:
        """Whether it is as it would be if trades were missing here."""
        if self.ours is None or self.field in ("open", "close"):
            return True
        return self.venue < self.ours if self.field == "low" else self.venue > self.ours


class Comparison:
    """Compares by one rule. ``compare`` takes the venue's values unscaled at the scales of candle records."""

    def __init__(self, rule: Audit) -> None:
        self._rule = rule
        trade, candle = trade_record(), load_record("candle")
        price, quantity = trade.field("price").scale, trade.field("quantity").scale
        own = dict.fromkeys(("open", "high", "low", "close"), price)
        own |= dict.fromkeys(("volume", "taker_buy_base"), quantity)
        own |= dict.fromkeys(("quote_volume", "taker_buy_quote"), price + quantity)
        self._ours = {name: 10 ** (SCALE - scale) for name, scale in own.items()}
        self._theirs = {name: 10 ** (SCALE - candle.field(name).scale) for name in own}
        self._tolerance = {name: _tolerated(name, *given) for name, given in rule.tolerance.items()}

    def compare(self, ours: Sums | None, theirs: Mapping[str, int | None]) -> list[FieldDifference] | None:
        """In what they differ; None where the venue says nothing that could be compared. ``ours`` None: no trades."""
        found: list[FieldDifference] = []
        compared = False
        for name in self._rule.fields:
            said = theirs.get(name)
            if said is None or (ours is not None and name.startswith("taker") and not ours.told):
                continue
            if ours is None and (name in ("open", "high", "low", "close")):
                continue  # of a span without trades venues repeat the last price
            compared = True
            venue = said * self._theirs.get(name, 1)
            own = self._own(name, ours) if ours is not None else 0
            if abs(venue - own) > self._tolerance.get(name, 0):
                found.append(FieldDifference(name, own, venue))
        return found if compared else None

    def _own(self, name: str, ours: Sums) -> int:
        if name == "trade_count":
            return ours.count
        value: int = getattr(ours, _NAMES.get(name, name)) * self._ours[name]
        return value


_NAMES = {"quote_volume": "quote", "taker_buy_base": "buy_base", "taker_buy_quote": "buy_quote"}


def _tolerated(name: str, number: int, scale: int) -> int:
    return number // 10**scale if name == "trade_count" else int(number * 10 ** (SCALE - scale))
