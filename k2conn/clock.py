"""The clock of everything that runs: the pure rooms are told the time.

``monotonic`` is for spans (seconds, never set back), ``thread_time`` for work that was done (seconds of the processor
in this thread, whatever else runs), the others are for moments that are written down.
"""

from __future__ import annotations

import time
from time import monotonic, thread_time

__all__ = ["monotonic", "thread_time", "wall_ms", "wall_us"]


def wall_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


def wall_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
