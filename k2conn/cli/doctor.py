"""`k2conn doctor`: all that a start looks at, and a look at venues, broker and registry; nothing is run."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

from k2conn.cli.messages import show, show_json
from k2conn.cli.run_options import RunOptions
from k2conn.cli.start_line import job_words, sink_words
from k2conn.cli.startup import Prepared, prepared
from k2conn.clock import monotonic
from k2conn.errors import RecordError, SettingsError, TransportError, Unreachable, known
from k2conn.runner import Connector, Runner
from k2conn.secret_mask import SECRETS
from k2conn.sinks import SINKS, Finding
from k2conn.sinks.settings import SinkSettings

FORMATS = ("text", "json")
WITHIN = 20.0
"""Seconds for one connector's venue."""
AT_ONCE = 16
"""Venues that are looked at at a time."""


def run(options: RunOptions, form: str) -> int:
    """Prints what was found; returns 0 where all is well, 2 where a setting is wrong, 69 where somebody cannot be
    reached.
    """
    if form not in FORMATS:
        raise SettingsError(f"--format {form}{known(form, FORMATS)}")
    try:
        start = prepared(options, os.environ, make=False)
    except SettingsError as error:
        _show([Finding("settings", "", problem, False) for problem in error.problems], form)
        return SettingsError.exit_code
    found = _settings(start)
    if form == "text":
        _show(found, form)
    later = asyncio.run(_examine(start, form))
    if form == "json":
        _show([*found, *later], form)
    if start.lock is not None:
        start.lock.release()
    return 0 if all(one.ok for one in later) else Unreachable.exit_code


def _settings(start: Prepared) -> list[Finding]:
    words = sink_words(start.settings)
    found = [Finding("settings", "", ", ".join(f"{key} {text}" for key, text in words.items()), True)]
    for job in start.jobs:
        text = ", ".join(f"{key} {value}" for key, value in job_words(job).items() if key != "venue")
        found.append(Finding("settings", job.plan.name, text, True))
    return found


async def _examine(start: Prepared, form: str) -> list[Finding]:
    """Looks at everybody at the same time; in text, each finding is shown as it comes."""
    runner = Runner(start.jobs, SinkSettings(kind="console"))
    gate = asyncio.Semaphore(AT_ONCE)
    looks = [asyncio.create_task(_venue(connector, gate)) for connector in runner.connectors]
    looks.append(asyncio.create_task(_sink(start.settings, runner)))
    found: list[Finding] = []
    for look in asyncio.as_completed(looks):
        some = await look
        found += some
        if form == "text":
            _show(some, form)
    return found


async def _venue(connector: Connector, gate: asyncio.Semaphore) -> list[Finding]:
    name, found = connector.plan.name, []
    async with gate:
        since = monotonic()
        try:
            async with asyncio.timeout(WITHIN):
                async for place, said in connector.reach():
                    found.append(Finding(name, place, f"{said} in {monotonic() - since:.2f} s", True))
                    since = monotonic()
        except TimeoutError:
            found.append(Finding(name, _place(connector), f"no answer within {WITHIN:g} s", False))
        except TransportError as error:
            detail = error.detail if error.detail != error.cause else ""
            found.append(Finding(name, _place(connector), f"{error.cause}: {detail}".rstrip(": "), False))
        except (SettingsError, RecordError) as error:
            found.append(Finding(name, _place(connector), str(error), False))
    return found


def _place(connector: Connector) -> str:
    return job_words(connector.job)["venue"]


async def _sink(settings: SinkSettings, runner: Runner) -> list[Finding]:
    kind = SINKS.get(settings.kind)
    if kind.probe is None:
        return []
    prefix = kind.prefix(settings.options)
    return list(await kind.probe(settings.options, [f"{prefix}{topic}" for topic in runner.topics()]))


def _show(found: Sequence[Finding], form: str) -> None:
    found = [Finding(*SECRETS.hide((one.subject, one.where, one.detail)), one.ok) for one in found]
    if form == "json":
        rows = [one._asdict() for one in found]
        show_json({"ok": all(one.ok for one in found), "findings": rows})
        return
    for one in found:
        what = f"{one.subject} {one.where}".strip()
        show(f"{'ok  ' if one.ok else 'FAIL'}  {what}: {one.detail}")
        sys.stdout.flush()
