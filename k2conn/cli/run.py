"""`k2conn run`: connectors into a sink, for months."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from k2conn import exactjson
from k2conn.cli.loading import load, shipped
from k2conn.cli.reload import keep_reloading
from k2conn.errors import SettingsError
from k2conn.health import HealthServer
from k2conn.plan import Plan
from k2conn.runner import Job, Outcome, Runner
from k2conn.runner.journal import LEVELS, configure, journal
from k2conn.settings import connector_settings, is_enabled, sink_settings, state_folder, text_list, unread
from k2conn.spec.durations import duration as seconds_of
from k2conn.spec.problems import known


@dataclass(frozen=True, slots=True)
class Options:
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


def run(options: Options) -> int:
    """Runs until told to stop; returns the exit code."""
    environment = os.environ
    _log(options, environment)
    jobs = jobs_for(options, environment)
    settings = sink_settings(
        environment, kind=options.sink, folder=options.folder, kafka=options.kafka, registry=options.registry
    )
    limit = _duration(options.duration)
    runner = Runner(jobs, settings, max_records=options.max_records, state_folder=state_folder(environment))
    outcome = None
    try:
        outcome = _loop(_run(runner, options, limit))
    finally:  # the books are said, whatever ended the run
        _report(runner, options, outcome)
    return outcome.exit_code


def _log(options: Options, environment: Mapping[str, str]) -> None:
    level, form = options.log_level.lower(), environment.get("K2_LOG_FORMAT", "").lower()
    if level not in LEVELS:
        raise SettingsError(f"--log-level {options.log_level}{known(level, LEVELS)}")
    if form not in ("", "text", "json"):
        raise SettingsError(f"K2_LOG_FORMAT {form}{known(form, ('text', 'json'))}")
    configure(level, form == "json" if form else options.daemon)


def jobs_for(options: Options, environment: Mapping[str, str]) -> list[Job]:
    """What to run: the connectors that are named, or else those that the environment enables."""
    plans = [load(name) for name in options.connectors] if options.connectors else _enabled(environment)
    jobs: list[Job] = []
    symbols = tuple(text_list(options.symbols)) if options.symbols else None
    if symbols and len(plans) > 1:
        raise SettingsError("--symbols is for one connector: venues spell symbols differently; "
                            "use K2_<EXCHANGE>_SYMBOLS for several")
    for plan in plans:
        own = connector_settings(environment, plan.exchange, plan.name)
        if own.enabled is False and options.connectors:
            journal(connector=plan.name).warning("named on the command line although its ENABLED variable says false")
        streams = tuple(text_list(options.streams)) if options.streams else own.streams
        for name in streams or ():
            declared = [stream.name for stream in plan.streams]
            if name not in declared:
                raise SettingsError(f"{plan.name} has no stream '{name}'{known(name, declared)}")
        asked = Job(plan, symbols or own.symbols, streams, own.overrides)
        jobs.append(replace(asked, digest=_digest(asked)))
    names = [job.plan.name for job in jobs]
    for name in set(names):
        if names.count(name) > 1:
            raise SettingsError(f"connector {name} is named twice")
    for name in unread(environment, [*names, *(plan.exchange for plan in plans)]):
        journal().warning("nothing reads this variable", variable=name)
    return jobs


def _digest(job: Job) -> str:
    """Tells one job from another: the files it is said in, and what flags and environment add."""
    found = hashlib.sha256(repr((job.symbols, job.streams, job.overrides)).encode())
    file = Path(job.plan.path)
    for path in (file, *sorted(file.parent.glob("*.desc"))):
        with suppress(OSError):
            found.update(path.read_bytes())
    return found.hexdigest()


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


def _loop(main: Any) -> Outcome:
    """The event loop: uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)  # type: ignore[no-any-return]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        return loop.run(main)  # type: ignore[no-any-return]


async def _run(runner: Runner, options: Options, limit: float | None) -> Outcome:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    _on_signals(loop, stop)
    server = HealthServer(runner, options.host, options.port) if options.port >= 0 else None
    if server is not None:
        await server.start()
        journal().info("listening", metrics=f"http://{options.host}:{server.port}/metrics")
    if limit is not None:
        loop.call_later(limit, stop.set)
    reloading = asyncio.create_task(keep_reloading(runner, partial(jobs_for, options, os.environ), options.watch))
    reloading.add_done_callback(lambda _: stop.set())  # it only ends by a bug
    try:
        return await runner.run(stop)
    finally:
        reloading.cancel()
        (ended,) = await asyncio.gather(reloading, return_exceptions=True)
        if server is not None:
            await server.stop()
        if isinstance(ended, Exception):
            raise ended


def _on_signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """The first SIGINT or SIGTERM stops in order, a second SIGINT at once."""

    def interrupted() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    loop.add_signal_handler(signal.SIGINT, interrupted)
    loop.add_signal_handler(signal.SIGTERM, stop.set)


def _report(runner: Runner, options: Options, outcome: Outcome | None) -> None:
    """The final figures: a line for each connector, and (where the run ended in order) the summary file."""
    for connector in runner.connectors:
        ledger = connector.books.ledger
        print(
            f"{connector.plan.name}: {ledger.equation()}; frames {ledger.frames}, "
            f"reconnects {sum(ledger.reconnects.values())}, unrecognised {ledger.unrecognised}",
            file=sys.stderr,
        )
    if outcome is None:
        return
    if outcome.unsent:
        print(f"{outcome.unsent} records could not be sent before the end", file=sys.stderr)
    if options.summary is not None:
        report = {**runner.report(), "unsent": outcome.unsent, "exit_code": outcome.exit_code}
        try:
            options.summary.write_bytes(exactjson.encode(report) + b"\n")
        except OSError as error:
            raise SettingsError(f"--summary {options.summary}: {error.strerror}") from None


__all__ = ["Options", "jobs_for", "run"]
