"""`k2conn certify`: connectors against mocks of their venues that misbehave, and the proof that nothing was lost."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from k2conn import exactjson
from k2conn.cli.loading import load, load_connected, shipped
from k2conn.cli.option_values import listed
from k2conn.cli.screen import Cell, Column, Console, Styled, Table, line, screen, table
from k2conn.cli.stream_names import chosen_streams
from k2conn.clock import wall_ms
from k2conn.errors import SettingsError
from k2conn.plan import Plan
from k2conn.runner.event_log import configure
from k2conn.secret_mask import SECRETS
from k2conn.settings import sink_settings
from k2conn.settings.values import seconds
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.settings import SinkSettings
from k2conn.spool import make_spooled
from k2conn.tools.certify.certification import Certification, CertificationOutcome, OpenSink
from k2conn.tools.certify.connector_process import Launch, ProcessSettings
from k2conn.tools.certify.crash_losses import CrashLosses
from k2conn.tools.certify.fault_scenarios import chosen
from k2conn.tools.certify.page import page
from k2conn.tools.certify.proof import ProofRow
from k2conn.tools.certify.proxied_dialing import ProxiedEventLoop
from k2conn.tools.certify.report import (
    COLUMNS,
    CRASH_COLUMNS,
    CRASH_EQUATION,
    EQUATION,
    document,
    failures,
    not_run_reasons,
    reaction,
    totals,
    verdict,
)
from k2conn.tools.certify.scenario import Broker
from k2conn.tools.mock.recordings import read_frames
from k2conn.variable_files import is_set
from k2conn.variables import prefix_of

_EVERY = "all"
"""The name that stands for all connectors that ship."""
NOT_PROVEN = 1
"""The exit code where it does not balance."""
_FORMS = (".txt", ".json", ".html")
_COLOURS = {"passed": "green", "failed": "red", "not applicable": "dim", "not run": "yellow"}
_ALWAYS = ("sent", "published", "lost", "missed")
"""The figures that are always shown."""
_WIDTH = 130
_AT_MOST = "10m"
"""The longest life of a process that is to be killed, should nobody be left to do it."""


@dataclass(frozen=True, slots=True)
class CertifyOptions:
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
    streams: str | None = None
    intervals: str | None = None
    recorded: Sequence[Path] = ()
    at_once: int | None = None


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


def run(options: CertifyOptions, open_sink: OpenSink = make_spooled) -> int:
    """Certifies all at once; 0 where everything is proven."""
    for report in options.reports:
        if report.suffix not in _FORMS:
            raise SettingsError(f"--report {report}: its name ends in {', '.join(_FORMS[:-1])} or {_FORMS[-1]}")
    plans = _plans(options.connectors)
    if options.recorded and len(plans) > 1:
        raise SettingsError("--recorded is for one connector")
    configure(options.log_level, False)
    broker = BrokerProcess(options.broker_pid) if options.broker_pid is not None else None
    with tempfile.TemporaryDirectory(prefix="k2conn-certify-") as temporary, _stand_ins(plans):
        folder = options.folder or Path(temporary)
        certifications = [_certification(plan, options, folder / str(at), broker, open_sink)
                          for at, plan in enumerate(plans)]
        with asyncio.Runner(loop_factory=ProxiedEventLoop) as loop:
            outcomes = loop.run(_all(certifications, options.at_once))
    show(outcomes, screen(width=None if sys.stdout.isatty() else _WIDTH))
    for report in options.reports:
        _write(report, outcomes)
    return 0 if all(outcome.passed for outcome in outcomes) else NOT_PROVEN


def _plans(names: Sequence[str]) -> list[Plan]:
    """The connectors that are named; of `all`, each that ships and has a venue to simulate."""
    if list(names) != [_EVERY]:
        return [load_connected(name) for name in names]
    return [plan for path in shipped() if not (plan := load(str(path))).reads_files]


@contextmanager
def _stand_ins(plans: Sequence[Plan]) -> Iterator[None]:
    """While it lasts, what the files read of the environment and nobody has set is what their tests say, or else its
    own name: no key opens a venue that is simulated. What stands in a test is no secret.
    """
    found: dict[str, str] = {}
    for plan in plans:
        found.update((one.name, one.name) for one in plan.variables)
        for example in reversed(plan.tests):
            found.update((name, text) for name, text in example.environment.items() if name in found)
    missing = [name for name in found if not is_set(name, os.environ)]
    os.environ.update((name, found[name]) for name in missing)
    try:
        with SECRETS.published(found[name] for name in missing):
            yield
    finally:
        for name in missing:
            os.environ.pop(name, None)


def _certification(
    plan: Plan, options: CertifyOptions, folder: Path, broker: Broker | None, open_sink: OpenSink
) -> Certification:
    try:
        duration = seconds(options.duration)
    except ValueError as error:
        raise SettingsError(f"--duration: {error}") from None
    settings = _settings(options, folder)
    streams = chosen_streams(plan, listed("--streams", options.streams), listed("--intervals", options.intervals))
    return Certification(
        plan, settings, chosen(options.faults), duration=duration, rate=options.rate, seed=options.seed, broker=broker,
        launch=_launch(plan, settings), open_sink=open_sink, folder=folder, streams=streams or (),
        frames=read_frames(options.recorded),
    )


def _launch(plan: Plan, settings: SinkSettings) -> Launch:
    """How `k2conn run` is started on this connector, as an operator would who wants it to survive kill -9."""
    own = {prefix_of(plan.name), prefix_of(plan.exchange)}
    keys = {one.name for one in plan.variables}
    foreign = {name: text for name, text in os.environ.items() if name in keys or not name.startswith(tuple(own))}

    def launch(setting: ProcessSettings) -> tuple[Sequence[str], Mapping[str, str]]:
        command = (
            "-m", "k2conn", "run", plan.path, "--streams", ",".join(setting.streams), "--symbols",
            ",".join(plan.symbols.default), "--sink", "kafka", "--kafka", settings.options.bootstrap, "--registry",
            setting.registry_url, "--port", "-1", "--log-level", "info", "--duration", _AT_MOST,
        )
        name = prefix_of(plan.name)
        return command, foreign | {
            f"{name}WEBSOCKET_URL": setting.socket_url,
            f"{name}HTTP_URL": setting.http_url,  # never the venue itself
            **({f"{name}ALLOW_EXEC": shlex.join(setting.program)} if setting.program else {}),
            f"{name}BACKFILL": "false",
            "K2_KAFKA_TOPIC_PREFIX": setting.prefix,
            "K2_KAFKA_CREATE_TOPICS": "true",
            "K2_SPOOL": "always",
            "K2_SPOOL_FOLDER": str(setting.folder / "spool"),
            "K2_STATE_FOLDER": str(setting.folder / "state"),
            "K2_LOG_FORMAT": "text",
        }

    return launch


def certified_prefix() -> str:
    """What makes this certification's topics its own."""
    return f"certify-{wall_ms()}-{os.getpid()}."


