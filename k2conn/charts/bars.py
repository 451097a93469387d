"""What a chart is of, and where a value stands in it. Numbers stay decimals; only places are rounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal

_WIDE = Context(prec=80)
"""Python's own is 28 digits: decimal(38,18) has more."""
_STEPS = tuple(map(Decimal, (1, 2, 5, 10)))
"""Between two lines of a grid there is one of these, times a power of ten."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What was traded in one span of time. ``label`` names the span, such as 12:04:05."""

    label: str
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal

    @property
    def rises(self) -> bool:
        """Whether the last price is not below the first."""
        return self.close >= self.open


class Grid:
    """The prices that a chart spans."""

    def __init__(self, bars: Sequence[Bar]) -> None:
        """ValueError where there is no bar."""
        if not bars:
            raise ValueError("a chart needs a bar at least")
        self.low = min(bar.low for bar in bars)
        self.high = max(bar.high for bar in bars)

    def place(self, value: Decimal, last: int) -> int:
        """Where a price stands between 0 (the lowest) and ``last`` (the highest); the middle where all are one."""
        span = _WIDE.subtract(self.high, self.low)
        if not span:
            return last // 2
        part = _WIDE.divide(_WIDE.multiply(_WIDE.subtract(value, self.low), Decimal(last)), span)
        return int(part.to_integral_value(ROUND_HALF_EVEN))

    def levels(self, most: int) -> list[Decimal]:
        """Round prices within the span, the lowest first: at most so many, or the one price that all have."""
        span = _WIDE.subtract(self.high, self.low)
        if not span:
            return [self.low]
        power = Decimal(1).scaleb(_WIDE.divide(span, Decimal(most)).adjusted())
        step = next(one for part in _STEPS if (one := _WIDE.multiply(part, power)) * most >= span)
        first = _WIDE.multiply(_WIDE.divide(self.low, step).to_integral_value(ROUND_CEILING), step)
        found = [_WIDE.add(first, _WIDE.multiply(step, Decimal(number))) for number in range(most)]
        return [one for one in found if one <= self.high]


def plain_number(value: Decimal) -> str:
    """A number without an exponent and without zeros at its end."""
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"
