"""What is looked at before anything runs: all settings, with all of their problems told at once."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from k2conn.cli.job_digests import digested
from k2conn.cli.loading import load, shipped
from k2conn.cli.option_values import lasting, listed
from k2conn.cli.progress_option import progress_setting
from k2conn.cli.recording_run import check_recording
from k2conn.cli.run_options import RunOptions
from k2conn.cli.stream_names import chosen_streams
from k2conn.codecs import CODECS
from k2conn.errors import CollectedProblems, SettingsError, known
from k2conn.files import unwritable
from k2conn.group.settings import GroupSettings
from k2conn.group.table_of_jobs import slot_table
from k2conn.plan import Plan
from k2conn.runner import Job, Runner
from k2conn.runner.event_log import LEVELS, configure, get_logger
from k2conn.runner.health_limits import HealthLimits
from k2conn.runner.progress import ProgressSettings
from k2conn.runner.state_lock import StateLock
from k2conn.settings import (
    connector_settings,
    health_limits,
    in_own_names,
    is_enabled,
    names_of,
    sink_settings,
    state_folder,
)
from k2conn.settings.console import ConsoleSettings, console_settings
from k2conn.settings.environment import shown
from k2conn.settings.group import group_settings
from k2conn.settings.unread_variables import unread
from k2conn.settings.values import integer
from k2conn.sinks import SINKS
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.settings import SinkSettings
from k2conn.spool import spooled
from k2conn.transports import TRANSPORTS
from k2conn.variables import prefix_of
from k2conn.workers.listed_symbols import by_list

MOST_WORKERS = 256


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is to run, checked. ``limit``: seconds; None: until told to stop."""

    port: int
    workers: int
    jobs: Sequence[Job]
    settings: SinkSettings
    states: Path | None
    limit: float | None
    lock: StateLock | None
    """On the state folder, where there is one."""
    limits: HealthLimits
    progress: ProgressSettings
    console: ConsoleSettings
    group: GroupSettings | None = None
    """Where what runs is shared with other processes."""


def prepared(options: RunOptions, environment: Mapping[str, str], make: bool = True) -> Prepared:
    """What flags and environment say, checked. SettingsError with all that is wrong. ``make``: the state folder,
    too.
    """
    problems = CollectedProblems()
    settings, states, limit, port, workers = SinkSettings(kind="console"), None, None, -1, 1
    jobs: list[Job] = []
    limits, progress, console = HealthLimits(), ProgressSettings(), ConsoleSettings()
    with problems.noting():
        check_log(options, environment)
    with problems.noting():
        limits = health_limits(environment)
    with problems.noting():
        progress = progress_of(options, environment)
        console = console_settings(environment)
    with problems.noting():
        SINKS.check()
    with problems.noting():
        TRANSPORTS.check()
    with problems.noting():
        CODECS.check()
    with problems.noting():
        port = listening_port(options, environment)
    with problems.noting():
        workers = _number("--workers", "K2_WORKERS", options.workers, environment, 1, MOST_WORKERS)
    with problems.noting():
        limit = lasting("--duration", options.duration)
    with problems.noting():
        states = state_folder(environment)
    with problems.noting():
        check_recording(options, environment)
    with problems.noting():
        settings = checked_sink(options, environment, states, problems)
        with problems.noting():
            _check_workers(options, settings, workers)
    with problems.noting():
        jobs = jobs_for(options, environment, problems=problems)
    group: GroupSettings | None = None
    with problems.noting():
        group = group_settings(environment, options.group, settings) if options.shares else None
        if group is not None:
            _check_group(options, workers)
            slot_table([job for job in jobs if not by_list(job)], group.slots, group.state)
    with problems.noting():
        settings = journaled(settings, jobs, options, workers, states)
        if group is not None and group.state:
            settings = replace(settings, options=group.kafka)
    if (problems or group is not None) and jobs:  # what the runner would say of them is told, too
        with problems.noting():
            Runner(jobs, SinkSettings(kind="console"), environment=environment)
    lock = StateLock(states) if states is not None and not unwritable(states) else None
    if lock is not None and states is not None and (states.is_dir() or (make and not problems)):
        with problems.noting():
            lock.take(job.plan.name for job in jobs)
    problems.finish()
    return Prepared(port, workers, jobs, settings, states, limit, lock, limits, progress, console, group)


