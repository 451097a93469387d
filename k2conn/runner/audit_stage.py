"""One connector's trades, compared with the venue's own candles while both pass.

A difference becomes a gap: a record on the topic of gaps, a log line, and a call for the trades of that span where the
file declares one that goes by time. The span is compared again when trades have come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from k2conn.audit.auditor import Auditor, AuditOutcome, Verdict
from k2conn.audit.comparison import SCALE, FieldDifference
from k2conn.avro.unscaled import UnscaledReader
from k2conn.candles.trades import TradeReading, trade_record
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.gaps.gap import Gap
from k2conn.engine.gaps.gap_states import GapCause
from k2conn.envelope import Envelope
from k2conn.plan import Plan, Stream
from k2conn.records import load_record
from k2conn.runner.event_log import get_logger

_FOUND = (AuditOutcome.SUSPECTED, AuditOutcome.CLOSED, AuditOutcome.NAMED)


class _Audited(NamedTuple):
    """One stream of candles."""

    stream: str
    trades: str
    auditor: Auditor


class AuditStage:
    """See the module's text."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._audited: dict[str, _Audited] = {}
        """By the name of the stream of candles."""
        self._trades = trade_record().schema
        self._candles = load_record("candle").schema
        self._trade_reader = UnscaledReader(self._trades.text)
        self._candle_reader = UnscaledReader(self._candles.text)
        self._reading = TradeReading()
        self._gaps: dict[tuple[str, str, int], tuple[Gap, int | None]] = {}
        """Those that are open, each with how many trades were missing when it was found."""
        self._log = get_logger(connector=plan.name)

    def choose(self, state: ConnectorState) -> None:
        """Which streams are compared: those with a rule, where the stream of trades runs, too."""
        running = {stream.name for stream in state.streams}
        ruled = [stream for stream in state.streams if stream.audit is not None]
        if not ruled:
            self._log.warning("no audit: no stream that runs has a rule for it", hint="--streams trade,candle")
        kept: dict[str, _Audited] = {}
        for stream in ruled:
            assert stream.audit is not None
            if stream.audit.trades in running:
                kept[stream.name] = self._audited.get(stream.name) or _audited(stream)
            else:
                self._log.warning("no audit: its trades do not run", stream=stream.name, trades=stream.audit.trades)
        self._audited = kept

    @property
    def counts(self) -> Iterator[tuple[str, Mapping[AuditOutcome, int], int]]:
        """By stream: spans by what became of them, and those for which the venue gave no candle."""
        for name, one in self._audited.items():
            yield name, one.auditor.counts.outcomes, one.auditor.counts.unmatched

    def take(self, envelopes: Iterable[Envelope]) -> None:
        """Takes in the trades and the closed candles among what goes to the sink."""
        if not self._audited:
            return
        trades: dict[str, list[Any]] = {one.trades: [] for one in self._audited.values()}
        for envelope in envelopes:
            account = envelope[5]
            if account is None:
                continue
            if envelope[3] is self._trades and account.stream in trades:
                trades[account.stream].append(self._reading.trade(self._trade_reader.record(envelope[2])))
            elif envelope[3] is self._candles and account.stream in self._audited:
                record = self._candle_reader.record(envelope[2])
                if record["is_closed"]:
                    auditor = self._audited[account.stream].auditor
                    auditor.candle((record["exchange"], record["symbol"]), record["open_time"], record)
        for one in self._audited.values():
            if trades[one.trades]:
                one.auditor.trades(trades[one.trades])

    def look(self, state: ConnectorState, now_us: int, standing: bool) -> list[Envelope]:
        """Gap records of what was found. ``standing``: whether every connection stands now."""
        found = []
        for one in self._audited.values():
            if one.auditor.since_us is None and standing:
                one.auditor.since_us = now_us
            for verdict in one.auditor.look(now_us):
                self._say(one, verdict)
                if verdict.outcome in _FOUND:
                    found.append(state.gaps.report(self._gap(one, verdict, now_us), now_us))
        return found

    def _gap(self, one: _Audited, verdict: Verdict, now_us: int) -> Gap:
        key = (one.stream, verdict.symbol[1], verdict.begin_us)
        if key not in self._gaps:
            made = Gap(
                one.trades, verdict.symbol[1], None, None, now_us, GapCause.AUDIT, verdict.missing, verdict.missing,
                from_us=verdict.begin_us - 1, to_us=verdict.end_us,
            )
            self._gaps[key] = made, verdict.missing
        gap, count = self._gaps[key]
        gap.count = count  # a call that has ended said what it found
        gap.missing = 0 if verdict.outcome is AuditOutcome.CLOSED else verdict.missing
        if verdict.outcome in (AuditOutcome.CLOSED, AuditOutcome.NAMED):
            del self._gaps[key]
        return gap

    def _say(self, one: _Audited, verdict: Verdict) -> None:
        words = {
            "stream": one.stream, "symbol": verdict.symbol[1], "begin_us": verdict.begin_us, "missing": verdict.missing,
            **{difference.field: difference_text(difference) for difference in verdict.differences},
        }
        if verdict.outcome is AuditOutcome.SUSPECTED:
            self._log.warning("trades are missing by the venue's candle", **words)
        elif verdict.outcome is AuditOutcome.NAMED:
            self._log.error("trades stay missing by the venue's candle", **words)
        elif verdict.outcome is AuditOutcome.SURPLUS:
            self._log.warning("more trades than in the venue's candle", **words)
        elif verdict.outcome is AuditOutcome.CLOSED:
            self._log.info("complete by the venue's candle", stream=one.stream, symbol=verdict.symbol[1],
                           begin_us=verdict.begin_us)


def _audited(stream: Stream) -> _Audited:
    assert stream.audit is not None
    assert stream.span is not None
    return _Audited(stream.name, stream.audit.trades, Auditor(stream.audit, stream.span.interval))


def difference_text(one: FieldDifference) -> str:
    """Ours and the venue's, for people."""
    return f"{_plain(one.field, one.ours)} of {_plain(one.field, one.venue)}"


def _plain(field: str, number: int | None) -> str:
    if number is None or field == "trade_count":
        return str(number)
    sign, digits = "-" * (number < 0), str(abs(number)).rjust(SCALE + 1, "0")
    return f"{sign}{digits[:-SCALE]}.{digits[-SCALE:]}".rstrip("0").rstrip(".")
