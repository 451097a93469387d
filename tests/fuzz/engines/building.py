"""Builds the targets in C: for fuzzing with clang, libFuzzer and both sanitizers; for replaying kept inputs with any
compiler that has the sanitizers.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.outcome import WORK
from tests.fuzz.target import HOST, HOSTED, IN_C, REPLAY, Target
from tests.paths import ROOT

NATIVE = ROOT / "k2conn" / "native"
SANITIZED = (
    "-g",
    "-O2",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-D_GNU_SOURCE",
    "-Wno-unused-function",
)
HINT = (
    "apt-get install clang libclang-rt-14-dev (Debian 12), or name a clang that has libFuzzer: "
    "K2CONN_FUZZ_CC=/path/to/clang"
)


class NotBuilt(Exception):
    """Why a target could not be built."""


def compiler() -> str | None:
    """A clang: K2CONN_FUZZ_CC, or what is on the path."""
    named = os.environ.get("K2CONN_FUZZ_CC")
    return shutil.which(named) if named else shutil.which("clang") or shutil.which("clang-14")


def why_not() -> str:
    """Why nothing can be fuzzed in C; empty where it can."""
    clang = compiler()
    if clang is None:
        return f"no clang: {HINT}"
    program = "int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { return d == 0 && n; }"
    done = subprocess.run(
        [clang, "-x", "c", "-fsanitize=fuzzer,address", "-o", os.devnull, "-"],
        input=program,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if not done.returncode else f"{clang} has no libFuzzer: {HINT}"


def build(target: Target) -> Path:
    """The program that fuzzes a target in C. Raises NotBuilt."""
    clang = compiler()
    if clang is None:
        raise NotBuilt(f"no clang: {HINT}")
    return _build(target, clang, "fuzzer", "fuzz", [])


def build_replay(target: Target) -> Path:
    """The program that runs a target in C over the files it is given, by the compiler that builds k2conn. Raises
    NotBuilt.
    """
    cc = shlex.split(str(sysconfig.get_config_var("CC") or "cc"))[0]
    return _build(target, cc, "", "replay", [str(IN_C / f"{REPLAY}.c")])


def _build(target: Target, compiler: str, extra: str, kind: str, more: Sequence[str]) -> Path:
    """Compiles and links; k2conn's own C is compiled anew each time, for it is what changes."""
    folder = WORK / kind
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / target.name
    sources = [str(IN_C / f"{HOST if target.in_python else target.name}.c"), *more]
    hosted = HOSTED[target.name] if target.in_python else ()
    sources += [str(NATIVE / f"{name}.c") for name in hosted]
    _run(
        [
            compiler,
            *SANITIZED,
            *([f"-fsanitize={extra}"] if extra else []),
            f"-I{sysconfig.get_path('include')}",
            *([f"-DMODULES={' '.join(f'MODULE({name})' for name in hosted)}"] if hosted else []),
            *sources,
            "-o",
            str(program),
            *_python(),
        ]
    )
    return program


def _python() -> list[str]:
    """How a program is linked with this Python."""
    folder = str(sysconfig.get_config_var("LIBDIR"))
    library = f"-lpython{sysconfig.get_config_var('LDVERSION')}"
    others = shlex.split(f"{sysconfig.get_config_var('LIBS')} {sysconfig.get_config_var('SYSLIBS')}")
    return [f"-L{folder}", f"-Wl,-rpath,{folder}", "-Wl,--export-dynamic", library, *others]


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NotBuilt(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise NotBuilt(next((line for line in lines if "error" in line), lines[-1] if lines else "no reason was given"))