def journaled(
    settings: SinkSettings, jobs: Sequence[Job], options: RunOptions, workers: int, states: Path | None
) -> SinkSettings:
    """The sink's settings, with the name of whose transactions they are where the user says none. SettingsError where
    state in Kafka does not go with what else is said.
    """
    kafka: KafkaSettings | None = settings.kafka
    if kafka is None or kafka.journal is None:
        return settings
    said = f"K2_KAFKA_DELIVERY={kafka.delivery}" if kafka.exactly_once else "K2_STATE=kafka"
    problems = []
    if workers > 1:
        problems.append(f"{said} goes with one process of a transactional id: --workers {workers} would be several")
    if states is not None:
        problems.append(f"{said} keeps the state in {kafka.state_topic}: unset K2_STATE_FOLDER")
    if kafka.exactly_once and options.max_records is not None:
        problems.append(f"{said} takes a frame whole or not at all: --max-records may cut one in two")
    if problems:
        raise SettingsError(*problems)
    name = kafka.transactional_id or f"k2conn.{'+'.join(sorted(job.plan.name for job in jobs))}"
    return replace(settings, options=replace(kafka, transactional_id=name))


def checked_sink(
    options: RunOptions, environment: Mapping[str, str], states: Path | None, problems: CollectedProblems
) -> SinkSettings:
    """The sink's settings, and whether it could write; what is wrong is noted. SettingsError where there is no such
    sink.
    """
    settings = sink_settings(environment, options.sink, options.sink_options, problems, **_sink_flags(options))
    with problems.noting():
        check_folders(options, settings, states)
    with problems.noting():
        check_sink(options, settings)
    return settings


def sink_settings_of(options: RunOptions, environment: Mapping[str, str]) -> SinkSettings:
    """The sink's settings."""
    return sink_settings(environment, options.sink, options.sink_options, **_sink_flags(options))


def _sink_flags(options: RunOptions) -> dict[str, Any]:
    return {"folder": options.folder, "kafka": options.kafka, "registry": options.registry}


# -- one setting each


def progress_of(options: RunOptions, environment: Mapping[str, str]) -> ProgressSettings:
    """When the log says how far the run is."""
    return progress_setting(_said("--progress", "K2_PROGRESS", options.progress, environment), options.progress)


def check_log(options: RunOptions, environment: Mapping[str, str], **always: object) -> None:
    """Logs as flags and environment say; where they say it wrongly, as by default, and raises SettingsError."""
    level, form = options.log_level.lower(), environment.get("K2_LOG_FORMAT", "").strip().lower()
    problems = []
    if level not in LEVELS:
        said = _said("--log-level", "K2_LOG_LEVEL", options.log_level, environment)
        problems.append(f"{said}{shown(options.log_level)}{known(level, LEVELS)}")
        level = "info"
    if form not in ("", "text", "json"):
        problems.append(f"K2_LOG_FORMAT{shown(form)}{known(form, ('text', 'json'))}")
        form = ""
    configure(level, form == "json" if form else options.daemon, **always)
    if problems:
        raise SettingsError(*problems)


def _said(flag: str, variable: str, value: object, environment: Mapping[str, str]) -> str:
    """How the user said a value that may come from a flag or from its variable."""
    return variable if environment.get(variable) == str(value) else flag


