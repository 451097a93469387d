"""All spans of one stream of candles: when each is compared, and what became of it.

A span is compared once it is over, its candle has come and the time to settle is over; then the verdict is one of

- *proven*: equal, so every trade of the span was received;
- *suspected*: the venue has more; it may become *closed* when trades come late or are fetched, or *named* when nothing
  more can come;
- *surplus*: there are more trades here than in the venue's candle: none is missing, but the rule is not the venue's;
- *unjudged*: the venue says nothing that could be compared.

Spans that are not known whole (before the audit began) are not compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from k2conn.audit.comparison import Comparison, FieldDifference
from k2conn.candles.aggregator import CandleAggregator
from k2conn.candles.settings import CandleSettings
from k2conn.candles.sums import Sums
from k2conn.candles.trades import Trade
from k2conn.intervals import Interval
from k2conn.plan import Audit

MOST_SPANS = 200_000
"""Spans that wait for a verdict, or whose verdict may change."""
_DROP_EVERY_US = 10_000_000
KEEP_US = 900_000_000
"""How long after its end the verdict of a span may change: late trades and answers to calls come meanwhile."""


_Key = tuple[tuple[str, str], int]
"""Exchange and symbol, and when the span begins."""


class AuditOutcome(StrEnum):
    """What is known of a span."""

    PROVEN = "proven"
    SUSPECTED = "suspected"
    CLOSED = "closed"
    NAMED = "named"
    SURPLUS = "surplus"
    UNJUDGED = "unjudged"


class Verdict(NamedTuple):
    """What became of one span of one symbol (exchange and symbol). ``missing``: how many trades, where counts tell."""

    symbol: tuple[str, str]
    begin_us: int
    end_us: int
    outcome: AuditOutcome
    differences: tuple[FieldDifference, ...]
    missing: int | None


@dataclass(slots=True)
class _Span:
    theirs: Mapping[str, int | None] | None = None
    ours: Sums | None = None
    outcome: AuditOutcome | None = None
    last: Verdict | None = None


@dataclass(slots=True)
class AuditCounts:
    """Spans by what became of them; one counts under each outcome that it had."""

    outcomes: dict[AuditOutcome, int] = field(default_factory=lambda: dict.fromkeys(AuditOutcome, 0))
    unmatched: int = 0
    """Spans of our trades for which no candle of the venue's came."""


class Auditor:
    """Compares the candles of one interval. Times are microseconds since the epoch."""

    def __init__(self, rule: Audit, interval: Interval, keep_us: int = KEEP_US, most: int = MOST_SPANS) -> None:
        self.rule = rule
        self.interval = interval
        self.counts = AuditCounts()
        self.since_us: int | None = None
        """Spans that begin before this are not compared; None: none is."""
        self._keep_us = keep_us
        self._most = most
        self._settle_us = round(rule.settle * 1_000_000)
        self._comparison = Comparison(rule)
        self._early = rule.edge == "end"
        settings = CandleSettings((interval.name,), 0, keep_us + self._settle_us, ahead_us=2**62)
        self.aggregator = CandleAggregator(settings)
        self._spans: dict[_Key, _Span] = {}
        self._changed: dict[_Key, None] = {}
        """Of these, those that no verdict was given on since."""
        self._squeezed: list[Verdict] = []
        """The last word on spans that had to make room."""
        self._dropping_us = 0

    def trades(self, trades: Iterable[Trade]) -> None:
        """Takes in some trades."""
        if self._early:
            trades = [trade._replace(time_us=trade.time_us - 1) for trade in trades]
        self.aggregator.add(trades)

    def candle(self, symbol: tuple[str, str], begin_us: int, values: Mapping[str, int | None]) -> None:
        """Takes in a closed candle of the venue's, or a correction of one; unscaled as candle records have it."""
        span = self._span(symbol, begin_us)
        if span is not None:
            span.theirs = values
            self._changed[symbol, begin_us] = None

    def look(self, now_us: int) -> list[Verdict]:
        """The verdicts that are due; ``now_us`` is the time, or a later one where nothing more will come."""
        self.aggregator.advance(now_us)
        self.gather()
        found: list[Verdict] = []
        last = now_us - self.interval.length_us - self._settle_us
        for key in [key for key in self._changed if key[1] <= last]:
            del self._changed[key]
            span = self._spans.get(key)
            if span is not None and span.theirs is not None and (verdict := self._judged(*key, span)) is not None:
                found.append(verdict)
        if now_us >= self._dropping_us:
            self._dropping_us = now_us + _DROP_EVERY_US
            for key in [key for key in self._spans if key[1] <= last - self._keep_us]:
                found += self._dropped(key)
        found += self._squeezed
        self._squeezed = []
        for verdict in found:
            self.counts.outcomes[verdict.outcome] += 1
        return found

    def gather(self) -> None:
        """Takes in what our trades add up to so far."""
        for candle in self.aggregator.collect():
            span = self._span(candle.symbol, candle.begin_us)
            if span is not None:
                span.ours = candle.sums
                self._changed[candle.symbol, candle.begin_us] = None

    def _span(self, symbol: tuple[str, str], begin_us: int) -> _Span | None:
        if self.since_us is None or begin_us < self.since_us:
            return None
        known = self._spans.get((symbol, begin_us))
        if known is None:
            if len(self._spans) >= self._most:
                self._squeezed += self._dropped(next(iter(self._spans)))
            known = self._spans[symbol, begin_us] = _Span()
        return known

    def _judged(self, symbol: tuple[str, str], begin: int, span: _Span) -> Verdict | None:
        assert span.theirs is not None
        differences = self._comparison.compare(span.ours, span.theirs)
        before, outcome = span.outcome, _outcome(differences, span.outcome)
        missing = None
        for one in differences or ():
            if one.field == "trade_count" and one.ours is not None:
                missing = one.venue - one.ours
        verdict = Verdict(
            symbol, begin, begin + self.interval.length_us, outcome, tuple(differences or ()), missing
        )
        same = span.last is not None and span.last.differences == verdict.differences
        span.outcome, span.last = outcome, verdict
        return None if before is outcome and same else verdict

    def _dropped(self, key: _Key) -> list[Verdict]:
        """The verdict of a span can change no more."""
        span = self._spans.pop(key)
        self._changed.pop(key, None)
        if span.theirs is None:
            self.counts.unmatched += 1
        if span.outcome is AuditOutcome.SUSPECTED and span.last is not None:
            return [span.last._replace(outcome=AuditOutcome.NAMED)]
        return []


def _outcome(differences: list[FieldDifference] | None, before: AuditOutcome | None) -> AuditOutcome:
    if differences is None:
        return AuditOutcome.UNJUDGED
    if not differences:
        return AuditOutcome.CLOSED if before in (AuditOutcome.SUSPECTED, AuditOutcome.CLOSED) else AuditOutcome.PROVEN
    amounts = [one for one in differences if one.field not in ("open", "close")] or differences
    return AuditOutcome.SUSPECTED if any(one.lacking for one in amounts) else AuditOutcome.SURPLUS
