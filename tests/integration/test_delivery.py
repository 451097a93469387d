"""What settings of delivery cannot be, said by the names of the environment; and who may not have transactions."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from k2conn.batch.delivery import Delivery
from k2conn.consumer.consumption import Consumption
from k2conn.consumer.settings import ConsumerSettings
from k2conn.errors import SettingsError
from k2conn.settings import sink_settings
from k2conn.sinks import refuse_borders
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.settings import SinkSettings

ONCE = {"K2_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "K2_KAFKA_DELIVERY": "exactly-once"}


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"K2_KAFKA_DELIVERY": "twice"}, "known are at-least-once, exactly-once"),
        ({"K2_KAFKA_COMMIT_MS": "49"}, "K2_KAFKA_COMMIT_MS=49 is not from 50 to 5000"),
        ({"K2_KAFKA_COMMIT_MS": "5001"}, "K2_KAFKA_COMMIT_MS=5001 is not from 50 to 5000"),
        ({"K2_KAFKA_TRANSACTION_TIMEOUT_MS": "10"}, "K2_KAFKA_TRANSACTION_TIMEOUT_MS=10 is below 1000"),
        ({"K2_KAFKA_ACKS": "1", "K2_KAFKA_IDEMPOTENCE_ENABLED": "false"}, "needs K2_KAFKA_ACKS=all"),
        ({"K2_KAFKA_STATE_TOPIC": "a b"}, "K2_KAFKA_STATE_TOPIC 'a b'"),
        ({"K2_KAFKA_STATE_PARTITIONS": "0"}, "K2_KAFKA_STATE_PARTITIONS=0"),
        ({"K2_STATE": "memory"}, "known are folder, kafka"),
    ],
)
def test_what_cannot_be_is_refused(variables: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        sink_settings(ONCE | variables)
    assert told in str(refused.value)


@pytest.mark.parametrize("refused", [
    lambda settings: Delivery(settings, []),
    lambda settings: Consumption(ConsumerSettings(topics=("market.*",)), settings),
])
def test_who_puts_no_borders_is_refused_transactions(refused: Callable[[SinkSettings], object]) -> None:
    refuse_borders(SinkSettings(kind="file"))
    refuse_borders(SinkSettings(options=KafkaSettings(state="kafka")))
    settings = SinkSettings(options=KafkaSettings(delivery="exactly-once"))
    with pytest.raises(SettingsError, match="is for `k2conn run` with connectors"):
        refused(settings)
