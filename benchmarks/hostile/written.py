"""Where the process under attack writes its records, and how they are read back: files, or Kafka behind a spool."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, Self

from benchmarks.hostile_soak import HEAD, messages
from k2conn.avro import load_schema
from k2conn.avro.reading import read_container
from tests.servers import Broker, Registry


class Written(Protocol):
    """One kind of sink; a context manager. ``arguments`` are for `k2conn run`, ``environment`` for its process."""

    arguments: list[str]
    environment: dict[str, str]

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    async def disturb(self, seconds: float) -> None:
        """Whatever goes wrong with the sink in a run of so many seconds."""

    def ids(self, topics: dict[str, str]) -> dict[str, Counter[str]]:
        """How often each message_id is in each topic; ``topics`` says what its records are."""

    def kept_now(self) -> Iterator[tuple[str, bytes]]:
        """What may be gone at the end, and is to be searched while it is there."""

    def others(self) -> Iterator[tuple[str, bytes]]:
        """What else was written, beside records and files in the run's folder."""


class Files:
    """The file sink: dead letters are files in the run's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "data"
        self.arguments = ["--sink", "file", "--folder", str(self._folder)]
        self.environment: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    async def disturb(self, seconds: float) -> None:
        """Nothing."""

    def ids(self, topics: dict[str, str]) -> dict[str, Counter[str]]:
        """See `Written`."""
        return {topic: Counter(record["message_id"] for path in (self._folder / topic).glob("*.avro")
                               for record in read_container(path)) for topic in topics}

    def kept_now(self) -> Iterator[tuple[str, bytes]]:
        """Nothing."""
        return iter(())

    def others(self) -> Iterator[tuple[str, bytes]]:
        """Nothing."""
        return iter(())


class Kafka:
    """A real broker, frozen once, and a registry; every record goes by the spool."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spool = folder / "spool"
        self._stack = ExitStack()
        self.arguments = ["--sink", "kafka"]

    def __enter__(self) -> Self:
        self._broker = self._stack.enter_context(Broker(self._folder / "servers" / "kafka"))
        registry = self._stack.enter_context(Registry(self._folder / "servers" / "registry"))
        self.environment = {
            "K2_KAFKA_BOOTSTRAP_SERVERS": self._broker.bootstrap, "K2_KAFKA_SCHEMA_REGISTRY_URL": registry.url,
            "K2_KAFKA_CREATE_TOPICS": "true", "K2_KAFKA_PARTITIONS": "1", "K2_SPOOL": "always",
            "K2_SPOOL_FOLDER": str(self._spool),
        }
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def disturb(self, seconds: float) -> None:
        """Freezes the broker in the middle, for a quarter of the time, at most 30 s."""
        await asyncio.sleep(seconds * 0.4)
        self._broker.pause()
        try:
            await asyncio.sleep(min(seconds * 0.25, 30))
        finally:
            self._broker.resume()

    def ids(self, topics: dict[str, str]) -> dict[str, Counter[str]]:
        """See `Written`."""
        decoders = {topic: load_schema(record).decode for topic, record in topics.items()}
        found = {topic: Counter[str]() for topic in topics}
        for topic, value in messages(self._broker):
            if topic in topics:
                found[topic][decoders[topic](value[HEAD:])["message_id"]] += 1
        return found

    def kept_now(self) -> Iterator[tuple[str, bytes]]:
        """The spool's files; one that is removed meanwhile is none."""
        for path in self._spool.rglob("*"):
            try:
                yield f"spool/{path.name}", path.read_bytes()
            except OSError:
                continue

    def others(self) -> Iterator[tuple[str, bytes]]:
        """Dead letters."""
        return ((topic, value) for topic, value in messages(self._broker) if topic.endswith(".dlq"))
