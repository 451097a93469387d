"""Become the command given, after asking the kernel to kill it when the process that started it dies.

Run as `python guard.py PARENT COMMAND...`. The request survives `exec`, and the process keeps its id.
It is made here and not between fork and exec in the parent, where code is unsafe once other threads run
(Kafka clients start some). Linux only; elsewhere the exit handler in `process` has to do.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Bind this process's life to its parent's and become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
