"""What does not go together with state in Kafka is refused before anything is reached, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from k2conn.batch.delivery import Delivery
from k2conn.consumer.consumption import Consumption
from k2conn.consumer.settings import ConsumerSettings
from k2conn.errors import SettingsError
from k2conn.sinks import refuse_borders
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.settings import SinkSettings
from tests.integration.test_run import run

ONCE = {"K2_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "K2_KAFKA_DELIVERY": "exactly-once"}
STATE = {"K2_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "K2_STATE": "kafka"}


@pytest.mark.parametrize(
    ("options", "variables", "told"),
    [
        (["--workers", "2"], ONCE, "K2_KAFKA_DELIVERY=exactly-once goes with one process"),
        (["--workers", "2"], STATE, "K2_STATE=kafka goes with one process"),
        (["--max-records", "5"], ONCE, "--max-records may cut one in two"),
        ([], ONCE | {"K2_STATE_FOLDER": "state"}, "unset K2_STATE_FOLDER"),
        ([], ONCE | {"K2_KAFKA_DELIVERY": "twice"}, "known are at-least-once, exactly-once"),
        ([], ONCE | {"K2_KAFKA_COMMIT_MS": "49"}, "K2_KAFKA_COMMIT_MS=49 is not from 50 to 5000"),
        ([], ONCE | {"K2_KAFKA_COMMIT_MS": "5001"}, "K2_KAFKA_COMMIT_MS=5001 is not from 50 to 5000"),
        ([], ONCE | {"K2_KAFKA_TRANSACTION_TIMEOUT_MS": "10"}, "K2_KAFKA_TRANSACTION_TIMEOUT_MS=10 is below 1000"),
        ([], ONCE | {"K2_KAFKA_ACKS": "1", "K2_KAFKA_IDEMPOTENCE_ENABLED": "false"}, "needs K2_KAFKA_ACKS=all"),
        ([], ONCE | {"K2_KAFKA_STATE_TOPIC": "a b"}, "K2_KAFKA_STATE_TOPIC 'a b'"),
        ([], ONCE | {"K2_KAFKA_STATE_PARTITIONS": "0"}, "K2_KAFKA_STATE_PARTITIONS=0"),
        ([], STATE | {"K2_STATE": "memory"}, "known are folder, kafka"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tmp_path: Path, options: list[str], variables: dict[str, str], told: str
) -> None:
    done = run(tmp_path, "kraken", "--port", "-1", *options, **variables)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr


def test_who_puts_no_borders_is_refused_transactions() -> None:
    refuse_borders(SinkSettings(kind="file"))
    refuse_borders(SinkSettings(options=KafkaSettings(state="kafka")))
    settings = SinkSettings(options=KafkaSettings(delivery="exactly-once"))
    for refused in (lambda: Delivery(settings, []), lambda: Consumption(ConsumerSettings(topics=("market.*",)), settings)):
        with pytest.raises(SettingsError, match="is for `k2conn run` with connectors"):
            refused()
