"""The worker that fills gaps: one a connector, one call at a time, beside the connections and never in their way.

What a call asks for and how its answer is read is decided by `k2conn.engine.backfill.backfill_job`; here the calls are
made, within the venue's rate limit. One that fails is made again after a growing delay (after a 429 no earlier than the
venue says), and where an answer does not hold all that is missing, the rest is asked for again a little later, because
a venue's history may be behind its stream. Every gap ends with a record and a log line that say how.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from k2conn.clock import monotonic, wall_us
from k2conn.engine.backfill.backfill_job import BackfillJob
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.gaps.gap import Gap
from k2conn.engine.resilience.backoff import BackoffDelays
from k2conn.envelope import Envelope
from k2conn.errors import K2Error, MissingVariable, RecordError, SettingsError, TransportError
from k2conn.net.destinations import CAUSE as FORBIDDEN_HOST
from k2conn.net.http import Call, call
from k2conn.plan import Backoff, HttpRequest, MissingRange, SendScope, Symbol
from k2conn.runner.event_log import get_logger

_TEMPORARY = ("http-408", "http-418", "http-425", "http-429")
"""Refusals that may be otherwise later; all others below 500 are final."""
_ANY = Symbol("-", "-", "-", "-")
"""Stands for a symbol where only settings are looked at."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a gap is worth trying. ``tries``: calls in a row that may fail; ``rounds``: how often what is missing is
    asked for, ``lag`` seconds apart (the venue's history may come late).
    """

    tries: int = 5
    rounds: int = 3
    lag: float = 5.0
    backoff: Backoff = field(default_factory=lambda: Backoff(base=1.0, cap=60.0))


RETRY_POLICY = RetryPolicy()


class BackfillWorker:
    """Fills the gaps of one connector."""

    def __init__(
        self,
        connector_state: ConnectorState,
        publish: Callable[[list[Envelope]], bool],
        relief: Callable[[], Awaitable[None]],
        prepare: Callable[[HttpRequest, SendScope], Call],
        environment: Mapping[str, str],
        policy: RetryPolicy | None = None,
    ) -> None:
        """``publish`` hands envelopes on; where it says so, ``relief`` is waited for. ``prepare`` fills a call in."""
        self._ledger = connector_state.ledger
        self._gaps = connector_state.gaps
        self._pending = connector_state.pending_backfills
        self._publish = publish
        self._relief = relief
        self._prepare = prepare
        self._environment = environment
        self._policy = policy or RETRY_POLICY
        self._job: BackfillJob | None = None
        """Of the first pending gap, while it is filled."""
        self._wake = asyncio.Event()
        self._closed = asyncio.Event()
        """The gap that is filled was closed by other means: late records, or an audit."""
        self._log = get_logger(connector=connector_state.plan.name)

    def check_settings(self) -> None:
        """Raises SettingsError, by a variable's name, where a call cannot be made because of how it is set."""
        for mappings in self._gaps.backfills.values():
            for one in mappings:
                with suppress(MissingVariable, RecordError, TransportError):  # said later, or only the venue knows
                    self._prepare(one.backfill.request, self._scope(MissingRange(1, 1, 1, 1, 1), _ANY))

    def check(self) -> None:
        """Leaves out the streams whose calls cannot be made, and says why."""
        for name, mappings in tuple(self._gaps.backfills.items()):
            try:
                for one in mappings:
                    self._prepare(one.backfill.request, self._scope(MissingRange(1, 1, 1, 1, 1), _ANY))
            except MissingVariable as error:
                self._gaps.report_only(name)
                self._log.warning("gaps are reported only", stream=name, detail=f"{error.name} is not set")

    def collect(self) -> None:
        """Takes in the gaps that have been found; never waits."""
        for gap in self._pending.collect():
            self._report(gap, "too many gaps wait")
        if self._pending.first is not None:
            self._wake.set()
        if self._job is not None and not self._job.gap.open:
            self._closed.set()

    @property
    def waiting(self) -> int:
        """Gaps that are not filled yet."""
        return len(self._pending)

    async def run(self) -> None:
        """Fills gap after gap until cancelled."""
        while True:
            while (gap := self._pending.first) is not None:
                await self._fill(gap)
            await self._wake.wait()
            self._wake.clear()

    def stop(self) -> None:
        """Reports that what is still pending stays open; after `run` was cancelled."""
        if self._job is not None and self._job.gap is self._pending.first:
            self._job.finish()
        while self._pending.first is not None:
            self._end_first("stopped before")

    # -- one gap

    async def _fill(self, gap: Gap) -> None:
        """Fills the first pending gap, as far as it goes."""
        job = self._job = self._gaps.job(gap)
        if job is None:
            self._end_first("no call is for this symbol")
            return
        detail = ""
        try:
            for number in range(self._policy.rounds):
                if number:
                    await self._pause()
                    job.again()
                await self._round(job)
                if job.filled or job.passed:
                    break
        except K2Error as error:
            detail = str(error)
        except Exception:  # a bug, which ends the connector: the next one is not to meet it with the same gap
            self._job = None
            self._end_first("k2conn met a bug while it was filled")
            raise
        job.finish()
        self._job = None
        self._end_first(detail or f"not in the exchange's answers ({job.calls} calls)")

    async def _pause(self) -> None:
        """The policy's ``lag``, or less: a gap that is closed meanwhile does not hold up those behind it."""
        self._closed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._policy.lag):
                await self._closed.wait()

    def _end_first(self, detail: str) -> None:
        self._report(self._pending.end_first(), detail)

    def _report(self, gap: Gap, detail: str) -> None:
        """Publishes and logs how a gap ended; ``detail``: why it is not filled, where it is not."""
        self._publish(self._gaps.ended(gap, wall_us()))
        words = {"stream": gap.stream, "symbol": gap.key, "cause": gap.cause, "recovered": gap.recovered}
        if gap.open:
            self._gaps.ledger.unfilled[gap.stream] += 1
            self._log.warning("gap not filled", missing=gap.missing, detail=detail, **words)
        elif gap.recovered:
            self._log.info("gap filled", **words)

    async def _round(self, job: BackfillJob) -> None:
        """Makes calls until there is nothing more to ask for; raises the error of a call that failed for good."""
        delays = BackoffDelays(self._policy.backoff, random.random)
        while (hole := job.ask()) is not None:
            while True:
                try:
                    await self._call(job, hole)
                    delays.reset()
                    break
                except (TransportError, RecordError) as error:
                    self._ledger.failed_calls += 1
                    if delays.attempts + 1 >= self._policy.tries or _final(error):
                        raise
                    least = error.delay if isinstance(error, TransportError) else 0.0
                    self._log.debug("backfill call failed", stream=job.gap.stream, detail=str(error))
                    await asyncio.sleep(delays.next(least))

    async def _call(self, job: BackfillJob, hole: MissingRange) -> None:
        """One call, and the records of its answer."""
        await asyncio.sleep(self._pending.limiter(job.mapping).wait(monotonic()))
        scope = self._scope(hole, job.symbol)
        answer = await call(self._prepare(job.mapping.backfill.request, scope))
        found: list[Envelope] = []
        try:
            job.take(answer, wall_us(), found)
        finally:
            crowded = self._publish(found) if found else False
        if crowded:
            await self._relief()

    def _scope(self, hole: MissingRange, symbol: Symbol) -> SendScope:
        return SendScope(
            lambda: 0, lambda: str(uuid.uuid4()), wall_us(), {}, self._environment, (symbol,), missing=hole
        )


def _final(error: K2Error) -> bool:
    """Whether the venue will say no to the same call again."""
    if isinstance(error, SettingsError) or getattr(error, "cause", "") == FORBIDDEN_HOST:
        return True
    return isinstance(error, TransportError) and error.cause.startswith("http-4") and error.cause not in _TEMPORARY
