"""Prometheus and its Alertmanager, each as one process on 127.0.0.1; Debian's packages, installed where that can be."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from .prerequisites import Missing
from .process import Server

PACKAGES = ("prometheus", "prometheus-alertmanager")
PROGRAMS = ("prometheus", "promtool", "prometheus-alertmanager", "amtool")
_NOT_STARTED = Path("/usr/sbin/policy-rc.d")
"""Debian starts a service that it installs unless this forbids it."""
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def installed() -> None:
    """Raises Missing where the programs are not there and cannot be installed."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if not missing:
        return
    how = f"no Prometheus here: {', '.join(missing)} missing; apt-get install {' '.join(PACKAGES)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Missing(how)
    forbid = not _NOT_STARTED.exists()
    if forbid:
        _NOT_STARTED.write_text("#!/bin/sh\nexit 101\n")
        _NOT_STARTED.chmod(0o755)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
            done = subprocess.run(["apt-get", *command], env=environment, capture_output=True, text=True, timeout=300,
                                  check=False)
            if done.returncode:
                raise Missing(f"{how}\n{done.stderr[-2000:]}")
    finally:
        if forbid:
            _NOT_STARTED.unlink()


def _path(program: str) -> str:
    found = shutil.which(program)
    assert found is not None
    return found


class Prometheus(Server):
    """A Prometheus with the configuration that `configure` wrote."""

    name: ClassVar[str] = "prometheus"

    def configure(self, configuration: Mapping[str, Any], rules: str) -> None:
        """``configuration`` as `prometheus.yml` says it (JSON is YAML); ``rules`` is the text of its `rules.yml`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "rules.yml").write_text(rules)
        (self.folder / "prometheus.yml").write_text(json.dumps(configuration))

    @property
    def url(self) -> str:
        """The address for clients, the same over restarts."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        return [_path("prometheus"), f"--config.file={self.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.folder / 'data'}", f"--web.listen-address=127.0.0.1:{self.port}"]

    def answers(self) -> bool:
        """Ask whether it is ready."""
        return _is_ready(f"{self.url}/-/ready")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query."""
        return list(self._asked("query", query=expression)["result"])

    def label_values(self, label: str, match: str) -> list[str]:
        """The values that a label has in the series of a selector."""
        return list(self._asked(f"label/{label}/values", **{"match[]": match}))

    def _asked(self, path: str, **given: str) -> Any:
        with _direct.open(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(given)}", timeout=60) as answer:
            return json.load(answer)["data"]


class Alertmanager(Server):
    """An Alertmanager whose only receiver is a webhook."""

    name: ClassVar[str] = "alertmanager"

    def __init__(self, folder: Path, webhook: str) -> None:
        super().__init__(folder)
        self._webhook = webhook

    def command(self) -> Sequence[str]:
        configuration = {
            "route": {"receiver": "hook", "group_wait": "1s", "group_interval": "1s", "group_by": ["..."]},
            "receivers": [{"name": "hook", "webhook_configs": [{"url": self._webhook}]}],
        }
        (self.folder / "alertmanager.yml").write_text(json.dumps(configuration))
        return [_path("prometheus-alertmanager"), f"--config.file={self.folder / 'alertmanager.yml'}",
                f"--storage.path={self.folder / 'data'}", f"--web.listen-address=127.0.0.1:{self.port}",
                "--cluster.listen-address="]

    def answers(self) -> bool:
        """Ask whether it is ready."""
        return _is_ready(f"http://127.0.0.1:{self.port}/-/ready")


def _is_ready(url: str) -> bool:
    with _direct.open(url, timeout=5) as answer:
        return bool(answer.status == 200)
