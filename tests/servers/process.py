"""A server process that answers before `start` returns, and that never outlives the process that started it.

Three things see to the second half: `stop`, called by whoever started it; an exit handler; and, on Linux,
the kernel, which kills the server when its parent is gone for any reason, SIGKILL included (see `guard`).
The server has a session of its own, so Ctrl-C reaches the parent only, which then stops it in good order.
"""

from __future__ import annotations

import atexit
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

_GUARD = Path(__file__).with_name("guard.py")
_ANSWERS_WITHIN = 90.0
_STOPS_WITHIN = 30.0
_TAIL_LINES = 30


class Failed(RuntimeError):
    """A server that did not come up; the text ends with the last lines of its log."""


class Server:
    """One server process with its folder of data and logs.

    `start`, `stop`, `kill` and `restart` may be called in any order and again; the port and the data stay.
    """

    name: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """The command that runs the server in the foreground, after preparing what it reads."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether the server does its work, asked in its own protocol. May raise OSError for no."""
        raise NotImplementedError

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def running(self) -> bool:
        """Whether the process is there, be it paused or not."""
        return self.pid is not None

    def start(self) -> Self:
        """Start the server and wait until it answers; one that runs already is left alone."""
        if not self.running:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._process = _spawn(self.command(), self.folder, self.log)
            _alive.add(self)
            self._wait()
        return self

    def stop(self) -> None:
        """Ask the server to shut down in good order, and wait until it has; kill it where it does not."""
        if self._process is not None and self.running:
            self._process.terminate()
            self.resume()  # a paused process does not hear
            try:
                self._process.wait(_STOPS_WITHIN)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End the server at once, as a power cut would."""
        if self._process is not None and self.running:
            self._process.kill()
            self._process.wait()

    def restart(self) -> Self:
        """Stop in good order, then start again on the same port and data."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """Freeze the process: its sockets stay open and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._signal(signal.SIGCONT)

    def tail(self) -> str:
        """The last lines of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-_TAIL_LINES:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.running:
            self._process.send_signal(number)

    def _wait(self) -> None:
        """Wait for the first answer. Whatever ends the wait otherwise, Ctrl-C too, ends the server."""
        deadline = time.monotonic() + _ANSWERS_WITHIN
        try:
            while not self._ready():
                if not self.running:
                    raise Failed(self._why("ended while starting"))
                if time.monotonic() > deadline:
                    raise Failed(self._why(f"did not answer within {_ANSWERS_WITHIN:.0f} s"))
                time.sleep(0.05)
        except BaseException:
            self.kill()
            raise

    def _why(self, what: str) -> str:
        return f"{self.name} {what}. The end of {self.log}:\n{self.tail()}"

    def _ready(self) -> bool:
        try:
            return self.answers()
        except OSError:
            return False


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses, kept clear of the range clients get their own ports from.

    A client that tries again and again to reach a dead server on a port of that range will one day be given
    that very port as its own and be connected to itself; the server could then not come back.
    """
    for _ in range(200):
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Failed("no free port between 20000 and 32000 on 127.0.0.1")


class _Spawner(threading.Thread):
    """The thread that starts every server.

    Linux takes the death of the *thread* that started a process for the death of its parent. A test may well
    call `restart` in a worker thread, so processes are started in this one, which lives to the end.
    """

    def __init__(self) -> None:
        super().__init__(name="servers", daemon=True)
        self.orders: queue.SimpleQueue[tuple[list[str], Path, Path, Future[subprocess.Popen[bytes]]]] = (
            queue.SimpleQueue()
        )

    def run(self) -> None:
        while True:
            command, folder, log, result = self.orders.get()
            try:
                result.set_result(_popen(command, folder, log))
            except BaseException as error:
                result.set_exception(error)


_alive: weakref.WeakSet[Server] = weakref.WeakSet()
_spawner: _Spawner | None = None
_lock = threading.Lock()
_owner = os.getpid()


def _spawn(command: Sequence[str], folder: Path, log: Path) -> subprocess.Popen[bytes]:
    global _spawner
    with _lock:
        if _spawner is None:
            _spawner = _Spawner()
            _spawner.start()
    result: Future[subprocess.Popen[bytes]] = Future()
    _spawner.orders.put((list(command), folder, log, result))
    return result.result()


def _popen(command: list[str], folder: Path, log: Path) -> subprocess.Popen[bytes]:
    guard = [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid())]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*guard, *command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@atexit.register
def _end_all() -> None:
    """Kill what is left. A forked child that ends is not the owner and leaves its parent's servers alone."""
    if os.getpid() == _owner:
        for server in list(_alive):
            server.kill()
