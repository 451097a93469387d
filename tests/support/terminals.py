"""A program on a terminal of a given size, as a person has it: what the screen shows, and keys that are typed."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyte

from tests.support import warm_process


class Terminal:
    """A running program and its screen."""

    def __init__(self, process: subprocess.Popen[bytes], end: int, columns: int, rows: int) -> None:
        self.process = process
        self._end = end
        self.raw = b""
        """All that the program wrote."""
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def text(self) -> str:
        return "\n".join(self._screen.display)

    @property
    def colours(self) -> set[str]:
        """The colours of the screen's characters."""
        return {one.fg for line in self._screen.buffer.values() for one in line.values()} | {
            one.bg for line in self._screen.buffer.values() for one in line.values()
        }

    def type(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def read(self, within: float = 0.1) -> bool:
        """Takes what has come; false where the program has closed its terminal."""
        ready, _, _ = select.select([self._end], [], [], within)
        if not ready:
            return True
        try:
            found = os.read(self._end, 65536)
        except OSError:
            return False
        self.raw += found
        self._stream.feed(found)
        return bool(found)

    def until(self, holds: Callable[[str], object], within: float = 60.0) -> str:
        """The screen as soon as it is so."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            open_ = self.read()
            if holds(self.text):
                return self.text
            assert open_, f"it ended: {self.text}"
        raise AssertionError(f"it never showed that:\n{self.text}")

    def ended(self, within: float = 40.0) -> int:
        """The exit code."""
        end = time.monotonic() + within
        while self.read() or self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end:\n{self.text}"
        return self.process.wait(60)


@contextmanager
def terminal(
    command: Sequence[object], folder: Path, environment: Mapping[str, str], columns: int = 80, rows: int = 24
) -> Iterator[Terminal]:
    """`k2conn ...` on a terminal; killed at the end where it still runs."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = warm_process.started(
        *command, cwd=folder, env={**environment, "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, preexec_fn=warm_process.on_its_terminal,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours, columns, rows)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(ours)
