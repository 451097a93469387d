"""Runs a target in Python with mutations of its seeds, kept inputs and grown corpus, without tracing: unguided, but
several times as many a second. A process of its own runs them, so that whatever ends it is found, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.fuzz.bounds import Bounds
from tests.fuzz.engines.current_input import CurrentInput
from tests.fuzz.outcome import WORK, Outcome, findings_folder, shown
from tests.fuzz.target import HERE, Target, file_name, write_inputs
from tests.paths import ROOT

CHILD = HERE / "engines" / "mutating.py"
ENGINE = "mutations"


def run(target: Target, bounds: Bounds, corpus: Path) -> Outcome:
    """One run; it ends with the first finding."""
    folder = WORK / "mutated"
    folder.mkdir(parents=True, exist_ok=True)
    current = folder / f"{target.name}-{os.getpid()}"
    write_inputs(corpus / target.name, [*target.seeds(), *target.kept()])
    order: dict[str, Any] = {
        "bounds": [bounds.executions, bounds.seconds, bounds.timeout, bounds.memory],
        "seed": time.time_ns(),
    }
    order |= {
        "module": target.module,
        "largest": target.largest,
        "corpus": str(corpus / target.name),
        "current": str(current),
    }
    started = time.monotonic()
    with CurrentInput(current) as last:
        done = subprocess.run(
            [sys.executable, str(CHILD), json.dumps(order)],
            cwd=ROOT,
            env={**os.environ, "FUZZ_ROOT": str(ROOT), "PYTHONHASHSEED": "0"},
            stderr=subprocess.PIPE,
            check=False,
        )
        seconds, (count, data) = time.monotonic() - started, last.read()
    current.unlink()
    found: list[str] = []
    if done.returncode:
        path = findings_folder(target.name) / f"crash-{file_name(data)}"
        path.write_bytes(data)
        path.with_name(path.name + ".txt").write_bytes(done.stderr)
        found = [shown(path)]
    return Outcome(target.name, ENGINE, count, seconds, found)
