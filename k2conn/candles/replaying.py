"""Candles of one partition of a topic, whose open spans are known again after a restart by reading them again.

Nothing is stored but an offset and a note. Whoever goes on *restarts* at the first offset of any trade of a span that
can still change, so that all trades of all such spans come again: those of spans that were over for good before, of
which only a part comes again, are left out (``since``), and of what comes again nothing is given once more that was
given before (``silent``). What is late follows from the trades and their order alone, and what is given after some
offset from the trades before it. So the candles are the same as without the restart.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from k2conn.candles.aggregator import CandleAggregator
from k2conn.candles.series import Candle
from k2conn.candles.settings import CandleSettings
from k2conn.candles.trades import Trade


class Restart(NamedTuple):
    """Where to read from, and what to know then."""

    offset: int
    note: str


class Made(NamedTuple):
    """What some trades led to."""

    candles: list[Candle]
    refused: list[tuple[Trade, str]]


_NOTHING = Made([], [])


class ReplayedCandles:
    """One partition from ``start`` on, with the ``note`` that was stored with it, or an empty one."""

    def __init__(self, settings: CandleSettings, start: int, note: str) -> None:
        self.aggregator = CandleAggregator(settings, together=True)
        self.partial = 0
        """Candles that are not given: their spans began before what is known here."""
        self._settings = settings
        self._start = start
        self._behind_us = settings.delay_us + settings.lateness_us
        known = _read(note, settings)
        self._silent = known.silent if known is not None else start
        """What trades before this offset lead to was given before."""
        self._since_us: int | None = known.since_us if known is not None else 0 if start == 0 else None
        """Spans that begin before this are left out; None: the first trade tells."""
        self._firsts: dict[int, int] = {}
        """By beginning of a bucket: the first offset of a trade in it."""
        self._steps: deque[tuple[int, int]] = deque()
        """After which offset which spans can still change: those that begin at that time and later."""
        self._reached = self._since_us or 0

    def add(self, trades: Sequence[tuple[int, Trade]], end: int) -> Made:
        """Trades with their offsets, in order; ``end`` is the offset behind what was read with them."""
        again = [pair for pair in trades if pair[0] < self._silent]
        found = _NOTHING
        if again:
            self._add(again)
        if new := trades[len(again) :]:
            found = self._add(new)
        self._steps.append((end, self._changeable_us()))
        return found

    def restart(self, position: int) -> Restart:
        """From where it must be read again where all before ``position`` is durable: an ``end`` of `add`."""
        while self._steps and self._steps[0][0] <= position:
            self._reached = max(self._reached, self._steps.popleft()[1])
        for begin in [begin for begin in self._firsts if begin < self._reached]:
            del self._firsts[begin]
        if position < self._silent:  # not all first offsets are known again
            return Restart(self._start, self._note(self._silent, self._since_us or 0))
        return Restart(min([position, *self._firsts.values()]), self._note(position, self._reached))

    def _note(self, silent: int, since_us: int) -> str:
        known = _Known(silent, since_us, _words(self._settings))
        return json.dumps(known._asdict(), separators=(",", ":"))

    def _add(self, trades: Sequence[tuple[int, Trade]]) -> Made:
        refused = self.aggregator.add(trade for _, trade in trades)
        left_out = {id(trade) for trade, _ in refused}
        settings, firsts = self._settings, self._firsts
        base, origin = settings.base_us, settings.origin_us
        for offset, trade in trades:
            if refused and id(trade) in left_out:
                continue
            if self._since_us is None:
                self._since_us = self._reached = self._first_whole_us(trade.time_us)
            firsts.setdefault(trade[2] - (trade[2] - origin) % base, offset)
        self.aggregator.advance_to_latest()
        candles = self.aggregator.collect()
        whole = [one for one in candles if self._since_us is not None and one.begin_us >= self._since_us]
        self.partial += len(candles) - len(whole)
        return Made(whole, refused)

    def _first_whole_us(self, time_us: int) -> int:
        """Trades before the first one may be of spans that begin earlier than this, but not of later ones: the first
        one would be late beside them.
        """
        earliest = time_us + self._behind_us
        return earliest + (self._settings.origin_us - earliest) % self._settings.base_us

    def _changeable_us(self) -> int:
        """When the earliest span begins that can still change."""
        latest = min((self.aggregator.latest or {}).values(), default=None)
        if latest is None:
            return self._reached
        return max(self._since_us or 0, changeable_us(self._settings, latest - self._behind_us))


def changeable_us(settings: CandleSettings, late_us: int) -> int:
    """When the earliest span begins that can still change, where trades in buckets before ``late_us`` are late."""
    floor = late_us - (late_us - settings.origin_us) % settings.base_us
    return min(one.begin_us(one.number(floor)) for one in settings.intervals)


class _Known(NamedTuple):
    """The note."""

    silent: int
    since_us: int
    words: str


def _words(settings: CandleSettings) -> str:
    """What the candles depend on: with other settings other ones were given."""
    names = ",".join(one.name for one in settings.intervals)
    return f"{names} {settings.delay_us} {settings.lateness_us}"


def _read(note: str, settings: CandleSettings) -> _Known | None:
    try:
        known = _Known(**json.loads(note))
    except (ValueError, TypeError):
        return None
    numbers: Iterable[object] = (known.silent, known.since_us)
    if not all(type(one) is int and 0 <= one < 2**63 for one in numbers):
        return None
    return known if known.words == _words(settings) else known._replace(silent=0)
