"""The process in which one question of the playground is answered: bounded in time, memory and what it may do.

It reads the question from standard input, as JSON, and writes the answer to standard output. It has no environment but
what a Python process needs, works in a folder that is empty, writes no file, and is ended by the system where it takes
more than it may.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from k2conn import exactjson
from k2conn.cli.playground.sheet import played

SECONDS = 8
"""Of processor time for one question, beside what loading takes."""
BYTES = 1 << 30
"""Of address space beside what the loaded process has."""
FILES = 16
"""Files that are open at a time."""


def bound() -> None:
    """From now on the system holds this process to its bounds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + SECONDS
    for what, most in (
        (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, _address_space() + BYTES),
    ):
        try:
            resource.setrlimit(what, (most, most))
        except (ValueError, OSError):  # a system that does not know it, or holds us to less already
            continue


def _address_space() -> int:
    """Bytes that this process has reserved already."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return BYTES


def main() -> None:
    """Answers one question."""
    question = exactjson.decode(sys.stdin.buffer.read())
    folder = Path.cwd()
    if schemas := os.environ.get("K2_SCHEMAS", "").strip():
        from k2conn.records import add_records

        add_records(Path(schemas))
    if size := os.environ.get("K2_DECIMALS", "").strip():
        from k2conn.records import read_decimals, use_decimals

        use_decimals(read_decimals(size))
    bound()
    try:
        answer = played(str(question["spec"]), str(question["frames"]), folder)
    except MemoryError:
        answer = {"failed": "it takes more memory than a question may"}
    sys.stdout.buffer.write(exactjson.encode(answer))


if __name__ == "__main__":
    main()
