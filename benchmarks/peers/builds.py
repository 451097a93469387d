"""Peers that are built on first use below `$K2CONN_CACHE/peers` (by default ~/.cache/k2conn).

By hand, all of them: ``python -m benchmarks.peers.builds``. What cannot be built raises Absent with the reason.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import progress

CRYPTOFEED = "2.4.1"
"""The last for Python 3.11: 2.5 asks for 3.12 and 3.0 for 3.13, where all Python programs here run on one version."""

_PEERS = Path(__file__).parent
_SOURCES = _PEERS / "redpanda-connect"
_NATIVE = _PEERS / "native" / "binance_aggtrade_kafka.c"
_SHA1 = _PEERS.parents[1] / "k2conn" / "native" / "sha1.h"
"""Included by it."""
_BUILD_WITHIN = 1800
_PROBE = """
import importlib.metadata as found
import cryptofeed.backends.kafka, cryptofeed.exchanges
print(*(f"{name} {found.version(name)}" for name in ("cryptofeed", "aiokafka", "websockets", "uvloop")), sep=", ")
"""


class Absent(RuntimeError):
    """A peer that is not there and cannot be made; the text is the reason, in one line."""


def cryptofeed() -> tuple[Path, str]:
    """The Python of an environment with cryptofeed and its Kafka extra, and what is in it, with versions."""
    folder = cache_folder() / "cryptofeed"
    python = folder / "bin" / "python"
    found = _probe(python)
    if found is None:
        progress(f"cryptofeed {CRYPTOFEED}: an environment of its own in {folder}")
        _run([sys.executable, "-m", "venv", "--clear", str(folder)], folder.parent)
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
              f"cryptofeed[kafka]=={CRYPTOFEED}", "aiokafka[lz4]"], folder)
        found = _probe(python)
    if found is None:
        raise Absent(f"cryptofeed {CRYPTOFEED} was installed in {folder} and cannot be imported there")
    return python, found


def redpanda_connect() -> tuple[Path, str]:
    """The small build of Redpanda Connect (see redpanda-connect/README.md), and its version."""
    program, stamp = cache_folder() / "redpanda-connect", cache_folder() / "redpanda-connect.sources"
    if not (program.is_file() and stamp.is_file() and stamp.read_text() == _digest()):
        go = shutil.which("go")
        if go is None:
            raise Absent("Go is missing (1.25 or newer builds Redpanda Connect: https://go.dev/dl)")
        progress(f"Redpanda Connect: built by {go} into {program}; some minutes the first time")
        _run([go, "build", "-o", str(program), "."], _SOURCES)
        stamp.write_text(_digest())
    return program, f"{_module('connect')} (Benthos {_module('benthos')}), built from benchmarks/peers/redpanda-connect"


def native() -> tuple[Path, str]:
    """The program in C (see native/binance_aggtrade_kafka.c), and what compiled it."""
    compiler = shutil.which(os.environ.get("CC") or "cc")
    if compiler is None:
        raise Absent("there is no C compiler (cc)")
    digest = hashlib.sha256(_NATIVE.read_bytes() + _SHA1.read_bytes()).hexdigest()
    program = cache_folder() / f"{_NATIVE.stem}-{digest[:16]}"
    if not program.is_file():
        made = program.with_suffix(f".{os.getpid()}")
        _run([compiler, "-O2", "-o", str(made), str(_NATIVE)], _NATIVE.parent)
        made.replace(program)
    said = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout
    return program, f"compiled by {said.splitlines()[0] if said else compiler}, -O2"


def cache_folder() -> Path:
    """Where the peers are kept; made where it is not there."""
    base = os.environ.get("K2CONN_CACHE")
    if not base:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "k2conn")
    folder = Path(base) / "peers"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _probe(python: Path) -> str | None:
    """The versions in the environment; None where it is not there, not whole, or another version's."""
    if not python.exists():
        return None
    done = subprocess.run([str(python), "-c", _PROBE], cwd=python.parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.stdout.startswith(f"cryptofeed {CRYPTOFEED},") else None


def _digest() -> str:
    """Tells one state of the sources from another."""
    names = ("go.mod", "go.sum", "main.go")
    return hashlib.sha256(b"".join((_SOURCES / name).read_bytes() for name in names)).hexdigest()


def _module(name: str) -> str:
    """The version of one of Redpanda's modules that the build asks for."""
    found = re.search(rf"^\s*github\.com/redpanda-data/{name}/v4 v(\S+)", (_SOURCES / "go.mod").read_text(), re.M)
    assert found is not None, name
    return found[1]


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=_BUILD_WITHIN, check=False,
        )
    except subprocess.TimeoutExpired:
        raise Absent(f"`{' '.join(command)}` was not done in {_BUILD_WITHIN // 60} minutes") from None
    except OSError as error:
        raise Absent(f"`{' '.join(command)}` cannot be run: {error.strerror}") from None
    if done.returncode:
        progress(done.stdout.rstrip())
        last = next((line for line in reversed(done.stdout.splitlines()) if line.strip()), "nothing")
        raise Absent(f"`{' '.join(command)}` ended with {done.returncode}: {last.strip()}")


def main() -> None:
    """Builds what is not there; says what is."""
    for make in (cryptofeed, redpanda_connect, native):
        try:
            print(*make(), sep=": ")
        except Absent as error:
            print(f"{make.__name__}: {error}")


if __name__ == "__main__":
    main()
