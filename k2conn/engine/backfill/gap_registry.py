"""The registry of gaps: which were found, which are to be filled, and how each ended; all as records.

The gaps of a stream with a backfill go to `to_fill`, for whoever makes the calls. Where a stream's numbers do not tell
what is missing, every suspected gap is filled; it becomes a gap record only where something was missed, or where that
cannot be told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from k2conn.engine.accounting.ledger import Ledger
from k2conn.engine.accounting.troubles import TroubleKind
from k2conn.engine.backfill.backfill_job import BackfillJob
from k2conn.engine.backfill.backfill_mapping import BackfillMapping
from k2conn.engine.gaps.gap import Gap
from k2conn.engine.gaps.gap_records import STREAM, gap_envelope
from k2conn.engine.gaps.gap_states import BackfillStatus, GapCause
from k2conn.engine.gaps.sequence_state import OddNumber
from k2conn.engine.gaps.suspected_gaps import SuspectedGapTracker
from k2conn.engine.mapping.stream_mapping import StreamMapping
from k2conn.envelope import Envelope
from k2conn.plan import Plan, Symbol


class GapRegistry:
    """One connector's gaps. ``backfill``: whether somebody fills what is in `to_fill`."""

    def __init__(self, plan: Plan, ledger: Ledger, mappings: Mapping[str, StreamMapping], backfill: bool) -> None:
        self.plan = plan
        self.ledger = ledger
        self.mappings = mappings
        self.backfills = {
            name: tuple(BackfillMapping(mapping, one) for one in mapping.stream.backfill)
            for name, mapping in mappings.items()
            if backfill and mapping.stream.backfill
        }
        self.symbols: dict[str, Symbol] = {}
        """The symbols that are subscribed, by our spelling; empty where that is not known."""
        self.to_fill: list[Gap] = []
        for name in self.backfills:
            if mappings[name].gaps is None:
                mappings[name].suspected_gaps = SuspectedGapTracker(name)

    def shares(self, gap: Gap, other: GapRegistry) -> bool:
        """Whether a gap of this registry can be filled by way of another one: it fills gaps of the stream, and has the
        same tracker.
        """
        own, theirs = self.mappings[gap.stream], other.mappings.get(gap.stream)
        if theirs is None or gap.stream not in other.backfills:
            return False
        return own.suspected_gaps is theirs.suspected_gaps if gap.first is None else own.gaps is theirs.gaps

    def report_only(self, stream: str) -> None:
        """A stream's gaps are reported only from now on."""
        del self.backfills[stream]
        self.mappings[stream].suspected_gaps = None

    def records(self, now_us: int) -> list[Envelope]:
        """Records of the gaps found or closed since the last call; ``now_us`` is microseconds since the epoch."""
        found: list[Envelope] = []
        for name, mapping in self.mappings.items():
            if mapping.suspected_gaps is not None:
                self._fill(mapping.suspected_gaps.due(now_us))  # a suspicion is no record
            if mapping.gaps is None:
                continue
            odd, mapping.gaps.odd = mapping.gaps.odd, []
            for one in odd:
                self.ledger.troubles.note(TroubleKind.SEQUENCE, name, "", now_us, partial(_odd_words, one))
            for gap in mapping.gaps.due(now_us):
                account = self.ledger.account(name, gap.key)
                account.gaps += 1
                account.missing += gap.missing or 0
                if name in self.backfills and gap.cause != GapCause.RESET:
                    self._fill((gap,))
                found.append(self._record(gap, now_us))
            closed, mapping.closed = mapping.closed, []
            for gap in closed:
                self.ledger.account(name, gap.key).missing -= gap.reported or 0
                gap.backfill = BackfillStatus.DONE if gap.recovered else BackfillStatus.NONE
                found.append(self._record(gap, now_us))
        return found

    def _fill(self, gaps: Iterable[Gap]) -> None:
        for gap in gaps:
            gap.backfill = BackfillStatus.PENDING
            self.to_fill.append(gap)

    def take_in(self, gap: Gap, fill: bool) -> None:
        """Goes on with a gap that an earlier process has reported: it is in the accounts as if found here, and its
        record is there already. ``fill``: whether it is to be filled, where its stream has calls for that.
        """
        account = self.ledger.account(gap.stream, gap.key)
        if gap.first is not None:
            account.gaps += 1
            account.missing += gap.reported or 0
        if fill and gap.stream in self.backfills:
            self._fill((gap,))

    # -- gaps that somebody else finds

    def report(self, gap: Gap, now_us: int) -> Envelope:
        """The record of a gap of an audit as it stands: new, closed, or still there. It is counted once, and filled
        where it is new and the stream's calls go by time alone.
        """
        account = self.ledger.account(gap.stream, gap.key)
        before, size = gap.reported, gap.missing or 0
        account.gaps += before is None
        account.missing += size - (before or 0)
        gap.reported = size
        calls = self.backfills.get(gap.stream, ())
        if before is None and calls and all(one.backfill.timed for one in calls):
            self._fill((gap,))
        return self._record(gap, now_us)

    def _record(self, gap: Gap, now_us: int) -> Envelope:
        account = self.ledger.account(STREAM, gap.key)
        made = gap_envelope(self.plan, gap, now_us, account)
        account.received += 1  # only once there is one
        self.ledger.latest.gaps.append(made)
        return made

    # -- filling

    def job(self, gap: Gap) -> BackfillJob | None:
        """The job that fills a gap; None where its symbol is not subscribed any more, or no call is for it."""
        symbol = self.mappings[gap.stream].symbols.get(gap.key) or self.symbols.get(gap.key)
        if symbol is not None:
            for mapping in self.backfills.get(gap.stream, ()):
                if mapping.fits(symbol):
                    return BackfillJob(mapping, gap, symbol)
        return None

    def ended(self, gap: Gap, now_us: int) -> list[Envelope]:
        """The records that are due when filling a gap has ended, whether it succeeded or not."""
        gap.backfill = BackfillStatus.FAILED if gap.open else BackfillStatus.DONE
        if gap.cause == GapCause.AUDIT:
            return self.records(now_us)  # whether it is whole now, the audit says
        found = self.records(now_us)
        counted = gap.first is not None and gap.count is not None
        if not gap.open and (counted or not gap.recovered):
            return found  # its record is among those of closed gaps, or nothing was missed
        account = self.ledger.account(gap.stream, gap.key)
        account.gaps += gap.first is None
        if gap.missing is not None:
            account.missing -= (gap.reported or 0) - gap.missing
            gap.reported = gap.missing
        return [*found, self._record(gap, now_us)]


def _odd_words(one: OddNumber) -> dict[str, object]:
    return {"symbol": one.key, "number": str(one.number), "why": one.reason}
