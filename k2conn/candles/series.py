"""The candles of one symbol: which spans of time are over, and which that were over have changed.

Trades are added up in *buckets*, the longest spans (of a minute at most) of which every interval is a whole number. A
bucket knows its trades one by one as long as late ones are taken in (``lateness`` behind the watermark); then it is
added to the longer spans that it is in, and forgotten. So a trade is counted once however many intervals there are, and
what is in memory depends on the lateness and not on the longest interval.

The *watermark* is the latest time that was seen, less ``delay``: a span that ends before it is over.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from k2conn.candles.settings import CandleSettings
from k2conn.candles.sums import Bucket, Sums
from k2conn.candles.trades import Trade
from k2conn.intervals import Interval

MOST_REPEATED = 10_000
"""Spans without trades in a row that are written for one interval at a time; what is older is left out."""


class TradeOutcome(IntEnum):
    """What became of a trade."""

    COUNTED = 0
    REPEATED = 1
    LATE = 2


class Candle(NamedTuple):
    """One state of one candle. ``correction``: a closed one of the same key was given before, and said otherwise."""

    symbol: tuple[str, str]
    """Exchange and symbol."""
    asset_class: str
    currency: str
    interval: Interval
    begin_us: int
    sums: Sums
    closed: bool
    correction: bool


class Spans:
    """The spans of one interval."""

    __slots__ = ("closed_us", "given", "interval", "latest", "settled")

    def __init__(self, interval: Interval, from_us: int) -> None:
        self.interval = interval
        self.closed_us = interval.begin_us(interval.number(from_us))
        """What ends here or before is over, and was given."""
        self.settled: dict[int, Sums] = {}
        """By beginning: what of a span is behind the lateness."""
        self.given: dict[int, Sums] = {}
        """By beginning: the spans that were given and can still change, as they were given."""
        self.latest: Sums | None = None
        """The latest span that was given and can change no more."""


class Series:
    """One symbol. ``most`` is the number of trades that it may know one by one; beyond, the oldest are forgotten, as if
    the lateness were shorter.
    """

    __slots__ = (
        "_base", "_behind_us", "_buckets", "_current", "_origin", "_settings", "asset_class", "currency", "due_us",
        "floor_us", "held", "late", "latest_us", "spans", "symbol",
    )

    def __init__(self, settings: CandleSettings, first: Trade) -> None:
        self._settings = settings
        self._base, self._origin = settings.base_us, settings.origin_us
        self.symbol = first.exchange, first.symbol
        self.asset_class = first.asset_class
        self.currency = first.currency
        self.latest_us = 0
        """The watermark and the delay."""
        self._behind_us = settings.delay_us + settings.lateness_us
        self.floor_us = self._begin(first.time_us - self._behind_us)
        """Trades before this are late."""
        self.due_us = first.time_us
        """From when on a look at this series may find a span that is over, or a bucket that is behind the lateness."""
        self.held = 0
        """Trades that it knows one by one."""
        self.spans = tuple(Spans(interval, self.floor_us) for interval in settings.intervals)
        self._buckets: dict[int, Bucket] = {}
        self._current: Bucket | None = None
        self.late: set[int] = set()
        """The beginnings of buckets that changed after a span with them was given."""

    def _begin(self, time_us: int) -> int:
        return time_us - (time_us - self._origin) % self._base

    # -- trades

    def add(self, trade: Trade) -> TradeOutcome:
        """Counts a trade, if it is new and not late."""
        time_us = trade[2]
        bucket = self._current
        if bucket is None or not bucket.begin_us <= time_us < bucket.end_us:
            if time_us < self.floor_us or time_us < self._begin(self.latest_us - self._behind_us):
                return TradeOutcome.LATE
            bucket = self._bucket(time_us, trade)
        if not bucket.take(trade):
            return TradeOutcome.REPEATED
        self.held += 1
        if time_us > self.latest_us:
            self.latest_us = time_us
        return TradeOutcome.COUNTED

    def follow(self, time_us: int) -> bool:
        """It is this time by others' trades; whether that is later than by its own."""
        if time_us <= self.latest_us:
            return False
        self.latest_us = time_us
        current = self._current
        if current is not None and current.begin_us < self._begin(time_us - self._behind_us):
            self._current = None  # its trades are late from now on
        return True

    def _bucket(self, time_us: int, trade: Trade) -> Bucket:
        begin = self._begin(time_us)
        found = self._buckets.get(begin)
        if found is None:
            found = self._buckets[begin] = Bucket(begin, begin + self._base, trade)
        closed_us = max(one.closed_us for one in self.spans)
        if begin < closed_us:
            self.late.add(begin)
            self._current = None  # the next one says so, too
        else:
            self._current = found
        return found

    # -- candles

    def collect(self) -> Iterator[Candle]:
        """The candles that are over since the last look, and the corrections of earlier ones; oldest first, interval by
        interval.
        """
        watermark = self.latest_us - self._settings.delay_us
        late, self.late = sorted(self.late), set()
        begins = sorted(self._buckets)
        for one in self.spans:
            yield from self._over(one, watermark, begins, late)
        self._current = None
        floor = self._begin(self.latest_us - self._behind_us)
        if floor > self.floor_us:
            self._settle(floor)
        over_us = min(one.closed_us + one.interval.length_us for one in self.spans) + self._settings.delay_us
        self.due_us = min(over_us, self.floor_us + self._base + self._behind_us)

    def states(self) -> Iterator[Candle]:
        """The candles that are not over, as they stand."""
        begins = sorted(self._buckets)
        for one in self.spans:
            length = one.interval.length_us
            found = {self._span(one, begin) for begin in begins if begin >= one.closed_us} | {
                begin for begin in one.settled if begin >= one.closed_us
            }
            for begin in sorted(found):
                sums = self._sums(one, begin, begin + length, begins)
                if sums is not None:
                    yield self._candle(one, begin, sums, closed=False, correction=False)

    def shrink(self) -> None:
        """Forgets the trades of the oldest bucket one by one; where it is the only one, who its trades were, so that
        repeats of them are counted once more.
        """
        if len(self._buckets) > 1:
            self._settle(min(self._buckets) + self._base)
            return
        for bucket in self._buckets.values():
            self.held -= len(bucket.ids)
            bucket.ids.clear()

    def _over(self, one: Spans, watermark: int, begins: list[int], late: list[int]) -> Iterator[Candle]:
        length, before = one.interval.length_us, one.closed_us
        if watermark >= before + length:
            one.closed_us = one.interval.begin_us(one.interval.number(watermark))
        changed = {begin for late_us in late if (begin := self._span(one, late_us)) < before}
        new = {begin for at in begins if before <= (begin := self._span(one, at)) < one.closed_us}
        new |= {begin for begin in one.settled if before <= begin < one.closed_us}
        repeats = self._settings.empty == "repeat"
        for begin in self._with_repeats(one, changed | new, before) if repeats else sorted(changed | new):
            sums = self._sums(one, begin, begin + length, begins)
            if sums is None:
                earlier = one.given.get(begin - length) or self._before(one, begin)
                if earlier is None:
                    continue
                sums = earlier.repeated()
            given = one.given.get(begin)
            if given is None or given.values != sums.values:
                one.given[begin] = sums
                yield self._candle(one, begin, sums, closed=True, correction=given is not None)

    def _with_repeats(self, one: Spans, begins: set[int], before: int) -> list[int]:
        """These spans and those that are over, have no trades and depend on them."""
        length = one.interval.length_us
        found = set(begins)
        starts = [*sorted(begins), *([before - length] if one.closed_us > before else [])]
        for start in starts:
            at = max(start + length, one.closed_us - MOST_REPEATED * length)
            while at < one.closed_us and at not in found and not self._given_with_trades(one, at):
                found.add(at)
                at += length
        return sorted(found)

    @staticmethod
    def _given_with_trades(one: Spans, begin: int) -> bool:
        given = one.given.get(begin)
        return given is not None and given.count > 0

    @staticmethod
    def _before(one: Spans, begin: int) -> Sums | None:
        """The latest span before that was given."""
        earlier = [at for at in one.given if at < begin]
        return one.given[max(earlier)] if earlier else one.latest

    def _span(self, one: Spans, time_us: int) -> int:
        return one.interval.begin_us(one.interval.number(time_us))

    def _sums(self, one: Spans, begin: int, end: int, begins: list[int]) -> Sums | None:
        """What the trades of a span add up to; None where there are none."""
        found = one.settled.get(begin)
        found = found.copy() if found is not None else None
        if end - begin == self._base:
            bucket = self._buckets.get(begin)
            return (bucket.copy() if bucket is not None else None) if found is None else found
        for at in begins[bisect_left(begins, begin) : bisect_left(begins, end)]:
            if found is None:
                found = self._buckets[at].copy()
            else:
                found.add(self._buckets[at])
        return found

    def _candle(self, one: Spans, begin: int, sums: Sums, *, closed: bool, correction: bool) -> Candle:
        return Candle(
            self.symbol, self.asset_class, self.currency, one.interval, begin, sums, closed, correction
        )

    def _settle(self, floor: int) -> None:
        """What is before this is no longer told apart."""
        self.floor_us = floor
        self._current = None
        for at in sorted(begin for begin in self._buckets if begin < floor):
            bucket = self._buckets.pop(at)
            self.held -= len(bucket.ids)
            for one in self.spans:
                begin = self._span(one, at)
                known = one.settled.get(begin)
                if known is None:
                    one.settled[begin] = bucket.copy()
                else:
                    known.add(bucket)
        for one in self.spans:
            self._forget(one, floor)

    def _forget(self, one: Spans, floor: int) -> None:
        """Spans that were given and cannot change any more."""
        length = one.interval.length_us
        for begin in sorted(one.given):
            if begin + length <= floor:
                one.latest = one.given.pop(begin)
        for begin in [begin for begin in one.settled if begin + length <= floor and begin < one.closed_us]:
            del one.settled[begin]
