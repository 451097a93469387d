"""What execnet starts instead of Python where a fork is wanted (see `forks`): with a folder, and Python's arguments.

It hands its pipes to the first process, and stays until the fork has ended. Where nobody listens it becomes Python.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time


def runs(pid: str) -> bool:
    """Whether this process is there, and more than an entry for whoever waits for it."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def connected(folder: str) -> socket.socket | None:
    """The first process at the other end; None when it is gone, or listens no more."""
    with open(f"{folder}/pid") as file:
        first = file.read()
    while runs(first):
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(f"{folder}/socket")
        except FileNotFoundError:
            connection.close()
            time.sleep(0.02)
        except ConnectionError:
            return None
        else:
            return connection
    return None


if __name__ == "__main__":
    folder, *arguments = sys.argv[1:]
    first = connected(folder)
    if first:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the fork hears it
        socket.send_fds(first, [b"."], [0, 1])
        for number in (0, 1):
            os.close(number)
        try:
            ended = first.recv(1)
        except ConnectionError:
            ended = b""
        sys.exit(not ended)
    os.execv(sys.executable, [sys.executable, *arguments])
