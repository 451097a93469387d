"""A program beside k2conn, under its supervision: the way to sources whose protocol only their vendor's library speaks.

A line of its standard output is a frame, what is sent is a line of its standard input, and what it says on its standard
error goes to the log. It is started without a shell, with the command that the operator allowed and no other, in a
session of its own: at the end it and all that it started are ended as one group. Its environment holds what the
connector file gives it, and what every program needs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast
from urllib.parse import urlsplit

from k2conn.errors import TransportError
from k2conn.framing import LINES, cutter, framed
from k2conn.transports import Address, OnFrames
from k2conn.transports.byte_frames import NOT_READING, Inbox, SendWatch, hand_on_all
from k2conn.transports.exec.error_lines import ErrorLines

ENDS_WITHIN = 2.0
"""Seconds that a program has to end by itself once its input is closed, and again once it was asked to (SIGTERM)."""
_LOG = logging.getLogger(__name__)


class _Pipes(asyncio.SubprocessProtocol):
    """The process's side."""

    def __init__(self, name: str) -> None:
        self.inbox = Inbox()
        self.errors = ErrorLines(lambda text: _LOG.info("%s says: %s", name, text))
        self.watch = SendWatch(self._leave)
        self.left = ""
        self.ended = asyncio.Event()
        self.transport: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.SubprocessProtocol`."""
        process = self.transport = cast(asyncio.SubprocessTransport, transport)  # uvloop's is no subclass of it
        output = cast(asyncio.ReadTransport, process.get_pipe_transport(1))
        self.inbox.pause, self.inbox.resume = output.pause_reading, output.resume_reading

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """See `asyncio.SubprocessProtocol`."""
        if fd == 1:
            self.inbox.put(data)
        else:
            self.errors.feed(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """See `asyncio.SubprocessProtocol`."""
        if fd == 1:
            self.inbox.resume = lambda: None
            self.inbox.end()
        elif fd == 2:
            self.errors.finish()

    def process_exited(self) -> None:
        """See `asyncio.SubprocessProtocol`. What it started goes with it: else a pipe may stay open for ever."""
        self.kill(signal.SIGKILL)
        self.watch.resume_writing()
        self.ended.set()

    def pause_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self.watch.pause_writing()

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self.watch.resume_writing()

    def _leave(self, why: str) -> None:
        self.left = self.left or why
        self.kill(signal.SIGKILL)

    def kill(self, number: signal.Signals) -> None:
        """A signal to the program and all that it started."""
        assert self.transport is not None
        with suppress(ProcessLookupError, PermissionError):  # nobody is left
            os.killpg(self.transport.get_pid(), number)


class Sidecar:
    """One run of the program."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._name = urlsplit(address.url).hostname or "program"
        self._cut = cutter(LINES, address.max_frame)
        self._pipes: _Pipes | None = None
        self._closing = False

    @property
    def discarded(self) -> int:
        """See `Transport`."""
        return int(self._cut.pending or (self._pipes is not None and self._pipes.inbox.unread))

    async def run(
        self, on_open: Callable[[], None], on_frames: OnFrames, relief: Callable[[], Awaitable[None]]
    ) -> None:
        """See `Transport.run`."""
        pipes = self._pipes = await self._started()
        try:
            on_open()
            await hand_on_all(pipes.inbox.take, self._cut, on_frames, relief)
        finally:
            await self._end(pipes)
        if self._closing:
            return
        if pipes.left:
            raise TransportError(NOT_READING, pipes.left, unwelcome=True)
        assert pipes.transport is not None
        raise TransportError("exited", _how(self._name, pipes.transport.get_returncode()))

    async def _started(self) -> _Pipes:
        program = self._address.program
        if program is None or not program.command:
            raise TransportError("exec", f"no program is allowed for exec://{self._name}")
        try:
            _, pipes = await asyncio.get_running_loop().subprocess_exec(
                lambda: _Pipes(self._name), *program.command, env=dict(program.environment), start_new_session=True,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise TransportError("exec", f"the program for exec://{self._name} cannot be started: {why}") from None
        return pipes

    async def _end(self, pipes: _Pipes) -> None:
        """Ends the program, and all that it started: by the end of its input, by asking, by force."""
        assert pipes.transport is not None
        given = pipes.transport.get_pipe_transport(0)
        if given is not None:
            given.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(TimeoutError):
                async with asyncio.timeout(ENDS_WITHIN):
                    await pipes.ended.wait()
                break
            pipes.kill(number)
        else:
            await pipes.ended.wait()
        pipes.transport.close()

    def send(self, frame: str | bytes) -> None:
        """See `Transport.send`."""
        pipes = self._pipes
        if pipes is None or pipes.transport is None:
            return
        given = cast(asyncio.WriteTransport | None, pipes.transport.get_pipe_transport(0))
        if given is None or given.is_closing():
            return
        if pipes.watch.room(given.get_write_buffer_size()):
            given.write(framed(frame, LINES))

    async def close(self, reason: str = "") -> None:
        """See `Transport.close`: the end of its input tells the program; `run` waits for its end."""
        self._closing = True
        pipes = self._pipes
        if pipes is not None and pipes.transport is not None:
            given = pipes.transport.get_pipe_transport(0)
            if given is not None:
                given.close()
            await self._end(pipes)


def _how(name: str, code: int | None) -> str:
    if code is not None and code < 0:
        return f"{name} was ended by the signal {-code}"
    return f"{name} ended with exit code {code}"
