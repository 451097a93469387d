"""The parent of all workers: it runs no connector, it keeps the workers running.

How a worker's end is judged, unless all are stopping:

- it failed before it was ever ready (wrong settings, a broker that cannot be reached), or ended by a bug of ours in its
  sink or spool: all workers end, with its exit code, as a single process would. (A bug in one connector ends no
  process.);
- it was killed, or stopped by somebody else: a new process replaces it after a growing delay. The state file tells that
  one what was missed meanwhile;
- a later process of it cannot reach a dependency: it is tried again for as long as another worker is ready;
- it ended FAST_DEATHS times in a row without having lasted GOOD_LIFE seconds: all workers end.

When the parent dies, the workers end, too: they see their channel close.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from k2conn.child_python import child_command
from k2conn.ending_tasks import end_tasks
from k2conn.engine.resilience.backoff import BackoffDelays
from k2conn.errors import K2Error, SettingsError, SinkError, Unreachable
from k2conn.monitoring.board.document import Board, board_document
from k2conn.monitoring.board.figures import merge_figures
from k2conn.monitoring.board.query import BoardQuery
from k2conn.monitoring.console.examples import Examples, merge_examples
from k2conn.monitoring.process_status import (
    AnomalyReport,
    DriftReport,
    ProcessStatus,
    Silence,
    WorkerStatus,
    merge_anomalies,
    merge_drift,
    merge_processes,
    merge_silence,
)
from k2conn.monitoring.tap.listening import TapSource
from k2conn.monitoring.tap.query import TapFilter
from k2conn.plan import Backoff
from k2conn.runner import Job
from k2conn.runner.event_log import get_logger
from k2conn.runner.runner import FLUSH_WITHIN, RECEIVE_WITHIN, in_vain
from k2conn.runner.status import RunReport, merge_reports
from k2conn.workers.assignment import Assignment, reassign
from k2conn.workers.channel import BOARD, EXAMPLES
from k2conn.workers.merged_tap import MergedTap
from k2conn.workers.metrics_merge import merged, pool_metrics
from k2conn.workers.worker_handle import WorkerHandle

STOP_WITHIN = RECEIVE_WITHIN + FLUSH_WITHIN + 5.0
"""Seconds that workers have to end in order; then they are killed."""
GOOD_LIFE = 60.0
FAST_DEATHS = 5
AGAIN = Backoff(base=1.0, cap=60.0)
LEAST_DELAY = 0.25
UNREACHABLE, BUG, UNSENT = Unreachable.exit_code, K2Error.exit_code, 1
_WORST = (BUG, SettingsError.exit_code, 78, UNSENT, UNREACHABLE, 0)


@dataclass(frozen=True, slots=True)
class WorkersOutcome:
    """How the workers ended. ``report``: the figures of those that ended in order, as one; ``silent``: the workers
    whose figures are not complete, because a process of theirs died.
    """

    exit_code: int
    unsent: int
    report: RunReport
    silent: tuple[int, ...]


class WorkerPool:
    """Keeps a worker running for each assignment. ``command`` starts one, ``read`` gives all jobs as they are now."""

    def __init__(
        self,
        assignments: Sequence[Assignment],
        command: Sequence[str],
        environment: Mapping[str, str],
        read: Callable[[], Sequence[Job]],
    ) -> None:
        self.handles = tuple(
            WorkerHandle(index, len(assignments), assignment, command, self._log_ready)
            for index, assignment in enumerate(assignments)
        )
        self._environment = environment
        self._read = read
        self._stopping = asyncio.Event()
        self._verdict: int | None = None
        """The exit code, where a worker's end has ended all."""
        self._reloading = asyncio.Lock()
        self._log = get_logger()

    async def run(self, stop: asyncio.Event) -> WorkersOutcome:
        """Keeps the workers running until told to stop, or until the end of one ends all."""
        keeping = [asyncio.create_task(self._keep(handle)) for handle in self.handles]
        stopping = asyncio.create_task(stop.wait())
        ending = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({*keeping, stopping, ending}, return_when=asyncio.FIRST_COMPLETED)
            codes = await self._stop(keeping)
        finally:
            await end_tasks(*keeping, stopping, ending)  # kills what is left
        return self._outcome(codes)

    def kill(self) -> None:
        """Ends all workers at once."""
        for handle in self.handles:
            handle.kill()

    async def _stop(self, keeping: Sequence[asyncio.Task[int]]) -> list[int]:
        """Ends the workers in order; their exit codes."""
        self._stopping.set()
        self._log.info("stopping")
        for handle in self.handles:
            handle.stop()
        _, late = await asyncio.wait(keeping, timeout=STOP_WITHIN)
        if late:
            self._log.error("workers did not end in time", within=STOP_WITHIN, workers=len(late))
            self.kill()
            await asyncio.wait(late)
        return [task.result() for task in keeping]

    def _outcome(self, codes: Sequence[int]) -> WorkersOutcome:
        said = [handle.report for handle in self.handles if handle.report is not None]
        worst = next(code for code in _WORST if code in codes)
        report = merge_reports([one["report"] for one in said])
        if worst == 0 and in_vain(report["connectors"].values(), report["seconds"]):
            self._log.error("no connection ever stood")
            worst = UNREACHABLE
        return WorkersOutcome(
            exit_code=worst if self._verdict is None else self._verdict,
            unsent=sum(one["unsent"] or 0 for one in said),
            report=report,
            silent=tuple(one.index for one in self.handles if one.report is None or one.restarts),
        )

    # -- one worker

    async def _keep(self, handle: WorkerHandle) -> int:
        """Keeps one worker running until all stop; the exit code that its last process stands for."""
        delays, fast = BackoffDelays(AGAIN, random.random), 0
        while True:
            code, lasted = await self._run_once(handle)
            if self._stopping.is_set():
                return _ordered(code)
            good = lasted >= GOOD_LIFE
            if good:
                delays.reset()
            fast = 0 if good else fast + (code != UNREACHABLE)
            end = self._judge(handle, code, fast)
            if end is not None:
                self._log.error("worker ended, so all end", worker=handle.index, **_described(code))
                self._verdict = self._verdict if self._verdict is not None else end
                self._stopping.set()
                return _ordered(code)
            delay = delays.next(LEAST_DELAY)
            self._log.error("worker ended", worker=handle.index, again_in=f"{delay:.1f} s", **_described(code))
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._stopping.wait()
            if self._stopping.is_set():
                return 0
            handle.restarts += 1

    async def _run_once(self, handle: WorkerHandle) -> tuple[int, float]:
        """One process of a worker, from its start to its end. Where the system starts none, that counts as a dependency
        that cannot be reached.
        """
        try:
            return await handle.run_process(self._environment)
        except OSError as error:
            self._log.error("worker cannot be started", worker=handle.index, detail=str(error))
            return UNREACHABLE, 0.0

    def _judge(self, handle: WorkerHandle, code: int, fast: int) -> int | None:
        """The exit code with which all end because one worker did; None where a new process replaces it."""
        if code == BUG or (code > UNSENT and not handle.ever_up):
            return code
        if code == UNREACHABLE and not any(one.up for one in self.handles):
            return code
        if fast >= FAST_DEATHS:
            return code if code > UNSENT else SinkError.exit_code
        return None

    def _log_ready(self) -> None:
        up = sum(handle.up for handle in self.handles)
        self._log.info("workers at work", workers=up, of=len(self.handles))

    # -- reload

    async def reload(self) -> bool:
        """Makes the workers run what the files say now; one reload at a time. Whether the new symbols were assigned;
        each worker logs whether it could change to them.
        """
        async with self._reloading:
            try:
                jobs = await asyncio.to_thread(self._read)
                assignments = reassign(jobs, [handle.assignment for handle in self.handles])
            except K2Error as error:
                self._log.error("reload refused, the old plan goes on", problems=str(error).splitlines())
                return False
            known = {name for assignment in assignments for name in assignment.symbols}
            before = {name for handle in self.handles for name in handle.assignment.symbols}
            for name in sorted((known ^ before) | ({job.plan.name for job in jobs} - before)):
                self._log.warning("a connector that comes or goes needs a restart", connector=name)
            for handle, assignment in zip(self.handles, assignments, strict=True):
                handle.assign(assignment)
            return True

    # -- status

    async def health(self) -> ProcessStatus:
        """All workers' health as one."""
        answers = await self._ask("health")
        workers: list[WorkerStatus] = [
            {"worker": one.index, "up": one.up, "pid": one.pid, "restarts": one.restarts,
             "symbols": {name: len(symbols) for name, symbols in one.assignment.symbols.items()}}
            for one in self.handles
        ]
        return merge_processes({index: one and one["health"] for index, one in answers.items()}, workers)

    async def silence(self) -> Silence:
        """Silent symbols by stream and cause."""
        answers = (await self._ask("health")).values()
        return merge_silence([one["silence"] for one in answers if one])

    async def drift(self) -> DriftReport:
        """Changes of venues' messages, by connector."""
        answers = (await self._ask("health")).values()
        return merge_drift([one["drift"] for one in answers if one])

    async def anomalies(self) -> AnomalyReport:
        """The latest odd records, by connector."""
        answers = (await self._ask("health")).values()
        return merge_anomalies([one["anomalies"] for one in answers if one])
    async def board(self, query: BoardQuery) -> Board:
        """What an operator looks at, of all workers that answer."""
        answers = (await self._ask(f"{BOARD}?{query.encoded()}")).values()
        return board_document(await self.health(), merge_figures([one for one in answers if one], query), query)

    def tap(self, wanted: TapFilter) -> TapSource:
        """What passes in all workers, for one listener."""
        return MergedTap(wanted, self.handles)

    async def examples(self, connector: str) -> Examples:
        """Dead letters and gaps of a connector, and which way its data takes, of all workers that answer."""
        return merge_examples([one for one in (await self._ask(f"{EXAMPLES}?{connector}")).values() if one])

    async def metrics(self) -> bytes:
        """The metrics of all workers that answer, and the parent's own."""
        texts = {index: text for index, text in (await self._ask("metrics")).items() if text is not None}
        own = pool_metrics((one.index, one.up, one.restarts) for one in self.handles)
        return (own + merged(texts)).encode()

    async def _ask(self, what: str) -> dict[int, Any]:
        answers = await asyncio.gather(*(handle.ask(what) for handle in self.handles))
        return dict(enumerate(answers))


def worker_command() -> list[str]:
    """The command that started this process; the variable in its environment makes a worker of the new one."""
    return child_command(sys.orig_argv[1:])


def _ordered(code: int) -> int:
    """A worker's exit code once all are stopping. One that was not yet ready is ended by SIGTERM itself."""
    if code == -signal.SIGTERM:
        return 0
    return code if code in _WORST else UNSENT


def _described(code: int) -> dict[str, Any]:
    if code >= 0:
        return {"exit_code": code}
    with suppress(ValueError):
        return {"signal": signal.Signals(-code).name}
    return {"signal": -code}


def exit_now(pool: WorkerPool) -> None:
    """The second interrupt: everything ends at once."""
    pool.kill()
    os._exit(130)
