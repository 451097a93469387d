"""`python -m tests.fuzz.long [TARGET ...]`: all targets with as many executions as docs/fuzzing.md
speaks of. Counts are added up in docs/fuzzing.json, and the page shows them.

What was done on the same commit counts, so a run that was stopped goes on. One target at a time; a second process may
do others meanwhile.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from tests.fuzz.__main__ import commit, main
from tests.fuzz.target import Target, targets
from tests.paths import ROOT

RESULTS = ROOT / "docs" / "fuzzing.json"
PAGE = ROOT / "docs" / "fuzzing.md"
PART = re.compile(r"(?<=<!-- counts -->\n).*?(?=<!-- end of counts -->)", re.DOTALL)
GOALS = {"frames": 50_000_000, "numbers": 45_000_000, "buffer": 5_000_000, "digests": 1_000_000}
"""Executions of targets in C: with those of ``mapper``, more than 10^8 together."""
EACH = 1_000_000
"""Executions of any other target."""
STEPS = 20
"""Notes in the file on the way to a goal."""


def goal(target: Target) -> int:
    """Executions of a target."""
    return GOALS.get(target.name, EACH)


def done(path: Path, name: str) -> int:
    """Executions of a target on this code."""
    known = json.loads(path.read_text()) if path.exists() else {}
    if known.get("commit") != commit():
        return 0
    return int(known["targets"].get(name, {}).get("executions", 0))


def run(names: list[str], path: Path = RESULTS, page: Path = PAGE) -> int:
    """The exit code: 0 where every goal is reached without a finding. ``names`` are some targets; none: all."""
    failed = 0
    for target in targets():
        if names and target.name not in names:
            continue
        step = goal(target) // STEPS
        while (left := goal(target) - done(path, target.name)) > 0:
            before = done(path, target.name)
            code = main([target.name, "--executions", str(min(step, left)), "--results", str(path)])
            if code or done(path, target.name) == before:
                failed = 1
                break
        show(path, page)
    return failed


def show(path: Path, page: Path) -> None:
    """Writes the counts into the page."""
    if path.exists():
        page.write_text(PART.sub(lambda _: table(json.loads(path.read_text())), page.read_text()))


def table(results: dict[str, Any]) -> str:
    """The counts as the page shows them."""
    found = results["targets"]
    in_c = sum(found[one.name]["executions"] for one in targets() if one.language == "c" and one.name in found)
    lines = [
        f"Commit `{results['commit']}`, {results['date']}, Python {results['python']}: {in_c:,} executions of the C"
        " part.",
        "",
        "| target | engine | executions | hours | a second | branches reached | findings |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in sorted(found.items()):
        rate = one["executions"] / max(one["seconds"], 1)
        hours = one["seconds"] / 3600
        lines.append(
            f"| `{name}` | {one['engine']} | {one['executions']:,} | {hours:.2f} | {rate:,.0f} | {one['coverage']:,} "
            f"| {len(one['findings'])} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
