"""`k2conn load`: files of rows into a sink, to their end."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from k2conn import exactjson
from k2conn.batch.load import Load, LoadOutcome
from k2conn.batch.positions import Positions
from k2conn.cli.event_loop import on_event_loop, until_stopped
from k2conn.cli.loading import load as load_connector
from k2conn.cli.messages import complain
from k2conn.cli.option_values import listed
from k2conn.cli.run_options import RunOptions
from k2conn.cli.screen import ProgressBar, line, screen
from k2conn.cli.startup import check_log, checked_sink
from k2conn.cli.stream_names import chosen_streams
from k2conn.engine.row_pipeline import bare_name
from k2conn.errors import CollectedProblems, SettingsError
from k2conn.files import unwritable
from k2conn.plan import Plan
from k2conn.runner.event_log import get_logger
from k2conn.settings import state_folder
from k2conn.sinks import SINKS
from k2conn.sinks.settings import SinkSettings

LOADED, FAILED, DEAD, UNREAD, INTERRUPTED = 0, 1, 65, 66, 130
_STATE = Path("state")
_COLLECTED = (200_000, 20, 20)
"""Of the garbage collector: rows and envelopes come and go in great numbers, and none of them is in a cycle."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What the command line says. ``to``: of the sink and the log, as for `k2conn run`."""

    connector: str
    files: Sequence[Path]
    to: RunOptions
    state: Path | None = None
    again: bool = False
    progress: bool = True


def run(options: LoadOptions) -> int:
    """Loads; returns the exit code."""
    environment = os.environ
    plan = load_connector(options.connector)
    problems = CollectedProblems()
    settings, streams, folder = SinkSettings(kind="console"), None, _STATE
    files: list[Path] = []
    with problems.noting():
        check_log(options.to, environment)
    with problems.noting():
        files = _files(plan, options.files)
    with problems.noting():
        streams = chosen_streams(plan, listed("--streams", options.to.streams)) if options.to.streams else None
    with problems.noting():
        folder = options.state or state_folder(environment) or _STATE
        if text := unwritable(folder):
            raise SettingsError(f"--state {folder}: {text}")
    with problems.noting():
        settings = checked_sink(options.to, environment, None, problems)
    problems.finish()
    _warn_of_names(plan, files)
    positions = Positions(folder, plan.name, _destination(settings, streams))
    try:
        for file in files:
            positions.claim(file)
            if options.again:
                positions.forget(file)
        return _load(Load(plan, streams, files, settings, positions), options)
    finally:
        positions.release()


def _files(plan: Plan, given: Sequence[Path]) -> list[Path]:
    """The files, by their whole paths. SettingsError with all that is wrong with them."""
    if not plan.reads_files:
        raise SettingsError(f"{plan.name} connects to its exchange: k2conn run {plan.name}")
    problems: list[str] = []
    found: list[Path] = []
    for path in given:
        try:
            whole = path.resolve(strict=True)
        except (OSError, ValueError) as error:
            problems.append(f"{path}: {getattr(error, 'strerror', None) or error}")
            continue
        if not whole.is_file():
            problems.append(f"{path} is no file")
        elif whole in found:
            problems.append(f"{path} is named twice")
        found.append(whole)
    if problems:
        raise SettingsError(*problems)
    return found


def _warn_of_names(plan: Plan, files: Sequence[Path]) -> None:
    """Ids that are made of a file's name meet where two files have the same."""
    names = [bare_name(str(file)) for file in files]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            get_logger(connector=plan.name).warning("several files have one name: ids of $file and $row must differ by "
                                                    "something else, such as the day", name=name)


def _destination(settings: SinkSettings, streams: Sequence[str] | None) -> str:
    """Where records go, in one text: what was loaded there need not be loaded again."""
    kind = SINKS.get(settings.kind)
    options = settings.options if settings.options is not None else kind.settings()
    where = kind.where(options)
    if settings.kind == "file":
        where = str(Path(where).resolve())
    return " ".join(filter(None, (settings.kind, kind.prefix(options), where, ",".join(streams or ()))))


def _load(load: Load, options: LoadOptions) -> int:
    console = screen(sys.stderr)
    sizes = sum(one.path.stat().st_size for one in load.outcome.files)
    with ProgressBar(console if options.progress else screen(open(os.devnull, "w")), sizes) as bar:
        load.watch(_Shown(bar))
        gc.set_threshold(*_COLLECTED)
        outcome = on_event_loop(partial(until_stopped, load.run))
    return _report(load, outcome, options)


class _Shown:
    """Shows how far it is, some times a second."""

    def __init__(self, bar: ProgressBar) -> None:
        self._bar = bar

    def __call__(self, load: Load) -> None:
        if not self._bar.due():
            return
        files = load.outcome.files
        current = next((one for one in reversed(files) if one.done), files[0])
        dead = load.state.ledger.totals()["dead_letters"]
        rows = load.outcome.rows
        figures = f"{rows:,} rows, {rows / self._bar.seconds:,.0f} a second" + (f", {dead:,} dead" if dead else "")
        self._bar.show(current.path.name, sum(one.done for one in files), figures)


def _report(load: Load, outcome: LoadOutcome, options: LoadOptions) -> int:
    ledger = load.state.ledger
    totals = ledger.totals()
    code = _exit_code(outcome, totals)
    rate = outcome.rows / outcome.seconds if outcome.seconds else 0.0
    console = screen(sys.stderr)
    for one in outcome.files:
        words = [f"{one.rows:,} rows"]
        words += [f"{one.before:,} before"] if one.before else []
        words += [one.trouble or ("" if one.ended else "not to its end")]
        line(console, f"{one.path.name}: {', '.join(filter(None, words))}")
    line(console, f"{load.plan.name}: {ledger.equation()}; unrecognised {ledger.unrecognised}; "
                  f"{outcome.rows:,} rows in {outcome.seconds:.1f} s, {rate:,.0f} a second")
    for reason, count in ledger.dead_reasons.most_common():
        line(console, f"dead letters: {count:,} {reason}")
    if outcome.unsent:
        complain(f"{outcome.unsent} records could not be sent before the end", unsent=outcome.unsent)
    if options.to.summary is not None:
        report = {**ledger.report(), "rows": outcome.rows, "seconds": round(outcome.seconds, 3),
                  "rows_per_second": round(rate), "files": [one.report() for one in outcome.files],
                  "unsent": outcome.unsent, "stopped": outcome.stopped, "exit_code": code}
        try:
            options.to.summary.write_bytes(exactjson.encode(report) + b"\n")
        except OSError as error:
            raise SettingsError(f"--summary {options.to.summary}: {error.strerror}") from None
    return code


def _exit_code(outcome: LoadOutcome, totals: Mapping[str, Any]) -> int:
    if outcome.unsent or totals["lost"]:
        return FAILED
    if outcome.stopped and not all(one.ended or one.trouble for one in outcome.files):
        return INTERRUPTED
    if any(one.trouble for one in outcome.files):
        return UNREAD
    return DEAD if totals["dead_letters"] else LOADED
