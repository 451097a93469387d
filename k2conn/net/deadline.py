"""A bound on the whole of a blocking exchange. A socket's own timeout bounds one read only: whoever sends a byte now
and then would hold its reader, and the thread that it is in, for as long as it likes.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self


class Deadline:
    """Ends an exchange after so many seconds by shutting its socket down: whoever reads from it or writes to it then
    gets an error at once, and `passed` says why.
    """

    def __init__(self, within: float) -> None:
        self.passed = False
        self._socket: Callable[[], socket.socket | None] = lambda: None
        self._timer = threading.Timer(within, self._end)
        self._timer.daemon = True

    def watch(self, found: Callable[[], socket.socket | None]) -> None:
        """From now on it is the socket that this gives."""
        self._socket = found
        if self.passed:
            self._end()

    def check(self) -> None:
        """TimeoutError where it has passed."""
        if self.passed:
            raise TimeoutError

    def _end(self) -> None:
        self.passed = True
        found = self._socket()
        if found is not None:
            with suppress(OSError):  # it is closed already, or not connected yet
                socket.socket.shutdown(found, socket.SHUT_RDWR)  # not TLS's own, which is not for another thread

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()
