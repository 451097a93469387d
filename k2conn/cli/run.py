"""`k2conn run`: connectors into a sink, for months."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from k2conn import exactjson, native
from k2conn.cli.job_digests import digested
from k2conn.cli.loading import load, shipped
from k2conn.cli.messages import complain, say
from k2conn.cli.reload import keep_reloading, read_again
from k2conn.cli.run_services import attended, crash_report
from k2conn.cli.run_workers import lead
from k2conn.codecs import CODECS
from k2conn.compiler.language.durations import duration as seconds_of
from k2conn.compiler.language.problems import known
from k2conn.errors import SettingsError
from k2conn.monitoring.health import RunnerView
from k2conn.plan import Plan
from k2conn.runner import Job, Runner, RunOutcome
from k2conn.runner.event_log import LEVELS, configure, get_logger
from k2conn.settings import connector_settings, is_enabled, sink_settings, state_folder, text_list, unread
from k2conn.sinks import SINKS
from k2conn.transports import TRANSPORTS
from k2conn.workers.channel import WorkerIdentity
from k2conn.workers.handover import distribute_state, send_left_over
from k2conn.workers.worker import Worker


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line says; None where it says nothing."""

    connectors: Sequence[str]
    symbols: str | None = None
    streams: str | None = None
    sink: str | None = None
    folder: Path | None = None
    kafka: str | None = None
    registry: str | None = None
    duration: str | None = None
    max_records: int | None = None
    summary: Path | None = None
    host: str = "127.0.0.1"
    port: int = 9091
    log_level: str = "info"
    daemon: bool = False
    watch: bool = False
    workers: int = 1
    sink_options: Sequence[str] = ()


def run(options: RunOptions) -> int:
    """Runs until told to stop; returns the exit code."""
    environment = os.environ
    identity = WorkerIdentity.from_environment(environment)
    _log(options, environment, identity)
    SINKS.check()
    TRANSPORTS.check()
    CODECS.check()
    settings = sink_settings(
        environment, options.sink, options.sink_options, folder=options.folder, kafka=options.kafka,
        registry=options.registry,
    )
    states = state_folder(environment)
    if identity is not None:
        read = partial(read_again, partial(jobs_for, options, environment, warn=False))
        outcome = _loop(_work(Worker(identity, read, settings, states)))
        return replace(outcome, in_vain=False).exit_code  # whether all was in vain, the leading process knows
    _say_what_is_missing()
    jobs = jobs_for(options, environment)
    limit = _duration(options.duration)
    if options.workers > 1:
        read = partial(read_again, partial(jobs_for, options, environment))
        return lead(options, jobs, read, settings, states, limit)
    if states is not None:
        distribute_state(states, jobs, None)
    runner = Runner(jobs, settings, max_records=options.max_records, state_folder=states)
    ended = None
    try:
        ended = _loop(_run(runner, options, limit, partial(send_left_over, jobs, settings, None)))
    finally:  # the figures are printed, whatever ended the run
        _report(runner, options, ended)
    return ended.exit_code


def _say_what_is_missing() -> None:
    if native.Shortcut is None:
        get_logger().warning("k2conn goes without its part in C, at about twice the CPU", hint="install it again where "
                          "there is a C compiler, and unset K2CONN_PURE_PYTHON")


def _log(options: RunOptions, environment: Mapping[str, str], identity: WorkerIdentity | None) -> None:
    level, form = options.log_level.lower(), environment.get("K2_LOG_FORMAT", "").lower()
    if level not in LEVELS:
        raise SettingsError(f"--log-level {options.log_level}{known(level, LEVELS)}")
    if form not in ("", "text", "json"):
        raise SettingsError(f"K2_LOG_FORMAT {form}{known(form, ('text', 'json'))}")
    always = {"worker": identity.index} if identity is not None else {}
    configure(level, form == "json" if form else options.daemon, **always)


