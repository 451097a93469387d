"""Apicurio Registry as one process, spoken to in the Confluent schema registry's language."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from .class_archive import keep, shared_classes
from .downloads import apicurio_jar
from .prerequisites import java
from .process import Server

# WRITE_DELAY=0: what was acknowledged is on disk; the default may lose the last half second.
_DATABASE = "jdbc:h2:file:{folder}/schemas;WRITE_DELAY=0"
_JVM = ("-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")
# No proxy of the environment may stand between us and our own machine.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Registry(Server):
    """A schema registry. Its schemas and their ids outlive `stop` and `kill`."""

    name: ClassVar[str] = "registry"

    def __init__(self, folder: Path, java_options: Sequence[str] | None = None) -> None:
        super().__init__(folder)
        self._java_options = java_options

    @property
    def url(self) -> str:
        """The address for clients, the same over restarts."""
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def command(self) -> Sequence[str]:
        return [
            java(),
            *_JVM,
            *(shared_classes("registry") if self._java_options is None else self._java_options),
            "-Dquarkus.http.host=127.0.0.1",
            f"-Dquarkus.http.port={self.port}",
            "-Dquarkus.log.console.color=false",
            f"-Dapicurio.datasource.url={_DATABASE.format(folder=self.folder.resolve())}",
            "-jar",
            str(apicurio_jar()),
        ]

    def answers(self) -> bool:
        """Ask for the list of subjects."""
        try:
            with _direct.open(f"{self.url}/subjects", timeout=5) as response:
                return bool(response.status == 200)
        except urllib.error.HTTPError:
            return False


def keep_registry_classes() -> None:
    """See `class_archive`."""
    apicurio_jar()
    keep("registry", Registry)
