"""QuestDB as one process on 127.0.0.1, spoken to over HTTP."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from .downloads import questdb_jar
from .prerequisites import java
from .process import Server, free_port

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class QuestDb(Server):
    """A QuestDB server; its data outlive `stop` and `kill`."""

    name: ClassVar[str] = "questdb"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._others = free_port(), free_port()

    @property
    def url(self) -> str:
        """The address for clients, the same over restarts."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        conf = self.folder / "conf"
        conf.mkdir(exist_ok=True)
        settings = {
            "http.bind.to": f"127.0.0.1:{self.port}", "http.min.enabled": "false", "telemetry.enabled": "false",
            "pg.net.bind.to": f"127.0.0.1:{self._others[0]}", "line.tcp.net.bind.to": f"127.0.0.1:{self._others[1]}",
            "line.udp.enabled": "false",
        }
        (conf / "server.conf").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return [java(), "-Xmx384m", "-p", str(questdb_jar()), "-m", "io.questdb/io.questdb.ServerMain",
                "-d", str(self.folder)]

    def answers(self) -> bool:
        """Ask it to count to one."""
        return self.query("SELECT 1") == [[1]]

    def query(self, sql: str) -> list[list[Any]]:
        """The rows of a query; decimals are text."""
        with _direct.open(f"{self.url}/exec?{urllib.parse.urlencode({'query': sql})}", timeout=60) as answer:
            found: list[list[Any]] = json.load(answer).get("dataset", [])
            return found
