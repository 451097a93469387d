"""What a program says on its standard error, for the log: made visible, and no more of it than a log can take."""

from __future__ import annotations

from collections.abc import Callable

from k2conn.clock import monotonic
from k2conn.printable import visible

LONGEST = 500
"""Characters of a line that the log repeats."""
MOST = 20
"""Lines in `WITHIN` seconds; others are counted."""
WITHIN = 10.0
_KEPT = 4096
"""Bytes of a line whose end did not come; what is behind them is left out."""


class ErrorLines:
    """The lines of one program."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._rest = b""
        self._since = 0.0
        self._said = 0
        self._left_out = 0

    def feed(self, data: bytes) -> None:
        """Bytes as they come."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:_KEPT]
        for line in lines:
            self._line(line)

    def finish(self) -> None:
        """The end: says what was left out."""
        if self._rest:
            self._line(self._rest)
            self._rest = b""
        self._tell_left_out()

    def _line(self, line: bytes) -> None:
        text = line[: 4 * LONGEST].decode("utf-8", "replace").rstrip()
        if not text:
            return
        now = monotonic()
        if now - self._since > WITHIN:
            self._tell_left_out()
            self._since, self._said = now, 0
        if self._said >= MOST:
            self._left_out += 1
            return
        self._said += 1
        self._say(visible(text[:LONGEST]))

    def _tell_left_out(self) -> None:
        if self._left_out:
            self._say(f"({self._left_out} more lines are left out)")
            self._left_out = 0
