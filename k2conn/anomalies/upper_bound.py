"""What is usual of one series of numbers: the quantile that 99 of 100 are below, in three numbers.

It begins with the second-largest of the first hundred, and follows from then on: a number above it raises it by a
twentieth, one below lowers it by a 99th of that, so that it rests where one of a hundred is above. How far above does
not matter: no single number moves it by more than a twentieth, whatever a venue sends, while a new habit (a symbol that
has become ten times as wild) is learnt within some hundred records.
"""

from __future__ import annotations

from math import exp
from typing import Final

WARM_UP: Final = 100
"""Numbers until something is usual."""
ABOVE = 0.01
"""The share of numbers above it."""
STEP = 0.05
_RAISE: Final = exp(STEP * (1 - ABOVE))
_LOWER: Final = exp(-STEP * ABOVE)
LEAST: Final = 1e-9


class UpperBound:
    """That of one series of numbers that are not negative."""

    __slots__ = ("count", "largest", "level")

    def __init__(self) -> None:
        self.count = 0
        """Numbers that came, up to ``WARM_UP``."""
        self.level = 0.0
        """Until then the second-largest."""
        self.largest = 0.0

    def add(self, number: float) -> None:
        """Takes in a number."""
        if self.count == WARM_UP:
            if number > self.level:
                self.level *= _RAISE
            elif self.level > LEAST:
                self.level *= _LOWER
            return
        self.count += 1
        if number > self.largest:
            self.largest, self.level = number, self.largest
        elif number > self.level:
            self.level = number
        if self.count == WARM_UP and self.level < LEAST:
            self.level = LEAST

    @property
    def warm(self) -> bool:
        """Whether enough numbers have come."""
        return self.count == WARM_UP
