"""How long commands take to start: wall and CPU seconds of whole processes, medians."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.figures import below, progress
from k2conn.cli.loading import shipped

ROUNDS = 7


def run(quick: bool) -> dict[str, Any]:
    """Medians of ROUNDS starts of each command; the files' compiled modules and the disk's cache are warm."""
    rounds = 3 if quick else ROUNDS
    files = [str(path) for path in shipped()]
    commands = {
        "help": (["--help"], 0.15), "validate one": (["validate", files[0]], 0.35),
        "validate 40": (["validate", *files[:40]], 2.0),
    }
    found: dict[str, Any] = {}
    targets = []
    for name, (words, limit) in commands.items():
        progress(f"startup: {name}, {rounds} times")
        found[name] = _command(words, rounds)
        targets.append(below(f"`k2conn {words[0]}`" if len(words) == 1 else f"`k2conn validate`, {len(words) - 1} file"
                             + "s" * (len(words) > 2), limit, found[name]["wall_s"], "s"))
    return {**found, "rounds": rounds, "targets": targets}


def _command(words: list[str], rounds: int) -> dict[str, float]:
    wall, cpu = [], []
    for number in range(rounds + 1):
        before, start = os.times(), time.perf_counter()
        subprocess.run([sys.executable, "-m", "k2conn", *words], capture_output=True, check=True)
        after = os.times()
        if number:  # the first one warms the caches
            wall.append(time.perf_counter() - start)
            cpu.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return {"wall_s": round(statistics.median(wall), 3), "cpu_s": round(statistics.median(cpu), 3)}
