"""One broker and one registry for all processes of a test run, started when the first one asks for them.

The process that controls the run has a `Host`; it alone starts and stops the servers. The others `ask` it for an
address over a local socket and get nothing else, so none can stop what its neighbours use.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

from .broker import Broker
from .postgres import Postgres
from .prerequisites import Missing
from .process import Failed, Server
from .registry import Registry


@dataclass(frozen=True)
class SharedBroker:
    """A broker that other tests use at the same time: its address, and no way to stop it."""

    bootstrap: str


@dataclass(frozen=True)
class SharedRegistry:
    """A schema registry that other tests use at the same time: its address, and no way to stop it."""

    url: str


class Host:
    """Starts the servers on request, says where they are, and stops them once, in `close`.

    `address` serves the process of the host itself; after `listen` other processes get the same answers by `ask`.
    """

    def __init__(self, folder: Path) -> None:
        self._servers = {
            "broker": _OnDemand(lambda: _started_broker(folder / "kafka")),
            "registry": _OnDemand(lambda: _started_registry(folder / "registry")),
            "postgres": _OnDemand(lambda: _started_postgres(folder / "postgres")),
        }
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None

    def address(self, name: str) -> str:
        """The address of `broker`, `registry` or `postgres`. Raises Missing or Failed as `Server.start` does."""
        return self._servers[name].address()

    def listen(self) -> tuple[str, str]:
        """Answer other processes from now on; returns what `ask` must be given: where, and the key."""
        key = secrets.token_hex(16)
        self._listener = Listener(family="AF_UNIX", authkey=key.encode())
        self._thread = threading.Thread(target=self._accept, name="shared servers", daemon=True)
        self._thread.start()
        self._where = str(self._listener.address), key
        return self._where

    def close(self) -> None:
        """Stop what was started. May be called again."""
        if self._listener is not None and self._thread is not None:
            where, key = self._where
            with Client(where, authkey=key.encode()) as connection:
                connection.send(_END)
            self._thread.join()
            self._listener.close()
            self._listener = None
        for server in self._servers.values():
            server.stop()

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                connection = self._listener.accept()
                name = connection.recv()
            except (AuthenticationError, EOFError, ConnectionError):
                continue  # somebody else's connection, or a process that ended while it asked
            if name == _END:
                connection.close()
                return
            # A server takes seconds to start; who wants the other one need not wait for it.
            threading.Thread(target=self._answer, args=(connection, name), daemon=True).start()

    def _answer(self, connection: Connection, name: str) -> None:
        with connection:
            try:
                answer = ("", self.address(name))
            except Missing as missing:
                answer = ("missing", str(missing))
            except Failed as failed:
                answer = ("failed", str(failed))
            connection.send(answer)


def ask(where: tuple[str, str], name: str) -> str:
    """What `Host.address` says in the process that listens at `where`, its errors included."""
    address, key = where
    with Client(address, authkey=key.encode()) as connection:
        connection.send(name)
        problem, text = connection.recv()
    if problem:
        raise (Missing if problem == "missing" else Failed)(text)
    return str(text)


_END = ""


class _OnDemand:
    """A server that is started when its address is asked for."""

    def __init__(self, start: Callable[[], tuple[Server, str]]) -> None:
        self._start = start
        self._started: tuple[Server, str] | None = None
        self._lock = threading.Lock()

    def address(self) -> str:
        with self._lock:
            if self._started is None:
                self._started = self._start()
            return self._started[1]

    def stop(self) -> None:
        with self._lock:
            if self._started is not None:
                self._started[0].stop()


def _started_broker(folder: Path) -> tuple[Server, str]:
    broker = Broker(folder).start()
    return broker, broker.bootstrap


def _started_registry(folder: Path) -> tuple[Server, str]:
    registry = Registry(folder).start()
    return registry, registry.url


def _started_postgres(folder: Path) -> tuple[Server, str]:
    server = Postgres(folder, fsync="off").start()  # tests make a database each; who cuts power has a server of its own
    return server, server.dsn
