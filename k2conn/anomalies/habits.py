"""What is usual for one symbol of one stream, and what of a record is not.

Numbers of records are unscaled; a record first is judged by what came before it and then becomes part of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from math import sqrt
from typing import NamedTuple

from k2conn.anomalies.kinds import AnomalyKind, Oddity
from k2conn.anomalies.settings import TIMES, AnomalySettings
from k2conn.anomalies.upper_bound import WARM_UP, UpperBound
from k2conn.plan import Instrument

SELDOM = 0.02
"""The share of a symbol's quotes that may be locked so that one of them is odd."""
NEVER = 1e300
"""A threshold that nothing reaches."""


class TradeRow(NamedTuple):
    """What is looked at of a trade."""

    symbol: str
    price: int
    quantity: int
    time_us: int
    received_us: int


class QuoteRow(NamedTuple):
    """What is looked at of a quote."""

    symbol: str
    bid: int
    bid_quantity: int
    ask: int
    ask_quantity: int
    time_us: int
    received_us: int


class Thresholds:
    """The settings as numbers; kinds that are off have none that could be reached."""

    __slots__ = ("ahead_us", "behind_us", "kinds", "move", "size", "spread", "times")

    def __init__(self, settings: AnomalySettings) -> None:
        self.kinds = kinds = settings.kinds

        def number(kind: AnomalyKind) -> float:
            return settings.number(kind) if kind in kinds else NEVER

        self.move = number(AnomalyKind.PRICE_MOVE)
        self.size = number(AnomalyKind.SIZE_SPIKE)
        self.spread = number(AnomalyKind.WIDE_SPREAD)
        self.ahead_us = number(AnomalyKind.CLOCK_AHEAD) * 1e6
        self.behind_us = number(AnomalyKind.CLOCK_BEHIND) * 1e6
        self.times = settings.number(TIMES)


class Listed(NamedTuple):
    """What the venue's list says of a symbol, unscaled; 0 where it does not say it."""

    tick: int = 0
    lot: int = 0
    status: str = ""
    halted: bool = False
    missing: bool = False
    """Whether the list does not have it."""


def listed(instrument: Instrument | None, whole: bool, scale: int, kinds: frozenset[AnomalyKind]) -> Listed:
    """What of a list can be compared with numbers of that scale: a finer tick cannot. ``instrument`` None: it is not
    there; ``whole``: nothing of the list was left out.
    """
    if instrument is None:
        return Listed(missing=whole and AnomalyKind.NOT_LISTED in kinds)
    return Listed(
        _unscaled(instrument.tick, scale) if AnomalyKind.OFF_TICK in kinds else 0,
        _unscaled(instrument.lot, scale) if AnomalyKind.OFF_LOT in kinds else 0,
        instrument.status, instrument.trading is False and AnomalyKind.HALTED in kinds,
    )


def _unscaled(step: Decimal | None, scale: int) -> int:
    if step is None:
        return 0
    _, digits, exponent = step.as_tuple()
    assert isinstance(exponent, int)
    number = int("".join(map(str, digits)))
    places = exponent + scale
    whole, rest = divmod(number * 10 ** max(0, places), 10 ** max(0, -places))
    return 0 if rest else int(whole)


NOTHING_LISTED = Listed()


class _Habits:
    """What trades and quotes have in common: a price that moves, and a clock."""

    __slots__ = ("_at_us", "_delays", "_limits", "_moves", "_price", "listed", "own")

    def __init__(self, limits: Thresholds) -> None:
        self.listed = NOTHING_LISTED
        self.own = True
        """Whether it is of the connector's own asset class, which is the one that its list is about."""
        self._limits = limits
        self._price = 0
        self._at_us = 0
        self._moves = UpperBound()
        """Shares of the price, for the root of a second."""
        self._delays = UpperBound()
        """Microseconds."""

    def _move(self, price: int, at_us: int) -> Oddity | None:
        """Judges a price, by its move since the last one. Prices wander as the root of time: what is much within a
        second is little after an hour. A price that is not above 0 says nothing about shares of it.
        """
        last, since_us = self._price, self._at_us
        self._price, self._at_us = price, at_us
        if last <= 0 or price <= 0:
            return None
        move = abs(price - last) / last
        root = sqrt((at_us - since_us) / 1e6) if at_us - since_us > 1_000_000 else 1.0
        moves, limits = self._moves, self._limits
        usual = moves.level * limits.times * root
        odd = move > limits.move and move > usual and moves.count == WARM_UP
        moves.add(move / root)
        return Oddity(AnomalyKind.PRICE_MOVE, move, max(usual, limits.move)) if odd else None

    def _clock(self, time_us: int, received_us: int) -> Oddity | None:
        """Judges a record's time by the moment of its receipt."""
        delay, limits, delays = received_us - time_us, self._limits, self._delays
        if delay < 0:
            delays.add(0.0)
            if -delay > limits.ahead_us:
                return Oddity(AnomalyKind.CLOCK_AHEAD, -delay / 1e6, limits.ahead_us / 1e6)
            return None
        usual = delays.level * limits.times
        odd = delay > limits.behind_us and delay > usual and delays.count == WARM_UP
        delays.add(delay)
        return Oddity(AnomalyKind.CLOCK_BEHIND, delay / 1e6, max(usual, limits.behind_us) / 1e6) if odd else None


