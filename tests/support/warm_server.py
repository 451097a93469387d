"""The process whose forks `warm_process` makes commands of: one thread, and nothing of k2conn has run but imports."""

from __future__ import annotations

import fcntl
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import select
import socket
import struct
import sys
import termios
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from tests.support.receiving import exactly

_ON_THE_WAY = (
    "k2conn.sinks.console", "k2conn.sinks.none", "k2conn.sinks.batching", "k2conn.sinks.lanes",
    "k2conn.transports.exec", "k2conn.transports.http", "k2conn.transports.tcp",
    "k2conn.transports.websocket.connection", "k2conn.compat.websockets",
    "uvloop", "websockets.asyncio.client", "websockets.client", "websockets.proxy", "python_socks.async_.asyncio",
    "encodings.idna", "pydantic.type_adapter", "pydantic.json_schema", "typer._adapters", "typer._click.decorators",
)
"""What a run imports once it has begun, the engine's own and others'."""
_OF_A_LAKE = (
    "duckdb", "pyarrow.dataset", "pyarrow.fs", "pyarrow.parquet", "pyiceberg.catalog.sql", "pyiceberg.io.pyarrow",
    "k2conn.lake.catalog", "k2conn.lake.reader", "k2conn.lake.engine",
)
"""What commands for a lake import besides; that takes longer than all the rest."""
_OF_THE_API = (
    "fastapi", "uvicorn", "uvicorn.protocols.http.h11_impl", "uvicorn.lifespan.on", "k2conn.api.server",
    "k2conn.api.service", "k2conn.api.application", "k2conn.api.live.hub", "k2conn.api.stores.files",
    "k2conn.api.stores.threads",
)
"""What `serve` imports besides."""
_LENGTH = struct.Struct(">I")


def sent(connection: socket.socket, message: dict[str, Any], files: Sequence[int] = ()) -> None:
    data = json.dumps(message).encode()
    connection.sendall(_LENGTH.pack(len(data)))
    if files:
        socket.send_fds(connection, [b"f"], files)
    connection.sendall(data)


def received(connection: socket.socket) -> dict[str, Any]:
    return _body(connection, _LENGTH.unpack(exactly(connection, _LENGTH.size))[0])


def _with_files(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    (length,) = _LENGTH.unpack(exactly(connection, _LENGTH.size))
    _, files, _, _ = socket.recv_fds(connection, 1, 3)
    return _body(connection, length), list(files)


def _body(connection: socket.socket, length: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(exactly(connection, length))
    return found


def _import(kind: str) -> None:
    """What most commands import, and the others that are told of."""
    import k2conn.cli

    for found in pkgutil.iter_modules(k2conn.cli.__path__, "k2conn.cli."):
        if not found.ispkg:
            importlib.import_module(found.name)
    for name in (*_ON_THE_WAY, *{"lake": _OF_A_LAKE, "api": _OF_THE_API, "": ()}[kind]):
        with suppress(ImportError):
            importlib.import_module(name)


def _next(listener: socket.socket) -> dict[str, Any] | None:
    """Waits until this process is the fork that a command runs in, and returns it; None once nobody needs us."""
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        while _reaped():
            pass
        if sys.stdin in ready:
            return None
        connection, _ = listener.accept()
        if os.fork():
            connection.close()
            continue
        listener.close()
        order = _kept(connection)
        if order is not None:
            return order


def _reaped() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] > 0
    except ChildProcessError:
        return False


def _kept(connection: socket.socket) -> dict[str, Any]:
    """In a fork: the command in a fork of it in turn, whose end it tells; or it leaves it to whoever asked."""
    order, files = _with_files(connection)
    pid = os.fork()
    if not pid:
        connection.close()
        if order.get("session"):
            os.setsid()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        if order.get("terminal"):
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        _open_anew()
        return order
    try:
        sent(connection, {"pid": pid})
        if order.get("left"):
            os._exit(0)
        sent(connection, {"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})
    finally:
        os._exit(0)


def _open_anew() -> None:
    """The standard streams are those of other files now: what Python has found of them when it began does not hold."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old: io.TextIOWrapper = getattr(sys, name)
        raw = open(number, "wb" if number else "rb", 0 if old.write_through else -1, closefd=False)  # noqa: SIM115
        new = io.TextIOWrapper(
            raw, old.encoding, old.errors, "\n" if number else None, write_through=old.write_through,
            line_buffering=name == "stderr" or os.isatty(number),
        )
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def main() -> None:
    listener = socket.socket(fileno=int(sys.argv[1]))
    _import("".join(sys.argv[2:]))
    assert len(os.listdir("/proc/self/task")) == 1, "a fork has none of the other threads"
    gc.collect()
    gc.freeze()
    order = _next(listener)
    if order is not None:
        os.environ.clear()
        os.environ.update(order["env"])
        os.chdir(order["cwd"])
        sys.path[0] = order["cwd"]
        sys.argv = ["k2conn", *order["words"]]
        sys.orig_argv = [sys.executable, "-m", "k2conn", *order["words"]]  # by which a command starts itself again
        exec(order.get("before", ""), {"__name__": "__main__"})
        runpy.run_module("k2conn", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
