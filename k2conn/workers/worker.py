"""The worker's side: a runner for its share, and answers to the parent's questions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from k2conn.ending_tasks import end_tasks
from k2conn.errors import Unreachable
from k2conn.monitoring.board.query import asked_board
from k2conn.monitoring.board.watching import BoardWatch
from k2conn.monitoring.console.examples import examples_of
from k2conn.monitoring.metrics import exposition
from k2conn.monitoring.process_status import anomaly_report, drift_report, process_status, silent_symbols
from k2conn.monitoring.tap.query import Compile
from k2conn.observe import Observers
from k2conn.runner import Job, Runner, RunOutcome
from k2conn.runner.event_log import get_logger
from k2conn.runner.health_limits import HealthLimits
from k2conn.runner.progress import ProgressLine, ProgressSettings
from k2conn.runner.reload import Reloader
from k2conn.sinks.settings import MiB, SinkSettings
from k2conn.workers.assignment import Assignment
from k2conn.workers.channel import BOARD, EXAMPLES, TAP, Channel, WorkerIdentity
from k2conn.workers.handover import worker_folder
from k2conn.workers.worker_taps import WorkerTaps


class Worker:
    """One worker process. ``read`` gives all jobs, as the files and the environment say them now; it may block;
    ``compile_condition`` makes the conditions of listeners.
    """

    def __init__(
        self, identity: WorkerIdentity, read: Callable[[], Sequence[Job]], compile_condition: Compile,
        settings: SinkSettings, state_folder: Path | None, limits: HealthLimits | None = None,
        observers: Observers | None = None, progress: ProgressSettings | None = None,
    ) -> None:
        self._observers = observers
        self._progress = progress or ProgressSettings()
        self._identity = identity
        self._read = read
        self._compile = compile_condition
        self._settings = _own(settings, identity)
        self._state_folder = worker_folder(state_folder, identity.index) if state_folder is not None else None
        self._limits = limits
        self._assignment = Assignment({}, {})
        self._log = get_logger()

    async def run(self, stop: asyncio.Event) -> RunOutcome:
        """Runs until told to stop, or until the parent is gone; the final figures go to the parent."""
        channel = await self._identity.channel()
        first = await channel.receive()
        if first is None:
            raise Unreachable("the process that started this worker is gone")
        self._assignment = Assignment.of(first["share"])
        jobs = await asyncio.to_thread(self._jobs)
        runner = Runner(
            jobs, self._settings, state_folder=self._state_folder, limits=self._limits, observers=self._observers
        )
        tasks = [
            asyncio.create_task(self._listen(channel, runner, stop)),
            asyncio.create_task(_say_begun(channel, runner)),
            asyncio.create_task(ProgressLine(runner, self._progress).keep()),
        ]
        for task in tasks:
            task.add_done_callback(lambda done: stop.set() if _broken(done) else None)
        unsent: int | None = None
        try:
            outcome = await runner.run(stop)
            unsent = outcome.unsent
        finally:
            channel.send({"report": runner.report(), "unsent": unsent})
            ended = await end_tasks(*tasks)
            await channel.close()
            for one in ended:
                if isinstance(one, Exception):
                    raise one
        return outcome

    def _jobs(self) -> list[Job]:
        return self._assignment.jobs(self._read())

    async def _listen(self, channel: Channel, runner: Runner, stop: asyncio.Event) -> None:
        """Does what the parent asks; a reload does not hold up the answers."""
        reloader, board = Reloader(runner, self._jobs), BoardWatch(runner)
        taps = WorkerTaps(self._identity.index, channel, runner.observers, self._compile, runner.captured)
        try:
            async with asyncio.TaskGroup() as group:
                while (message := await channel.receive()) is not None:
                    if "share" in message:
                        self._assignment = Assignment.of(message["share"])
                        group.create_task(reloader.reload())
                    elif TAP in message:
                        taps.take(message)
                    else:
                        channel.send({"number": message["number"], "answer": _answer(message["ask"], runner, board)})
                self._log.warning("the process that started this worker is gone")
                stop.set()
        finally:
            await taps.close()


def _answer(asked: str, runner: Runner, board: BoardWatch) -> Any:
    what, _, query = asked.partition("?")
    if what == BOARD:
        return board.figures(asked_board(query))
    if what == EXAMPLES:
        return examples_of(runner, query)
    if asked == "metrics":
        return exposition(runner).decode()
    return {"health": process_status(runner), "silence": silent_symbols(runner), "drift": drift_report(runner),
            "anomalies": anomaly_report(runner)}


async def _say_begun(channel: Channel, runner: Runner) -> None:
    await runner.opened.wait()
    channel.send({"up": True})


def _broken(task: asyncio.Task[None]) -> bool:
    return not task.cancelled() and task.exception() is not None


def _own(settings: SinkSettings, identity: WorkerIdentity) -> SinkSettings:
    """The worker's own spool: a folder of its own below the one that is said, and its part of the bound."""
    spool = settings.spool
    bound = max(MiB, spool.max_bytes // identity.workers)
    return replace(settings, spool=replace(spool, folder=worker_folder(spool.folder, identity.index), max_bytes=bound))
