"""From a loopback WebSocket to an acknowledged batch in a real broker: CPU of the connector's process alone, per trade.

Every record is read back: the count is exact and the order of each symbol's ids is the feeder's.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer

from benchmarks.processes import Feeding, Process
from benchmarks.tapes import BinanceTape
from k2conn.avro import load_schema
from tests.servers import Broker, Registry

ROUNDS = 5


def run(quick: bool) -> dict[str, Any]:
    """Medians of ROUNDS runs at full speed, each with a process of its own."""
    frames = 20_000 if quick else 150_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Broker(folder / "kafka") as broker, Registry(folder / "registry") as registry:
            numbers = range(2 if quick else ROUNDS)
            rounds = [_round(folder, broker.bootstrap, registry.url, frames, at) for at in numbers]
    return {
        "trades": frames,
        "rounds": rounds,
        "cpu_us_per_trade": round(statistics.median(one["cpu_us"] for one in rounds), 2),
        "trades_per_second": round(statistics.median(one["rate"] for one in rounds)),
        "peers": {"cryptofeed": "not measured", "Redpanda Connect": "not measured", "naive Python": "not measured"},
    }


def _round(folder: Path, bootstrap: str, registry: str, frames: int, at: int) -> dict[str, float]:
    symbols = BinanceTape(10, 1).symbols
    feeder = Feeding(folder, "binance", frames=frames)
    topic = f"bench.{at}"
    file = folder / "binance.yaml"
    file.write_text(_connector(topic), encoding="utf-8")
    command = [
        sys.executable, "-m", "k2conn", "run", str(file), "--streams", "agg_trade", "--symbols", ",".join(symbols),
        "--kafka", bootstrap, "--registry", registry, "--port", "19191", "--log-level", "error",
    ]
    given = {"K2_BINANCE_WEBSOCKET_URL": f"ws://127.0.0.1:{feeder.port}/stream", "K2_BINANCE_BACKFILL": "false",
             "K2_SPOOL_FOLDER": str(folder / "spool"), "K2_KAFKA_LINGER_MS": "5"}
    engine = Process("k2conn", command, folder / "k2conn.log", given)
    try:
        feeder.hear("asked 10")
        engine.quiet()
        before, start = engine.cpu, time.perf_counter()
        feeder.tell(f"go full {frames}")
        while _published() < frames:
            time.sleep(0.05)
        spent, seconds = engine.cpu - before, time.perf_counter() - start
    finally:
        engine.stop()
        feeder.stop()
    _read_back(bootstrap, topic, frames)
    return {"cpu_us": spent / frames * 1e6, "rate": frames / seconds}


def _connector(topic: str) -> str:
    """The shipped connector, with a topic of this round's own."""
    from k2conn.cli.loading import find

    return find("binance").read_text(encoding="utf-8") + f"\nkafka_topic: \"{topic}\"\n"


def _published() -> int:
    with urllib.request.urlopen("http://127.0.0.1:19191/health", timeout=10) as answer:
        return int(json.load(answer)["connectors"]["binance"]["published"])


def _read_back(bootstrap: str, topic: str, frames: int) -> None:
    """Exactly so many records, each symbol's ids rising by one."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    schema, last, count = load_schema("trade"), dict[str, int](), 0
    while count < frames:
        for message in consumer.consume(10_000, 20.0):
            assert message.error() is None, message.error()
            value = message.value()
            assert value is not None
            record = schema.decode_plain(value[5:])
            number = int(record["source_sequence"])
            assert last.get(record["symbol"], number - 1) == number - 1, "order"
            last[record["symbol"]] = number
            count += 1
    assert not consumer.consume(1, 1.0), "more records than trades"
    consumer.close()
