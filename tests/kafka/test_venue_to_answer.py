"""The whole way: a venue, Kafka, the lake, SQL and HTTP, each a process of its own."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.api.test_process import ASKED, engine
from tests.api.test_process import venue as venue  # a fixture
from tests.api.test_stream import until
from tests.lake.test_query import asked
from tests.servers import SharedBroker, SharedRegistry
from tests.support.api import Serving
from tests.support.lakes import lake, read
from tests.support.topics import Consumer

pytestmark = [pytest.mark.kafka, pytest.mark.alone, pytest.mark.deploy]
WITHIN = 10.0
"""Seconds in which a trade that a venue sends is to be found, by SQL and over HTTP."""


def test_a_trade_is_found_by_sql_and_over_http_within_seconds(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: Callable[[str], str], venue: int, tmp_path: Path
) -> None:
    topic, settings = kafka_topic("way"), lake(tmp_path)
    kafka = {"K2_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "K2_KAFKA_SCHEMA_REGISTRY_URL": registry.url}
    folder = str(settings.folder)
    running = engine(tmp_path, venue, topic=topic, K2_KAFKA_CREATE_TOPICS="true",
                     K2_SPOOL_FOLDER=str(tmp_path / "spool"), **kafka)
    try:
        with Consumer(tmp_path / "c", broker, registry, f"{topic}.*", topic, "--sink", "iceberg", "--from-beginning",
                      K2_LAKE_FOLDER=folder) as consumer:
            consumer.until(lambda source: any(one["written"] for one in source["topics"].values()))
            with Serving(tmp_path, "--store", "lake", K2_LAKE_FOLDER=folder) as serving:
                sent = time.time()
                since = datetime.fromtimestamp(sent, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
                until(lambda: serving.get("/v1/trades", since=since, **ASKED).json["data"], WITHIN)
                trade = serving.get("/v1/trades", since=since, **ASKED).json["data"][0]
                shown = asked(settings, "query", "SELECT count(*) FROM trades WHERE symbol = 'BTCUSD'", "--side",
                              "SELL", "--currency", "USD", "--since", since, "--format", "csv").splitlines()[1]
                took = time.time() - sent
                counted = {one["kind"]: one["rows"] for one in serving.get("/v1/stats").json["kinds"]}
                assert serving.get("/v1/symbols").json["data"][0]["symbol"] == "BTCUSD"
            running.send_signal(signal.SIGTERM)
            assert running.wait(60) == 0
            consumer.until(lambda source: not source["lag"])
            code, summary = consumer.stop()
    finally:
        running.kill()
        running.wait()
    assert code == 0, consumer.said
    assert took < WITHIN
    assert int(shown) > 0
    assert counted["trades"] > 0
    assert (trade["symbol"], trade["side"], trade["currency"], trade["price"]) == ("BTCUSD", "SELL", "USD", "64000.1")
    written = summary["source"]["topics"][f"{topic}.trades"]["written"]
    ((count, *distinct),) = read(settings, "SELECT count(*), count(DISTINCT trade_id), count(DISTINCT message_id)"
                                           " FROM trades")
    assert count == written
    assert distinct == [count, count]
