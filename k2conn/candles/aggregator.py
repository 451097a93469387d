"""The candles of all symbols, from trades in any order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from k2conn.candles.series import Candle, Series, TradeOutcome
from k2conn.candles.settings import CandleSettings
from k2conn.candles.trades import Trade

MOST_SYMBOLS = 20_000
AHEAD = "its time is after its receipt"


@dataclass(slots=True)
class CandleCounts:
    """What became of the trades, and what was made of them."""

    trades: int = 0
    """That were counted."""
    repeated: int = 0
    late: int = 0
    ahead: int = 0
    """Whose time is after their receipt: nothing else would be believed any more if they were."""
    unknown: int = 0
    """Of more symbols than there may be."""
    candles: int = 0
    corrections: int = 0


class CandleAggregator:
    """Adds up trades. Whoever feeds it asks it for candles now and then: after some trades, or some time.

    ``together``: the trades of one exchange come by the time, so that one that is late beside those of any symbol is
    late; what is late then follows from the trades and their order alone, not from when one asks for candles.
    """

    def __init__(self, settings: CandleSettings, together: bool = False) -> None:
        self.settings = settings
        self.latest: dict[str, int] | None = {} if together else None
        """By exchange, the latest time that was counted; None where symbols do not come together."""
        self.counts = CandleCounts()
        self._series: dict[tuple[str, str], Series] = {}
        self._due: dict[Series, None] = {}

    def add(self, trades: Iterable[Trade]) -> list[tuple[Trade, str]]:
        """Counts trades; those that are not counted although they are no repeats, each with the reason."""
        series_of, due, ahead_us, latest = self._series, self._due, self.settings.ahead_us, self.latest
        refused: list[tuple[Trade, str]] = []
        counted = repeated = 0
        for trade in trades:
            if trade[2] > trade[9] + ahead_us:
                self.counts.ahead += 1
                refused.append((trade, AHEAD))
                continue
            series = series_of.get(trade[:2])
            if series is None:
                if len(series_of) >= MOST_SYMBOLS:
                    self.counts.unknown += 1
                    refused.append((trade, f"there are {MOST_SYMBOLS} other symbols"))
                    continue
                series = series_of[trade[:2]] = Series(self.settings, trade)
            if latest is not None:
                series.follow(latest.get(trade[0], 0))
            outcome = series.add(trade)
            if not outcome:
                counted += 1
                if latest is not None:
                    latest[trade[0]] = series.latest_us
                if trade[2] >= series.due_us or series.late:
                    due[series] = None
            elif outcome is TradeOutcome.REPEATED:
                repeated += 1
            else:
                self.counts.late += 1
                refused.append((trade, "its span was closed for good before it came"))
        self.counts.trades += counted
        self.counts.repeated += repeated
        return refused

    def collect(self) -> list[Candle]:
        """The candles that are over since the last call, and corrections."""
        due, self._due = self._due, {}
        found = [candle for series in due for candle in series.collect()]
        self.counts.candles += len(found)
        self.counts.corrections += sum(candle.correction for candle in found)
        self._bound()
        return found

    def states(self) -> Iterator[Candle]:
        """The candles that are not over, as they stand."""
        for series in self._series.values():
            yield from series.states()

    def advance(self, time_us: int, exchange: str | None = None) -> None:
        """It is this time, at one exchange or at all of them: what comes later with an earlier time is out of order."""
        for series in self._series.values():
            if exchange in (None, series.symbol[0]) and series.follow(time_us) and time_us >= series.due_us:
                self._due[series] = None

    def advance_to_latest(self) -> None:
        """Symbols of one exchange that trade rarely follow those that trade often."""
        latest: dict[str, int] = {}
        for series in self._series.values():
            exchange = series.symbol[0]
            latest[exchange] = max(latest.get(exchange, 0), series.latest_us)
        for exchange, time_us in latest.items():
            self.advance(time_us, exchange)

    @property
    def held(self) -> int:
        """Trades that are known one by one."""
        return sum(series.held for series in self._series.values())

    def _bound(self) -> None:
        held = self.held
        while held > self.settings.most_trades:
            largest = max(self._series.values(), key=lambda one: one.held)
            largest.shrink()
            held = self.held
