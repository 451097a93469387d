"""Candles in Kafka: a whole process, a real broker and registry, Confluent's reader, with either size of decimals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_candles import of
from tests.integration.test_run import run
from tests.kafka.test_end_to_end import NameTopic, own_topics, readable
from tests.kafka.test_larger_decimals import subjects
from tests.kafka.test_sink import read
from tests.servers import SharedBroker, SharedRegistry
from tests.support.candles import CLOSED, binance, expected
from tests.support.lists import shown_list

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with binance() as url:
        yield url


@pytest.mark.parametrize("size", ["18,8", "38,18"])
def test_every_field_is_read_back(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path, address: str, size: str
) -> None:
    prefix = kafka_topic("c")
    file = own_topics("binance", tmp_path, prefix)
    done = run(
        tmp_path, file, "--symbols", "BTCUSDT", "--streams", "candle", "--intervals", "1m,1h", "--max-records",
        2 * CLOSED, "--duration", "30s", "--port", -1, K2_BINANCE_WEBSOCKET_URL=address, K2_DECIMALS=size,
        K2_KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap, K2_KAFKA_SCHEMA_REGISTRY_URL=registry.url,
        **shown_list(tmp_path, "binance"),
    )
    assert done.returncode == 0, done.stderr
    topic = f"{prefix}.candles.binance"
    assert subjects(registry, f"{topic}-") == {f"{topic}-value": size}
    messages = read(broker, topic, 2 * CLOSED)
    assert {message.key() for message in messages} == {b"BTCUSDT"}
    found = readable(registry, messages)
    assert of(found, "1m") == expected("BTCUSDT", "1m")
    assert of(found, "1h") == expected("BTCUSDT", "1h")
