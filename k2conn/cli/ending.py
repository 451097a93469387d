"""The end of the process, while threads of it still wait for somebody else."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from contextlib import suppress


class Ending:
    """Ends the process without taking Python apart, where a daemon thread is left at the end.

    A call that nobody waits for any more (an answer over HTTP, the system's resolver) is in such a thread, and cannot
    be ended. Python would take itself apart beside it; a thread that comes back in that moment crashes the process
    (SIGSEGV in 2 of 40 runs that were stopped while a name server did not answer).

    What is registered first with `atexit` runs last: so this is made before others register theirs.
    """

    def __init__(self) -> None:
        self.code: object = None
        """As `SystemExit` has it."""
        atexit.register(self._leave)

    def _leave(self) -> None:
        if not any(one.daemon for one in threading.enumerate()):
            return
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # nobody reads it any more
                stream.flush()
        os._exit(self.code if isinstance(self.code, int) else 0 if self.code is None else 1)
