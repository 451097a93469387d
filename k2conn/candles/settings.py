"""Which candles are made of trades, and when they are over."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd

from k2conn.errors import SettingsError
from k2conn.intervals import Interval

INTERVALS = ("1m", "5m", "15m", "30m", "1h", "1d")
EMPTY = ("skip", "repeat")
MOST_INTERVALS = 32
LONGEST_BASE_US = 60_000_000
"""Trades are known one by one for a bucket at least: so no longer than that, however long the intervals are."""
MOST_BUCKETS = 200_000
"""Of the shortest span, in the lateness and the longest interval: what one look at a symbol may have to walk."""


@dataclass(frozen=True, slots=True)
class CandleSettings:
    """``delay_us``: how long after its end a span is over, by the trades' own time; ``lateness_us``: how long after
    that trades of it are still counted; ``empty``: ``skip`` spans without trades, or ``repeat`` the last price in them.

    SettingsError for what cannot be.
    """

    names: tuple[str, ...] = INTERVALS
    delay_us: int = 2_000_000
    lateness_us: int = 300_000_000
    empty: str = "skip"
    most_trades: int = 2_000_000
    """Trades that are known one by one, of all symbols together."""
    ahead_us: int = 60_000_000
    """How far ahead of its own receipt a trade's time may be."""
    intervals: tuple[Interval, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Reads the intervals, all problems at once."""
        problems, found = [], []
        for name in dict.fromkeys(self.names):
            try:
                found.append(Interval(name))
            except ValueError as error:
                problems.append(str(error))
        if not found and not problems:
            problems.append("no interval is named, such as 1m")
        if len(found) > MOST_INTERVALS:
            problems.append(f"{len(found)} intervals are more than {MOST_INTERVALS}")
        if self.empty not in EMPTY:
            problems.append(f"'{self.empty}' is not one of {', '.join(EMPTY)}")
        object.__setattr__(self, "intervals", tuple(sorted(found, key=lambda one: one.length_us)))
        if not problems and (self.lateness_us + self.delay_us) // self.base_us > MOST_BUCKETS:
            problems.append(f"in the lateness there are more than {MOST_BUCKETS} spans of the shortest interval")
        if problems:
            raise SettingsError(*problems)

    @property
    def base_us(self) -> int:
        """The longest span, of a minute at most, of which every interval is a whole number, and which begins where they
        do.
        """
        begins = [one.begin_us(0) for one in self.intervals]
        lengths = (one.length_us for one in self.intervals)
        return gcd(LONGEST_BASE_US, *lengths, *(begin - begins[0] for begin in begins))

    @property
    def origin_us(self) -> int:
        """Where one of these spans begins."""
        return self.intervals[0].begin_us(0)
