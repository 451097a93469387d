"""The connector as a separate process that can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from k2conn.child_python import child_command, child_environment

_STOPS_WITHIN = 30.0
_TAIL = 600
"""Characters of the end of the log that an error quotes."""


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """What a process is started with: the exchange's addresses, the registry's, a prefix for topics, and a folder for
    its spool, its state and its log.
    """

    streams: tuple[str, ...]
    socket_url: str
    http_url: str
    registry_url: str
    prefix: str
    folder: Path
    program: tuple[str, ...] = ()
    """What stands for the venue's program; none where there is none."""


Launch = Callable[[ProcessSettings], tuple[Sequence[str], Mapping[str, str]]]
"""Returns what follows `python` in the command of `k2conn run` for the given settings, and its environment."""


class ConnectorProcess:
    """One run of the process, from `start` to its end."""

    def __init__(self, launch: Launch, setting: ProcessSettings, log: Path) -> None:
        self.log = log
        self._command, self._environment = launch(setting)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts it and appends its output to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *child_command(self._command), env=child_environment(self._environment),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.returncode is None

    async def kill(self) -> None:
        """Kills the process with SIGKILL."""
        if self._process is not None and self.running:
            with suppress(ProcessLookupError):  # it was quicker
                os.kill(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    async def stop(self) -> int:
        """Stops the process with SIGTERM and returns its exit code. One that does not end in time is killed (-9)."""
        assert self._process is not None
        if self.running:
            with suppress(ProcessLookupError):
                self._process.terminate()
        return await self.ended(_STOPS_WITHIN)

    async def ended(self, within: float) -> int:
        """Waits for the process to end by itself and returns its exit code; kills it (-9) after ``within`` seconds."""
        assert self._process is not None
        try:
            async with asyncio.timeout(within):
                return await self._process.wait()
        except TimeoutError:
            await self.kill()
            return -signal.SIGKILL

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-_TAIL:].strip() if self.log.exists() else ""
