"""Asks the port of a process for pages, one at a time, and says how long each took: a process of its own, so that
nothing else of the soak holds an answer up.

    python -m benchmarks.hostile.asker PID PORT

A path on each line of standard input; a line for each answer (see `Look`).
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

WITHIN = 30.0
"""Seconds after which an answer is given up."""
SAID = "look "
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
Times = Mapping[str, tuple[int, int]]
"""Of each thread of a process, nanoseconds on a processor, and ready to run without one."""


@dataclass(frozen=True, slots=True)
class Look:
    """One answer. ``status`` is 0 where none came."""

    status: int
    seconds: float
    waited: float
    """Of these seconds, those in which the process was ready to run and had no processor: others had them."""
    worked: float
    """Seconds that its busiest thread ran meanwhile."""
    body: bytes

    @property
    def own(self) -> float:
        """Seconds that the answer takes where the process has a processor whenever it needs one."""
        return max(self.seconds - self.waited, self.worked)

    @property
    def answered(self) -> bool:
        """Whether it is a state of the process; one that had hardly a processor meanwhile need not tell it."""
        return self.status in (200, 503) or self.waited > self.seconds / 2

    def line(self) -> str:
        """As the process says it."""
        return SAID + json.dumps(asdict(self) | {"body": base64.b64encode(self.body).decode()})


def look_of(line: str) -> Look:
    """What `Look.line` wrote, without its first word."""
    found = json.loads(line)
    return Look(**found | {"body": base64.b64decode(found["body"])})


def times(pid: int) -> Times:
    """The kernel's account; empty where it keeps none (it is Linux's)."""
    found = {}
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            ran, waited, _ = (task / "schedstat").read_text().split()
        except OSError:  # a thread that just ended
            continue
        found[task.name] = int(ran), int(waited)
    return found


def look(pid: int, port: int, path: str) -> Look:
    """Asks once."""
    before, began = times(pid), time.monotonic()
    status, body = _page(port, path)
    seconds, after = time.monotonic() - began, times(pid)
    ran, waited = (
        max((after[name][which] - before[name][which] for name in before.keys() & after.keys()), default=0) / 1e9
        for which in (0, 1)
    )
    return Look(status, seconds, min(waited, seconds), ran, body)


def _page(port: int, path: str) -> tuple[int, bytes]:
    try:
        with _direct.open(f"http://127.0.0.1:{port}/{path}", timeout=WITHIN) as answer:
            return int(answer.status), bytes(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def main() -> None:
    """Until there are no more lines."""
    pid, port = map(int, sys.argv[1:])
    os.setsid()  # where processors are shared out by sessions, it has a share of its own
    for line in sys.stdin:
        print(look(pid, port, line.strip()).line(), flush=True)


if __name__ == "__main__":
    main()
