"""`k2conn run`: connectors into a sink, for months."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from k2conn import exactjson, native
from k2conn.cli.amendment_text import amended
from k2conn.cli.board.beside import board_while, with_board
from k2conn.cli.board.sources import LocalBoard
from k2conn.cli.event_loop import on_event_loop, stop_on_signals
from k2conn.cli.messages import complain, say, show
from k2conn.cli.recording_run import recorded
from k2conn.cli.reload import keep_asking, keep_reloading, read_again
from k2conn.cli.run_options import RunOptions
from k2conn.cli.run_services import attended, crash_report
from k2conn.cli.run_workers import lead, report_as_one
from k2conn.cli.slots_view import SlotsView
from k2conn.cli.start_line import say_start
from k2conn.cli.startup import Prepared, check_log, jobs_for, prepared, progress_of, sink_settings_of
from k2conn.cli.tap_conditions import compiled_condition
from k2conn.engine.resilience.shared_limits import SharedLimits
from k2conn.errors import SettingsError
from k2conn.group.one_runner import OneRunner
from k2conn.group.runner_per_slot import RunnerPerSlot
from k2conn.group.settings import GroupSettings
from k2conn.group.sharing import GroupSharing
from k2conn.monitoring.health import RunnerView, View
from k2conn.monitoring.tap.listening import Taps
from k2conn.monitoring.tap.passing import Tap
from k2conn.observe import Observers, SessionPlace
from k2conn.runner import Job, Runner, RunOutcome
from k2conn.runner.event_log import get_logger
from k2conn.runner.progress import ProgressLine, ProgressOf
from k2conn.runner.secret_values import ReadVariables
from k2conn.runner.stopping import unless_stopped
from k2conn.settings import health_limits, state_folder, tap_token
from k2conn.workers.channel import WorkerIdentity
from k2conn.workers.handover import distribute_state, send_left_over
from k2conn.workers.listed_symbols import ListedSymbols
from k2conn.workers.worker import Worker


def run(options: RunOptions) -> int:
    """Runs until told to stop; returns the exit code."""
    if options.source is not None:
        from k2conn.cli.consume import consume

        return consume(options)
    environment = os.environ
    identity = WorkerIdentity.from_environment(environment)
    if identity is not None:
        return _work(options, environment, identity)
    start = prepared(options, environment)
    jobs, settings, states = start.jobs, start.settings, start.states
    _say_what_is_missing()
    say_start(jobs, settings, states, start.workers)
    options = replace(options, port=start.port, workers=start.workers)
    if start.group is not None:
        return _share(options, start, start.group)
    if start.workers > 1:
        read = partial(read_again, partial(jobs_for, options, environment))
        return lead(options, jobs, read, settings, states, start.limit, start.console)
    if states is not None:
        distribute_state(states, jobs, None)
    with recorded(options, environment) as observers:
        runner = Runner(
            jobs, settings, max_records=options.max_records, state_folder=states, limits=start.limits,
            observers=observers,
        )
        ended = None
        try:
            reloading = partial(keep_reloading, runner, partial(jobs_for, options, environment), options.watch)
            before = partial(send_left_over, jobs, settings, None)
            served = _served(runner)
            ended = on_event_loop(partial(_run, served, options, start, before, runner.run, reloading))
        finally:  # the figures are printed, whatever ended the run
            _report(runner, options, ended)
    return ended.exit_code


def _work(options: RunOptions, environment: Mapping[str, str], identity: WorkerIdentity) -> int:
    """A worker process. Its parent has checked the settings."""
    check_log(options, environment, worker=identity.index)
    settings, states = sink_settings_of(options, environment), state_folder(environment)
    read = partial(read_again, partial(jobs_for, options, environment, warn=False))
    with recorded(options, environment, identity) as observers:
        limits, progress = health_limits(environment), progress_of(options, environment)
        worker = Worker(identity, read, compiled_condition, settings, states, limits, observers, progress)
        outcome = on_event_loop(partial(_until_stopped, worker))
    return replace(outcome, in_vain=False).exit_code  # whether all was in vain, the leading process knows


def _share(options: RunOptions, start: Prepared, settings: GroupSettings) -> int:
    """A member of a group, until told to stop."""
    listed = ListedSymbols(start.jobs, ReadVariables(dict(os.environ)))
    asyncio.run(listed.read())
    start = replace(start, jobs=listed.named(start.jobs))
    jobs, read_jobs = start.jobs, partial(read_again, partial(jobs_for, options, os.environ, warn=False))

    def read() -> Sequence[Job]:
        return listed.named(read_jobs())

    if settings.state:
        return _share_by_slot(options, start, settings, read, listed)
    if start.states is not None:
        distribute_state(start.states, jobs, None)
    with recorded(options, os.environ) as observers:
        runner = Runner(
            (), start.settings, max_records=options.max_records, state_folder=start.states, limits=start.limits,
            observers=observers, standing=True,
        )
        sharing = GroupSharing(settings, jobs, read, partial(OneRunner, runner))
        runner.group = sharing.status
        ended = None
        try:
            files = [job.plan.path for job in jobs]
            reloading = partial(keep_asking, sharing.reload, lambda: files, options.watch)
            before = partial(send_left_over, jobs, start.settings, None)
            served = _served(runner)
            work = partial(listed.followed, sharing.run, sharing.reload)
            ended = on_event_loop(partial(_run, served, options, start, before, work, reloading))
        finally:
            _report(runner, options, ended)
    return ended.exit_code


def _share_by_slot(
    options: RunOptions, start: Prepared, settings: GroupSettings, read: Callable[[], Sequence[Job]],
    listed: ListedSymbols,
) -> int:
    """The same for a member whose slots have a runner each."""
    with recorded(options, os.environ) as observers:

        def made(slot: int, jobs: Sequence[Job], turn: asyncio.Event, limits: SharedLimits) -> Runner:
            sink = settings.of_slot(start.settings, slot)
            return Runner(jobs, sink, limits=start.limits, observers=observers, turn=turn, shared_limits=limits,
                          standing=True)

        works: list[RunnerPerSlot] = []

        def make(failed: Callable[[Exception], None], changed: Callable[[], None]) -> RunnerPerSlot:
            works.append(RunnerPerSlot(made, settings.session, failed, changed))
            return works[0]

        sharing = GroupSharing(settings, start.jobs, read, make)
        slots, ended = works[0], None
        view = SlotsView(slots, sharing.status, observers)
        try:
            files = [job.plan.path for job in start.jobs]
            reloading = partial(keep_asking, sharing.reload, lambda: files, options.watch)
            served = _Served(view, observers, view.captured, slots.opened, view)
            work = partial(listed.followed, sharing.run, sharing.reload)
            ended = on_event_loop(partial(_run, served, options, start, _nothing, work, reloading))
        finally:
            report_as_one(slots.report, options, ended)
    return ended.exit_code


async def _nothing(stop: asyncio.Event) -> None:
    """What goes before a run that has nothing to do before."""


def _say_what_is_missing() -> None:
    if native.Mapper is None:
        get_logger().warning("k2conn goes without its part in C, at several times the CPU", hint="install it again "
                          "where there is a C compiler, and unset K2CONN_PURE_PYTHON")


async def _until_stopped(worker: Worker) -> RunOutcome:
    """One worker process, until its parent or a signal stops it."""
    stop = asyncio.Event()
    stop_on_signals(asyncio.get_running_loop(), stop)
    return await worker.run(stop)


class _Served(NamedTuple):
    """What is shown of a run while it lasts."""

    view: View
    observers: Observers
    captured: Callable[[SessionPlace], Mapping[str, Any]]
    opened: asyncio.Event
    progress: ProgressOf


def _served(runner: Runner) -> _Served:
    return _Served(RunnerView(runner), runner.observers, runner.captured, runner.opened, runner)


async def _run(
    served: _Served, options: RunOptions, start: Prepared,
    before: Callable[[asyncio.Event], Awaitable[None]], work: Callable[[asyncio.Event], Awaitable[RunOutcome]],
    reloading: Callable[[], Coroutine[Any, Any, None]],
) -> RunOutcome:
    """``work``: what is run."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    stop_on_signals(loop, stop)
    await unless_stopped(before(stop), stop)
    taps = Taps(
        lambda wanted: Tap(wanted, served.observers, served.captured), compiled_condition, tap_token(os.environ)
    )
    view = served.view
    async with attended(view, options.host, start.port, reloading, stop, start.console, taps):
        limiting = loop.create_task(_stop_after(start.limit, served.opened, stop))
        try:
            if with_board(options, os.environ, start.settings.kind):
                async with board_while(LocalBoard(view, taps), stop):
                    return await work(stop)
            saying = loop.create_task(ProgressLine(served.progress, start.progress).keep())
            try:
                return await work(stop)
            finally:
                saying.cancel()
        finally:
            limiting.cancel()


