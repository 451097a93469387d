"""`k2conn certify`: connectors against mocks of their venues that misbehave, and the proof that nothing was lost."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from k2conn import exactjson
from k2conn.cli.loading import load
from k2conn.clock import wall_ms
from k2conn.errors import SettingsError
from k2conn.plan import Plan
from k2conn.runner.event_log import configure
from k2conn.settings import prefix_of as variables_of
from k2conn.settings import sink_settings
from k2conn.settings.values import seconds
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.settings import SinkSettings
from k2conn.spool import make_spooled
from k2conn.tools.certify.certification import Certification, CertificationOutcome, OpenSink
from k2conn.tools.certify.connector_process import Launch, ProcessSettings
from k2conn.tools.certify.fault_scenarios import chosen
from k2conn.tools.certify.page import page
from k2conn.tools.certify.proxied_dialing import ProxiedEventLoop
from k2conn.tools.certify.report import (
    AFTER,
    AFTER_EQUATION,
    COLUMNS,
    EQUATION,
    complaints,
    document,
    left_out,
    reaction,
    totals,
    verdict,
)
from k2conn.tools.certify.scenario import Broker

NOT_PROVEN = 1
"""The exit code where it does not balance."""
_FORMS = (".txt", ".json", ".html")
_COLOURS = {"passed": "green", "failed": "red", "not applicable": "dim", "not run": "yellow"}
_WIDTH = 130
_AT_MOST = "10m"
"""The longest life of a process that is to be killed, should nobody be left to do it."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    connectors: Sequence[str]
    duration: str = "60s"
    rate: float = 50.0
    sink: str | None = None
    folder: Path | None = None
    kafka: str | None = None
    registry: str | None = None
    faults: str = "all"
    reports: Sequence[Path] = ()
    seed: int = 0
    broker_pid: int | None = None
    log_level: str = "error"


class BrokerProcess:
    """A broker on this machine, by its process id."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def pause(self) -> None:
        """Freeze it."""
        os.kill(self._pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self._pid, signal.SIGCONT)


def run(options: Options, open_sink: OpenSink = make_spooled) -> int:
    """Certifies all at once; 0 where everything is proven."""
    for report in options.reports:
        if report.suffix not in _FORMS:
            raise SettingsError(f"--report {report}: its name ends in {', '.join(_FORMS[:-1])} or {_FORMS[-1]}")
    configure(options.log_level, False)
    broker = BrokerProcess(options.broker_pid) if options.broker_pid is not None else None
    with tempfile.TemporaryDirectory(prefix="k2conn-certify-") as temporary:
        folder = options.folder or Path(temporary)
        stages = [_stage(name, options, folder / str(at), broker, open_sink)
                  for at, name in enumerate(options.connectors)]
        with asyncio.Runner(loop_factory=ProxiedEventLoop) as loop:
            outcomes = loop.run(_all(stages))
    show(outcomes, Console(width=None if sys.stdout.isatty() else _WIDTH))
    for report in options.reports:
        _write(report, outcomes)
    return 0 if all(outcome.passed for outcome in outcomes) else NOT_PROVEN


def _stage(name: str, options: Options, folder: Path, broker: Broker | None, open_sink: OpenSink) -> Certification:
    plan = load(name)
    try:
        duration = seconds(options.duration)
    except ValueError as error:
        raise SettingsError(f"--duration: {error}") from None
    settings = _settings(options, folder)
    return Certification(
        plan, settings, chosen(options.faults), duration=duration, rate=options.rate, seed=options.seed, broker=broker,
        launch=_launch(plan, settings), open_sink=open_sink, folder=folder,
    )


def _launch(plan: Plan, settings: SinkSettings) -> Launch:
    """How `k2conn run` is started on this connector, as an operator would who wants it to survive kill -9."""
    own = {variables_of(plan.name), variables_of(plan.exchange)}
    foreign = {name: text for name, text in os.environ.items() if not name.startswith(tuple(own))}

    def launch(setting: ProcessSettings) -> tuple[Sequence[str], Mapping[str, str]]:
        command = (
            sys.executable, "-m", "k2conn", "run", plan.path, "--streams", ",".join(setting.streams), "--symbols",
            ",".join(plan.symbols.default), "--sink", "kafka", "--kafka", settings.options.bootstrap, "--registry",
            setting.registry_url, "--port", "-1", "--log-level", "info", "--duration", _AT_MOST,
        )
        name = variables_of(plan.name)
        return command, foreign | {
            f"{name}WEBSOCKET_URL": setting.socket_url,
            f"{name}HTTP_URL": setting.http_url,  # never the venue itself
            f"{name}BACKFILL": "false",
            "K2_KAFKA_TOPIC_PREFIX": setting.prefix,
            "K2_KAFKA_CREATE_TOPICS": "true",
            "K2_SPOOL": "always",
            "K2_SPOOL_FOLDER": str(setting.folder / "spool"),
            "K2_STATE_FOLDER": str(setting.folder / "state"),
            "K2_LOG_FORMAT": "text",
        }

    return launch


def _prefix() -> str:
    """What makes this certification's topics its own."""
    return f"certify-{wall_ms()}-{os.getpid()}."