class TradeHabits(_Habits):
    """Those of one symbol's trades."""

    __slots__ = ("_sizes",)

    def __init__(self, limits: Thresholds) -> None:
        super().__init__(limits)
        self._sizes = UpperBound()

    def judge(self, row: TradeRow) -> list[Oddity]:
        """What is odd about a trade."""
        _, price, quantity, time_us, received_us = row
        found = []
        if (odd := self._move(price, received_us)) is not None:
            found.append(odd)
        if (odd := self._clock(time_us, received_us)) is not None:
            found.append(odd)
        sizes = self._sizes
        usual = sizes.level * self._limits.size
        if quantity > usual and sizes.count == WARM_UP:
            found.append(Oddity(AnomalyKind.SIZE_SPIKE, quantity, round(usual)))
        sizes.add(quantity)
        if self.listed is not NOTHING_LISTED:
            found += self._compared(price, quantity)
        return found

    def _compared(self, price: int, quantity: int) -> Iterator[Oddity]:
        tick, lot, status, halted, missing = self.listed
        if tick and price % tick:
            yield Oddity(AnomalyKind.OFF_TICK, price, tick)
        if lot and quantity % lot:
            yield Oddity(AnomalyKind.OFF_LOT, quantity, lot)
        if halted:
            yield Oddity(AnomalyKind.HALTED, detail=status)
        if missing:
            yield Oddity(AnomalyKind.NOT_LISTED)


class QuoteHabits(_Habits):
    """Those of one symbol's quotes."""

    __slots__ = ("_locked", "_quotes", "_spreads")

    def __init__(self, limits: Thresholds) -> None:
        super().__init__(limits)
        self._spreads = UpperBound()
        self._quotes = 0
        self._locked = 0

    def judge(self, row: QuoteRow) -> list[Oddity]:
        """What is odd about a quote. One with a side that is not above 0 has no spread: that side is empty."""
        _, bid, bid_quantity, ask, ask_quantity, time_us, received_us = row
        found = []
        if (odd := self._clock(time_us, received_us)) is not None:
            found.append(odd)
        if bid > 0 and ask > 0:
            found += self._two_sided(bid, ask, received_us)
        if self.listed is not NOTHING_LISTED:
            found += self._compared(bid, bid_quantity, ask, ask_quantity)
        return found

    def _two_sided(self, bid: int, ask: int, received_us: int) -> Iterator[Oddity]:
        limits, spreads = self._limits, self._spreads
        self._quotes += 1
        middle = (bid + ask) // 2
        share = (ask - bid) / middle if middle else 0.0
        if share <= 0:
            if share < 0:
                yield Oddity(AnomalyKind.CROSSED_QUOTE, -share, 0.0)
            elif share == 0:
                if self._quotes > WARM_UP and self._locked < self._quotes * SELDOM:
                    yield Oddity(AnomalyKind.LOCKED_QUOTE, bid, ask)
                self._locked += 1
            return  # what its middle is, is not known either
        usual = spreads.level * limits.times
        if share > limits.spread and share > usual and spreads.count == WARM_UP:
            yield Oddity(AnomalyKind.WIDE_SPREAD, share, max(usual, limits.spread))
        spreads.add(share)
        if (odd := self._move(middle, received_us)) is not None:
            yield odd

    def _compared(self, bid: int, bid_quantity: int, ask: int, ask_quantity: int) -> Iterator[Oddity]:
        tick, lot, _, _, missing = self.listed
        if tick:
            for price in (bid, ask):
                if price % tick:
                    yield Oddity(AnomalyKind.OFF_TICK, price, tick)
                    break
        if lot:
            for quantity in (bid_quantity, ask_quantity):
                if quantity % lot:
                    yield Oddity(AnomalyKind.OFF_LOT, quantity, lot)
                    break
        if missing:
            yield Oddity(AnomalyKind.NOT_LISTED)
