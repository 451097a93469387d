"""PostgreSQL on 127.0.0.1: the package's own programs, on a folder of data of their own."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Self

from .prerequisites import postgres
from .process import Failed, Server

USER = "k2"
_AS_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--pdeathsig=KILL")
_SSL_REQUEST = bytes.fromhex("0000000804d2162f")


class Database:
    """A database by its address, asked by psql: a client that is not ours."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def query(self, sql: str) -> list[list[str]]:
        """The rows; empty text for null."""
        words = [str(postgres() / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-F", "\x1f", "-R", "\x1e"]
        done = subprocess.run(
            [*words, "-c", sql, self.dsn], capture_output=True, check=False, env={**os.environ, "PGTZ": "UTC"}
        )
        if done.returncode:
            raise Failed(done.stderr.decode())
        text = done.stdout.decode().removesuffix("\n")
        return [row.split("\x1f") for row in text.split("\x1e")] if text else []

    def value(self, sql: str) -> str:
        """The only value of the only row."""
        ((found,),) = self.query(sql)
        return found


class Postgres(Server):
    """A PostgreSQL server with the user and database `k2`, no password. `settings` override postgresql.conf.

    It does not run as root, so where the tests do, its data are in a folder that nobody may read, removed at the end.
    """

    name: ClassVar[str] = "postgres"

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(folder)
        self._settings = settings
        self._root = os.geteuid() == 0
        self._home: Path | None = None

    @property
    def dsn(self) -> str:
        """The address of the database, the same over restarts."""
        return self.dsn_of("k2")

    def dsn_of(self, database: str) -> str:
        """The address of another database of this server."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def query(self, sql: str, database: str = "k2") -> list[list[str]]:
        """See `Database.query`."""
        return Database(self.dsn_of(database)).query(sql)

    def start(self) -> Self:
        """See `Server.start`; the first time, the database `k2` is made."""
        fresh = self._home is None
        super().start()
        if fresh:
            self.query("CREATE DATABASE k2", "postgres")
        return self

    def command(self) -> Sequence[str]:
        data = self._data()
        words = [str(postgres() / "postgres"), "-D", str(data), "-p", str(self.port)]
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "shared_buffers": "64MB",
                    **self._settings}
        for name, value in settings.items():
            words += ["-c", f"{name}={value}"]
        return self._allowed(words)

    def answers(self) -> bool:
        """Ask whether it speaks TLS: any answer will do once the port is open, but it must take connections too."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(_SSL_REQUEST)
            if connection.recv(1) not in (b"S", b"N"):
                return False
        with suppress(Failed):
            return self.query("SELECT 1", "postgres") == [["1"]]
        return False

    def stop(self) -> None:
        """In good order, and without waiting for clients."""
        self._signal(signal.SIGINT)
        super().stop()

    def kill(self) -> None:
        """All of its processes at once, as a power cut would."""
        children = _children(self.pid) if self.pid else []
        super().kill()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        end = time.monotonic() + 60
        while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < end:
            time.sleep(0.01)

    def pause(self) -> None:
        """Freeze it with the processes of its connections."""
        for child in [self.pid, *_children(self.pid)] if self.pid else []:
            os.kill(child or 0, signal.SIGSTOP)

    def resume(self) -> None:
        """Let all of its processes go on."""
        for child in [*_children(self.pid), self.pid] if self.pid else []:
            with suppress(ProcessLookupError):
                os.kill(child or 0, signal.SIGCONT)

    def _data(self) -> Path:
        if self._home is None:
            self._home = Path(tempfile.mkdtemp(prefix="k2conn-postgres-")) if self._root else self.folder
            if self._root:
                shutil.chown(self._home, "nobody", "nogroup")
                atexit.register(shutil.rmtree, self._home, ignore_errors=True)
            words = [str(postgres() / "initdb"), "-D", str(self._home / "data"), "-U", USER]
            words += ["--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync"]
            done = subprocess.run(self._allowed(words), capture_output=True, text=True, check=False, cwd="/")
            if done.returncode:
                raise Failed(f"initdb failed:\n{done.stdout}{done.stderr}")
        return self._home / "data"

    def _allowed(self, words: Sequence[str]) -> list[str]:
        """The command as a user that PostgreSQL accepts."""
        if not self._root:
            return list(words)
        found = shutil.which(_AS_NOBODY[0])
        if found is None:
            raise Failed("PostgreSQL does not run as root, and there is no setpriv (util-linux) to run it otherwise")
        return [found, *_AS_NOBODY[1:], *words]


def _children(pid: int | None) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(one) for one in path.read_text().split()] if path.exists() else []
