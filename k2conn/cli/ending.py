"""The end of the process, while threads of it still wait for somebody else."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from contextlib import suppress


def end(code: object) -> None:
    """Ends the process with ``code`` (see `SystemExit`) where a daemon thread is left; returns where none is.

    A call that nobody waits for any more (an answer over HTTP, the system's resolver) is in such a thread, and cannot
    be ended. Python would take itself apart beside it; a thread that comes back in that moment crashes the process
    (SIGSEGV in 2 of 40 runs that were stopped while a name server did not answer). What is to be done at the end is
    done here.
    """
    if not any(one.daemon for one in threading.enumerate()):
        return
    if isinstance(code, str):
        print(code, file=sys.stderr)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)
