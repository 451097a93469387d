"""Processes under measurement: their CPU time alone, their memory, their end."""

from __future__ import annotations

import atexit
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Ended(RuntimeError):
    """A process that ended, or said nothing, when it should have gone on; the text holds the end of its log."""


class Process:
    """A child with a log file; ``cpu`` is the time it has used so far, of all its threads, in seconds."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            )
        _started.add(self)
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def cpu(self) -> float:
        """CPU seconds used so far."""
        folder = Path(f"/proc/{self.pid}/task")
        if folder.is_dir():
            return sum(_run_time(task) for task in folder.iterdir()) / 1e9
        said = subprocess.run(["ps", "-o", "time=", "-p", str(self.pid)], capture_output=True, text=True, check=True)
        return _clock(said.stdout.strip())

    @property
    def children(self) -> int:
        """Processes that it started and that are still there: their CPU is not in ``cpu``. 0 where nothing tells."""
        files = Path(f"/proc/{self.pid}/task").glob("*/children")
        return sum(len(file.read_text().split()) for file in files)

    @property
    def resident(self) -> int:
        """Bytes of memory that are its own (and its share of libraries in memory)."""
        status = Path(f"/proc/{self.pid}/status")
        if status.exists():
            line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
            return int(line.split()[1]) * 1024
        said = subprocess.run(["ps", "-o", "rss=", "-p", str(self.pid)], capture_output=True, text=True, check=True)
        return int(said.stdout) * 1024

    def tell(self, text: str) -> None:
        """A line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()

    def hear(self, start: str, within: float = 60.0) -> str:
        """The next line of its standard output that begins so, without the beginning."""
        end = time.monotonic() + within
        while True:
            try:
                line = self._lines.get(timeout=max(end - time.monotonic(), 0.01))
            except queue.Empty:
                raise Ended(self._why(f"did not say '{start}' within {within:.0f} s")) from None
            if line is None:
                raise Ended(self._why("ended"))
            if line.startswith(start):
                return line.removeprefix(start).strip()

    def quiet(self, within: float = 5.0) -> None:
        """Waits until it uses hardly any CPU."""
        end = time.monotonic() + within
        last = self.cpu
        while time.monotonic() < end:
            time.sleep(0.25)
            now = self.cpu
            if now - last < 0.005:
                return
            last = now

    @property
    def running(self) -> bool:
        """Whether it is there."""
        return self._process.poll() is None

    def stop(self, within: float = 20.0) -> int:
        """Asks it to end, and waits; kills it where it does not. The exit code."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(within)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def tail(self, lines: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _why(self, what: str) -> str:
        return f"{self.name} {what}. The end of {self.log}:\n{self.tail()}"


_started: weakref.WeakSet[Process] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """Whatever ends this process, an interruption too, it leaves no child behind."""
    for process in list(_started):
        if process.running:
            process.stop(5.0)


class Feeding(Process):
    """A feeder in its own process (see `benchmarks.feeder`)."""

    def __init__(
        self, folder: Path, *venues: str, symbols: int = 10, frames: int = 0, journal: Path | None = None,
        tick: float = 0.001,
    ) -> None:
        numbers = ["--symbols", str(symbols), "--frames", str(frames), "--tick", f"{tick:.6f}"]
        numbers += ["--journal", str(journal)] if journal is not None else []
        command = [sys.executable, "-m", "benchmarks.feeder", *venues, *numbers]
        super().__init__("feeder", command, folder / "feeder.log")
        self.folder = folder
        self.port = int(self.hear("port", 120))


def _run_time(task: Path) -> int:
    """Nanoseconds on a CPU; the kernel's account of one thread."""
    try:
        return int((task / "schedstat").read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):  # a thread that just ended
        return 0


def _clock(text: str) -> float:
    """[[DD-]HH:]MM:SS[.ss] as seconds."""
    days, _, rest = text.rpartition("-")
    seconds = 0.0
    for part in rest.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds + int(days or 0) * 86400