def _number(
    flag: str, variable: str, value: int | str, environment: Mapping[str, str], least: int, most: int
) -> int:
    try:
        return integer(str(value).strip(), least, most, f"a whole number from {least} to {most}")
    except ValueError as error:
        raise SettingsError(f"{_said(flag, variable, value, environment)}{shown(str(value))}: {error}") from None


def listening_port(options: RunOptions, environment: Mapping[str, str]) -> int:
    text = str(options.port).strip()
    port = -1 if text == "-1" else _number("--port", "K2_METRICS_PORT", options.port, environment, 0, 65535)
    if port >= 0:
        _check_listening(options.host, port, _said("--host", "K2_METRICS_HOST", options.host, environment))
    return port


def _check_listening(host: str, port: int, said: str) -> None:
    """SettingsError where nothing can listen there."""
    try:
        (family, kind, _, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError):
        raise SettingsError(f"{said}{shown(host)}: no such host") from None
    try:
        with socket.socket(family, kind) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}:{port} for /metrics and /health: {error.strerror};"
            " choose another with --port, or 0 for any"
        ) from None


def check_folders(options: RunOptions, settings: SinkSettings, states: Path | None) -> None:
    kind = SINKS.get(settings.kind)
    names = names_of(kind, settings.kind, _sink_flags(options), options.sink_options)
    folders = [(names[setting], getattr(settings.options, setting)) for setting in kind.folders if settings.options]
    problems = [f"{said} {folder}: {text}" for said, folder in folders if folder and (text := unwritable(Path(folder)))]
    if spooled(settings) and (text := unwritable(settings.spool.folder)):
        problems.append(f"K2_SPOOL_FOLDER {settings.spool.folder}: {text}; K2_SPOOL=never goes without a spool")
    if states is not None and (text := unwritable(states)):
        problems.append(f"K2_STATE_FOLDER {states}: {text}")
    if options.summary is not None and (text := unwritable(options.summary.absolute().parent)):
        problems.append(f"--summary {options.summary}: {text}")
    if problems:
        raise SettingsError(*problems)


def check_sink(options: RunOptions, settings: SinkSettings) -> None:
    kind = SINKS.get(settings.kind)
    if settings.options is None:
        return
    names = names_of(kind, settings.kind, _sink_flags(options), options.sink_options)
    if problems := [in_own_names(problem, names) for problem in kind.check(settings.options)]:
        raise SettingsError(*problems)


def _check_workers(options: RunOptions, settings: SinkSettings, workers: int) -> None:
    if workers == 1:
        return
    problems = []
    if options.max_records is not None:
        problems.append("--max-records is for one process: with --workers say --duration")
    if not SINKS.get(settings.kind).processes:
        problems.append(f"the {settings.kind} sink is for one process: leave --workers out")
    if problems:
        raise SettingsError(*problems)


def _check_group(options: RunOptions, workers: int) -> None:
    """What has no meaning for a member of a group."""
    if workers != 1:
        raise SettingsError("--group shares the symbols among processes: for more of them start it again with another"
                            " K2_GROUP_INSTANCE_ID, and leave --workers out")


# -- connectors


def jobs_for(
    options: RunOptions, environment: Mapping[str, str], warn: bool = True, problems: CollectedProblems | None = None
) -> list[Job]:
    """What to run: the connectors that are named, or else those that the environment enables. ``warn``: says what is
    odd, but no error. Problems of one connector are noted, where ``problems`` is given, and the others gone on with.
    """
    noted = problems if problems is not None else CollectedProblems()
    plans: list[Plan] = []
    symbols: list[str] = []
    streams: list[str] = []
    intervals: list[str] = []
    for name in _wanted(options, environment):
        with noted.noting():
            plans.append(_loaded(name, options))
    with noted.noting():
        symbols = listed("--symbols", options.symbols)
        if symbols and len(plans) > 1:
            raise SettingsError("--symbols is for one connector: venues spell symbols differently; "
                                "use K2_<EXCHANGE>_SYMBOLS for several")
    with noted.noting():
        streams = listed("--streams", options.streams)
    with noted.noting():
        intervals = listed("--intervals", options.intervals)
    jobs: list[Job] = []
    for plan in plans:
        with noted.noting():
            jobs.append(_job(plan, symbols, streams, intervals, options, environment, warn))
    names = [job.plan.name for job in jobs]
    with noted.noting():
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if twice:
            raise SettingsError(*(f"connector {name} is named twice" for name in twice))
    if warn:
        _warn(options, environment, plans)
    if problems is None:
        noted.finish()
    return jobs


