"""The real `docker compose` over podman as its engine, in a network namespace of its own.

Bridges, names, published ports and firewall rules are those of the namespace: no port of the machine is taken, nothing
of it is changed, and docker-compose.yml stands as it is. Who wants to ask a published port goes there by `inside`.
An engine runs health checks in the rhythm that the file says; podman leaves that to systemd, so it is done here. It
also takes the words of a check apart at their spaces, so that each check is a script of the file's own words.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.paths import ROOT
from tests.support.containers import Containers

PROJECT = "k2conn-test"
ALL = ("--profile", "*")
AT_FIRST = 2.0
"""Seconds between two health checks until the first that succeeds; an engine's `start_interval`."""
_CONFIGURATION = """
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""


class Engine:
    """An engine while the `with` lasts. ``more`` is what a second file says besides docker-compose.yml, ``variables``
    what the file reads, unless a call says otherwise.
    """

    def __init__(self, containers: Containers, folder: Path, more: Mapping[str, Any], **variables: str) -> None:
        self._variables = variables
        self._containers = containers
        self._socket = folder / "engine.sock"
        self._log = folder / "engine.log"
        self._files = [folder / "more.json", folder / "checks.json"]
        self._files[0].write_text(json.dumps(more))
        self._files[1].write_text(json.dumps({"services": self._changed(folder / "checks")}))
        self._configuration = folder / "containers.conf"
        self._configuration.write_text(_CONFIGURATION.format(folder=containers.folder))
        self._process: subprocess.Popen[bytes] | None = None
        self._checks = _HealthChecks(self._socket)

    def __enter__(self) -> Self:
        serve = self._containers.podman_command("system", "service", "--time=0", f"unix://{self._socket}")
        words = ["unshare", "--net", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *serve]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "CONTAINERS_CONF": str(self._configuration)},
            )
        end = time.monotonic() + 60
        while not self._socket.exists():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < end, self._log.read_text()
            time.sleep(0.1)
        self.compose(*ALL, "down", "--volumes", "--timeout=5")  # what a run that was killed left behind
        self._checks.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        try:
            self._checks.stop()
            self.compose(*ALL, "down", "--volumes", "--timeout=10")
        finally:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)

    def compose(self, *words: str, within: float = 240, **variables: str) -> str:
        """What `docker compose` prints; AssertionError with all it said where it fails."""
        done = self.tried(*words, within=within, **variables)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}\n{self._tail()}"
        return done.stdout

    def tried(self, *words: str, within: float = 240, **variables: str) -> subprocess.CompletedProcess[str]:
        """`docker compose` with these words and variables."""
        program = Path(sys.executable).with_name("docker-compose")
        files = [f"--file={path}" for path in (ROOT / "docker-compose.yml", *self._files)]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self._socket.parent), **self._variables,
                       **variables, "DOCKER_HOST": f"unix://{self._socket}"}
        return subprocess.run(
            [program, f"--project-name={PROJECT}", f"--project-directory={ROOT}", *files, *words],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=within, check=False,
        )

    def states(self) -> dict[str, dict[str, Any]]:
        """What `docker compose ps --all` says, by service."""
        lines = self.compose(*ALL, "ps", "--all", "--format=json").splitlines()
        return {one["Service"]: one for one in map(json.loads, lines)}

    def log_lines(self, service: str) -> list[dict[str, Any]]:
        """The log of a service that writes JSON."""
        said = self.compose(*ALL, "logs", "--no-color", "--no-log-prefix", service).splitlines()
        return [json.loads(line) for line in said if line.startswith("{")]

    def inside(self, *command: str) -> list[str]:
        """The command, run where the published ports are."""
        assert self._process is not None
        return ["nsenter", f"--net=/proc/{self._process.pid}/ns/net", "--", *command]

    def get(self, address: str, **headers: str) -> str:
        """What a published port answers."""
        given = [f"--header={name.replace('_', '-')}: {value}" for name, value in headers.items()]
        command = self.inside("wget", "--quiet", "--no-proxy", "--timeout=20", "--tries=1", "-O", "-", *given, address)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{address}: {done.returncode} {done.stderr}"
        return done.stdout

    def asked(self, path: str) -> Any:
        """What the engine itself says of a container, as JSON."""
        return _asked(self._socket, path)

    def _changed(self, folder: Path) -> dict[str, Any]:
        """What is said of the services besides: images go by their tags, since a stand-in has another digest, and
        health checks are scripts of their words.
        """
        folder.mkdir()
        found: dict[str, Any] = {}
        for name, service in yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].items():
            tag, _, digest = service["image"].partition("@")
            found[name] = {"image": tag} if digest else {}
            kind, *words = service.get("healthcheck", {}).get("test", ["NONE"])
            if kind != "CMD":
                continue
            script = folder / name
            script.write_text(f"#!/bin/sh\nexec {shlex.join(words).replace('$$', '$')}\n")
            script.chmod(0o755)
            found[name] |= {"healthcheck": {"test": ["CMD", f"/checks/{name}"]}, "volumes": [f"{folder}:/checks:ro"]}
        return found

    def _tail(self) -> str:
        return self._log.read_text()[-2000:]


class _HealthChecks:
    """Runs the health checks of all containers, each in the rhythm that it was given."""

    def __init__(self, address: Path) -> None:
        self._socket = address
        self._end = threading.Event()
        self._last: dict[str, float] = {}
        self._thread = threading.Thread(target=self._work, name="health checks", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the check that is under way."""
        self._end.set()
        self._thread.join(60)

    def _work(self) -> None:
        while not self._end.wait(0.5):
            with suppress(OSError, http.client.HTTPException):  # a container that went meanwhile
                for one in _asked(self._socket, "/v1.40/containers/json"):
                    self._look(one["Id"])

    def _look(self, container: str) -> None:
        known = _asked(self._socket, f"/v1.40/containers/{container}/json")
        check = known["Config"].get("Healthcheck") or {}
        if not check.get("Test") or check["Test"] == ["NONE"] or not known["State"]["Running"]:
            return
        begun = datetime.fromisoformat(re.sub(r"\.(\d{6})\d*", r".\1", known["State"]["StartedAt"])).timestamp()
        starting = time.time() - begun < check.get("StartPeriod", 0) / 1e9
        at_first = starting and known["State"]["Health"]["Status"] != "healthy"
        every = AT_FIRST if at_first else check["Interval"] / 1e9
        if time.monotonic() - self._last.get(container, 0.0) >= every:
            _asked(self._socket, f"/v4.0.0/libpod/containers/{container}/healthcheck")
            self._last[container] = time.monotonic()


class _Unix(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, address: Path) -> None:
        super().__init__("engine", timeout=60)
        self._address = address

    def connect(self) -> None:
        """See `HTTPConnection`."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._address))


def _asked(address: Path, path: str) -> Any:
    connection = _Unix(address)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise http.client.HTTPException(f"{path}: {answer.status} {text[:500]!r}")
        return json.loads(text)
    finally:
        connection.close()
