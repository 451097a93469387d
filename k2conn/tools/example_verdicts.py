"""What the audit says of the trades and candles of one test of a connector file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from k2conn.audit.intake import AuditIntake
from k2conn.envelope import Envelope
from k2conn.plan import Stream

_LATER_US = 2**62
"""When nothing more will come."""


def verdicts_of(streams: Sequence[Stream], envelopes: Sequence[Envelope]) -> list[dict[str, Any]]:
    """The verdict on each span that has a candle among these records, in the order of time: ``outcome``,
    ``symbol``, ``interval``, ``open_time`` (microseconds since 1970), ``missing``, and ``differs`` (names of fields).
    """
    intake = AuditIntake()
    intake.choose(streams)
    for one in intake:
        one.auditor.since_us = 0
    intake.take(envelopes)
    intake.read()
    found: dict[tuple[int, tuple[str, str], str], dict[str, Any]] = {}
    for one in intake:
        for verdict in one.auditor.look(_LATER_US):
            found.setdefault((verdict.begin_us, verdict.symbol, one.stream), {  # what comes behind it: it stays so
                "outcome": str(verdict.outcome), "symbol": verdict.symbol[1], "interval": one.auditor.interval.name,
                "open_time": verdict.begin_us, "missing": verdict.missing,
                "differs": [difference.field for difference in verdict.differences],
            })
    return [found[key] for key in sorted(found)]
