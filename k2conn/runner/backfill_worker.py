"""The worker that fills gaps: one a connector, a call at a time, never in the way of a socket.

What is asked for and what becomes of an answer is the matter of `k2conn.engine.backfill.backfill_job`; here are the
queue, the venue's rate limit, and patience: a call that fails is made again after a growing delay (after a 429 no
earlier than the venue says), and an answer that does not hold all yet is asked for again a little later. Every gap
ends, and how it ended is said: a record and a log line.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from k2conn.engine.backfill.backfill_job import BackfillJob
from k2conn.engine.backfill.gap_registry import GapRegistry
from k2conn.engine.gaps.gap_tracker import Gap
from k2conn.engine.resilience.backoff import BackoffDelays
from k2conn.engine.resilience.connect_limiter import ConnectLimiter
from k2conn.envelope import Envelope
from k2conn.errors import K2Error, MissingVariable, RecordError, SettingsError, TransportError
from k2conn.plan import Backoff, HttpRequest, MissingRange, SendScope, Symbol
from k2conn.runner.event_log import get_logger
from k2conn.transports.http import Call, call

QUEUE = 1000
"""Gaps that may wait; one more is given up at once, and said."""
_PASSING = ("http-408", "http-418", "http-425", "http-429")
"""Refusals that are not for ever; all others below 500 are."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a gap is worth trying. ``tries``: calls in a row that may fail; ``rounds``: how often what is missing is
    asked for, ``lag`` seconds apart (the venue's history may come late).
    """

    tries: int = 5
    rounds: int = 3
    lag: float = 5.0
    backoff: Backoff = field(default_factory=lambda: Backoff(base=1.0, cap=60.0))


PATIENCE = RetryPolicy()


class BackfillWorker:
    """Fills the gaps of one connector."""

    def __init__(
        self,
        gaps: GapRegistry,
        publish: Callable[[list[Envelope]], bool],
        relief: Callable[[], Awaitable[None]],
        prepare: Callable[[HttpRequest, SendScope], Call],
        environment: Mapping[str, str],
        patience: RetryPolicy | None = None,
    ) -> None:
        """``publish`` hands envelopes on; where it says so, ``relief`` is waited for."""
        self._gaps = gaps
        self._publish = publish
        self._relief = relief
        self._prepare = prepare
        self._environment = environment
        self._patience = patience or PATIENCE
        self._waiting: deque[Gap] = deque()
        self._now: BackfillJob | None = None
        self._wake = asyncio.Event()
        self._gates = {id(one): ConnectLimiter(one.backfill.limit) for rows in gaps.rows.values() for one in rows}
        self._log = get_logger(connector=gaps.plan.name)

    def check(self) -> None:
        """Leaves out the streams whose calls cannot be made, and says why."""
        symbol = Symbol("-", "-", "-", "-")
        for name, rows in tuple(self._gaps.rows.items()):
            try:
                for one in rows:
                    self._prepare(one.backfill.request, self._scope(MissingRange(1, 1, 1, 1, 1), symbol))
            except MissingVariable as error:
                self._gaps.leave(name)
                self._log.warning("gaps are reported only", stream=name, detail=f"{error.name} is not set")

    def take(self) -> None:
        """Takes in the gaps that have been found; never waits."""
        found, self._gaps.to_fill = self._gaps.to_fill, []
        self._queue(found)

    def _queue(self, found: Iterable[Gap]) -> None:
        for gap in found:
            if len(self._waiting) < QUEUE:
                self._waiting.append(gap)
            else:
                self._end(gap, "too many gaps wait")
        if self._waiting:
            self._wake.set()

    def follow(self, before: BackfillWorker) -> None:
        """Counts the calls of the worker that this one replaces, and is beside for a while, in the venue's limits."""
        for name in self._gaps.rows.keys() & before._gaps.rows.keys():
            for rows, others in zip(self._gaps.rows[name], before._gaps.rows[name], strict=False):
                self._gates[id(rows)].follow(before._gates[id(others)])

    def hand_over(self, successor: BackfillWorker) -> None:
        """Leaves what is not filled to another worker, as far as that knows the same holes; after `run` was cancelled.
        A gap that was under way comes first, and is asked for anew as far as it is still missing.
        """
        left: list[Gap] = []
        if self._now is not None and successor._knows(self._now.gap, self._gaps):
            left.append(self._now.gap)
            self._now = None
        kept: deque[Gap] = deque()
        for gap in self._waiting:
            (left if successor._knows(gap, self._gaps) else kept).append(gap)
        self._waiting = kept
        if left:
            self._log.info("gaps handed over", count=len(left))
        successor._queue(left)

    def _knows(self, gap: Gap, others: GapRegistry) -> bool:
        """Whether a gap of other books is one of these, too, and is filled here."""
        own, other = self._gaps.mappings.get(gap.stream), others.mappings[gap.stream]
        if own is None or gap.stream not in self._gaps.rows:
            return False
        return own.suspected_gaps is other.suspected_gaps if gap.first is None else own.gaps is other.gaps

    @property
    def waiting(self) -> int:
        """Gaps that are not filled yet."""
        return len(self._waiting) + (self._now is not None)

    async def run(self) -> None:
        """Fills gap after gap until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._fill(self._waiting.popleft())

    def stop(self) -> None:
        """Says of what is left that it stays open; after `run` was cancelled."""
        if self._now is not None:
            self._now.finish()
            self._end(self._now.gap, "stopped before")
            self._now = None
        while self._waiting:
            self._end(self._waiting.popleft(), "stopped before")

    # -- one gap

    async def _fill(self, gap: Gap) -> None:
        self._now = filling = self._gaps.filling(gap)
        if filling is None:
            self._end(gap, "no call is for this symbol")
            return
        detail = ""
        try:
            for number in range(self._patience.rounds):
                if number:
                    await asyncio.sleep(self._patience.lag)
                    filling.again()
                await self._round(filling)
                if filling.filled or filling.passed:
                    break
        except K2Error as error:
            detail = str(error)
        filling.finish()
        self._now = None
        self._end(gap, detail or f"not in the exchange's answers ({filling.calls} calls)")

    def _end(self, gap: Gap, detail: str) -> None:
        """Publishes and logs how a gap ended."""
        self._publish(self._gaps.ended(gap, _wall()))
        words = {"stream": gap.stream, "symbol": gap.key, "cause": gap.cause, "recovered": gap.recovered}
        if gap.open:
            self._log.warning("gap not filled", missing=gap.missing, detail=detail, **words)
        elif gap.recovered:
            self._log.info("gap filled", **words)

    async def _round(self, filling: BackfillJob) -> None:
        """Asks until there is nothing more to ask; raises what the calls failed of in the end."""
        delays = BackoffDelays(self._patience.backoff, random.random)
        while (hole := filling.ask()) is not None:
            while True:
                try:
                    await self._call(filling, hole)
                    delays.reset()
                    break
                except (TransportError, RecordError) as error:
                    if delays.attempts + 1 >= self._patience.tries or _final(error):
                        raise
                    least = error.delay if isinstance(error, TransportError) else 0.0
                    self._log.debug("backfill call failed", stream=filling.gap.stream, detail=str(error))
                    await asyncio.sleep(delays.next(least))

    async def _call(self, filling: BackfillJob, hole: MissingRange) -> None:
        """One call, and what comes of it."""
        await asyncio.sleep(self._gates[id(filling.rows)].wait(time.monotonic()))
        scope = self._scope(hole, filling.symbol)
        answer = await call(self._prepare(filling.rows.backfill.request, scope))
        found: list[Envelope] = []
        try:
            filling.take(answer, _wall(), found)
        finally:
            crowded = self._publish(found) if found else False
        if crowded:
            await self._relief()

    def _scope(self, hole: MissingRange, symbol: Symbol) -> SendScope:
        return SendScope(lambda: 0, lambda: str(uuid.uuid4()), _wall(), {}, self._environment, (symbol,), missing=hole)


def _final(error: K2Error) -> bool:
    """Whether the venue will say no to the same call again."""
    if isinstance(error, SettingsError):
        return True
    return isinstance(error, TransportError) and error.cause.startswith("http-4") and error.cause not in _PASSING


def _wall() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000