def _kind(options: CertifyOptions) -> str:
    """Files, unless Kafka is asked for in so many words: the environment alone must not lead there."""
    kind = options.sink or ("kafka" if options.kafka else "file")
    if kind not in ("kafka", "file"):
        raise SettingsError(f"--sink {kind}: what is written must be read back, so it is kafka or file")
    return kind


def _settings(options: CertifyOptions, folder: Path) -> SinkSettings:
    kind = _kind(options)
    given = sink_settings(os.environ, kind=kind, folder=folder, kafka=options.kafka, registry=options.registry)
    own = given.options
    if isinstance(own, KafkaSettings):
        own = replace(own, create_topics=True, topic_prefix=certified_prefix())
    return replace(given, options=own, spool=replace(given.spool, folder=folder / "spool"))


async def _all(certifications: Sequence[Certification], at_once: int | None) -> list[CertificationOutcome]:
    """Each on a stage of its own, at the same time, or so many at a time."""
    places = asyncio.Semaphore(at_once or max(1, len(certifications)))

    async def outcome(stage: Certification) -> CertificationOutcome:
        async with places:
            return await stage.run()

    return list(await asyncio.gather(*map(outcome, certifications)))


def show(outcomes: Sequence[CertificationOutcome], console: Console) -> None:
    """The outcome for people."""
    for outcome in outcomes:
        for part in (_trials(outcome, console.width), _rows(outcome, console.width)):
            console.print(part, "")
        if outcome.crash_losses:
            console.print(_crash_table(outcome, console.width), "")
        for text in failures(outcome):
            line(console, Styled(f"  {text}", "red"))
        if missing := not_run_reasons(outcome):
            line(console, Styled(f"  not run: {missing}", "yellow"))
        word = "passed" if outcome.passed else "NOT PROVEN"
        text = (f"{outcome.connector}: {word}; {_equation(outcome)}; {outcome.gaps} gap records; "
                f"{outcome.seconds:g} s")
        line(console, Styled(text, _COLOURS["passed" if outcome.passed else "failed"]))
        line(console)


def _equation(outcome: CertificationOutcome) -> str:
    sums = totals(outcome)
    words = EQUATION.split()
    return " ".join(f"{word} {sums[word]}" if word in sums else word for word in words)


def _trials(outcome: CertificationOutcome, width: int) -> Table:
    columns = (Column("ordeal"), Column("what the exchange does", leaves=1, least=24),
               Column("what the connector did", least=18), Column("verdict"))
    rows = [(trial.name, trial.text, reaction(trial), Styled(verdict(trial), _COLOURS[verdict(trial)]))
            for trial in outcome.trials]
    return table(columns, rows, width, title=f"{outcome.connector}: what went wrong on purpose")


def _rows(outcome: CertificationOutcome, width: int) -> Table:
    return _figures(f"{outcome.connector}: the proof", outcome.proof.rows, COLUMNS, width)


def _crash_table(outcome: CertificationOutcome, width: int) -> Table:
    shown = [
        name for name in CRASH_COLUMNS if name in _ALWAYS or any(getattr(row, name) for row in outcome.crash_losses)
    ]
    title = f"{outcome.connector}: kill -9, {CRASH_EQUATION}"
    return _figures(title, outcome.crash_losses, shown, width)


def _figures(title: str, rows: Sequence[ProofRow | CrashLosses], names: Sequence[str], width: int) -> Table:
    """A row for each stream and symbol; the last figures leave first where the terminal is narrow."""
    figures = [
        Column(name.replace("_", " "), right=True, leaves=0 if name in _ALWAYS else at)
        for at, name in enumerate(names, 1)
    ]
    columns = (Column("stream"), Column("symbol"), *figures, Column(""))
    cells: list[Sequence[Cell]] = [
        (row.stream, row.symbol, *(f"{getattr(row, name)}" for name in names),
         Styled("balanced", "green") if row.balanced else Styled("open", "red"))
        for row in rows
    ]
    return table(columns, cells, width, title)


def _write(report: Path, outcomes: Sequence[CertificationOutcome]) -> None:
    try:
        if report.suffix == ".json":
            report.write_bytes(exactjson.encode(SECRETS.hide(document(outcomes))) + b"\n")
        elif report.suffix == ".html":
            report.write_text(SECRETS.hide(page(outcomes)), encoding="utf-8")
        else:
            with report.open("w", encoding="utf-8") as file:
                show(outcomes, screen(file, _WIDTH))
    except OSError as error:
        raise SettingsError(f"--report {report}: {error.strerror}") from None
