"""Two looks at what is counted anyway, and what lies between them: rates, without a count of their own.

While nobody asks, nothing is kept and nothing is watched. While somebody does, the counts of the last seconds are
kept, and the latest record of each symbol, undecoded: it costs a place in a table for each record, and is decoded for
the symbols that are shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from k2conn.engine.accounting.ledger import Account
from k2conn.envelope import Envelope
from k2conn.observe import Observer
from k2conn.runner import Runner

SPAN = 5.0
"""Seconds over which rates are taken, where there were looks for so long."""
APART = 1.0
"""Seconds between two looks that are kept."""
STALE = 60.0
"""Seconds after which a look says nothing of the last seconds any more."""
RECORDS = 20_000
"""Latest records that are kept, at most: one for each symbol of each stream."""
LONGEST = 4096
"""Bytes of a record that is kept."""


@dataclass(frozen=True, slots=True)
class Look:
    """The counts of one moment (``at``, seconds of the monotonic clock)."""

    at: float
    received: Mapping[Account, int] = field(default_factory=dict)
    frames: Mapping[str, int] = field(default_factory=dict)
    """By connector."""
    latencies: Mapping[tuple[str, str], tuple[Sequence[int], Sequence[int]]] = field(default_factory=dict)
    """By connector and stream, the counts of the histograms: from the exchange's time, and from receipt."""
    spool_bytes: int = 0


class Looks:
    """The looks at one runner."""

    def __init__(self) -> None:
        self._kept: deque[Look] = deque()

    def forget(self) -> None:
        """Nobody asks any more."""
        self._kept.clear()

    def between(self, runner: Runner, now: float) -> tuple[Look | None, Look]:
        """A look now, and the one to compare it with: None where nobody has looked in the last minute."""
        look = look_at(runner, now)
        kept = self._kept
        while kept and (now - kept[0].at > STALE or (len(kept) > 1 and now - kept[1].at >= SPAN)):
            kept.popleft()
        before = kept[0] if kept and now - kept[0].at >= APART / 2 else None
        if not kept or now - kept[-1].at >= APART:
            kept.append(look)
        return before, look


def look_at(runner: Runner, now: float) -> Look:
    """The counts as they are."""
    received: dict[Account, int] = {}
    latencies: dict[tuple[str, str], tuple[Sequence[int], Sequence[int]]] = {}
    for connector in runner.connectors:
        ledger = connector.connector_state.ledger
        received.update((account, account.received) for account in ledger.accounts())
        for stream, one in ledger.latencies.items():
            latencies[connector.plan.name, stream] = tuple(one.exchange.counts), tuple(one.receipt.counts)
    frames = {connector.plan.name: connector.connector_state.ledger.frames for connector in runner.connectors}
    status = runner.sink_status()
    return Look(now, received, frames, latencies, status["spool"]["bytes"] if "spool" in status else 0)


class LastRecords(Observer):
    """The latest record of each account, as its envelope; for as long as it is an observer."""

    def __init__(self) -> None:
        self._last: dict[Any, Envelope] = {}

    def __getitem__(self, account: Account) -> Envelope | None:
        """None where none has come since it looks on."""
        return self._last.get(account)

    def published(self, connector: str, envelopes: Sequence[Envelope]) -> None:
        """See `Observer`."""
        last = self._last
        for one in envelopes:
            if one.schema is not None and len(one.value) <= LONGEST:
                last[one.account] = one
        while len(last) > RECORDS:
            del last[next(iter(last))]

    def forget(self) -> None:
        """Nobody asks any more."""
        self._last.clear()


def per_second(count: int, seconds: float) -> float | None:
    """A rate; None where no time has passed."""
    return round(max(0, count) / seconds, 2) if seconds else None
