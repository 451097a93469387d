"""Says in the log that a venue's numbers are rounded: at the first one of a stream, then once a minute with a count."""

from __future__ import annotations

from typing import Any

from k2conn.engine.accounting.ledger import Ledger
from k2conn.records import V2, WIDE, decimals_used

EVERY = 60.0
"""Seconds between two lines about one stream."""


class RoundingReport:
    """Of one connector."""

    def __init__(self, ledger: Ledger, log: Any) -> None:
        self._ledger = ledger
        self._log = log
        self._said: dict[str, tuple[float, int]] = {}
        """By stream: when it was said last, and how many there were then."""

    def look(self, now: float) -> None:
        """Says what is new; ``now`` is monotonic seconds."""
        for stream, rounded in self._ledger.rounded.items():
            last, count = self._said.get(stream, (now - EVERY, 0))
            if rounded.count > count and now >= last + EVERY:
                self._said[stream] = now, rounded.count
                hint = {"hint": f"K2_DECIMALS={WIDE} keeps all digits"} if decimals_used() == V2 else {}
                self._log.warning(
                    "numbers are rounded", stream=stream, records=rounded.count - count, symbol=rounded.symbol,
                    field=rounded.field, number=rounded.number[:40], **hint,
                )
