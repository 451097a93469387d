"""`python -m tests.fuzz.long`: all targets with as many executions as docs/fuzzing.md says, added up in its JSON file.

What was done on the same commit counts, so a run that was stopped goes on. One target at a time.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.fuzz.__main__ import commit, main
from tests.fuzz.target import targets
from tests.paths import ROOT

RESULTS = ROOT / "docs" / "fuzzing.json"
GOALS = {"frames": 45_000_000, "numbers": 40_000_000, "buffer": 10_000_000, "digests": 1_000_000, "mapper": 5_000_000}
"""Executions of the targets in C: 10^8 and more together."""
EACH = 1_000_000
"""Executions of a target in Python."""
ROUND = 1_000_000
"""Executions between two notes in the file; of slow targets a tenth."""
SLOW = ("mapper", "spec", "state", "websocket")


def done(path: Path, name: str) -> int:
    """Executions of a target on this code."""
    known = json.loads(path.read_text()) if path.exists() else {}
    if known.get("commit") != commit():
        return 0
    return int(known["targets"].get(name, {}).get("executions", 0))


def run(path: Path = RESULTS) -> int:
    """The exit code: 0 where every goal is reached without a finding."""
    failed = 0
    for target in targets():
        goal = GOALS.get(target.name, EACH)
        step = ROUND // 10 if target.name in SLOW else ROUND * 10
        while (left := goal - done(path, target.name)) > 0:
            code = main([target.name, "--executions", str(min(step, left)), "--results", str(path)])
            if code or not done(path, target.name):
                failed = 1
                break
    return failed


if __name__ == "__main__":
    sys.exit(run())
