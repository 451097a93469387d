"""`k2conn` as a process of its own, without the second that it takes to start.

Three quarters of that second are imports. Where a test gives a command words and variables and looks at what comes of
it, they prove nothing; so they are done once: a server (`warm_server`) has imported what commands use, and each command
is a fork of it, with the folder, the variables and the files that it is given: `k2conn` waits for its end, `Started` is
one that goes on. What must hold from a process's first instruction on is tested by one that is started as users do.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
import types
from collections.abc import Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from tests.paths import ROOT
from tests.support.warm_server import received, sent

_FROM_THE_START = ("PYTHON", "K2CONN_", "LD_", "LC_", "LANG", "TZ", "FORCE_COLOR", "PY_COLORS", "TERMINAL_WIDTH")
"""Variables with these beginnings are read when Python or a module starts: other ones need a process of their own."""
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""What keeps numpy and Arrow from starting threads as soon as they are imported."""
_RUN = "import runpy\nrunpy.run_module('k2conn', run_name='__main__')"
_lock = threading.Lock()
_Popen = subprocess.Popen


def k2conn(
    *words: object, env: dict[str, str], cwd: Path | str | None = None, given: str | bytes = b"", timeout: float = 120,
    text: bool = True,
) -> subprocess.CompletedProcess[Any]:
    """As `subprocess.run` of `python -m k2conn` with these words does it: what it is given is its standard input, all
    that it prints is captured, nothing is checked.
    """
    arguments = list(map(str, words))
    data = given.encode() if isinstance(given, str) else given
    if not _may_be_a_fork(env):
        done = subprocess.run([sys.executable, "-m", "k2conn", *arguments], env=env, cwd=cwd, input=data,
                              timeout=timeout, capture_output=True, check=False)
        return _completed(arguments, done.returncode, [done.stdout, done.stderr], text)
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write(data)
        stdin.seek(0)
        files = [stdin.fileno(), stdout.fileno(), stderr.fileno()]
        code = _run(arguments, env, str(cwd or Path.cwd()), files, timeout)
        for file in (stdout, stderr):
            file.seek(0)
        return _completed(arguments, code, [stdout.read(), stderr.read()], text)


def started(
    *words: object, env: dict[str, str], cwd: Path | str | None = None, before: str = "", **given: Any
) -> subprocess.Popen[Any]:
    """As `subprocess.Popen` of `python -m k2conn` with these words: a child of this process, which may be sent signals,
    is waited for, and has the files that it is given; its command line alone is the server's. ``before`` is Python that
    it runs first.
    """
    kind: type[subprocess.Popen[Any]] = _Fork if _may_be_a_fork(env) else subprocess.Popen
    program = ["-c", f"{before}\n{_RUN}"] if before else ["-m", "k2conn"]
    return kind([sys.executable, *program, *map(str, words)], env=env, cwd=cwd, **given)


async def executed(
    *words: object, env: dict[str, str], cwd: Path | str | None = None, **given: Any
) -> asyncio.subprocess.Process:
    """As `asyncio.create_subprocess_exec` of `python -m k2conn` with these words; otherwise as `started`."""
    arguments = list(map(str, words))
    command = [sys.executable, "-m", "k2conn", *arguments]
    if not _may_be_a_fork(env):
        return await asyncio.create_subprocess_exec(*command, env=env, cwd=cwd, **given)
    await asyncio.to_thread(_server_of, arguments)  # it takes seconds where it is the first one
    return await _by_a_fork(asyncio.create_subprocess_exec(*command, env=env, cwd=cwd, **given))


@types.coroutine
def _by_a_fork(
    starting: Coroutine[Any, Any, asyncio.subprocess.Process]
) -> Generator[Any, Any, asyncio.subprocess.Process]:
    """asyncio calls Popen before it waits for anything: that far, and no further, Popen is another one."""
    try:
        with mock.patch.object(subprocess, "Popen", _Fork):
            waiting = starting.send(None)
        while True:
            try:
                given = yield waiting
            except BaseException as problem:
                waiting = starting.throw(problem)
            else:
                waiting = starting.send(given)
    except StopIteration as done:
        process: asyncio.subprocess.Process = done.value
        return process


