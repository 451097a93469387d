"""`k2conn demo`: mock exchanges over real WebSockets into files, or into a lake that is then asked by SQL.

No network, and without ``--kafka`` no Kafka either. Of the environment only the login for Kafka is read: a demo never
touches what the settings of a real run name.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from k2conn.cli.demo_exchanges import DemoRoute, Played, files_in, played
from k2conn.cli.demo_topics import GROUP, PREFIX
from k2conn.cli.hints import program, python
from k2conn.cli.loading import load, shipped
from k2conn.cli.messages import show
from k2conn.cli.option_values import lasting, listed
from k2conn.consumer.settings import ConsumerSettings
from k2conn.errors import SettingsError, known
from k2conn.lake.settings import LakeSettings
from k2conn.plan import Plan
from k2conn.resources import connectors_folder
from k2conn.runner.event_log import configure
from k2conn.settings import sink_settings
from k2conn.sinks.file import FileSettings
from k2conn.sinks.settings import SinkSettings, SpoolSettings
from k2conn.tools.mock.exchange import MockExchange

INGESTION, STORAGE, QUERY, ALL = "ingestion", "storage", "query", "all"
SECTIONS = (INGESTION, STORAGE, QUERY, ALL)
_DIFFERENT = 70
"""The exit code where what was sent is not what came."""
_REFRESH_MS = 1000.0
"""How soon the demo's own topics are found."""
_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line says."""

    duration: str = "15s"
    rate: float = 20.0
    folder: Path | None = None
    connectors: str | None = None
    plain: bool = False
    section: str = INGESTION
    kafka: str | None = None
    registry: str | None = None


def run(options: DemoOptions) -> int:
    """Runs the demo; 0 where all that the mock exchanges sent came to its end, 130 where Ctrl-C ends a later part."""
    section = options.section.lower()
    if section not in SECTIONS:
        raise SettingsError(f"--section {options.section}{known(options.section, SECTIONS)}")
    if options.registry is not None and options.kafka is None:
        raise SettingsError("--registry needs --kafka")
    seconds = lasting("--duration", options.duration) or 0.0
    configure("error", False)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="k2conn-demo-"))
    plain = options.plain or not sys.stdout.isatty()
    try:
        if section == INGESTION:
            return _ingestion(options, _exchanges(options), seconds, folder, plain)
        return _with_lake(options, section, seconds, folder, plain)
    except KeyboardInterrupt:
        show("interrupted", error=True)
        return _INTERRUPTED


def shown_by_default() -> list[str]:
    """The connectors of the demo: the lines of `connectors/demo.txt`."""
    return (connectors_folder() / "demo.txt").read_text(encoding="utf-8").split()


def _exchanges(options: DemoOptions) -> list[MockExchange]:
    names = listed("--connectors", options.connectors) if options.connectors else shown_by_default()
    exchanges = [MockExchange(load(name), rate=options.rate) for name in names]
    for exchange in exchanges:
        if not exchange.streams:
            raise SettingsError(f"{exchange.plan.name} has no tests with records, so nothing can be played")
    return exchanges


def _ingestion(
    options: DemoOptions, exchanges: Sequence[MockExchange], seconds: float, folder: Path, plain: bool
) -> int:
    """Into Avro files: the one part that needs no extra."""
    files = SinkSettings(kind="file", options=FileSettings(folder=folder))
    outcome = asyncio.run(played(exchanges, seconds, _route(options, files, "Avro files", folder), plain))
    found = files_in(folder)
    show("", f"{len(found)} files of records (Avro, the v2 schema inside):")
    for file in found:
        show(f"  {file}  {file.stat().st_size:,} bytes")
    _say_what_next(exchanges[0].plan, found)
    return _code(outcome, outcome.complete)


def _with_lake(options: DemoOptions, section: str, seconds: float, folder: Path, plain: bool) -> int:
    """Into a lake, and what can be done with it. The part `query` asks a lake that the folder has already."""
    from k2conn.cli.demo_lake import lake_in, next_steps, queries, storage

    lake = lake_in(folder)
    code = 0
    if section != QUERY or not lake.folder.exists():
        exchanges = _exchanges(options)
        _headline("Ingestion")
        outcome = asyncio.run(played(exchanges, seconds, _lake_route(options, lake, folder), plain))
        if section != QUERY:
            _headline("Storage")
        code = _code(outcome, storage(lake, outcome.published if section != QUERY else None) and outcome.complete)
    if section in (QUERY, ALL):
        _headline("Query")
        queries(lake, folder)
    show("", *next_steps(lake))
    return code


def _headline(text: str) -> None:
    show("", f"== {text} ==")


def _lake_route(options: DemoOptions, lake: LakeSettings, folder: Path) -> DemoRoute:
    spool = SpoolSettings(folder=folder / "spool")
    return _route(options, SinkSettings(kind="iceberg", options=lake, spool=spool), "an Iceberg lake", folder)


def _route(options: DemoOptions, sink: SinkSettings, where: str, folder: Path) -> DemoRoute:
    """Straight into the sink, or by way of Kafka."""
    if options.kafka is None:
        return DemoRoute(sink, where)
    found = sink_settings(os.environ, "kafka", kafka=options.kafka, registry=options.registry)
    cluster = replace(found.options, topic_prefix=PREFIX, create_topics=True)
    kafka = SinkSettings(kind="kafka", options=cluster, spool=SpoolSettings(folder=folder / "spool"))
    topics = ConsumerSettings(kafka=cluster, topics=(f"{PREFIX}*",), group=GROUP, from_beginning=True,
                              refresh_ms=_REFRESH_MS)
    return DemoRoute(sink, f"Kafka, and on into {where}", kafka, topics)


def _code(outcome: Played, complete: bool) -> int:
    if not complete:
        show("the two sides do not agree", error=True)
    return outcome.exit_code or (0 if complete else _DIFFERENT)


def _say_what_next(plan: Plan, files: Sequence[Path]) -> None:
    """Commands to go on with."""
    own = program()
    name = plan.name if plan.name in [path.stem for path in shipped()] else shlex.quote(plan.path)
    if files:
        show("", "Read one:", f"  {python()} -m fastavro {shlex.quote(str(files[-1]))}")
    show("", "Next:", f"  {own} list", f"  {own} explain {name}")
    show("With a way to the exchange itself:", f"  {own} run {name} --sink console --max-records 10")
    show("And with Kafka and a schema registry on this machine:", f"  {own} run {name} --kafka localhost:9092 "
         "--registry http://localhost:8081")
