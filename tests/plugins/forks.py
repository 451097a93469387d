"""The processes of pytest-xdist as forks of the first one, which has collected the tests (Linux; `pytest -n`).

To collect 11,000 tests, and to import what they need, takes a process ten seconds, and more than twice that in a fresh
checkout, where each would compile the tests. So the first alone does it. Where execnet would start a further one, it
starts `fork_of_first`, a few lines that pass their pipes on; the first process, when it has collected, leaves a copy of
itself behind that knows the tests and runs none, and each further process is a fork of that copy: it speaks to the
controlling process through the pipes it was given, says that it has collected the same tests, and goes on from there.

What is the same in all of them stays: the configuration, the tests, the modules. What is each one's own is made anew:
the channel to the controlling process, the number, the folder for temporary files, where output is captured. Where the
first process is not there to be forked (it crashed, its tests could not be imported), a further one is started as ever.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import os
import queue
import shlex
import signal
import socket
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

PROGRAM = Path(__file__).with_name("fork_of_first.py")
GIVEN = "forks"
"""The word of xdist's input for the first process: the folder of the socket."""
WAITING = 120
"""How many seconds the copy waits for the next process that wants to be a fork of it."""

LATER = (
    "duckdb", "pyarrow.dataset", "pyarrow.parquet", "pyiceberg.catalog.sql", "pyiceberg.io.pyarrow", "requests",
    "sqlite3", "sqlalchemy.dialects.sqlite.pysqlite",
)
"""What tests that write or read a lake import in their midst, which takes two seconds: it is there when they do."""

_forked = pytest.StashKey["_Forked"]()


def pytest_configure(config: pytest.Config) -> None:
    """The first process listens; the controlling one has the others ask it."""
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    if given is None and config.getoption("tx", None) and possible():
        config.pluginmanager.register(_Controller())
    elif given and GIVEN in given:
        config.pluginmanager.register(_First(Path(given[GIVEN])))


def possible() -> bool:
    """Whether this system knows adopted orphans; lines are counted from a process's start on."""
    return sys.platform == "linux" and "coverage" not in sys.modules


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Iterator[None]:
    """A fork ends with its session: what lies below on its stack is the first process's."""
    try:
        return (yield)
    finally:
        fork = config.stash.get(_forked, None)
        if fork is not None:
            fork.end()


class _Controller:
    """Says how the processes are started, all but the first."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="k2conn-forks-")
        self._first: str | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: list[Any]) -> None:
        for spec in specs[1:]:
            if spec.popen and not spec.python:
                spec.python = shlex.join([sys.executable, "-S", str(PROGRAM), self._folder.name])

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """The first one made is the first that collects. One that replaces another finds nobody who listens."""
        if self._first is None:
            self._first = node.gateway.id
            Path(self._folder.name, "pid").write_text(str(node.gateway._rinfo().pid))
            node.workerinput[GIVEN] = self._folder.name

    def pytest_unconfigure(self) -> None:
        self._folder.cleanup()


class _First:
    """Collects, and leaves a copy of this process for the others to be forks of."""

    def __init__(self, folder: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "made"))
        self._listener.listen(64)
        (folder / "made").rename(folder / "socket")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """The first process and each fork go on from here; the copy does not."""
        config = session.config
        wanted = config.workerinput["workercount"] - 1  # type: ignore[attr-defined]  # xdist's
        if not wanted:
            return
        interactor = next(each for each in config.pluginmanager.get_plugins() if _is_interactor(each))
        if any("lake" in item.nodeid for item in session.items):
            for name in LATER:
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)
        gc.freeze()
        copy = _fork()
        if copy:
            self._listener.close()
            atexit.register(os.waitpid, copy, 0)
            return
        try:
            _close(interactor.channel.gateway)
            connection = self._wanted(wanted)
            config.stash[_forked] = _Forked(connection, session, interactor)
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    def _wanted(self, number: int) -> socket.socket:
        """In the copy; it comes back in each of its forks, with the connection to whoever wanted one.

        The copy ends when they have. It is deaf to Ctrl-C, and takes the orphans, which would be the first process's.
        """
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
        heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._listener.settimeout(WAITING)
        forks = set()
        with contextlib.suppress(TimeoutError):
            while len(forks) < number:
                connection = self._listener.accept()[0]
                fork = _fork()
                if not fork:
                    signal.signal(signal.SIGINT, heard)
                    self._listener.close()
                    return connection
                forks.add(fork)
                connection.close()
        self._listener.close()
        while forks:
            forks.discard(os.wait()[0])
        os._exit(0)


def _is_interactor(plugin: object) -> bool:
    """Whether this is xdist's own, whose class is not in a module: its source is sent to each process."""
    return type(plugin).__name__ == "WorkerInteractor"


