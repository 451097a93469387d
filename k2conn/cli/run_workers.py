"""`k2conn run --workers`: the process that leads the others."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from k2conn import exactjson
from k2conn.cli.amendment_text import amended
from k2conn.cli.messages import complain, say, show
from k2conn.cli.reload import keep_asking
from k2conn.cli.run_options import RunOptions
from k2conn.cli.run_services import attended, crash_report
from k2conn.cli.tap_conditions import compiled_condition
from k2conn.engine.accounting.ledger import equation
from k2conn.errors import SettingsError
from k2conn.monitoring.tap.listening import Taps
from k2conn.runner import Job, RunOutcome
from k2conn.runner.secret_values import ReadVariables
from k2conn.runner.status import RunReport
from k2conn.runner.stopping import unless_stopped
from k2conn.settings import tap_token
from k2conn.settings.console import ConsoleSettings
from k2conn.sinks.settings import SinkSettings
from k2conn.workers.assignment import Assignment, assign
from k2conn.workers.handover import distribute_state, send_left_over
from k2conn.workers.listed_symbols import ListedSymbols
from k2conn.workers.worker_pool import WorkerPool, WorkersOutcome, exit_now, worker_command


def lead(
    options: RunOptions,
    jobs: Sequence[Job],
    read: Callable[[], Sequence[Job]],
    settings: SinkSettings,
    states: Path | None,
    limit: float | None,
    console: ConsoleSettings,
) -> int:
    """Runs the workers until told to stop, at most ``limit`` seconds; returns the exit code. ``read`` gives the jobs
    anew.
    """
    listed = ListedSymbols(jobs, ReadVariables(dict(os.environ)))
    asyncio.run(listed.read())
    jobs = listed.shared(jobs)
    assignments = assign(jobs, int(options.workers))
    if states is not None:
        distribute_state(states, jobs, assignments)
    before = partial(send_left_over, jobs, settings, assignments)
    outcome = asyncio.run(_lead(options, jobs, read, listed, assignments, limit, before, console))
    _report(outcome, options)
    return outcome.exit_code


async def _lead(
    options: RunOptions,
    jobs: Sequence[Job],
    read: Callable[[], Sequence[Job]],
    listed: ListedSymbols,
    assignments: Sequence[Assignment],
    limit: float | None,
    before: Callable[[asyncio.Event], Awaitable[None]],
    console: ConsoleSettings,
) -> WorkersOutcome:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    pool = WorkerPool(assignments, worker_command(), os.environ, lambda: listed.shared(read()))
    loop.add_signal_handler(signal.SIGINT, lambda: exit_now(pool) if stop.is_set() else stop.set())
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    files = [job.plan.path for job in jobs]
    reloading = partial(keep_asking, pool.reload, lambda: files, options.watch)
    taps = Taps(pool.tap, compiled_condition, tap_token(os.environ))
    async with attended(pool, options.host, int(options.port), reloading, stop, console, taps):
        await unless_stopped(before(stop), stop)
        if limit is not None:
            loop.call_later(limit, stop.set)
        return await listed.followed(pool.run, pool.reload, stop)


def _report(outcome: WorkersOutcome, options: RunOptions) -> None:
    """The final figures of all workers: a line for each connector, and the summary file."""
    _say_figures(outcome.report)
    if outcome.silent:
        workers = ", ".join(map(str, outcome.silent))
        complain(f"these figures lack what processes counted that died: worker {workers}")
    _sum_up(outcome.report, options, outcome.unsent, outcome.exit_code, workers=options.workers,
            without_books=list(outcome.silent))


def report_as_one(report: RunReport, options: RunOptions, outcome: RunOutcome | None) -> None:
    """The final figures of several runners of one process, as those of one."""
    _say_figures(report)
    if outcome is not None:
        _sum_up(report, options, outcome.unsent, outcome.exit_code)


def _say_figures(report: RunReport) -> None:
    for name, one in report["connectors"].items():
        say(
            f"{name}: {equation(one)}; frames {one['frames']}, reconnects {one['reconnects']}, "
            f"unrecognised {one['unrecognised']}",
            connector=name, **{key: value for key, value in one.items() if isinstance(value, int)},
        )
        if left_out := one.get("amendments"):
            say(f"{name}: {amended(left_out)}", connector=name)
        if text := crash_report(name, one["crashes"]):
            show(*text.split("\n"), error=True)


def _sum_up(report: RunReport, options: RunOptions, unsent: int, exit_code: int, **more: Any) -> None:
    if unsent:
        complain(f"{unsent} records could not be sent before the end", unsent=unsent)
    if options.summary is not None:
        whole = {**report, "unsent": unsent, "exit_code": exit_code, **more}
        try:
            options.summary.write_bytes(exactjson.encode(whole) + b"\n")
        except OSError as error:
            raise SettingsError(f"--summary {options.summary}: {error.strerror}") from None