def _kind(options: Options) -> str:
    """Files, unless Kafka is asked for in so many words: the environment alone must not lead there."""
    kind = options.sink or ("kafka" if options.kafka else "file")
    if kind not in ("kafka", "file"):
        raise SettingsError(f"--sink {kind}: what is written must be read back, so it is kafka or file")
    return kind


def _settings(options: Options, folder: Path) -> SinkSettings:
    kind = _kind(options)
    given = sink_settings(os.environ, kind=kind, folder=folder, kafka=options.kafka, registry=options.registry)
    own = given.options
    if isinstance(own, KafkaSettings):
        own = replace(own, create_topics=True, topic_prefix=_prefix())
    return replace(given, options=own, spool=replace(given.spool, folder=folder / "spool"))


async def _all(stages: Sequence[Certification]) -> list[CertificationOutcome]:
    """Each on a stage of its own, at the same time."""
    return list(await asyncio.gather(*(stage.run() for stage in stages)))


def show(outcomes: Sequence[CertificationOutcome], console: Console) -> None:
    """The outcome for people."""
    for outcome in outcomes:
        console.print(_trials(outcome))
        console.print(_rows(outcome))
        if outcome.crash_losses:
            console.print(_aftermath(outcome))
        for text in complaints(outcome):
            console.print(f"  {text}", style="red", markup=False, highlight=False)
        if missing := left_out(outcome):
            console.print(f"  not run: {missing}", style="yellow", markup=False, highlight=False)
        word = "passed" if outcome.passed else "NOT PROVEN"
        console.print(f"{outcome.connector}: {word}; {_equation(outcome)}; {outcome.gaps} gap records; "
                      f"{outcome.seconds:g} s\n", style=_COLOURS["passed" if outcome.passed else "failed"])


def _equation(outcome: CertificationOutcome) -> str:
    sums = totals(outcome)
    words = EQUATION.split()
    return " ".join(f"{word} {sums[word]}" if word in sums else word for word in words)


def _trials(outcome: CertificationOutcome) -> Table:
    table = Table(title=f"{outcome.connector}: what went wrong on purpose", title_justify="left")
    for name in ("ordeal", "what the exchange does", "what the connector did", "verdict"):
        table.add_column(name)
    for trial in outcome.trials:
        colour = _COLOURS[verdict(trial)]
        table.add_row(trial.name, trial.text, reaction(trial), f"[{colour}]{verdict(trial)}[/]")
    return table


def _rows(outcome: CertificationOutcome) -> Table:
    table = Table(title=f"{outcome.connector}: the proof", title_justify="left")
    for name in ("stream", "symbol"):
        table.add_column(name)
    for name in COLUMNS:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_column("")
    for row in outcome.proof.rows:
        word = "[green]balanced[/]" if row.balanced else "[red]open[/]"
        table.add_row(row.stream, row.symbol, *(f"{getattr(row, name)}" for name in COLUMNS), word)
    return table


def _aftermath(outcome: CertificationOutcome) -> Table:
    title = f"{outcome.connector}: kill -9, {AFTER_EQUATION}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for name in ("stream", "symbol"):
        table.add_column(name)
    always = ("sent", "published", "lost", "missed")
    shown = [name for name in AFTER if name in always or any(getattr(row, name) for row in outcome.crash_losses)]
    for name in shown:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_column("")
    for row in outcome.crash_losses:
        word = "[green]balanced[/]" if row.balanced else "[red]open[/]"
        table.add_row(row.stream, row.symbol, *(f"{getattr(row, name)}" for name in shown), word)
    return table


def _write(report: Path, outcomes: Sequence[CertificationOutcome]) -> None:
    try:
        if report.suffix == ".json":
            report.write_bytes(exactjson.encode(document(outcomes)) + b"\n")
        elif report.suffix == ".html":
            report.write_text(page(outcomes), encoding="utf-8")
        else:
            with report.open("w", encoding="utf-8") as file:
                show(outcomes, Console(file=file, width=_WIDTH))
    except OSError as error:
        raise SettingsError(f"--report {report}: {error.strerror}") from None