def jobs_for(options: RunOptions, environment: Mapping[str, str], warn: bool = True) -> list[Job]:
    """What to run: the connectors that are named, or else those that the environment enables. ``warn``: says what is
    odd, but no error.
    """
    plans = [load(name) for name in options.connectors] if options.connectors else _enabled(environment)
    jobs: list[Job] = []
    symbols = tuple(text_list(options.symbols)) if options.symbols else None
    if symbols and len(plans) > 1:
        raise SettingsError("--symbols is for one connector: venues spell symbols differently; "
                            "use K2_<EXCHANGE>_SYMBOLS for several")
    for plan in plans:
        own = connector_settings(environment, plan.exchange, plan.name)
        if own.enabled is False and options.connectors and warn:
            get_logger(connector=plan.name).warning(
                "named on the command line although its ENABLED variable says false"
            )
        streams = tuple(text_list(options.streams)) if options.streams else own.streams
        for name in streams or ():
            declared = [stream.name for stream in plan.streams]
            if name not in declared:
                raise SettingsError(f"{plan.name} has no stream '{name}'{known(name, declared)}")
        asked = Job(plan, symbols or own.symbols, streams, own.overrides)
        jobs.append(digested(asked))
    names = [job.plan.name for job in jobs]
    for name in set(names):
        if names.count(name) > 1:
            raise SettingsError(f"connector {name} is named twice")
    for name in _unread(options, environment, plans, names) if warn else ():
        get_logger().warning("nothing reads this variable", variable=name)
    return jobs


def _unread(
    options: RunOptions, environment: Mapping[str, str], plans: Sequence[Plan], names: Sequence[str]
) -> list[str]:
    return unread(environment, [*names, *(plan.exchange for plan in plans)], options.sink or environment.get("K2_SINK"))


def _enabled(environment: Mapping[str, str]) -> list[Plan]:
    """Without arguments: what `K2_CONNECTORS` or `K2_<EXCHANGE>_ENABLED=true` name, or the working folder's files."""
    named = text_list(environment.get("K2_CONNECTORS", ""))
    if named:
        return [load(name) for name in named]
    local = sorted(Path("connectors").glob("*.yaml")) if Path("connectors").is_dir() else []
    wanted = [path for path in (local or shipped()) if is_enabled(environment, path.stem)]
    if not wanted:
        names = ", ".join(path.stem for path in (local or shipped())[:8])
        raise SettingsError(
            "nothing to run: name connectors (k2conn run NAME...), or set K2_CONNECTORS or K2_<NAME>_ENABLED=true;"
            f" there are {names}, ... (k2conn list)"
        )
    return [load(str(path)) for path in wanted]


def _duration(text: str | None) -> float | None:
    try:
        return seconds_of(text) if text else None
    except ValueError as error:
        raise SettingsError(f"--duration: {error}") from None


async def _work(worker: Worker) -> RunOutcome:
    """One worker process, until its parent or a signal stops it."""
    stop = asyncio.Event()
    _on_signals(asyncio.get_running_loop(), stop)
    return await worker.run(stop)


def _loop(main: Any) -> RunOutcome:
    """The event loop: uvloop where it is installed."""
    gc.collect()
    gc.freeze()  # what was loaded and compiled stays: the collector need not look at it again
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)  # type: ignore[no-any-return]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        return loop.run(main)  # type: ignore[no-any-return]


async def _run(
    runner: Runner, options: RunOptions, limit: float | None, before: Callable[[asyncio.Event], Awaitable[None]]
) -> RunOutcome:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    _on_signals(loop, stop)
    await before(stop)
    reloading = keep_reloading(runner, partial(jobs_for, options, os.environ), options.watch)
    async with attended(RunnerView(runner), options.host, options.port, reloading, stop):
        if limit is not None:
            loop.call_later(limit, stop.set)
        return await runner.run(stop)


def _on_signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """The first SIGINT or SIGTERM stops in order, a second SIGINT at once."""

    def interrupted() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    loop.add_signal_handler(signal.SIGINT, interrupted)
    loop.add_signal_handler(signal.SIGTERM, stop.set)


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
        if text := crash_report(connector.plan.name, ledger.crashes):
            print(text, file=sys.stderr)
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


__all__ = ["RunOptions", "jobs_for", "run"]
