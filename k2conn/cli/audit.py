"""`k2conn audit`: stored trades against the venue's stored candles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from k2conn.audit.auditor import Auditor, AuditOutcome, Verdict
from k2conn.avro.unscaled import DamagedFile, UnscaledContainer
from k2conn.candles.envelopes import SOURCE
from k2conn.candles.trades import TradeReading, counts, trade_record
from k2conn.cli.loading import load
from k2conn.cli.messages import complain, say, show, show_json
from k2conn.cli.option_values import listed
from k2conn.errors import SettingsError, known
from k2conn.plan import Stream
from k2conn.records import load_record
from k2conn.runner.audit_stage import difference_text

ALL_PROVEN, NOT_PROVEN = 0, 1
MOST_SPANS = 5_000_000
_LATENESS_US = 90 * 86_400_000_000
_LATENESS_SPANS = 150_000
_LATER_US = 2**62


def run(connector: str, inputs: Sequence[str], intervals: str | None, whole: bool, format: str) -> int:
    """Prints every span that is not proven; the exit code."""
    if format not in ("text", "json"):
        raise SettingsError(f"--format {format}{known(format, ('text', 'json'))}")
    plan = load(connector)
    ruled = [stream for stream in plan.streams if stream.audit is not None and stream.span is not None]
    if not ruled:
        raise SettingsError(f"{connector}: none of its streams says `audit`")
    wanted = listed("--intervals", intervals)
    names = {stream.span.interval.name: stream for stream in ruled if stream.span is not None}
    if unknown := [name for name in wanted if name not in names]:
        raise SettingsError(*(f"--intervals {name}{known(name, names)}" for name in unknown))
    audit = StoredAudit(plan.exchange, [names[name] for name in wanted] or ruled)
    audit.read(_files(inputs))
    return audit.told(whole, format)


def _files(inputs: Sequence[str]) -> list[Path]:
    found: list[Path] = []
    problems = []
    for one in map(Path, inputs):
        if one.is_dir():
            found += sorted(one.rglob("*.avro"), key=lambda path: (path.parent, path.name))
        elif one.is_file():
            found.append(one)
        else:
            problems.append(f"{one}: there is no such file or folder")
    if problems:
        raise SettingsError(*problems)
    return found


class StoredAudit:
    """The audit of one exchange's records in files."""

    def __init__(self, exchange: str, streams: Sequence[Stream]) -> None:
        self._exchange = exchange
        self._auditors: dict[str, Auditor] = {}
        for stream in streams:
            assert stream.audit is not None
            assert stream.span is not None
            interval = stream.span.interval
            keep = min(_LATENESS_US, _LATENESS_SPANS * interval.length_us)
            auditor = self._auditors[interval.name] = Auditor(stream.audit, interval, keep, MOST_SPANS)
            auditor.since_us = 0
        self._covered: dict[str, tuple[int, int]] = {}
        """By symbol, the times of the first and the last trade."""
        self.trades = self.candles = 0
        self.amendments = 0
        """Corrections of trades, and what takes them back, that were left out."""

    def read(self, paths: Sequence[Path]) -> None:
        """Reads all trades and candles of the exchange."""
        trade, candle = trade_record().schema.full_name, load_record("candle").schema.full_name
        for path in paths:
            try:
                with path.open("rb") as stream:
                    container = UnscaledContainer(stream)
                    if container.schema.full_name == trade:
                        self._read_trades(container)
                    elif container.schema.full_name == candle:
                        self._read_candles(container)
            except (DamagedFile, SettingsError) as error:
                complain(f"{path}: {error}")

    def _read_trades(self, container: UnscaledContainer) -> None:
        fields = container.schema.fields
        make = TradeReading(fields["price"].scale, fields["quantity"].scale).trade
        for records in container.blocks():
            ours = [one for one in records if one["exchange"] == self._exchange]
            trades = [make(one) for one in ours if counts(one)]
            self.amendments += len(ours) - len(trades)
            self.trades += len(trades)
            for one in trades:
                first, last = self._covered.get(one.symbol, (one.time_us, one.time_us))
                self._covered[one.symbol] = min(first, one.time_us), max(last, one.time_us)
            for auditor in self._auditors.values():
                auditor.trades(trades)
                auditor.gather()

    def _read_candles(self, container: UnscaledContainer) -> None:
        own = load_record("candle")
        factors = {
            name: 10 ** (own.field(name).scale - container.schema.fields[name].scale)
            for name in container.schema.unscaled
        }
        for records in container.blocks():
            for one in records:
                auditor = self._auditors.get(one["interval"])
                made_here = SOURCE.items() <= (one["vendor_data"] or {}).items()
                if auditor is None or made_here or not one["is_closed"] or one["exchange"] != self._exchange:
                    continue
                self.candles += 1
                values = {name: one[name] * factor for name, factor in factors.items() if one[name] is not None}
                values["trade_count"] = one["trade_count"]
                auditor.candle((one["exchange"], one["symbol"]), one["open_time"], values)

    def told(self, whole: bool, format: str) -> int:
        """Prints the verdicts; ``whole``: the trades have no beginning and no end within a span."""
        counts: Counter[str] = Counter()
        for name, auditor in self._auditors.items():
            for verdict in auditor.look(_LATER_US):
                if verdict.outcome is AuditOutcome.NAMED:
                    continue  # it was told as suspected
                if not whole and not self._inside(verdict):
                    counts["not covered"] += 1
                    continue
                counts[verdict.outcome] += 1
                if verdict.outcome is not AuditOutcome.PROVEN:
                    _show(name, verdict, format)
        figures = ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "nothing to compare"
        left_out = f", {self.amendments} corrections of trades left out" if self.amendments else ""
        say(f"{self.trades} trades, {self.candles} candles{left_out}: {figures}")
        differs = counts[AuditOutcome.SUSPECTED] or counts[AuditOutcome.SURPLUS]
        return NOT_PROVEN if differs or not counts else ALL_PROVEN

    def _inside(self, verdict: Verdict) -> bool:
        first, last = self._covered.get(verdict.symbol[1], (_LATER_US, 0))
        return first < verdict.begin_us and verdict.end_us <= last


def _show(interval: str, verdict: Verdict, format: str) -> None:
    words: dict[str, Any] = {
        "outcome": verdict.outcome, "exchange": verdict.symbol[0], "symbol": verdict.symbol[1], "interval": interval,
        "open_time": verdict.begin_us, "missing": verdict.missing,
        "differences": {one.field: difference_text(one) for one in verdict.differences},
    }
    if format == "json":
        show_json(words)
        return
    fields = "; ".join(f"{name} {text}" for name, text in words["differences"].items())
    show(f"{verdict.outcome} {verdict.symbol[1]} {interval} {verdict.begin_us}: {fields}")
