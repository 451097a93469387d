"""Apache Kafka, plain text on 127.0.0.1: one process that is broker and controller, and brokers that join it."""

from __future__ import annotations

import base64
import socket
import struct
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from tests.support.receiving import exactly

from .class_archive import keep, shared_classes
from .downloads import kafka_jars
from .prerequisites import java
from .process import Failed, Server, free_port

_JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
_CONTROLLER = 1
_METADATA = 3
_VERSION = 1


class Broker(Server):
    """A Kafka broker. Its data outlives `stop` and `kill`; `properties` override the defaults.

    By itself it is a cluster of one: node 1, broker and controller. One that `joins` it is a further broker of the
    same cluster and nothing else, numbered from 2; the first must run whenever another one starts or stops. `heap` is
    the most memory, in MiB, that Java takes for objects.

    Example:

        first = Broker(folder / "first", heap=128)
        second = Broker(folder / "second", heap=128, joins=first)
        with first, second:
            ...
    """

    name: ClassVar[str] = "kafka"

    def __init__(
        self,
        folder: Path,
        properties: Mapping[str, str] | None = None,
        *,
        heap: int = 512,
        joins: Broker | None = None,
        java_options: Sequence[str] | None = None,
    ) -> None:
        super().__init__(folder)
        self._overrides = dict(properties or {})
        self._heap = heap
        self._java_options = java_options
        self._cluster: _Cluster = _Cluster() if joins is None else joins._cluster
        self.node = self._cluster.next_node()

    @property
    def bootstrap(self) -> str:
        """The address for clients, the same over restarts."""
        return f"127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        jars = kafka_jars()
        settings = self.folder / "server.properties"
        settings.write_text("".join(f"{key}={value}\n" for key, value in self.properties().items()))
        classes = ("-cp", f"{jars}/*")
        shared = shared_classes("kafka")
        if not (self.folder / "data" / "meta.properties").exists():
            _format((java(), *_JVM, *shared, *classes), settings, self._cluster.id)
        options = shared if self._java_options is None else self._java_options
        return [java(), f"-Xmx{self._heap}m", *_JVM, *options, *classes, "kafka.Kafka", str(settings)]

    def properties(self) -> dict[str, str]:
        """The broker's settings: nothing replicated unless a topic asks for it, little memory, no waiting."""
        records = f"PLAINTEXT://127.0.0.1:{self.port}"
        controller = f"127.0.0.1:{self._cluster.controller_port}"
        controls = self.node == _CONTROLLER
        return {
            "process.roles": "broker,controller" if controls else "broker",
            "node.id": str(self.node),
            "listeners": f"{records},CONTROLLER://{controller}" if controls else records,
            "advertised.listeners": records,
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": f"{_CONTROLLER}@{controller}",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "true",
            "num.partitions": "1",
            # Records bear the exchange's date; soon after its start a broker would delete those older than a week.
            "log.retention.ms": "-1",
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
            (length,) = struct.unpack(">i", exactly(connection, 4))
            answer = exactly(connection, length)
        return self.node in _nodes(answer)


def keep_broker_classes() -> None:
    """See `class_archive`."""
    kafka_jars()
    keep("kafka", lambda folder, options: Broker(folder, java_options=options))


class _Cluster:
    """What the brokers of one cluster share."""

    def __init__(self) -> None:
        self.id = _cluster_id()
        self.controller_port = free_port()
        self._nodes = 0

    def next_node(self) -> int:
        """The number of the broker that joins now; the controller's is the first."""
        self._nodes += 1
        return self._nodes


def _nodes(answer: bytes) -> set[int]:
    """The brokers that a cluster's metadata names: behind the correlation id, each with number, host, port, rack."""
    (count,) = struct.unpack_from(">i", answer, 4)
    found, place = set(), 8
    for _ in range(count):
        node, host = struct.unpack_from(">ih", answer, place)
        place += 6 + host + 4
        (rack,) = struct.unpack_from(">h", answer, place)
        place += 2 + max(rack, 0)  # -1 means none
        found.add(node)
    return found


def _format(java_command: Sequence[str], settings: Path, cluster: str) -> None:
    """Make the data folder of a node that is new to the cluster."""
    command = [*java_command, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"the data folder could not be made:\n{done.stdout}{done.stderr}")


def _cluster_id() -> str:
    """A UUID in Kafka's spelling, which does not begin with a dash: the tool would take it for an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
