"""One connector's trades, compared with the venue's own candles while both pass.

A difference becomes a gap: a record on the topic of gaps, a log line, and a call for the trades of that span where the
file declares one that goes by time. The span is compared again when trades have come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from k2conn.audit.auditor import AuditOutcome, Verdict
from k2conn.audit.comparison import SCALE, FieldDifference
from k2conn.audit.intake import AuditedStream, AuditIntake
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.gaps.gap import Gap
from k2conn.engine.gaps.gap_states import GapCause
from k2conn.envelope import Envelope
from k2conn.plan import Plan
from k2conn.runner.event_log import get_logger

_FOUND = (AuditOutcome.SUSPECTED, AuditOutcome.CLOSED, AuditOutcome.NAMED)


class AuditStage:
    """See the module's text."""

    def __init__(self, plan: Plan) -> None:
        self._intake = AuditIntake()
        self._gaps: dict[tuple[str, str, int], tuple[Gap, int | None]] = {}
        """Those that are open, each with how many trades were missing when it was found."""
        self._log = get_logger(connector=plan.name)

    def choose(self, state: ConnectorState) -> None:
        """Which streams are compared: those with a rule, where the stream of trades runs, too."""
        if not any(stream.audit is not None for stream in state.streams):
            self._log.warning("no audit: no stream that runs has a rule for it", hint="--streams trade,candle")
        for stream, trades in self._intake.choose(state.streams).items():
            self._log.warning("no audit: its trades do not run", stream=stream, trades=trades)

    @property
    def counts(self) -> Iterator[tuple[str, Mapping[AuditOutcome, int], int]]:
        """By stream: spans by what became of them, and those for which the venue gave no candle."""
        for one in self._intake:
            yield one.stream, one.auditor.counts.outcomes, one.auditor.counts.unmatched

    @property
    def amendments(self) -> Mapping[str, int]:
        """Corrections of trades, and what takes them back, that were left out, by the stream of trades."""
        return self._intake.amendments

    def take(self, envelopes: Iterable[Envelope]) -> None:
        """Takes in the trades and the closed candles among what goes to the sink."""
        self._intake.take(envelopes)

    def look(self, state: ConnectorState, now_us: int, standing: bool) -> list[Envelope]:
        """Gap records of what was found. ``standing``: whether every connection stands now."""
        found = []
        self._intake.read()
        for one in self._intake:
            if one.auditor.since_us is None and standing:
                one.auditor.since_us = now_us
            for verdict in one.auditor.look(now_us):
                self._say(one, verdict)
                if verdict.outcome in _FOUND:
                    found.append(state.gaps.report(self._gap(one, verdict, now_us), now_us))
        return found

    def _gap(self, one: AuditedStream, verdict: Verdict, now_us: int) -> Gap:
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

    def _say(self, one: AuditedStream, verdict: Verdict) -> None:
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


def difference_text(one: FieldDifference) -> str:
    """Ours and the venue's, for people."""
    return f"{_plain(one.field, one.ours)} of {_plain(one.field, one.venue)}"


def _plain(field: str, number: int | None) -> str:
    if number is None or field == "trade_count":
        return str(number)
    sign, digits = "-" * (number < 0), str(abs(number)).rjust(SCALE + 1, "0")
    return f"{sign}{digits[:-SCALE]}.{digits[-SCALE:]}".rstrip("0").rstrip(".")
