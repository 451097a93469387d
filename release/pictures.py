"""The moving picture of the README: `make pictures`. A recording of the real `k2conn demo`, drawn as SVG.

It is played by asciinema's recorder, without a terminal; what depends on the machine (folders, the time that Python
takes to start) is left out, and termtosvg draws it. Browsers move it inside `<img>`; it asks nobody for anything.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "pictures" / "demo.svg"
COLUMNS, ROWS = 108, 28
COMMAND = "k2conn demo --duration 6s --folder data"
LARGEST = 300 * 1024
"""Bytes of a picture that people wait for on a front page."""
_LONGEST_PAUSE, _LAST_PAUSE, _KEY = 0.4, 6.0, 0.05

Event = tuple[float, str]


def main() -> int:
    """Writes the picture; raises CalledProcessError where one of the programs fails."""
    with tempfile.TemporaryDirectory() as name:
        cast = Path(name) / "demo.cast"
        size = ["--cols", str(COLUMNS), "--rows", str(ROWS)]
        run = ["asciinema", "rec", "-q", "--overwrite", *size, "-c", COMMAND, cast]
        programs = Path(sys.executable).parent
        variables = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "TERM": "xterm-256color"}
        subprocess.run(run, cwd=name, env=variables, stdin=subprocess.DEVNULL, check=True, timeout=120)
        head, *lines = cast.read_text().splitlines()
        events = edited([(float(at), text) for at, _, text in map(json.loads, lines)], programs)
        cast.write_text("\n".join([head, *(json.dumps([round(at, 3), "o", text]) for at, text in events)]) + "\n")
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([programs / "termtosvg", "render", cast, PICTURE], check=True, stdout=subprocess.DEVNULL)
    PICTURE.write_text("\n".join(line.rstrip() for line in PICTURE.read_text().splitlines()) + "\n")
    size = PICTURE.stat().st_size
    print(f"{PICTURE.relative_to(ROOT)}: {size:,} bytes")
    return int(size > LARGEST)


def edited(events: list[Event], programs: Path) -> list[Event]:
    """The events behind a typed command, without long pauses and without this machine's paths, and a pause to read."""
    found = list(_typed())
    now = found[-1][0]
    last = events[0][0] if events else 0.0
    for at, text in events:
        now += min(at - last, _LONGEST_PAUSE)
        last = at
        found.append((now, re.sub(rf"{re.escape(str(programs))}/|/tmp/\w+/", "", text)))
    return [*found, (now + _LAST_PAUSE, " ")]


def _typed() -> Iterator[Event]:
    yield 0.0, "$ "
    for number, letter in enumerate(COMMAND.removesuffix(" --folder data"), 1):
        yield 0.5 + number * _KEY, letter
    yield 1.0 + len(COMMAND) * _KEY, "\r\n"


if __name__ == "__main__":
    raise SystemExit(main())
