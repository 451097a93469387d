"""Of which candles features are made, and over how many."""

from __future__ import annotations

from dataclasses import dataclass, field

from k2conn.errors import SettingsError
from k2conn.intervals import Interval

INTERVALS = ("1m",)
WINDOW = 60
LARGEST_WINDOW = 1_440
"""Candles: a day of minutes. Bounds what one symbol takes."""
MOST_INTERVALS = 32


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """``names``: the intervals of the candles; ``window``: how many candles each one is compared with, itself among
    them; ``warm_up``: with how many of them the first features are made (None: half the window).

    SettingsError for what cannot be.
    """

    names: tuple[str, ...] = INTERVALS
    window: int = WINDOW
    warm_up: int | None = None
    intervals: dict[str, Interval] = field(init=False, repr=False, compare=False)
    """By name."""

    def __post_init__(self) -> None:
        """Reads the intervals, all problems at once."""
        problems: list[str] = []
        found: dict[str, Interval] = {}
        for name in dict.fromkeys(self.names):
            try:
                found[name] = Interval(name)
            except ValueError as error:
                problems.append(str(error))
        if not found and not problems:
            problems.append("no interval is named, such as 1m")
        if len(found) > MOST_INTERVALS:
            problems.append(f"{len(found)} intervals are more than {MOST_INTERVALS}")
        if not 2 <= self.window <= LARGEST_WINDOW:
            problems.append(f"a window of {self.window} candles is not from 2 to {LARGEST_WINDOW}")
        elif self.warm_up is not None and not 2 <= self.warm_up <= self.window:
            problems.append(f"a warm-up of {self.warm_up} candles is not from 2 to the window's {self.window}")
        object.__setattr__(self, "intervals", found)
        if problems:
            raise SettingsError(*problems)

    @property
    def first(self) -> int:
        """The number of candles with which the first features are made."""
        return max(2, self.window // 2) if self.warm_up is None else self.warm_up
