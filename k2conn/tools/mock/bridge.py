"""Stands for a program beside k2conn: carries lines between its pipes and a mock exchange's socket.

`python -m k2conn.tools.mock.bridge PORT ...`. What it read from the socket stays there, for the exchange to see, until
the other end of its output has read it.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import termios
import threading
import time
from contextlib import suppress

_PIECE = 64 * 1024


def main() -> int:
    """Carries until either side ends."""
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as opened, suppress(OSError):
        threading.Thread(target=_given, args=(opened,), daemon=True).start()
        while data := opened.recv(_PIECE, socket.MSG_PEEK):
            left = memoryview(data)
            while left:
                left = left[os.write(1, left) :]
            while int.from_bytes(fcntl.ioctl(1, termios.FIONREAD, b"\0\0\0\0"), sys.byteorder):
                time.sleep(0.0002)
            opened.recv(len(data))
    return 0


def _given(opened: socket.socket) -> None:
    with suppress(OSError):
        while data := os.read(0, _PIECE):
            opened.sendall(data)
        opened.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    sys.exit(main())
