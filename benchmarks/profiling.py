"""Where the time of the end-to-end process goes, at full speed into a real broker.

With py-spy (the extra `bench`): a sampler outside the process, 200 looks a second at the Python functions on a CPU; the
process stands still for each look. Time in C (the decoder, hashing, compression, the kernel's sockets, the garbage
collector) counts for the Python function that called it or was at work; what has no such function counts for the loop.

Without py-spy, or where it may not attach: cProfile of the way from frame to Avro bytes, in this process and without a
network. Its bias: every call is charged with the profiler's own work, so many small functions look dearer beside few
large ones than they are.
"""

from __future__ import annotations

import cProfile
import pstats
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.engine import Cluster, Engine, addressed, cluster, subscribed
from benchmarks.figures import progress
from benchmarks.processes import ROOT, Ended, Feeding
from benchmarks.tapes import BinanceTape
from k2conn.cli.loading import find
from k2conn.compiler.compiler import load_plan
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.frame_pipeline import FramePipeline

LOOKS = 200
SHOWN = 25
LEAST = 0.004
"""The least share of all samples that a frame of the flame graph has."""
LOOP = "event loop, sockets"
"""What no Python function did: uvloop and the kernel."""


LIBRARIES = {"aiokafka", "websockets", "prometheus_client", "structlog", "uvloop", "msgspec", "cramjam"}
WAITING = {("_worker", "concurrent/futures/thread.py"), ("wait", "threading.py")}
"""A thread with nothing to do: py-spy does not always see that it sleeps."""


class Unusable(RuntimeError):
    """There is no sampler, or it may not look at another process; the text says why."""


def run(quick: bool) -> dict[str, Any]:
    """Shares by part of the program and by function, and the merged stacks."""
    frames = 60_000 if quick else 400_000
    try:
        stacks = _sampled(frames)
    except Unusable as reason:
        progress(f"profiling: {reason}; cProfile instead")
        return {"how": "cProfile", "why_not_sampled": str(reason), "trades": frames, **_traced(frames), "targets": []}
    total = sum(stacks.values())
    parts: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for stack, count in stacks.items():
        parts[_part(stack[-1])] += count
        functions[_shown(stack[-1])] += count
    return {
        "how": "py-spy", "trades": frames, "samples": total, "parts": _shares(parts, total),
        "functions": _shares(functions, total), "flame": _flame(stacks, total), "targets": [],
    }


def _shares(found: Counter[str], total: float) -> list[list[Any]]:
    return [[name, round(count / total * 100, 1)] for name, count in found.most_common(SHOWN)]


# -- by sampling


Stack = tuple[tuple[str, str], ...]
"""Functions and their files, the outermost first."""


def _sampled(frames: int) -> Counter[Stack]:
    program = Path(sys.executable).with_name("py-spy")
    sampler = str(program) if program.exists() else shutil.which("py-spy")
    if sampler is None:
        raise Unusable("py-spy is not installed (pip install 'k2conn[bench]')")
    progress(f"profiling: {frames:,} trades at full speed, under py-spy")
    with cluster() as at:
        return _stacks(_play(at, frames, sampler))


def _play(at: Cluster, frames: int, sampler: str) -> str:
    tape, output = BinanceTape(10, 1), at.folder / "stacks"
    feeder = Feeding(at.folder, tape.venue, frames=frames)
    try:
        given = {**addressed("binance", feeder, tape.path), "K2_BINANCE_SYMBOLS": ",".join(tape.symbols)}
        engine = Engine(at, ["binance"], given, streams=tape.stream)
        try:
            subscribed(engine, feeder, 1, len(tape.symbols))
            engine.quiet()
            looker = _attached(sampler, engine, output)
            try:
                feeder.tell(f"go full {frames}")
                engine.until(frames)
            finally:
                looker.send_signal(signal.SIGINT)
                looker.wait(30)
            engine.finish(frames)
        finally:
            engine.stop()
    finally:
        feeder.stop()
    if not output.exists():
        raise Ended("py-spy wrote nothing")
    return output.read_text()


