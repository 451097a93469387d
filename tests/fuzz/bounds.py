"""How long a run lasts, and what one input may cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """A run ends with ``executions`` or ``seconds``, whatever comes first; 0 is no bound."""

    executions: int = 0
    seconds: int = 0
    timeout: int = 20
    """Seconds of one input."""
    memory: int = 2048
    """MiB of the process."""


def check_time(seconds: float, work: Callable[[], None]) -> None:
    """Fails where some work takes more CPU time than that. Asking for CPU time is slow, so a look at the clock on the
    wall goes before it, and only what seems to take long is measured, once more.
    """
    started = time.perf_counter()
    work()
    if time.perf_counter() - started > seconds:
        began = time.thread_time()
        work()
        assert time.thread_time() - began < seconds, "it took seconds"