class _Fork(subprocess.Popen[Any]):
    """One that is not started, but a fork of the server, of which this process becomes the parent."""

    def _execute_child(self, args: list[str], executable: Any, preexec_fn: Any, close_fds: bool, pass_fds: Any,
                       cwd: Any, env: dict[str, str], startupinfo: Any, creationflags: int, shell: bool,
                       *given: Any) -> None:
        """Popen's own way, but for where the process comes from."""
        pipes, more = given[:6], given[6:]
        assert not any((pass_fds, shell)), "that needs a process that is started"
        assert preexec_fn in (None, on_its_terminal), "and so does that"
        files = [own if own != -1 else number for number, own in enumerate((pipes[0], pipes[3], pipes[5]))]
        words = args[3:]
        order = {
            "words": words, "before": args[2].removesuffix(_RUN) if args[1] == "-c" else "", "env": env,
            "cwd": str(cwd or Path.cwd()), "left": True, "session": bool(more[-2]),
            "terminal": preexec_fn is on_its_terminal,
        }
        with socket.socket(socket.AF_UNIX) as connection, _lock, _taking_orphans():
            connection.connect(_server(words))
            sent(connection, order, files)
            self.pid = received(connection)["pid"]
            while _parent_of(self.pid) != os.getpid():
                time.sleep(0.001)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


def on_its_terminal() -> None:
    """Before a process in a session of its own begins: its input becomes its terminal, or Ctrl-C would reach nobody."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextmanager
def _taking_orphans() -> Iterator[None]:
    """Meanwhile a process whose parent ends becomes a child of this one, not of init."""
    prctl, subreaper = ctypes.CDLL(None).prctl, 36
    assert prctl(subreaper, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        prctl(subreaper, 0, 0, 0, 0)


def _parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _completed(words: Sequence[str], code: int, printed: list[bytes], text: bool) -> subprocess.CompletedProcess[Any]:
    return subprocess.CompletedProcess(
        ["k2conn", *words], code, *(one.decode().replace("\r\n", "\n") if text else one for one in printed)
    )


def _may_be_a_fork(variables: dict[str, str]) -> bool:
    """Whether it differs from the server in nothing that is read at the start; coverage counts no forks."""
    counted = any(name.startswith("COVERAGE") for name in variables)
    return sys.platform == "linux" and not counted and _first(variables) == _first(_servers())


def _first(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name.startswith(_FROM_THE_START)}


def _servers() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _run(words: Sequence[str], env: dict[str, str], cwd: str, files: list[int], timeout: float) -> int:
    with socket.socket(socket.AF_UNIX) as connection:
        with _lock:
            connection.connect(_server(words))
        connection.settimeout(timeout)
        sent(connection, {"words": words, "env": env, "cwd": cwd}, files)
        pid = received(connection)["pid"]
        try:
            code: int = received(connection)["code"]
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(["k2conn", *words], timeout) from None
    return code


_addresses: dict[str, str] = {}
"""Where the servers of this process listen, by what else they have imported."""


def _kind(words: Sequence[str]) -> str:
    """What a command imports that others do not."""
    if words[:1] == ["serve"]:
        return "api"
    return "lake" if words[:1] in (["lake"], ["query"]) or {"iceberg", "--section"} & {*words} else ""


def _server_of(words: Sequence[str]) -> str:
    with _lock:
        return _server(words)


def _server(words: Sequence[str]) -> str:
    """Where the server for a command listens; it ends with this process, whatever ends that."""
    kind = _kind(words)
    if kind not in _addresses:
        folder = tempfile.TemporaryDirectory(prefix="k2conn-warm-")
        listener = socket.socket(socket.AF_UNIX)
        address = str(Path(folder.name) / "socket")
        listener.bind(address)
        listener.listen(64)
        process = _Popen(
            [sys.executable, "-m", "tests.support.warm_server", str(listener.fileno()), *kind.split()], cwd=ROOT,
            env={**_servers(), **_ONE_THREAD}, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
        )
        listener.close()

        def end() -> None:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
            folder.cleanup()

        atexit.register(end)
        _addresses[kind] = address
    return _addresses[kind]
