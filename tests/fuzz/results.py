"""Counts of long runs, added up in a JSON file. A target's counts add up as long as its sources are the same, whatever
else is committed meanwhile; beside them stands what was run of all its sources, those before among them.
"""

from __future__ import annotations

import fcntl
import json
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.fuzz import outcome
from tests.fuzz.outcome import Outcome
from tests.paths import ROOT

GUIDED = ("libFuzzer", "atheris")
"""Engines that choose inputs by the code they reach; others run more in the same time, but blindly."""


def add(path: Path, found: Outcome, digest: str) -> None:
    """Adds an outcome of sources with this digest (see `tests.fuzz.sources`)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    outcome.WORK.mkdir(parents=True, exist_ok=True)
    with (outcome.WORK / "results.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = read(path)
        before = known.get(found.target, {})
        ever = in_all(before)
        if before.get("digest") != digest:
            before = {"engines": {}, "coverage": 0, "findings": []}
        known[found.target] = added(before, found) | {
            "in_all": {
                "executions": ever["executions"] + found.executions,
                "findings": ever["findings"] + len(found.findings),
            },
            "digest": digest,
            "commit": commit(),
            "date": datetime.now(UTC).date().isoformat(),
            "python": platform.python_version(),
        }
        path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def added(before: dict[str, Any], found: Outcome) -> dict[str, Any]:
    """A target's counts with those of one more run."""
    counts = before["engines"].get(found.engine, {"executions": 0, "seconds": 0})
    total = {
        "executions": counts["executions"] + found.executions,
        "seconds": round(counts["seconds"] + found.seconds, 1),
    }
    return {
        "engines": before["engines"] | {found.engine: total},
        "coverage": max(before["coverage"], found.coverage),
        "findings": before["findings"] + found.findings,
    }


def in_all(one: dict[str, Any]) -> dict[str, int]:
    """A target's executions, and how many of them were findings, of whatever sources."""
    known: dict[str, int] = one.get("in_all", {"executions": total(one), "findings": len(one.get("findings", ()))})
    return known


def read(path: Path) -> dict[str, Any]:
    """Each target's counts."""
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return known


def total(one: dict[str, Any], guided: bool | None = None) -> int:
    """All executions of a target's counts; or only those of engines that are guided, or are not."""
    return int(_sum(one, "executions", guided))


def seconds(one: dict[str, Any], guided: bool | None = None) -> float:
    """How long these took."""
    return _sum(one, "seconds", guided)


def _sum(one: dict[str, Any], what: str, guided: bool | None) -> float:
    engines = one.get("engines", {}).items()
    return sum((float(counts[what]) for name, counts in engines if guided in (None, name in GUIDED)), 0.0)


def commit() -> str:
    """Where the sources can be found: the commit, with a + where k2conn was changed since."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = "+" if git("status", "--porcelain", "k2conn") else ""
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + changed
