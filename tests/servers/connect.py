"""Workers of Kafka Connect as `deploy/connect` runs them, on 127.0.0.1, and their API."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from .downloads import connect_folder
from .prerequisites import java
from .process import Server

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "connect"
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ConnectWorker(Server):
    """One worker; those of one ``group`` share the work."""

    name: ClassVar[str] = "connect"

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        super().__init__(folder)
        self._variables = dict(variables)

    def command(self) -> Sequence[str]:
        given = {**self._variables, "CONNECT_PORT": str(self.port), "JAVA": java()}
        return ["/usr/bin/env", *(f"{name}={text}" for name, text in given.items()), str(DEPLOY / "run-worker"),
                str(connect_folder())]

    def answers(self) -> bool:
        """Ask for the list of connectors: it answers once the worker belongs to its group."""
        try:
            return isinstance(self.ask("/connectors"), list)
        except urllib.error.HTTPError:
            return False

    def ask(self, path: str, body: object = None) -> Any:
        """What the API answers; with a ``body`` it is put there."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"}, method="GET" if body is None else "PUT",
        )
        with _direct.open(request, timeout=60) as answer:
            return json.load(answer)

    def runs(self, connector: str) -> dict[int, str]:
        """The tasks of a connector that run, by number, with the address of the worker of each."""
        try:
            tasks = self.ask(f"/connectors/{connector}/status")["tasks"]
        except urllib.error.HTTPError:
            return {}
        return {one["id"]: one["worker_id"] for one in tasks if one["state"] == "RUNNING"}

