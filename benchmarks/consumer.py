"""Topics into tables and files: `k2conn run --from kafka` as a process, against a real broker, registry and PostgreSQL.

A topic of six partitions is filled beforehand with trades of ten symbols, written with k2conn's own schema; the rate is
from when the process has asked to be a member of its group (joining it is in the time) until everything is durable,
committed and the process has ended in good order. *another schema*: the writer has one field more, so that every record
is decoded and encoded anew. Everything is read back: count, distinct ids, sums of prices and quantities, and from files
the order of each partition too. CPU is that of the process of k2conn.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from benchmarks.figures import at_least, progress
from benchmarks.postgres import Wrong
from benchmarks.processes import Process
from k2conn.avro import load_schema
from k2conn.avro.reading import read_container
from tests.servers import Broker, Postgres, Registry
from tests.support.sinks import TRADE

ROUNDS = 3
TARGET = 50_000
"""Records a second."""
SYMBOLS = 10
PARTITIONS = 6
_STAMP = 1_767_323_045_000_000
_LOOK_EVERY = 0.02


def run(quick: bool) -> dict[str, Any]:
    """Medians of ROUNDS rounds, each by a group of its own."""
    count = 20_000 if quick else 150_000
    rounds: list[dict[str, dict[str, float]]] = []
    with (
        tempfile.TemporaryDirectory() as name, Broker(Path(name) / "kafka") as broker,
        Registry(Path(name) / "registry") as registry, Postgres(Path(name) / "postgres") as server,
    ):
        folder = Path(name)
        _fill(broker, registry, "plain", count, longer=False)
        _fill(broker, registry, "longer", count // 3, longer=True)
        for number in range(1 if quick else ROUNDS):
            where = (broker, registry, folder, f"g{number}")
            rounds.append({
                "into PostgreSQL": _into_postgres(server, *where, "plain", count),
                "into files": _into_files(*where, "plain", count),
                "into files, another schema": _into_files(*where, "longer", count // 3),
            })
    found = {shape: {key: round(statistics.median(one[shape][key] for one in rounds), 2) for key in rounds[0][shape]}
             for shape in rounds[0]}
    return {
        "shapes": found, "rounds": rounds, "records": count,
        "checked": "read back: count, distinct ids, sums of price and quantity; in files the order of each symbol, too",
        "targets": [at_least(f"Kafka {shape}", TARGET, found[shape]["rate"], "records a second")
                    for shape in ("into PostgreSQL", "into files")],
    }


# -- what is read


def _values(number: int) -> dict[str, Any]:
    return TRADE | {
        "message_id": str(UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128)), "trade_id": f"X-{number}",
        "symbol": f"S{number % SYMBOLS}", "source_sequence": number, "timestamp": _STAMP + number * 20,
        "ingestion_timestamp": _STAMP + number * 20 + 900, "price": 6_400_010_000_000 + number % 10_000 * 1_000_000,
        "quantity": 1 + number * 1000,
    }


def _fill(broker: Broker, registry: Registry, topic: str, count: int, longer: bool) -> None:
    schema = load_schema("trade")
    declared = json.loads(schema.text)
    if longer:
        declared["fields"].append({"name": "more", "type": "int", "default": 0})
    with SchemaRegistryClient({"url": registry.url}) as client:
        number = client.register_schema(f"{topic}-value", Schema(json.dumps(declared), "AVRO"))
    head, tail = b"\0" + number.to_bytes(4, "big"), b"\2" if longer else b""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(20)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "compression.type": "lz4", "linger.ms": 20,
                         "enable.idempotence": True, "queue.buffering.max.messages": 1_000_000})
    for at in range(count):
        values = _values(at)
        body = head + schema.encode(list(values.values())) + tail
        stamp = values["timestamp"] // 1000
        producer.produce(topic, body, values["symbol"], at % SYMBOLS % PARTITIONS, timestamp=stamp)
        if at % 5000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise Wrong("the topic could not be filled")


# -- where it goes


def _into_postgres(
    server: Postgres, broker: Broker, registry: Registry, folder: Path, group: str, topic: str, count: int
) -> dict[str, float]:
    database = f"c_{group}"
    server.query(f"CREATE DATABASE {database}", "postgres")
    figures = _consume(broker, registry, folder, f"{group}-p", topic, count, ["--sink", "postgres"],
                       {"K2_POSTGRES_DSN": server.dsn_of(database)})
    sql = "SELECT count(*), count(DISTINCT trade_id), sum(price), sum(quantity) FROM trades_v2"
    _proven([Decimal(text) for text in server.query(sql, database)[0]], count)
    progress(f"into PostgreSQL: {figures['rate']:,.0f} records/s, {figures['cpu_us']:.1f} us of CPU each")
    return figures


def _into_files(
    broker: Broker, registry: Registry, folder: Path, group: str, topic: str, count: int
) -> dict[str, float]:
    out = folder / f"{group}-{topic}"
    words = ["--sink", "file", "--folder", str(out)]
    figures = _consume(broker, registry, folder, f"{group}-f", topic, count, words, {})
    ids: set[str] = set()
    last: dict[str, int] = {}
    sums = [Decimal(0), Decimal(0)]
    for path in sorted((out / topic).glob("*.avro")):
        for record in read_container(path):
            if record["source_sequence"] <= last.get(record["symbol"], -1):
                raise Wrong(f"a symbol's records are out of order: {path}, {record['source_sequence']} behind {last}")
            last[record["symbol"]] = record["source_sequence"]
            ids.add(record["trade_id"])
            sums = [sums[0] + Decimal(record["price"]), sums[1] + Decimal(record["quantity"])]
    _proven([Decimal(len(ids)), Decimal(len(ids)), *sums], count)
    progress(f"into files, {topic}: {figures['rate']:,.0f} records/s, {figures['cpu_us']:.1f} us of CPU each")
    return figures


def _consume(
    broker: Broker, registry: Registry, folder: Path, group: str, topic: str, count: int, words: Sequence[str],
    variables: dict[str, str],
) -> dict[str, float]:
    summary = folder / f"{group}-{topic}.json"
    command = [
        sys.executable, "-m", "k2conn", "run", "--from", "kafka", "--topics", topic, "--group", group, "--port", "-1",
        "--from-beginning", "--max-records", str(count), "--summary", str(summary), "--log-level", "error", *words,
    ]
    process = Process("k2conn", command, folder / "log", {
        "K2_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "K2_KAFKA_SCHEMA_REGISTRY_URL": registry.url, **variables,
    })
    start, spent = time.perf_counter(), 0.0
    try:
        while process.running:
            spent = max(spent, process.cpu)
            if time.perf_counter() - start > 300:
                raise Wrong(f"it does not end: {process.tail()}")
            time.sleep(_LOOK_EVERY)
    finally:
        process.stop()
    if not summary.exists():
        raise Wrong(f"it ended: {process.tail()}")
    said = json.loads(summary.read_text())
    if said["exit_code"] or said["records"] != count or not said["source"]["balanced"]:
        raise Wrong(f"its own account is {said['source']['accounts']}")
    return {"rate": round(count / said["seconds"]), "seconds": said["seconds"], "cpu_us": spent / count * 1e6}


def _proven(found: Sequence[Decimal], count: int) -> None:
    records = [_values(number) for number in range(count)]
    wanted = [Decimal(count), Decimal(count), *(Decimal(sum(one[name] for one in records)) / 10**8
                                                for name in ("price", "quantity"))]
    if list(found) != wanted:
        raise Wrong(f"read back {found}, not {wanted}")
