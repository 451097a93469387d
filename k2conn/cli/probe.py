"""`k2conn probe`: a connector at its venue for a moment: what is said, what it becomes, or why nothing comes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from k2conn.anomalies.settings import AnomalyMode, AnomalySettings
from k2conn.cli.event_loop import on_event_loop, until_stopped
from k2conn.cli.messages import show
from k2conn.cli.option_values import lasting
from k2conn.cli.probe_transcript import ProbeTranscript
from k2conn.cli.probe_verdict import ProbeVerdict
from k2conn.cli.run_options import RunOptions
from k2conn.cli.start_line import job_words
from k2conn.cli.startup import check_log, jobs_for
from k2conn.clock import monotonic
from k2conn.engine.conversation.subscriptions import Subscription
from k2conn.errors import SettingsError
from k2conn.observe import Observers
from k2conn.runner import Connector, Job, Runner
from k2conn.secret_mask import SECRETS
from k2conn.sinks.settings import SinkSettings

ATTEMPTS = 3
"""Connections in a row that may fail until nothing more is tried."""


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """What the command line says. ``frames``: of each kind of frame so many are shown; ``records``: of each stream."""

    connector: str
    symbols: str | None = None
    streams: str | None = None
    intervals: str | None = None
    seconds: str = "60"
    frames: int = 2
    records: int = 3
    log_level: str = "error"


def run(options: ProbeOptions) -> int:
    """Shows what passes until the time is over, Ctrl-C comes, or nothing more is tried; returns the exit code."""
    seconds = lasting("--seconds", options.seconds)
    if not seconds:
        raise SettingsError("--seconds: at least one moment is needed, such as 30s")
    job = _job(options)
    _say(f"{job.plan.name}: " + ", ".join(f"{name} {text}" for name, text in job_words(job).items()))
    _say(f"at most {seconds:g} s; Ctrl-C ends it earlier")
    told = ProbeTranscript(job.plan, _say, monotonic(), options.frames, options.records)
    runner = Runner([job], SinkSettings(kind="none"), observers=Observers(told))
    subscriptions = on_event_loop(lambda: until_stopped(lambda stop: _watched(runner, seconds, stop)))
    connector = runner.connectors[0]
    ledger = connector.connector_state.ledger
    verdict = ProbeVerdict(job.plan, connector.stream_names, ledger, told, subscriptions)
    _say("")
    for line in verdict.lines():
        _say(line)
    return verdict.exit_code


def _job(options: ProbeOptions) -> Job:
    """The connector alone: without all that is made of its records, and not for ever."""
    said = RunOptions(
        (options.connector,), options.symbols, options.streams, "none", intervals=options.intervals,
        log_level=options.log_level,
    )
    check_log(said, {})
    job, = jobs_for(said, os.environ)
    alone = replace(
        job.overrides, attempts=ATTEMPTS, candles=None, features=None, audit=False, drift=False,
        anomalies=AnomalySettings(mode=AnomalyMode.OFF),
    )
    return replace(job, overrides=alone)


async def _watched(runner: Runner, seconds: float, stop: asyncio.Event) -> list[Subscription]:
    """Runs until the time is over; the subscriptions as they were then."""
    running = asyncio.ensure_future(runner.run(stop))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({running, stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    found = list(_subscriptions(runner.connectors[0]))
    stop.set()
    await running
    return found


def _subscriptions(connector: Connector) -> Iterator[Subscription]:
    for supervisor in connector.supervisors:
        pipeline = supervisor.connection.pipeline if supervisor.connection is not None else None
        if pipeline is not None:
            yield from pipeline.session.subscriptions.all


def _say(text: str) -> None:
    show(SECRETS.hide(text))
