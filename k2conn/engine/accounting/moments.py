"""Figures as they were a moment ago, for who shows them: sums over very many symbols take long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from k2conn.clock import monotonic

T = TypeVar("T")

SHARE = 0.05
"""The part of the time that goes into making such a figure, at most."""
QUICK = 0.001
"""Seconds: what takes less is always made anew."""


class Moment(Generic[T]):
    """A figure that ``make`` gives, made again once its age is long beside the time that making it took."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._value: T | None = None
        self._until = 0.0

    def get(self) -> T:
        """The figure as it is, or was a moment ago: for at most some twenty times as long as it takes to make it."""
        began = monotonic()
        if self._value is None or began >= self._until:
            self._value = self._make()
            took = monotonic() - began
            self._until = began + took / SHARE if took > QUICK else 0.0
        return self._value
