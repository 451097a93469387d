"""The outcome as data (`--report FILE.json`) and as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from k2conn import __version__
from k2conn.tools.certify.certification import CertificationOutcome, ScenarioRun
from k2conn.tools.certify.crash_losses import CrashLosses
from k2conn.tools.certify.proof import ProofRow

EQUATION = "sent = published + deduplicated + filtered + quarantined + lost"
CRASH_COLUMNS = tuple(one.name for one in fields(CrashLosses) if one.name not in ("stream", "symbol", "wrong"))
"""The columns of the table of crash losses."""
CRASH_EQUATION = "sent = published + filtered + quarantined + lost"
COLUMNS = ("sent", "published", "deduplicated", "filtered", "quarantined", "lost", "recovered", "withheld", "in_doubt")


def document(outcomes: Sequence[CertificationOutcome]) -> dict[str, Any]:
    """All outcomes, as JSON-ready values."""
    return {
        "k2conn": __version__,
        "equation": EQUATION,
        "passed": all(outcome.passed for outcome in outcomes),
        "connectors": [_outcome(outcome) for outcome in outcomes],
    }


def _outcome(outcome: CertificationOutcome) -> dict[str, Any]:
    return {
        "connector": outcome.connector,
        "exchange": outcome.exchange,
        "passed": outcome.passed,
        "sink": outcome.sink,
        "seed": outcome.seed,
        "rate": outcome.rate,
        "seconds": outcome.seconds,
        "gap_records": outcome.gaps,
        "wrong": [*outcome.wrong, *outcome.proof.wrong],
        "ordeals": [{**asdict(trial), "verdict": verdict(trial)} for trial in outcome.trials],
        "rows": [{**asdict(row), "balanced": row.balanced} for row in outcome.proof.rows],
        "totals": totals(outcome),
        "not_run": list(outcome.not_run),
        "kill": [{**asdict(row), "balanced": row.balanced} for row in outcome.crash_losses],
        "books": outcome.books,
    }


def totals(outcome: CertificationOutcome) -> dict[str, int]:
    """The sums of all rows."""
    return {name: sum(getattr(row, name) for row in outcome.proof.rows) for name in COLUMNS}


def verdict(trial: ScenarioRun) -> str:
    """The verdict on a scenario: passed, failed, not run or not applicable."""
    if trial.skipped:
        return trial.skipped.split(":")[0]
    return "failed" if trial.wrong else "passed"


def reaction(trial: ScenarioRun) -> str:
    """How the connector reacted to a scenario."""
    if trial.skipped:
        return trial.skipped.partition(": ")[2]
    reactions = [f"{count} x {cause}" for cause, count in sorted(trial.reconnects.items())]
    if trial.dead_letters:
        reactions.append(f"{trial.dead_letters} dead letters")
    if trial.duplicates:
        reactions.append(f"{trial.duplicates} duplicates dropped")
    reactions += trial.seen
    if trial.drained is not None:
        reactions.append(f"{trial.waiting} records had to wait, all durable after {trial.drained:g} s")
    if trial.recovered is not None:
        reactions.append(f"all data again after {trial.recovered:g} s")
    return "; ".join([*reactions, *trial.wrong])


def problems_of(row: ProofRow) -> list[str]:
    """What does not balance in a row, with the ids."""
    found = [
        f"{words} {', '.join(map(str, ids))}"
        for words, ids in (
            ("lost:", row.missing_ids), ("published twice:", row.twice_ids), ("never sent:", row.strange_ids),
            ("missing without a gap record:", row.unreported),
        )
        if ids
    ]
    if not row.balanced and not found and not row.wrong:
        found.append("the equation does not hold")
    return [f"{row.stream} {row.symbol}: {text}" for text in (*found, *row.wrong)]


def not_run_reasons(outcome: CertificationOutcome) -> str:
    """Which scenarios were not run, and what was missing for them; empty where all were run."""
    wants: dict[str, list[str]] = {}
    for trial in outcome.trials:
        if trial.name in outcome.not_run:
            wants.setdefault(reaction(trial), []).append(trial.name)
    return "; ".join(f"{', '.join(names)} ({why})" for why, names in wants.items())


def failures(outcome: CertificationOutcome) -> list[str]:
    """All reasons why the certification fails."""
    rows = [text for row in outcome.proof.rows for text in problems_of(row)]
    trials = [f"{trial.name}: {text}" for trial in outcome.trials for text in trial.wrong]
    return [*outcome.wrong, *trials, *outcome.proof.wrong, *rows]
