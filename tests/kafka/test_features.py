"""Features in Kafka: a whole process, a real broker and registry, Confluent's reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.test_run import run
from tests.kafka.test_end_to_end import NameTopic, own_topics, readable
from tests.kafka.test_sink import read
from tests.servers import SharedBroker, SharedRegistry
from tests.support.features import COUNT, binance_minutes, minute_inputs, near, reference
from tests.support.lists import shown_list

pytestmark = [pytest.mark.kafka, pytest.mark.deploy]


def test_features_are_read_back(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    prefix, made = kafka_topic("f"), COUNT - 59
    with binance_minutes(["BTCUSDT"]) as address:
        done = run(
            tmp_path, own_topics("binance", tmp_path, prefix), "--symbols", "BTCUSDT", "--streams", "candle,quote",
            "--features", "1m", "--duration", "10s", "--port", -1, K2_BINANCE_WEBSOCKET_URL=address,
            K2_BACKFILL="false", K2_FEATURES_WARM_UP="60", K2_KAFKA_TOPIC_PREFIX=f"{prefix}.",
            K2_KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap, K2_KAFKA_SCHEMA_REGISTRY_URL=registry.url,
            **shown_list(tmp_path, "binance"),
        )
    assert done.returncode == 0, done.stderr
    messages = read(broker, f"{prefix}.market.crypto.features.binance", made)
    assert {message.key() for message in messages} == {b"BTCUSDT"}
    rows = minute_inputs("BTCUSDT")
    found = sorted(readable(registry, messages), key=lambda one: one["open_time"])
    assert len({one["message_id"] for one in found}) == made
    for number, one in enumerate(found, 59):
        assert one["is_warmed_up"]
        near(one, *reference(rows[number - 59 : number + 1]))
