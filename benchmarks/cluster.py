"""Brokers and a registry of a benchmark's own, and what the brokers take of the processor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import Broker, Registry

TWICE = {
    "offsets.topic.replication.factor": "2", "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "2", "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "8", "default.replication.factor": "2", "min.insync.replicas": "1",
}
"""What two brokers keep of their own is kept twice, too."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What runs."""

    brokers: tuple[Broker, ...]
    registry: Registry

    @property
    def bootstrap(self) -> str:
        """All addresses."""
        return ",".join(one.bootstrap for one in self.brokers)

    def variables(self) -> dict[str, str]:
        """The environment of processes that use it."""
        return {
            **os.environ, "K2_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "K2_KAFKA_SCHEMA_REGISTRY_URL": self.registry.url, "K2_KAFKA_REPLICATION_FACTOR": str(len(self.brokers)),
        }

    def cpu(self) -> float:
        """Seconds of the processor that the brokers have taken."""
        return sum(cpu_of(one.pid) for one in self.brokers if one.pid is not None)


@contextmanager
def cluster(folder: Path, brokers: int, heap: int = 256) -> Iterator[Cluster]:
    """So many brokers and a registry, while it lasts."""
    with ExitStack() as stack:
        made: list[Broker] = []
        for number in range(brokers):
            properties = TWICE if brokers > 1 else None
            joins = made[0] if made else None
            made.append(Broker(folder / f"kafka{number}", properties, heap=heap, joins=joins))
            stack.enter_context(made[-1])
        yield Cluster(tuple(made), stack.enter_context(Registry(folder / "registry")))


def cpu_of(pid: int) -> float:
    """Seconds of the processor that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
