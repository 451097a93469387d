"""A ledger's sums for who only shows them: over very many symbols they take long, so they may be a moment old."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from k2conn.clock import monotonic, wall_us
from k2conn.engine.accounting.figures import AccountFigures, StreamTimes
from k2conn.engine.accounting.ledger import Ledger, total

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


class ShownSums:
    """The sums of one ledger, each as it is, or was a moment ago."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._by_stream = Moment(ledger.by_stream)
        self._times: dict[str, Moment[StreamTimes]] = {}

    def by_stream(self) -> dict[str, AccountFigures]:
        """See `Ledger.by_stream`."""
        return self._by_stream.get()

    def totals(self) -> AccountFigures:
        """See `Ledger.totals`."""
        return total(self.by_stream().values())

    def times(self, stream: str) -> StreamTimes:
        """See `Ledger.times`. ``stream`` is one that runs."""
        found = self._times.get(stream)
        if found is None:
            found = self._times[stream] = Moment(lambda: self._ledger.times(stream, wall_us()))
        return found.get()
