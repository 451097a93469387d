"""Apache Kafka as one process: broker and controller in one, plain text on 127.0.0.1."""

from __future__ import annotations

import base64
import socket
import struct
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from .downloads import kafka_jars
from .prerequisites import java
from .process import Failed, Server, free_port

_JVM = ("-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
_METADATA = 3
_VERSION = 1


class Broker(Server):
    """A single Kafka broker. Its data outlives `stop` and `kill`; `properties` override the defaults."""

    name: ClassVar[str] = "kafka"

    def __init__(self, folder: Path, properties: Mapping[str, str] | None = None) -> None:
        super().__init__(folder)
        self._controller_port = free_port()
        self._overrides = dict(properties or {})

    @property
    def bootstrap(self) -> str:
        """The address for clients, the same over restarts."""
        return f"127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        jars = kafka_jars()
        settings = self.folder / "server.properties"
        settings.write_text("".join(f"{key}={value}\n" for key, value in self.properties().items()))
        classes = ("-cp", f"{jars}/*")
        if not (self.folder / "data" / "meta.properties").exists():
            _format((java(), *_JVM, *classes), settings)
        return [java(), "-Xmx512m", *_JVM, *classes, "kafka.Kafka", str(settings)]

    def properties(self) -> dict[str, str]:
        """The broker's settings: one node, nothing replicated, little memory, no waiting."""
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "true",
            "num.partitions": "1",
            "default.replication.factor": "1",
            "min.insync.replicas": "1",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # after SIGKILL the controller waits this long before it takes the same broker back
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "log.cleaner.dedupe.buffer.size": "4194304",
            **self._overrides,
        }

    def answers(self) -> bool:
        """Ask for the cluster's metadata: the broker lists itself once it takes records."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            # header: key, version, correlation id, client id; body: an empty array, meaning no topic
            request = struct.pack(">hhih4si", _METADATA, _VERSION, 1, 4, b"test", 0)
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = _exactly(connection, 12)  # length, correlation id, number of brokers
        return bool(struct.unpack(">iii", answer)[2] > 0)


def _exactly(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionError("closed before the answer")
        received += part
    return received


def _format(java_command: Sequence[str], settings: Path) -> None:
    """Make the data folder of a new cluster."""
    command = [*java_command, "kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"the data folder could not be made:\n{done.stdout}{done.stderr}")


def _cluster_id() -> str:
    """A UUID in Kafka's spelling, which does not begin with a dash: the tool would take it for an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
