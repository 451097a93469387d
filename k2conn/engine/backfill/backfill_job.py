"""Filling one gap: which calls it needs, and which rows of their answers were missing.

A gap of numbered records is filled number by number: of an answer only what is still missing is mapped. Where numbers
do not tell what is missing (linked records, suspected gaps), every row within the gap is mapped, and the dedup window
drops those that came before; such a gap is closed when the answers have covered it from end to end.

Pure: whoever runs it makes the calls, one after the other, until `ask` has nothing more to ask for.
"""

from __future__ import annotations

from typing import Any

from k2conn import exactjson
from k2conn.engine.backfill.backfill_mapping import BackfillMapping
from k2conn.engine.gaps.gap import Gap
from k2conn.envelope import Envelope
from k2conn.errors import RecordError
from k2conn.intervals import Interval
from k2conn.plan import Json, MissingRange, Symbol
from k2conn.scope import Scope

MOST_ROWS = 10_000
"""Rows of one answer."""
MOST_CALLS = 500
"""Calls for one gap; what they do not give stays missing."""
_SHOWN = 200


class BackfillJob:
    """One gap while it is filled."""

    def __init__(self, mapping: BackfillMapping, gap: Gap, symbol: Symbol) -> None:
        self.mapping = mapping
        self.gap = gap
        self.symbol = symbol
        self.calls = 0
        self._by_time = gap.first is None
        self._counted = gap.missing is not None and not self._by_time
        self._dead: set[int] = set()
        self._scope = Scope()
        span = mapping.backfill.rows.span
        self._interval = span.interval if span is not None else None
        """Of the spans of time that the rows are about."""
        self._length = self._interval.length_us + 1 if self._interval is not None and self._by_time else 0
        """How far behind the gap's beginning the time of its first row may be: it is the end of what the row is about,
        which begins there."""
        self._cut: tuple[int, int] | None = None
        """The numbers that were asked for last, where they are not all."""
        self._covered = False
        self._topped = False
        """Whether an answer held the gap's newer end: the venue's history may be behind its stream."""
        self.passed = False
        """Whether the venue only gives what is later than the gap's beginning, and always will."""
        self.again()

    def again(self) -> None:
        """Begins anew, for what is still missing."""
        gap = self.gap
        self._done = False
        self._from_us, self._to_us = gap.from_us, gap.to_us
        if gap.first is None or gap.last is None:
            self._low, self._high = gap.from_us, gap.to_us
        else:
            self._low, self._high = gap.first + (not self._counted), gap.last

    @property
    def filled(self) -> bool:
        """Whether nothing of the gap is missing any more."""
        return not self.gap.open or (self._covered and not self._dead)

    def ask(self) -> MissingRange | None:
        """What the next call asks for; None where there is nothing more to ask."""
        backfill = self.mapping.backfill
        if self._counted:
            self._narrow()
        if self._done or self.filled or self._low > self._high or self.calls >= MOST_CALLS:
            return None
        if backfill.timed and not self._from_us:
            return None  # it is not known since when
        self.calls += 1
        low, high, size = self._low, self._high, self._size()
        if self._interval is not None:
            low, high = self._window(self._interval)
        elif self._by_time:
            low = high = 0
        count = size if self._by_time else min(high - low + 1, size or high - low + 1)
        return MissingRange(low, high, count, self._from_us, self._to_us, self._interval)

    def _window(self, interval: Interval) -> tuple[int, int]:
        """The numbers of the spans that the next call asks for: no more than an answer holds."""
        low, high, page = self._low, self._high, self.mapping.backfill.page
        if self._by_time:  # the record before ends where the first missing span may begin; the one after is not missing
            low = interval.number(self._from_us)
            high = max(low, interval.number(self._to_us) - 2)
        self._cut = None
        if page is not None and high - low >= page.size:
            low, high = (low, low + page.size - 1) if page.by == "first" else (high - page.size + 1, high)
            self._cut = low, high
        return low, high

    def _narrow(self) -> None:
        """What has come meanwhile is not asked for."""
        tracker = self.mapping.owner.gaps
        missing = tracker.missing(self.gap) if tracker is not None else []
        ahead = [(first, last) for first, last in missing if last >= self._low and first <= self._high]
        if ahead:
            self._low, self._high = max(self._low, ahead[0][0]), min(self._high, ahead[-1][1])
        else:
            self._done = True

    def take(self, answer: Json, now_us: int, out: list[Envelope]) -> None:
        """Maps what was missing of one answer; RecordError where it holds no rows."""
        rows = self._rows(answer)
        self._scope.message = answer
        self._scope.received_at = now_us
        keyed = self._keyed(rows)
        top = self.gap.to_us if self.gap.last is None else self.gap.last
        self._topped = self._topped or self.mapping.backfill.timed or (bool(keyed) and keyed[-1][0] >= top)
        for key, row in keyed:
            if self._wanted(key):
                self._map(key, row, out)
        self._move(keyed, len(rows))

    def _rows(self, answer: Json) -> list[Json]:
        each = self.mapping.backfill.each
        rows = answer if each is None else each(answer, self._scope)
        if type(rows) is not list:
            shown = exactjson.excerpt(answer, _SHOWN)
            detail = f"the answer has no rows: {shown}"
            raise RecordError("each", self.mapping.backfill.each_text, None, "missing-field", detail)
        if len(rows) > MOST_ROWS:
            detail = f"the answer has {len(rows)} rows, which are more than {MOST_ROWS}"
            raise RecordError("each", self.mapping.backfill.each_text, None, "frame-too-large", detail)
        return rows

    def _keyed(self, rows: list[Json]) -> list[tuple[int, Json]]:
        """The rows by number (or time), oldest first; RecordError where none has one."""
        number, failed = self.mapping.backfill.number, None
        read = self.mapping.backfill.time if self._by_time or number is None else number
        found: list[tuple[int, Json]] = []
        for row in rows:
            try:
                key = read(row, self._scope)
            except RecordError as error:
                failed = error
                continue
            if key is not None:
                found.append((key, row))
        if rows and not found:
            raise failed or RecordError("number", None, rows[0], "missing-field", "a row has no number")
        if len(found) > 1 and found[0][0] > found[-1][0]:
            found.reverse()
        return sorted(found, key=lambda one: one[0])

    def _wanted(self, key: int) -> bool:
        if key in self._dead and not self._by_time:
            return False
        if not self._counted:
            return self._low <= key <= self._high
        tracker = self.mapping.owner.gaps
        return tracker is not None and any(first <= key <= last for first, last in tracker.missing(self.gap))

    def _map(self, key: int, row: Json, out: list[Envelope]) -> None:
        """Maps one row; counts it in the ledger where it became a record, and tells the gap tracker its number."""
        before, gap, owner = len(out), self.gap, self.mapping.owner
        self._scope.symbol = self.symbol
        self.mapping.row(row, self._scope, out)
        if len(out) > before:
            if out[-1].schema is None:
                self._dead.add(key)
                return
            owner.ledger.account(gap.stream, gap.key).backfilled += 1
            gap.recovered += 1
        if self._counted and owner.gaps is not None and owner.gaps.recovered(gap, key):
            owner.closed.append(gap)

    # -- paging

    def _move(self, keyed: list[tuple[int, Json]], rows: int) -> None:
        """Where the next call begins; or the end, where the gap is covered or nothing new comes."""
        page = self.mapping.backfill.page
        if self._cut is not None and self._interval is not None and page is not None:
            self._next_window(self._cut, self._interval, page.by)
            return
        if self._by_time and self._interval is not None and page is not None and self.mapping.backfill.bounded:
            self._done = self._covered = True  # the venue was asked for these spans, and has no more of them
            return
        short = page is not None and rows < self._asked()
        if not keyed:
            self._done, self._covered = True, self._covered or (short and self._topped)
            return
        first, last = keyed[0], keyed[-1]
        step = 0 if self._by_time else 1
        if page is not None and page.by == "first":
            reached = last[0] >= self._high + (1 - step)
            self._covered = self._covered or reached or (short and last[0] >= self._high)
            onward = last[0] + step > self._low
            self._low, self._from_us = max(self._low, last[0] + step), self._time(last[1], self._from_us)
        else:
            reached = first[0] <= self._low + self._length - (1 - step) or short
            self._covered = self._covered or (reached and self._topped)
            self.passed = page is None and not reached
            onward = first[0] - step < self._high
            self._high, self._to_us = min(self._high, first[0] - step), self._time(first[1], self._to_us)
        self._done = reached or short or not onward or page is None

    def _next_window(self, asked: tuple[int, int], interval: Interval, by: str) -> None:
        """What is asked for next, where an answer could not hold all."""
        low, high = asked
        if by == "first":
            self._from_us = interval.end_us(high)
            self._low = self._from_us if self._by_time else max(self._low, high + 1)
        else:
            self._to_us = interval.end_us(low)
            self._high = self._to_us if self._by_time else min(self._high, low - 1)

    def _size(self) -> int:
        """Rows an answer holds at most; 0 where nothing is said."""
        page = self.mapping.backfill.page
        return 0 if page is None else page.size

    def _asked(self) -> int:
        size = self._size()
        return size if self._by_time else min(size, self._high - self._low + 1)

    def _time(self, row: Any, otherwise: int) -> int:
        try:
            found: int = self.mapping.backfill.time(row, self._scope)
        except RecordError:
            return otherwise
        return found

    def finish(self) -> None:
        """Says in the gap how it ended."""
        gap = self.gap
        if not self._counted and self.filled:
            gap.missing = 0
        if self._by_time and not gap.open:
            gap.count = gap.recovered