def _fork() -> int:
    """Python warns of threads; the one that listens to the controlling process holds nothing that a fork needs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _close(gateway: Any) -> None:
    """Nothing goes through the pipes of a process that this is a copy of; its end is seen though the copy lives."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for file in (gateway._io.infile, gateway._io.outfile):
        os.dup2(nowhere, file.fileno(), inheritable=False)
    os.close(nowhere)


class _Forked:
    """A process of xdist that did not collect: its gateway, and the session that it goes on with."""

    def __init__(self, connection: socket.socket, session: pytest.Session, interactor: Any) -> None:
        self._connection = connection
        _, (given, taken), _, _ = socket.recv_fds(connection, 1, 2)
        self._done = threading.Event()
        self._gateway = self._served(given, taken, interactor.channel.gateway.execmodel)
        self._channel = self._started()
        self._config = session.config
        workerinput, _, options, _ = self._channel.receive()
        self._own(workerinput, options)
        interactor.channel, interactor.workerid = self._channel, workerinput["workerid"]
        interactor.pytest_sessionstart(session)
        interactor.pytest_collection()

    def _served(self, given: int, taken: int, execmodel: Any) -> Any:
        """The gateway of these pipes. What execnet would have run to make one is read over."""
        from execnet.gateway_base import Popen2IO, WorkerGateway

        wanted: queue.SimpleQueue[Any] = queue.SimpleQueue()
        done = self._done

        class Gateway(WorkerGateway):
            """Runs nothing by itself; where the controlling process is gone, it ends the tests."""

            asked = wanted
            _executetask_complete = None

            def _local_schedulexec(self, channel: Any, sourcetask: bytes) -> None:
                self.asked.put((channel, sourcetask))

            def _terminate_execution(self) -> None:
                if not done.wait(5):
                    os.kill(os.getpid(), signal.SIGINT)
                if not done.wait(10):
                    os._exit(1)

        while os.read(given, 1) != b"\n":
            pass
        os.write(taken, b"1")
        gateway = Gateway(Popen2IO(os.fdopen(taken, "wb"), os.fdopen(given, "rb"), execmodel), id="fork-worker")
        gateway._initreceive()
        return gateway

    def _started(self) -> Any:
        """The channel of the tests. Before that the controlling process asks who this is."""
        from execnet.gateway_base import loads_internal

        while True:
            channel, asked = self._gateway.asked.get(timeout=WAITING)
            task = loads_internal(asked)
            if "WorkerInteractor" in task[0]:
                return channel
            self._gateway.executetask((channel, task))

    def _own(self, workerinput: dict[str, Any], options: dict[str, Any]) -> None:
        """What each process has of its own."""
        config: Any = self._config
        config.workerinput = workerinput
        config.workeroutput = {}
        os.environ["PYTEST_XDIST_WORKER"] = workerinput["workerid"]
        config.option.basetemp = options["basetemp"]
        config._tmp_path_factory = pytest.TempPathFactory.from_config(config, _ispytest=True)
        capture = config.pluginmanager.getplugin("capturemanager")
        capture.stop_global_capturing()
        capture.start_global_capturing()
        capture.suspend_global_capture()

    def end(self) -> NoReturn:
        """Leave as a process does whose last line is over."""
        code = 1
        try:
            self._channel.close()
            atexit._run_exitfuncs()
            self._done.set()
            self._gateway.join()
            self._connection.send(b".")
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
