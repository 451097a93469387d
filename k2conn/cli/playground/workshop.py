"""Answers questions, each in a process of its own (`k2conn.cli.playground.child`), one at a time."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Mapping
from typing import Any

from k2conn import exactjson
from k2conn.child_python import child_command, child_environment

WITHIN = 30.0
"""Seconds for one answer, however busy the machine is."""
WAITING = 3
"""Questions that wait; further ones are refused."""
LONGEST_ANSWER = 8 << 20
"""Bytes."""
_KEPT = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "K2CONN_PURE_PYTHON", "K2_DECIMALS", "K2_SCHEMAS")
"""Of our environment, what the process is given: nothing that a connector file could name."""


class Crowded(Exception):
    """Too many questions wait."""


class Workshop:
    """``environment``: our own."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        kept = {name: environment[name] for name in _KEPT if name in environment}
        self._environment = child_environment(kept)
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def answer(self, spec: str, frames: str) -> bytes:
        """The answer, as JSON; Crowded where too many wait."""
        if self._waiting > WAITING:
            raise Crowded
        self._waiting += 1
        try:
            async with self._turn:
                return await self._asked(exactjson.encode({"spec": spec, "frames": frames}))
        finally:
            self._waiting -= 1

    async def _asked(self, question: bytes) -> bytes:
        with tempfile.TemporaryDirectory(prefix="k2conn-playground-") as folder:
            process = await asyncio.create_subprocess_exec(
                *child_command(["-m", "k2conn.cli.playground.child"]), cwd=folder, env=self._environment,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                async with asyncio.timeout(WITHIN):
                    return await _conversed(process, question)
            except TimeoutError:
                return _failed("it takes longer than a question may")
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()


async def _conversed(process: asyncio.subprocess.Process, question: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(question)
        await process.stdin.drain()
        process.stdin.close()
    except ConnectionError:
        pass  # it ended without reading all: how, its end tells
    answer = bytearray()
    while piece := await process.stdout.read(1 << 16):
        answer += piece
        if len(answer) > LONGEST_ANSWER:
            return _failed("the answer is too long: take fewer frames")
    return _judged(bytes(answer), await process.wait())


def _judged(answer: bytes, code: int) -> bytes:
    if code == 0 and answer:
        return answer
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return _failed("it takes more processor time or memory than a question may")
    return _failed(f"a bug of k2conn ended it (exit code {code}); k2conn validate and k2conn map tell more")


def _failed(why: str) -> bytes:
    document: dict[str, Any] = {"failed": why}
    return exactjson.encode(document)