def _loaded(name: str, options: RunOptions) -> Plan:
    try:
        return load(name)
    except SettingsError as error:
        if options.symbols and not Path(name).suffix:
            raise SettingsError(f"{error} (a symbol? --symbols takes A,B, or is given once for each)") from None
        raise


def _job(
    plan: Plan, symbols: Sequence[str], streams: Sequence[str], intervals: Sequence[str], options: RunOptions,
    environment: Mapping[str, str], warn: bool,
) -> Job:
    if plan.reads_files:
        raise SettingsError(f"{plan.name} reads files: k2conn load {plan.name} FILE...")
    said = {} if options.candles is None else {f"{prefix_of(plan.name)}CANDLES": options.candles}
    if options.features is not None:
        said[f"{prefix_of(plan.name)}FEATURES"] = options.features
    if options.anomalies is not None:
        said[f"{prefix_of(plan.name)}ANOMALIES"] = options.anomalies
    if options.audit is not None:
        said[f"{prefix_of(plan.name)}AUDIT"] = str(options.audit).lower()
    own = connector_settings({**environment, **said}, plan.exchange, plan.name)
    if own.enabled is False and options.connectors and warn:
        get_logger(connector=plan.name).warning("named on the command line although its ENABLED variable says false")
    wanted = chosen_streams(plan, streams or own.streams or (), intervals or own.intervals or ())
    return digested(Job(plan, tuple(symbols) or own.symbols, wanted, own.overrides), environment)


def _warn(options: RunOptions, environment: Mapping[str, str], plans: Sequence[Plan]) -> None:
    names = [name for plan in plans for name in (plan.name, plan.exchange)]
    files = {variable.name for plan in plans for variable in plan.variables}
    sink = options.sink or environment.get("K2_SINK")
    found = unread(environment, names, sink, [one.stem for one in _there()], files)
    for name, near in found.items():
        hint = {"did_you_mean": near} if near else {}
        get_logger().warning("nothing reads this variable", variable=name, **hint)


def _there() -> list[Path]:
    """The connector files that are there without being named: the working folder's, else the shipped ones."""
    local = sorted(Path("connectors").glob("*.yaml")) if Path("connectors").is_dir() else []
    return local or shipped()


def _wanted(options: RunOptions, environment: Mapping[str, str]) -> list[str]:
    """The names on the command line; without them what `K2_CONNECTORS` or `K2_<NAME>_ENABLED=true` name."""
    if options.connectors:
        return list(options.connectors)
    if said := environment.get("K2_CONNECTORS", "").strip():
        return listed("K2_CONNECTORS", said)
    problems = CollectedProblems()
    wanted: list[Path] = []
    there = _there()
    for path in there:
        with problems.noting():
            wanted += [path] if is_enabled(environment, path.stem) else []
    problems.finish()
    if not wanted:
        odd = unread(environment, [], None, [path.stem for path in there])
        meant = "".join(f"; {name} is read by nobody: did you mean {near}?" for name, near in odd.items() if near)
        names = ", ".join(path.stem for path in there[:8])
        raise SettingsError(
            "nothing to run: name connectors (k2conn run NAME...), or set K2_CONNECTORS or K2_<NAME>_ENABLED=true;"
            f" there are {names}, ... (k2conn list){meant}"
        )
    return [str(path) for path in wanted]

