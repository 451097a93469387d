"""Runs a target under libFuzzer: in C as a program built by clang, in Python as a child of atheris, which is libFuzzer
over Python's bytecode. Both take the same options and say the same things.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.bounds import Bounds
from tests.fuzz.engines.building import build
from tests.fuzz.outcome import WORK, Outcome, coverage, executions, findings_folder, shown
from tests.fuzz.target import HERE, Target, dictionary, write_inputs
from tests.paths import ROOT

TRACED, LAUNCHER = HERE / "engines" / "traced.py", WORK / "traced"


def can_trace_python() -> bool:
    """Whether atheris is installed."""
    return find_spec("atheris") is not None


def run(target: Target, bounds: Bounds, corpus: Path) -> Outcome:
    """One run, from the seeds and whatever ``corpus`` holds, which grows. Raises `building.NotBuilt`."""
    command, engine = _program(target), "libFuzzer" if target.language == "c" else "atheris"
    folder = corpus / target.name
    write_inputs(folder, [*target.seeds(), *target.kept()])
    before = set(findings_folder(target.name).iterdir())
    started = time.monotonic()
    log = _log(target)
    with log.open("wb") as file:
        done = subprocess.run(
            [*command, *_options(target, bounds), str(folder)],
            cwd=ROOT,
            env=_environment(target),
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    seconds = time.monotonic() - started
    text = log.read_text(errors="replace")
    found = [shown(path) for path in sorted(findings_folder(target.name).iterdir()) if path not in before]
    if done.returncode and not found:
        found = [f"exit code {done.returncode}, see {shown(log)}"]
    return Outcome(target.name, engine, executions(text), seconds, found, coverage(text))


def minimise(target: Target, corpus: Path) -> None:
    """Makes the kept corpus of those inputs, old and new, that reach something."""
    with tempfile.TemporaryDirectory() as into:
        old = Path(into, "old")
        write_inputs(old, target.kept())
        Path(into, "new").mkdir()
        folders = [str(Path(into, "new")), str(old), str(corpus / target.name)]
        options = ["-merge=1", "-max_len=1024", "-detect_leaks=0"]
        subprocess.run([*_program(target), *options, *folders], cwd=ROOT, env=_environment(target), check=True)
        target.keep(path.read_bytes() for path in Path(into, "new").iterdir())


def _program(target: Target) -> list[str]:
    """What is run, with libFuzzer's options behind it."""
    if target.language == "c":
        return [str(build(target))]
    LAUNCHER.parent.mkdir(parents=True, exist_ok=True)
    LAUNCHER.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(TRACED))} "$@"\n')
    LAUNCHER.chmod(0o755)
    return [str(LAUNCHER)]


def _log(target: Target) -> Path:
    folder = WORK / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{target.name}.log"


def _options(target: Target, bounds: Bounds) -> Sequence[str]:
    words = WORK / "words" / target.name
    words.parent.mkdir(parents=True, exist_ok=True)
    words.write_text(dictionary(target.words()))
    limits = [f"-runs={bounds.executions}"] if bounds.executions else []
    limits += [f"-max_total_time={bounds.seconds}"] if bounds.seconds else []
    return [
        *limits,
        f"-timeout={bounds.timeout}",
        f"-rss_limit_mb={bounds.memory}",
        f"-max_len={target.largest}",
        # Python itself keeps much to its end; a leak of ours shows in the limit of memory, after a million inputs.
        "-detect_leaks=0",
        "-print_final_stats=1",
        f"-dict={words}",
        f"-artifact_prefix={findings_folder(target.name)}/",
    ]


def _environment(target: Target) -> dict[str, str]:
    """Python in a C program needs to know where it is; and sanitizers, what they may use."""
    return {
        **os.environ,
        "FUZZ_ROOT": str(ROOT),
        "FUZZ_SELF": str(LAUNCHER),
        **({} if target.language == "c" and not target.in_python else {"FUZZ_PYTHON": sys.executable}),
        "FUZZ_TARGET": target.module,
        "FUZZ_TRACED": ",".join(target.traced()),
        "ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=32:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONHASHSEED": "0",
    }
