"""`python -m tests.fuzz [TARGET ...]`: runs targets one after another, says what they did, fails where one found
something. See docs/fuzzing.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.fuzz.bounds import Bounds
from tests.fuzz.engines import building, generated, libfuzzer, mutated
from tests.fuzz.outcome import WORK, Outcome
from tests.fuzz.results import add
from tests.fuzz.sources import digest
from tests.fuzz.target import Target, targets

ENGINES = ("best", "hypothesis", "mutations")


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
    parser.add_argument("--engine", choices=ENGINES, default="best", help="others than the best are unguided")
    parser.add_argument("--results", type=Path, help="a JSON file in which counts are added up")
    parser.add_argument("--minimise", action="store_true", help="keeps what of the corpus reaches most, and ends")
    parser.add_argument("--list", action="store_true", help="the targets")
    return parser


def run(chosen: list[Target], said: argparse.Namespace) -> int:
    """All of them, one after another."""
    bounds = Bounds(said.executions, said.seconds or (0 if said.executions else 5))
    engine, found = Engines(said.corpus, said.engine), 0
    for target in chosen:
        if said.minimise:
            libfuzzer.minimise(target, said.corpus)
            continue
        sources = digest(target) if said.results else ""
        outcome = engine.run(target, bounds)
        if outcome is None:
            continue
        print(outcome, flush=True)
        found += bool(outcome.findings)
        if said.results and digest(target) == sources:  # what was changed meanwhile is neither the one nor the other
            add(said.results, outcome, sources)
    return 1 if found else 0


class Engines:
    """The best engine there is for each kind of target; says once what is missing, and how to get it."""

    def __init__(self, corpus: Path, name: str) -> None:
        self._corpus, self._mutates = corpus, name == "mutations"
        plain = name != "best"
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
        if self._mutates:
            return mutated.run(target, bounds, self._corpus)
        if self._no_atheris or target.language == "c":
            return generated.run(target, bounds)
        return libfuzzer.run(target, bounds, self._corpus)


if __name__ == "__main__":
    sys.exit(main())
