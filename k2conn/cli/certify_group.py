"""`k2conn certify --exactly-once`: a group of processes, faults at random, and the proof of each id once."""

from __future__ import annotations

import asyncio
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from k2conn import exactjson
from k2conn.cli.certify import NOT_PROVEN, certified_prefix
from k2conn.cli.option_values import listed
from k2conn.cli.screen import Column, Styled, line, screen, table
from k2conn.errors import SettingsError, Unreachable, known
from k2conn.runner.event_log import configure
from k2conn.settings import sink_settings
from k2conn.settings.values import seconds
from k2conn.tools.certify.exactly_once import ExactlyOnceProof, ProofSettings, percentile, prove
from k2conn.tools.certify.group_faults import KINDS

PROGRAM = ("from k2conn.tools.certify.group_member import dial_through; dial_through(); "
           "from k2conn.__main__ import main; main()")
"""What a member's Python runs: `k2conn`, but for where its connections go."""


@dataclass(frozen=True, slots=True)
class GroupProofOptions:
    """What the command line says. ``rate``: trades a second of each symbol; ``times``: how many things happen."""

    duration: str
    rate: float
    kafka: str | None
    registry: str | None
    faults: str
    times: int
    members: int
    symbols: int
    slots: int
    seed: int
    folder: Path | None
    reports: tuple[Path, ...]
    log_level: str


def run(options: GroupProofOptions) -> int:
    """Proves it; 0 where it holds."""
    configure(options.log_level, False)
    with tempfile.TemporaryDirectory(prefix="k2conn-certify-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            proof = asyncio.run(prove(_settings(options, folder)))
        except TimeoutError as error:
            raise Unreachable(f"{error}{_last_words(folder)}") from None
        _show(proof)
        for report in options.reports:
            _write(report, proof)
    return 0 if not proof.problems else NOT_PROVEN


def _settings(options: GroupProofOptions, folder: Path) -> ProofSettings:
    for report in options.reports:
        if report.suffix != ".json":
            raise SettingsError(f"--report {report}: with --exactly-once its name ends in .json")
    kinds = None if options.faults == "all" else tuple(listed("--faults", options.faults) or ())
    for kind in kinds or ():
        if kind not in KINDS:
            raise SettingsError(f"--faults {kind}{known(kind, KINDS)}")
    if options.members < 2:
        raise SettingsError("--members: two or more are needed, for one is always left alone")
    try:
        duration = seconds(options.duration)
    except ValueError as error:
        raise SettingsError(f"--duration: {error}") from None
    sink = sink_settings(os.environ, kind="kafka", kafka=options.kafka, registry=options.registry)
    prefix = certified_prefix()
    kafka = replace(sink.options, topic_prefix=prefix)
    variables = {
        **os.environ, "K2_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "K2_KAFKA_SCHEMA_REGISTRY_URL": kafka.registry_url, "K2_KAFKA_TOPIC_PREFIX": prefix,
    }
    return ProofSettings(
        kafka, variables, PROGRAM, folder, options.members, options.symbols, options.rate * options.symbols,
        options.slots, seconds=duration, faults=options.times, seed=options.seed, kinds=kinds,
    )


def _last_words(folder: Path) -> str:
    said = [log.read_text(errors="replace")[-600:].strip() for log in sorted(folder.glob("*.log"))]
    return "; the first member said last: " + said[0] if said else ""


def _show(proof: ExactlyOnceProof) -> None:
    console = screen()
    rows = [
        (kind, str(len(holes)), *(f"{percentile(holes, share)} ms" for share in (0.5, 0.99)), f"{holes[-1]} ms")
        for kind, holes in proof.holes().items()
    ]
    columns = (Column("slots went over"), Column("times", right=True), Column("median hole", right=True),
               Column("p99", right=True), Column("longest", right=True))
    if rows:
        console.print(table(columns, rows, console.width, title="nobody committed anything of a slot for so long"), "")
    line(console, f"sent while any member was connected: {proof.sent}; found once:"
         f" {proof.sent - proof.sent_missing - proof.twice}, twice: {proof.twice}, missing: {proof.sent_missing}")
    line(console, "CPU: " + ", ".join(
        f"{who} {spent:.1f} s ({spent / max(1, proof.records) * 1e6:.1f} us a trade)"
        for who, spent in proof.cpu.items()
    ))
    for text in proof.problems:
        line(console, Styled(f"  {text}", "red"))
    kinds = {one.kind: sum(each.kind == one.kind for each in proof.happened) for one in proof.happened}
    word = "NOT PROVEN" if proof.problems else "passed"
    line(console, Styled(
        f"exactly once: {word}; {proof.records} records, each once, {proof.fetched} of them fetched, {proof.missing}"
        f" missing and named; {', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))};"
        f" {proof.seconds:.0f} s", "red" if proof.problems else "green",
    ))


def _write(report: Path, proof: ExactlyOnceProof) -> None:
    found = {
        "passed": not proof.problems, "problems": proof.problems, "records": proof.records, "fetched": proof.fetched,
        "missing_and_named": proof.missing, "gap_records": proof.gaps, "seconds": round(proof.seconds, 1),
        "sent": proof.sent, "sent_and_missing": proof.sent_missing, "twice": proof.twice,
        "cpu_seconds": {who: round(spent, 2) for who, spent in proof.cpu.items()},
        "happened": [one._asdict() for one in proof.happened], "holes_ms": proof.holes(),
    }
    try:
        report.write_bytes(exactjson.encode(found) + b"\n")
    except OSError as error:
        raise SettingsError(f"--report {report}: {error.strerror}") from None

