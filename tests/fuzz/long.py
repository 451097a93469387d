"""`python -m tests.fuzz.long [TARGET ...]`: all targets with as many executions as docs/fuzzing.md
speaks of. Counts are added up in docs/fuzzing.json, and the page shows them.

What was done with the same sources counts, so a run that was stopped goes on. One target at a time; a second process
may do others meanwhile.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from tests.fuzz.__main__ import main
from tests.fuzz.results import in_all, read, seconds, total
from tests.fuzz.sources import digest
from tests.fuzz.target import Target, targets
from tests.paths import ROOT

RESULTS = ROOT / "docs" / "fuzzing.json"
PAGE = ROOT / "docs" / "fuzzing.md"
PART = re.compile(r"(?<=<!-- counts -->\n).*?(?=<!-- end of counts -->)", re.DOTALL)
GOALS = {
    "frames": 50_000_000, "numbers": 47_500_000, "plain_json": 20_000_000, "buffer": 2_500_000,
    **dict.fromkeys(("cells", "digests"), 500_000),
    **dict.fromkeys(("plain_frames", "record_batch", "record_bodies"), 100_000),
}
"""Executions of targets in C: more than 10^8 together. The last ones run Python beside each input, some hundred times
slower, over what the others have read byte by byte.
"""
EACH = 1_000_000
"""Executions of any other target."""
GUIDED_SECONDS = 30
"""How long a target in Python is guided by coverage at least; what is left of its executions are mutations of what was
kept.
"""
STEPS = 10
"""Notes in the file on the way to a goal."""


def goal(target: Target) -> int:
    """Executions of a target."""
    return GOALS.get(target.name, EACH)


def done(path: Path, target: Target) -> dict[str, Any]:
    """A target's counts on this code."""
    known: dict[str, Any] = read(path).get(target.name, {})
    return known if known.get("digest") == digest(target) else {}


def run(names: list[str], path: Path = RESULTS, page: Path = PAGE) -> int:
    """The exit code: 0 where every goal is reached without a finding. ``names`` are some targets, in the order of their
    runs; none: all.
    """
    known = {target.name: target for target in targets()}
    failed = 0
    for target in map(known.__getitem__, names or known):
        while words := step(target, done(path, target)):
            before = total(done(path, target))
            code = main([target.name, *words, "--results", str(path)])
            if code or total(done(path, target)) == before:
                failed = 1
                break
        show(path, page)
    return failed


def step(target: Target, counts: dict[str, Any]) -> list[str]:
    """How the next step to a target's goal is asked for; nothing where it is reached."""
    left = goal(target) - total(counts)
    if left <= 0:
        return []
    size = ["--executions", str(min(goal(target) // STEPS, left))]
    if target.language == "c":
        return size
    guided = GUIDED_SECONDS - int(seconds(counts, guided=True))
    if guided > 0:
        return [*size, "--seconds", str(guided)]
    return [*size, "--engine", "mutations"]


def show(path: Path, page: Path) -> None:
    """Writes the counts into the page."""
    if path.exists():
        page.write_text(PART.sub(lambda _: table(read(path)), page.read_text()))


def table(results: dict[str, Any]) -> str:
    """The counts as the page shows them."""
    in_c = sum(total(results[one.name]) for one in targets() if one.language == "c" and one.name in results)
    below = [one.name for one in targets() if total(results.get(one.name, {})) < goal(one)]
    reached = f"Below the goal: {', '.join(below)}." if below else "All goals are reached."
    lines = [
        f"{in_c:,} executions of the C part. {reached}",
        "",
        "| target | in all | findings in all | of these sources | findings | guided by coverage | a second | unguided |"
        " a second | branches reached | sources | commit | date |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in sorted(results.items()):
        ever = in_all(one)
        lines.append(
            f"| `{name}` | {ever['executions']:,} | {ever['findings']} | {total(one):,} | {len(one['findings'])}"
            f" | {total(one, guided=True):,} | {rate(one, True)} | {total(one, guided=False):,} | {rate(one, False)}"
            f" | {one['coverage']:,} | `{one['digest']}` | `{one['commit']}` | {one['date']} |"
        )
    return "\n".join(lines) + "\n"


def rate(one: dict[str, Any], guided: bool) -> str:
    """Executions a second."""
    took = seconds(one, guided)
    return f"{total(one, guided) / took:,.0f}" if took else "-"


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
