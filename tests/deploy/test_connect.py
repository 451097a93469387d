"""`deploy/connect` as it is deployed: two workers of Kafka Connect write what k2conn published into Iceberg tables."""

from __future__ import annotations

import json
import random
import time
import urllib.error
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from k2conn.records import load_record
from tests.integration.test_load import load, records
from tests.kafka.test_sink import read
from tests.servers import Broker, ConnectWorker, Registry, SeaweedFs
from tests.servers.connect import DEPLOY
from tests.servers.seaweedfs import KEY, SECRET, WAREHOUSE
from tests.support.lake import make_table, table_rows

pytestmark = [
    pytest.mark.deploy, pytest.mark.kafka, pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pyiceberg"),  # of its own old ways
]

TOPIC = "market.crypto.trades.example"
ROWS, PARTS = 60_000, 3
SYMBOLS = [f"{base}-{quote}" for base in ("BTC", "ETH", "SOL", "XRP", "ADA", "DOT") for quote in ("USD", "EUR", "JPY")]
CONNECTOR = """\
connector: example
exchange: EXAMPLE
asset_class: crypto
docs: https://docs.example.com/files
symbols: {default: [BTC-USD], form: "{base}-{quote}"}
connection: {url: "file://", codec: jsonlines}
streams:
  trade:
    when: "@"
    fields:
      symbol: s
      trade_id: i
      price: p
      quantity: q
      timestamp: {from: t, unit: us}
      side: {from: b, map: {b: BUY, s: SELL}}
tests:
  - name: a trade
    file: part0.jsonl
    received: {i: 1, s: BTC-USD, p: "1.00000001", q: "2", t: 1700000000123456, b: b, note: x}
    records:
      - {trade_id: EXAMPLE-1, price: "1.00000001", timestamp: "2023-11-14T22:13:20.123456Z", vendor_data: {note: x}}
"""
WITHIN = 400.0
"""Seconds that one of these waits may take: two workers and three servers of Java share a small machine."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFs]:
    with SeaweedFs(tmp_path_factory.mktemp("lake")) as server:
        yield server


@pytest.fixture
def workers(
    tmp_path: Path, own_broker: Broker, own_registry: Registry, lake: SeaweedFs
) -> Iterator[list[ConnectWorker]]:
    variables = {
        "K2_KAFKA_BOOTSTRAP_SERVERS": own_broker.bootstrap, "CONNECT_GROUP": "k2.connect.test",
        "CONNECT_REGISTRY": own_registry.url.replace("/ccompat/v7", "/registry/v2"), "CONNECT_HEAP": "256m",
        "CONNECT_SESSION_MS": "6000",
        "K2_LAKE_CATALOG": lake.catalog, "K2_LAKE_WAREHOUSE": WAREHOUSE, "K2_LAKE_CREDENTIAL": f"{KEY}:{SECRET}",
        "K2_LAKE_S3_ENDPOINT": lake.s3, "K2_LAKE_S3_REGION": "us-east-1",
        "K2_LAKE_S3_ACCESS_KEY_ID": KEY, "K2_LAKE_S3_SECRET_ACCESS_KEY": SECRET,
    }
    both = [ConnectWorker(tmp_path / f"worker{number}", variables) for number in range(2)]
    for worker in both:
        worker.start()
    yield both
    for worker in both:
        worker.kill()


def lines(part: int) -> Iterator[str]:
    """One file's rows: all digits of a decimal, every microsecond, odd texts, something or nothing in vendor_data."""
    draw = random.Random(part)
    for number in range(part * ROWS // PARTS, (part + 1) * ROWS // PARTS):
        row: dict[str, Any] = {
            "i": number, "s": draw.choice(SYMBOLS),
            "p": str(Decimal(draw.randrange(1, 10**18)).scaleb(-8)),
            "q": str(Decimal(draw.randrange(1, 10**9)).scaleb(-8)),
            "t": draw.randrange(1_700_000_000_000_000, 1_700_172_800_000_000), "b": draw.choice("bs"),
        }
        if number % 3 == 0:
            row["note"] = 'ü😀 "\\\' ;' + str(number)
        yield json.dumps(row)


def until(what: Callable[[], Any], seconds: float, why: str, worker: ConnectWorker | None = None) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        log = f"; log: {worker.tail()}" if worker is not None and time.monotonic() >= deadline else ""
        assert time.monotonic() < deadline, f"not within {seconds} s: {why}{log}"
        time.sleep(0.5)
    return found


def start(worker: ConnectWorker, file: str, name: str, **changed: str) -> None:
    """Puts the connector of a file in `deploy/connect` there as an operator does, but for quick commits."""
    settings = json.loads((DEPLOY / file).read_text()) | {
        "iceberg.control.commit.interval-ms": "2000", "iceberg.control.commit.timeout-ms": "5000", **changed
    }

    def put() -> bool:
        try:
            return bool(worker.ask(f"/connectors/{name}/config", settings))
        except urllib.error.HTTPError as error:
            if error.code != 409:  # the group is amid a rebalance
                raise AssertionError(error.read()) from None
            return False

    until(put, WITHIN, "the connector is taken")


def test_two_workers_of_which_one_is_killed_write_each_record_once_and_exactly(
    tmp_path: Path, own_broker: Broker, own_registry: Registry, lake: SeaweedFs, workers: list[ConnectWorker]
) -> None:
    spec = tmp_path / "example.yaml"
    spec.write_text(CONNECTOR)
    files = [tmp_path / f"part{part}.jsonl" for part in range(PARTS)]
    for part, file in enumerate(files):
        file.write_text("\n".join(lines(part)) + "\n")
    table = make_table(lake, load_record("trade"))
    kafka = {"K2_KAFKA_BOOTSTRAP_SERVERS": own_broker.bootstrap, "K2_KAFKA_SCHEMA_REGISTRY_URL": own_registry.url,
             "K2_KAFKA_CREATE_TOPICS": "true", "K2_KAFKA_PARTITIONS": "4"}

    def publish(file: Path) -> None:
        done = load(tmp_path, spec, file, "--sink", "kafka", "--no-progress", **kafka)
        assert done.returncode == 0, done.stderr

    publish(files[0])
    start(workers[0], "trades.json", "trades")
    until(lambda: len(set(workers[0].runs("trades").values())) == 2, WITHIN, "both workers have tasks")
    until(lambda: len(table_rows(table)) == ROWS // PARTS, WITHIN, "the first part is in the table")

    publish(files[1])
    leader = workers[0].runs("trades")[0]
    killed, left = sorted(workers, key=lambda worker: not leader.endswith(f":{worker.port}"))
    killed.kill()
    publish(files[2])
    until(lambda: len(table_rows(table)) >= ROWS, WITHIN, "all is in the table", left)
    time.sleep(5)  # two commits more: whatever comes twice has come
    found = {row["message_id"]: row for row in table_rows(table)}
    assert len(table_rows(table)) == len(found) == ROWS
    assert set(left.runs("trades").values()) == {f"127.0.0.1:{left.port}"}

    # What Kafka was given is also in Avro files, read here by another library: each field is the same.
    done = load(tmp_path, spec, *files, "--sink", "file", "--no-progress")
    assert done.returncode == 0, done.stderr
    kept = records(tmp_path, TOPIC)
    assert len(kept) == ROWS
    for record in kept:
        row = dict(found[record["message_id"]])
        assert row["ingestion_timestamp"].year > 2023
        row["ingestion_timestamp"] = record["ingestion_timestamp"]
        row["vendor_data"] = None if row["vendor_data"] is None else dict(row["vendor_data"])
        later = [row.pop(name) for name in row.keys() - record.keys()]  # the columns of later revisions
        assert set(later) <= {None}
        assert row == record
    micros = {(row["timestamp"] - EPOCH) // timedelta(microseconds=1) % 1000 for row in found.values()}
    assert len(micros) == 1000
    assert left.ask("/connectors/trades/status")["connector"]["state"] == "RUNNING"


def test_what_cannot_be_read_is_one_dead_letter(
    tmp_path: Path, own_broker: Broker, own_registry: Registry, lake: SeaweedFs, workers: list[ConnectWorker]
) -> None:
    """Of a topic with something else in it, the rest goes into the table."""
    topic = "market.crypto.trades.others"
    spec = tmp_path / "example.yaml"
    spec.write_text(CONNECTOR.replace("asset_class: crypto", "asset_class: futures"))
    file = tmp_path / "part0.jsonl"
    file.write_text("\n".join([*lines(0)][:200]) + "\n")
    table = make_table(lake, load_record("trade"), "trades_of_others")
    done = load(tmp_path, spec, file, "--kafka", own_broker.bootstrap, "--registry", own_registry.url, "--no-progress")
    assert done.returncode == 0, done.stderr
    producer = Producer({"bootstrap.servers": own_broker.bootstrap})
    producer.produce(topic, b"no Avro at all", key=b"BTCUSD")
    assert producer.flush(60) == 0
    start(workers[1], "trades.json", "others", **{
        "topics.regex": "market\\.(futures\\.trades\\.example|crypto\\.trades\\.others)",
        "iceberg.tables": "market_data.trades_of_others", "iceberg.control.topic": "k2.connect.others.control",
        "errors.deadletterqueue.topic.name": "k2.connect.others.dlq", "consumer.override.metadata.max.age.ms": "5000",
    })
    until(lambda: len(table_rows(table)) == 200, WITHIN, "the good ones are in the table", workers[1])
    found = read(own_broker, "k2.connect.others.dlq", 1)  # twice where the group was dealt anew before its next commit
    for dead in found:
        assert dead.value() == b"no Avro at all"
        assert dict(dead.headers() or [])["__connect.errors.topic"] == topic.encode()