async def _stop_after(limit: float | None, opened: asyncio.Event, stop: asyncio.Event) -> None:
    """Stops so many seconds after the sink was opened: a dependency that cannot be reached is not a run that is
    over.
    """
    if limit is not None:
        await opened.wait()
        await asyncio.sleep(limit)
        stop.set()


def _report(runner: Runner, options: RunOptions, outcome: RunOutcome | None) -> None:
    """The final figures: a line for each connector, and (where the run ended in order) the summary file."""
    for connector in runner.connectors:
        ledger = connector.connector_state.ledger
        say(
            f"{connector.plan.name}: {ledger.equation()}; frames {ledger.frames}, "
            f"reconnects {sum(ledger.reconnects.values())}, unrecognised {ledger.unrecognised}",
            connector=connector.plan.name, frames=ledger.frames, reconnects=sum(ledger.reconnects.values()),
            unrecognised=ledger.unrecognised, **ledger.totals(),
        )
        if connector.amendments:
            say(f"{connector.plan.name}: {amended(connector.amendments)}", connector=connector.plan.name)
        if text := crash_report(connector.plan.name, ledger.crashes):
            show(*text.split("\n"), error=True)
    if outcome is None:
        return
    if outcome.unsent:
        complain(f"{outcome.unsent} records could not be sent before the end", unsent=outcome.unsent)
    if options.summary is not None:
        report = {**runner.report(), "unsent": outcome.unsent, "exit_code": outcome.exit_code}
        try:
            options.summary.write_bytes(exactjson.encode(report) + b"\n")
        except OSError as error:
            raise SettingsError(f"--summary {options.summary}: {error.strerror}") from None


__all__ = ["jobs_for", "run"]
