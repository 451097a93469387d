"""What the tests of Kafka as a source share: topics full of records, made by a client that is not ours."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from k2conn.avro import RecordSchema, load_schema
from tests.integration.test_run import environment
from tests.servers import Broker, Registry, SharedBroker, SharedRegistry
from tests.support import warm_process
from tests.support.databases import CANDLE
from tests.support.sinks import TRADE

AnyBroker = Broker | SharedBroker
AnyRegistry = Registry | SharedRegistry
START = 1_767_323_045_000_000


def made(broker: AnyBroker, *names: str, partitions: int = 1) -> None:
    """Makes topics."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    for future in admin.create_topics([NewTopic(name, partitions, 1) for name in names]).values():
        future.result(20)


def registered(registry: AnyRegistry, subject: str, text: str) -> bytes:
    """The framing of records of a schema that is registered now."""
    with SchemaRegistryClient({"url": registry.url}) as client:
        number = client.register_schema(subject, Schema(text, "AVRO"))
    return b"\0" + number.to_bytes(4, "big")


def trade_values(number: int, **fields: Any) -> dict[str, Any]:
    """Trade ``number``, with an id of its own."""
    stamp = START + number * 1000
    own = {"message_id": str(UUID(int=number)), "trade_id": f"X-{number}", "source_sequence": number,
           "timestamp": stamp, "ingestion_timestamp": stamp + 500, "price": 6_400_010_000_000 + number}
    return TRADE | own | fields


def trades(numbers: Iterable[int], schema: RecordSchema | None = None, **fields: Any) -> list[bytes]:
    """Their Avro bodies."""
    own = schema or load_schema("trade")
    return [own.encode(list(trade_values(number, **fields).values())) for number in numbers]


def candles(numbers: Iterable[int]) -> list[bytes]:
    """Candles, a minute each."""
    schema, found = load_schema("candle"), []
    for number in numbers:
        begin = CANDLE["open_time"] + number * 60_000_000
        values = CANDLE | {"message_id": str(UUID(int=number)), "open_time": begin, "close_time": begin + 60_000_000}
        found.append(schema.encode(list(values.values())))
    return found


def quotes(numbers: Iterable[int]) -> list[bytes]:
    """Quotes."""
    schema, found = load_schema("quote"), []
    for number in numbers:
        values = {field.name: _plain(field, number) for field in schema.fields}
        found.append(schema.encode(list(values.values())))
    return found


def _plain(field: Any, number: int) -> Any:
    own: dict[str, Any] = {"message_id": str(UUID(int=number)), "symbol": "BTCUSD", "exchange": "X", "currency": "USD"}
    if field.name in own:
        return own[field.name]
    if field.nullable:
        return None
    kinds = {"decimal": 100 + number, "timestamp-micros": START + number, "string": "x", "int": 1, "long": 1,
             "boolean": True, "array<string>": [], "map<string>": {}}
    return field.symbols[0] if field.symbols else kinds[field.kind]


def filled(broker: AnyBroker, topic: str, values: Sequence[bytes | None], key: bytes = b"BTCUSD",
           partition: int | None = None) -> None:
    """Puts messages into a topic, in order."""
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 5, "enable.idempotence": True,
                         "queue.buffering.max.messages": 10**6})
    where: dict[str, Any] = {} if partition is None else {"partition": partition}
    for at, value in enumerate(values):
        producer.produce(topic, value=value, key=key, timestamp=START // 1000 + at, **where)
        if at % 10_000 == 0:
            producer.poll(0)
    assert producer.flush(60) == 0


class Consumer:
    """`k2conn run --from kafka` (or another ``command``) as a process, its health page and its summary. ``before`` is
    Python that the process runs first.
    """

    command = "run"

    def __init__(self, folder: Path, broker: AnyBroker, registry: AnyRegistry, topics: str, group: str, *words: object,
                 before: str = "", **variables: str) -> None:
        from tests.servers.process import free_port

        folder.mkdir(exist_ok=True)
        self.folder, self.port, self._summary = folder, free_port(), folder / f"summary-{time.monotonic_ns()}.json"
        given = ["--topics", topics, "--group", group, "--port", str(self.port), "--summary", str(self._summary)]
        self._log = (folder / "log").open("a+")
        own = {"K2_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "K2_KAFKA_SCHEMA_REGISTRY_URL": registry.url,
               "K2_KAFKA_CONSUMER_REFRESH_MS": "1s", "K2_KAFKA_CONSUMER_SESSION_TIMEOUT_MS": "6s",
               "K2_KAFKA_CONSUMER_COMMIT_MS": "200", "K2_POSTGRES_BATCH_MS": "100"}
        how: dict[str, Any] = {"cwd": folder, "env": environment(**(own | variables)), "stderr": self._log,
                               "stdout": self._log, "text": True}
        given = [self.command, "--from", "kafka", *given, *map(str, words)]
        self.process = warm_process.started(*given, before=before, **how)

    def __enter__(self) -> Consumer:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        self._log.close()

    @property
    def said(self) -> str:
        """Its log."""
        return (self.folder / "log").read_text()

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait()

    def health(self) -> dict[str, Any]:
        """What /health says; empty where nobody answers."""
        text = self.get("/health")
        return json.loads(text) if text else {}

    def get(self, path: str) -> str:
        """What its port says to a path."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def until(self, holds: Any, within: float = 180) -> dict[str, Any]:
        """Waits until the health page's `source` is as wanted."""
        end = time.monotonic() + within
        while True:
            source = self.health().get("source", {})
            if source and holds(source):
                return dict(source)
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, f"{source}\n{self.said}"
            time.sleep(0.1)

    def stop(self) -> tuple[int, dict[str, Any]]:
        """Told to stop: its exit code and summary."""
        self.process.terminate()
        return self.ended()

    def ended(self) -> tuple[int, dict[str, Any]]:
        """Its exit code and summary, once it ends by itself."""
        self.process.wait(60)
        found = json.loads(self._summary.read_text()) if self._summary.exists() else {}
        return self.process.returncode, found


def wrote(count: int) -> Any:
    """For `Consumer.until`: so many records are written or dead, and nothing is left."""
    return lambda source: not source["lag"] and done(source) >= count


def done(source: dict[str, Any]) -> int:
    """Records of a consumer that are written, or dead letters."""
    return sum(int(one["written"]) + int(one["dead_letters"]) for one in source["topics"].values())


def read_to(topic: str, ends: Sequence[int]) -> Any:
    """For `Consumer.until`: of each partition all up to its end is durable. (Its `lag` is that behind the end which
    Kafka told last.)
    """

    def holds(source: dict[str, Any]) -> bool:
        own = source["topics"].get(topic, {}).get("partitions", {})
        return all(own.get(str(part), {}).get("position", 0) >= end for part, end in enumerate(ends))

    return holds
