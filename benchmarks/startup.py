"""How long commands take to start: wall and CPU seconds of whole processes, medians."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import Any

from k2conn.cli.loading import shipped


def run(quick: bool) -> dict[str, Any]:
    """Medians of several starts of each command."""
    rounds = 3 if quick else 9
    files = [str(path) for path in shipped()]
    commands = {"help": ["--help"], "validate one": ["validate", files[0]], "validate 40": ["validate", *files[:40]]}
    return {name: _command(words, rounds) for name, words in commands.items()}


def _command(words: list[str], rounds: int) -> dict[str, float]:
    wall, cpu = [], []
    for _ in range(rounds):
        before, start = os.times(), time.perf_counter()
        subprocess.run([sys.executable, "-m", "k2conn", *words], capture_output=True, check=True)
        after = os.times()
        wall.append(time.perf_counter() - start)
        cpu.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return {"wall_s": round(statistics.median(wall), 3), "cpu_s": round(statistics.median(cpu), 3)}
