"""What the check of one connector file may cost.

Parts of a file are bounded one by one (`docs/limits.md`). What they cost together, over the frames that the file's own
tests bring, nobody can tell before: so the check is watched while it runs, and given up far beyond all honest files.
"""

from __future__ import annotations

import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from k2conn.compiler.language.problems import Problem

SECONDS = 3.0
"""Of processor time, but for what it takes to load the modules that are needed; a long file takes 0.1."""
BYTES = 190 * 1024**2
"""Of memory, beside the 40 MiB and more that the process has already."""
_LOOK_EVERY = 0.02
_STATM = Path("/proc/self/statm")


class BudgetExceeded(BaseException):
    """The check takes too much. No `except Exception` on the way is to take it for a trouble of its own."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def problem(self, file: str) -> Problem:
        """The same as a problem of the file."""
        text = f"checking it takes more than {self.what}: make it smaller, above all what its tests receive"
        return Problem(file, 1, 1, "too-large", text)


@contextmanager
def check_budget() -> Iterator[None]:
    """The block is ended by BudgetExceeded where it takes too much. Beside the main thread, which alone can be told,
    nothing is watched.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    until, most = _seconds() + SECONDS, _resident() + BYTES

    def look(number: int, frame: FrameType | None) -> None:
        nonlocal until
        if _loads(frame):
            until += _LOOK_EVERY
            return
        if _seconds() > until:
            raise BudgetExceeded(f"{SECONDS:g} s of processor time")
        if _resident() > most:
            raise BudgetExceeded(f"{BYTES // 1024**2} MiB of memory")

    before = signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, _LOOK_EVERY, _LOOK_EVERY)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _loads(frame: FrameType | None) -> bool:
    """Whether a module is being loaded: that is our work, not the file's, and is not to be left half done."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident() -> int:
    """Bytes in memory now; where the system does not say, the most there ever were."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
