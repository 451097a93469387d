"""`k2conn replay`: a recording through connectors into a sink."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from k2conn import exactjson
from k2conn.batch.replay import Pace, Replay, ReplayOutcome
from k2conn.cli.event_loop import on_event_loop, until_stopped
from k2conn.cli.loading import load_connected
from k2conn.cli.messages import complain
from k2conn.cli.option_values import listed, moment
from k2conn.cli.run_options import RunOptions
from k2conn.cli.screen import ProgressBar, line, screen
from k2conn.cli.startup import check_log, checked_sink
from k2conn.cli.stream_names import chosen_streams
from k2conn.engine.accounting.figures import LedgerReport
from k2conn.engine.accounting.ledger import equation
from k2conn.errors import CollectedProblems, SettingsError
from k2conn.merging import merged
from k2conn.plan import Plan
from k2conn.recording.reader import Recording
from k2conn.sinks.settings import SinkSettings

REPLAYED, FAILED, DEAD, UNREAD, INTERRUPTED = 0, 1, 65, 66, 130
_COLLECTED = (200_000, 20, 20)


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What the command line says. ``to``: of the sink and the log, as for `k2conn run`."""

    recording: Sequence[Path]
    connectors: Sequence[str]
    to: RunOptions
    speed: str = "max"
    times: str = "original"
    since: str | None = None
    until: str | None = None


def run(options: ReplayOptions) -> int:
    """Replays; returns the exit code."""
    problems = CollectedProblems()
    settings, pace, recording = SinkSettings(kind="none"), Pace(), None
    plans: dict[str, Plan] = {}
    with problems.noting():
        check_log(options.to, os.environ)
    with problems.noting():
        pace = _pace(options)
    with problems.noting():
        recording = Recording(options.recording)
        plans = _plans(options, recording)
    with problems.noting():
        settings = checked_sink(options.to, os.environ, None, problems)
    streams = None
    with problems.noting():
        if options.to.streams is not None:
            wanted = listed("--streams", options.to.streams)
            chosen = [chosen_streams(plan, wanted) or () for plan in plans.values()]
            streams = tuple(dict.fromkeys(name for names in chosen for name in names))
    problems.finish()
    assert recording is not None
    replay = Replay(recording, plans, settings, pace, os.environ, streams)
    extent = recording.extent()
    console = screen(sys.stderr)
    with ProgressBar(console, extent.lines) as bar:
        replay.watch(_Shown(bar))
        gc.set_threshold(*_COLLECTED)
        outcome = on_event_loop(partial(until_stopped, replay.run))
    return _report(replay, outcome, options)


def _pace(options: ReplayOptions) -> Pace:
    problems = []
    speed: float | None = None
    words = {"max": None, "original": 1.0}
    if options.speed in words:
        speed = words[options.speed]
    else:
        try:
            speed = _number(options.speed)
        except ValueError:
            problems.append(f"--speed {options.speed}: max, original, or how many times as fast, such as 10")
    if options.times not in ("original", "fresh"):
        problems.append(f"--times {options.times}: original or fresh")
    since, until = moment("--since", options.since), moment("--until", options.until)
    if problems:
        raise SettingsError(*problems)
    return Pace(speed, options.times == "fresh", since, until)


def _number(text: str) -> float:
    whole, _, part = text.removesuffix("x").partition(".")
    if not (whole.isdecimal() and whole.isascii() and (not part or (part.isdecimal() and part.isascii()))):
        raise ValueError(text)
    found = int(whole + part) / 10 ** len(part) if len(whole + part) <= 12 else 0.0
    if found <= 0:
        raise ValueError(text)
    return found


def _plans(options: ReplayOptions, recording: Recording) -> dict[str, Plan]:
    """The connector files: those that are named, or else the shipped ones with the names in the recording."""
    there = recording.connectors()
    plans = [load_connected(name) for name in options.connectors or there]
    strangers = [plan.name for plan in plans if there and plan.name not in there]
    if strangers:
        names = ", ".join(there)
        raise SettingsError(f"the recording has no frame of {', '.join(strangers)}; it has those of {names}")
    if not plans:
        raise SettingsError("no entry of the recording can be read: name its --connector to hear why")
    return {plan.name: plan for plan in plans}


class _Shown:
    """Shows how far it is, some times a second."""

    def __init__(self, bar: ProgressBar) -> None:
        self._bar = bar

    def __call__(self, replay: Replay) -> None:
        if not self._bar.due():
            return
        outcome = replay.outcome
        figures = f"{outcome.frames:,} frames, {outcome.frames / self._bar.seconds:,.0f} a second"
        self._bar.show("replaying", outcome.entries, figures)


def _reports(replay: Replay) -> dict[str, LedgerReport]:
    """The figures of each connector, over all its runs in the recording."""
    found: dict[str, list[LedgerReport]] = {name: [] for name in replay.plans}
    for state in replay.delivery.states:
        found[state.plan.name].append(state.ledger.report())
    return {name: merged(LedgerReport, reports) for name, reports in found.items() if reports}


def _report(replay: Replay, outcome: ReplayOutcome, options: ReplayOptions) -> int:
    reports = _reports(replay)
    code = _exit_code(outcome, list(reports.values()))
    console = screen(sys.stderr)
    for name, one in reports.items():
        line(console, f"{name}: {equation(one)}; frames {one['frames']}, unrecognised {one['unrecognised']}")
    rate = outcome.frames / outcome.seconds if outcome.seconds else 0.0
    line(console, f"{outcome.frames:,} frames in {outcome.seconds:.1f} s, {rate:,.0f} a second")
    for text in _said(outcome):
        line(console, text)
    if outcome.stopped and outcome.at:
        line(console, f"stopped; all up to there is written: go on with --since {_iso(outcome.at)}")
    if outcome.unsent:
        complain(f"{outcome.unsent} records could not be sent before the end", unsent=outcome.unsent)
    if options.to.summary is not None:
        report = {"connectors": reports, "frames": outcome.frames, "entries": outcome.entries,
                  "masked": outcome.masked, "at": outcome.at, "seconds": round(outcome.seconds, 3),
                  "unsent": outcome.unsent, "stopped": outcome.stopped, "troubles": outcome.troubles,
                  "exit_code": code}
        try:
            options.to.summary.write_bytes(exactjson.encode(report) + b"\n")
        except OSError as error:
            raise SettingsError(f"--summary {options.to.summary}: {error.strerror}") from None
    return code


def _said(outcome: ReplayOutcome) -> list[str]:
    found = [f"not replayed: {count:,} frames of {name}" for name, count in outcome.others.items()]
    if outcome.masked:
        found.append(f"{outcome.masked:,} lines are not as they were: a secret was taken out of them")
    if outcome.headless:
        found.append(f"{outcome.headless} sessions began before the recording: what they had captured is not known")
    if outcome.strangers:
        found.append(f"{outcome.strangers:,} frames came on connections that the connector file does not have")
    return found + outcome.troubles


def _iso(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment // 1_000_000, UTC):%Y-%m-%dT%H:%M:%S}.{moment % 1_000_000:06d}Z"


def _exit_code(outcome: ReplayOutcome, reports: Sequence[LedgerReport]) -> int:
    if outcome.unsent or any(one["lost"] for one in reports):
        return FAILED
    if outcome.stopped:
        return INTERRUPTED
    if outcome.troubles:
        return UNREAD
    return DEAD if any(one["dead_letters"] for one in reports) else REPLAYED
