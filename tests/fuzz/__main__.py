"""`python -m tests.fuzz [TARGET ...]`: runs targets one after another, says what they did, fails where one found
something. See docs/fuzzing.md.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tests.fuzz.bounds import Bounds
from tests.fuzz.engines import building, generated, libfuzzer
from tests.fuzz.outcome import WORK, Outcome
from tests.fuzz.target import Target, targets
from tests.paths import ROOT

Engine = Callable[[Target, Bounds], Outcome]


def main(words: list[str] | None = None) -> int:
    """The exit code: 1 where something was found, 2 for a target that does not exist."""
    said = arguments().parse_args(words)
    known = {target.name: target for target in targets()}
    if said.list:
        print("\n".join(f"{target.name:16} {target.language}" for target in known.values()))
        return 0
    if unknown := [name for name in said.targets if name not in known]:
        print(f"there is no target {unknown[0]}; known are {', '.join(known)}", file=sys.stderr)
        return 2
    chosen = [known[name] for name in said.targets] or list(known.values())
    if said.language:
        chosen = [target for target in chosen if target.language == said.language]
    return run(chosen, said)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all of them where none is named")
    parser.add_argument("--executions", type=int, default=0, metavar="N", help="inputs of each target")
    parser.add_argument("--seconds", type=int, default=0, metavar="S", help="of each target (without both: 5)")
    parser.add_argument("--language", choices=("c", "python"), help="only targets of this kind")
    parser.add_argument("--corpus", type=Path, default=WORK / "corpus", help="where inputs collect")
    parser.add_argument("--engine", choices=("best", "hypothesis"), default="best", help="hypothesis: unguided")
    parser.add_argument("--results", type=Path, help="a JSON file in which counts are added up")
    parser.add_argument("--minimise", action="store_true", help="keeps what of the corpus reaches most, and ends")
    parser.add_argument("--list", action="store_true", help="the targets")
    return parser


def run(chosen: list[Target], said: argparse.Namespace) -> int:
    """All of them, one after another."""
    bounds = Bounds(said.executions, said.seconds or (0 if said.executions else 5))
    engine, found = Engines(said.corpus, said.engine == "hypothesis"), 0
    for target in chosen:
        if said.minimise:
            libfuzzer.minimise(target, said.corpus)
            continue
        outcome = engine.run(target, bounds)
        if outcome is None:
            continue
        print(outcome, flush=True)
        found += bool(outcome.findings)
        if said.results:
            add(said.results, outcome)
    return 1 if found else 0


class Engines:
    """The best engine there is for each kind of target; says once what is missing, and how to get it."""

    def __init__(self, corpus: Path, plain: bool) -> None:
        self._corpus = corpus
        self._no_clang = "asked to do without coverage" if plain else building.why_not()
        self._no_atheris = plain or not libfuzzer.can_trace_python()
        if self._no_clang and not plain:
            print(f"targets in C are left out, for there is {self._no_clang}", file=sys.stderr)
        if self._no_atheris and not plain:
            print("targets in Python run without coverage, by hypothesis: pip install 'k2conn[fuzz]'", file=sys.stderr)

    def run(self, target: Target, bounds: Bounds) -> Outcome | None:
        """One target; None where nothing here can run it."""
        if target.language == "c" and not self._no_clang:
            return libfuzzer.run(target, bounds, self._corpus)
        if not target.in_python:
            return None
        if self._no_atheris or target.language == "c":
            return generated.run(target, bounds)
        return libfuzzer.run(target, bounds, self._corpus)


def add(path: Path, outcome: Outcome) -> None:
    """Adds an outcome to a file of results. Counts of one target add up as long as the code is the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    WORK.mkdir(parents=True, exist_ok=True)
    with (WORK / "results.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _add(path, outcome)


def _add(path: Path, outcome: Outcome) -> None:
    known = json.loads(path.read_text()) if path.exists() else {}
    code = commit()
    if known.get("commit") != code:
        known = {"commit": code, "targets": {}}
    before = known["targets"].get(outcome.target, {"executions": 0, "seconds": 0, "findings": []})
    known["targets"][outcome.target] = asdict(outcome) | {
        "executions": before["executions"] + outcome.executions,
        "seconds": round(before["seconds"] + outcome.seconds),
        "findings": before["findings"] + outcome.findings,
    }
    known |= {"date": datetime.now(UTC).date().isoformat(), "python": platform.python_version()}
    path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def commit() -> str:
    """The code that was tried, with a + where it was changed since."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = "+" if git("status", "--porcelain", "k2conn") else ""
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + changed


if __name__ == "__main__":
    sys.exit(main())
