"""One worker as the parent sees it: its process and the channel to it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from k2conn.child_python import child_environment
from k2conn.clock import monotonic
from k2conn.ending_tasks import end_tasks
from k2conn.workers.assignment import Assignment
from k2conn.workers.channel import IDENTITY, TAP, Channel, WorkerIdentity
from k2conn.workers.merged_tap import TapFeed

ANSWER_WITHIN = 3.0
"""Seconds for an answer; a worker that is busier than that counts as one that does not answer."""
LAST_MESSAGES_WITHIN = 2.0
"""Seconds in which the last messages of a process that has ended are read."""


class WorkerHandle:
    """One worker, and the processes that are it one after the other."""

    def __init__(
        self, index: int, workers: int, assignment: Assignment, command: Sequence[str], started: Callable[[], None]
    ) -> None:
        """``started`` is called whenever a process has opened its sink and begun."""
        self.index = index
        self.assignment = assignment
        self.up = False
        """Whether the process has begun."""
        self.ever_up = False
        self.restarts = 0
        self.report: dict[str, Any] | None = None
        """The final figures of the latest process, where it ended in order."""
        self._workers = workers
        self._command = command
        self._started = started
        self._stopped = False
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._feeds: dict[int, TapFeed] = {}
        """What it gives to listeners, by number."""

    @property
    def pid(self) -> int | None:
        """Of the process at work; None where there is none."""
        return self._process.pid if self._process is not None else None

    async def run_process(self, environment: Mapping[str, str]) -> tuple[int, float]:
        """Starts a process and waits for its end: its exit code (below 0: the signal that killed it), and how many
        seconds it lasted. OSError where the system starts none.
        """
        began, self.report = monotonic(), None
        listening: asyncio.Task[None] | None = None
        ours, theirs = socket.socketpair()
        try:
            handle = theirs.fileno()
            identity = WorkerIdentity(self.index, self._workers, handle)
            # A session of its own: Ctrl-C reaches the parent only, which stops its workers in order.
            self._process = await asyncio.create_subprocess_exec(
                *self._command, env=child_environment({**environment, IDENTITY: str(identity)}), pass_fds=(handle,),
                start_new_session=True, stdin=asyncio.subprocess.DEVNULL,
            )
            theirs.close()
            if self._stopped:  # asked for while it was being started
                self.stop()
            ours.setblocking(False)
            self._channel = await Channel.over(ours)
            self._channel.send({"share": self.assignment.plain()})
            for feed in self._feeds.values():
                feed.open(self._channel)
            listening = asyncio.create_task(self._listen(self._channel))
            code = await self._process.wait()
            await asyncio.wait({listening}, timeout=LAST_MESSAGES_WITHIN)
            return code, monotonic() - began
        finally:
            theirs.close()
            await self._clean_up(listening)
            ours.close()

    async def _clean_up(self, listening: asyncio.Task[None] | None) -> None:
        """The process has ended, or the parent itself ends by a bug: nothing of it is left running or waited for."""
        self.kill()
        self.up, self._process = False, None
        await end_tasks(listening)
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close()
        for future in self._asked.values():
            if not future.done():
                future.set_result(None)
        self._asked.clear()

    async def _listen(self, channel: Channel) -> None:
        while (message := await channel.receive()) is not None:
            if "up" in message:
                self.up = self.ever_up = True
                self._started()
            elif "report" in message:
                self.report = message
            elif TAP in message:
                if (feed := self._feeds.get(message[TAP])) is not None:  # else it has ended meanwhile
                    feed.take(message)
            elif (future := self._asked.pop(message["number"], None)) is not None and not future.done():
                future.set_result(message["answer"])

    async def ask(self, what: str) -> Any:
        """The worker's answer to a question; None where it does not answer in time."""
        if self._channel is None or not self.up:
            return None
        number = next(self._numbers)
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        self._channel.send({"ask": what, "number": number})
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await future
        except TimeoutError:
            return None
        finally:
            self._asked.pop(number, None)

    def attach(self, feed: TapFeed) -> None:
        """A listener: this process and those that follow it say what passes, until it is detached."""
        self._feeds[feed.number] = feed
        if self._channel is not None:
            feed.open(self._channel)

    def detach(self, feed: TapFeed) -> None:
        """The listener has left."""
        del self._feeds[feed.number]
        feed.close()

    def assign(self, assignment: Assignment) -> None:
        """Another assignment: the running process reloads, later ones begin with it."""
        self.assignment = assignment
        if self._channel is not None:
            self._channel.send({"share": assignment.plain()})

    def stop(self) -> None:
        """Asks the process to end in order."""
        self._stopped = True
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the process at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)