def _attached(sampler: str, engine: Engine, output: Path) -> subprocess.Popen[str]:
    """A running sampler; Unusable where it ends at once, which it does where it may not attach."""
    command = [sampler, "record", "--pid", str(engine.pid), "--rate", str(LOOKS), "--format", "raw", "--function",
               "--full-filenames", "--duration", "3600", "--output", str(output)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)
    time.sleep(1.0)
    if process.poll() is not None:
        assert process.stderr is not None
        raise Unusable(f"py-spy cannot attach: {process.stderr.read().strip().splitlines()[-1:]}")
    return process


def _stacks(text: str) -> Counter[Stack]:
    """The lines `function (file);function (file) count`."""
    found: Counter[Stack] = Counter()
    for line in text.splitlines():
        words, _, count = line.rpartition(" ")
        stack = tuple(_function(word) for word in words.split(";"))
        if (stack[-1][0], _short(stack[-1][1])) not in WAITING:
            found[stack] += int(count)
    return found


def _function(word: str) -> tuple[str, str]:
    name, _, file = word.rpartition(" (")
    file = file.rstrip(")")
    head, _, line = file.rpartition(":")
    return name, head if line.isdecimal() else file


def _shown(function: tuple[str, str]) -> str:
    name, file = function
    return f"{name} ({_short(file)})" if _part(function) != LOOP else LOOP


def _short(file: str) -> str:
    for start in (f"{ROOT}/", *(f"{sysconfig.get_path(name)}/" for name in ("purelib", "platlib", "stdlib"))):
        file = file.removeprefix(start)
    return file


def _part(function: tuple[str, str]) -> str:
    """The room of ours, the library, or the standard library that a function is of."""
    name, file = function
    words = _short(file).removesuffix(".py").split("/")
    if words[:2] == ["asyncio", "runners"] or (words[0] == "k2conn" and name == "_loop"):
        return LOOP
    if words[0] == "k2conn":
        return "/".join(words[:3] if words[1] == "sinks" else words[:2])
    return words[0] if words[0] in LIBRARIES else "standard library"


def _flame(stacks: Counter[Stack], total: int) -> dict[str, Any]:
    """The stacks merged into a tree; what is too narrow to see is left out."""
    root: dict[str, Any] = {"name": "all", "count": total, "children": {}}
    for stack, count in stacks.items():
        node = root
        for function in stack:
            name = f"{function[0]} ({_short(function[1])})"
            node = node["children"].setdefault(name, {"name": name, "count": 0, "children": {}})
            node["count"] += count
    while len(root["children"]) == 1:  # what is the same in all stacks says nothing
        (root,) = root["children"].values()
    return _pruned(root, total)


def _pruned(node: dict[str, Any], total: int) -> dict[str, Any]:
    kept = [one for one in node["children"].values() if one["count"] >= total * LEAST]
    shown: dict[str, Any] = {"name": node["name"], "share": round(node["count"] / total * 100, 2)}
    if kept:
        shown["children"] = [_pruned(one, total) for one in sorted(kept, key=lambda one: -one["count"])]
    return shown


# -- by tracing


def _traced(frames: int) -> dict[str, Any]:
    tape = BinanceTape(10, 1)
    texts = [tape.frame(number).decode() for number in range(frames)]
    plan = load_plan(find(tape.venue))
    symbols = [found for name in tape.symbols if (found := plan.symbols.resolve(name))]
    pipeline = FramePipeline(
        ConnectorState(plan, [tape.stream]), plan.connections[0], symbols, SessionContext(lambda: "", {})
    )
    pipeline.session.open(0.0, 0)
    profile = cProfile.Profile()
    profile.enable()
    for number, text in enumerate(texts):
        pipeline.receive([text], 1.0, 1_700_000_000_000_000 + number)
    profile.disable()
    parts: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for (file, _, name), (_, _, own, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        built_in = file == "~"
        parts["C functions" if built_in else _part((name, file))] += int(own * 1e9)
        functions[name if built_in else f"{name} ({_short(file)})"] += int(own * 1e9)
    total = sum(parts.values())
    return {"parts": _shares(parts, total), "functions": _shares(functions, total)}
