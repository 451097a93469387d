"""`k2conn load` into the real broker, and read back by a client that we did not write."""

from __future__ import annotations

from pathlib import Path
from shutil import copy

import pytest

from k2conn.resources import connectors_folder
from tests.integration.test_load import load
from tests.kafka.test_end_to_end import NameTopic, own_topics, readable
from tests.kafka.test_sink import read
from tests.servers import SharedBroker, SharedRegistry
from tests.support.files import trade_rows, written

pytestmark = pytest.mark.kafka


def test_a_file_goes_into_kafka_and_nothing_of_it_twice(
    tmp_path: Path, broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    topic, rows = kafka_topic("load"), trade_rows(5_000)
    connector = own_topics("asx-trades", tmp_path, topic)
    copy(connectors_folder() / "asx-symbols.csv", tmp_path)
    file = written(tmp_path / "7078.csv", [*rows[:2_000], "broken", *rows[2_000:]])
    words = ("--kafka", broker.bootstrap, "--registry", registry.url)
    done = load(tmp_path, connector, file, *words)
    assert done.returncode == 65, done.stderr
    again = load(tmp_path, connector, file, *words)
    assert (again.returncode, "0 rows, 5,001 before" in again.stderr) == (0, True)
    found = readable(registry, read(broker, f"{topic}.trades.asx", 5_000))
    assert [one["trade_id"].rpartition("-")[2] for one in found] == [str(n) for n in range(1, 5_002) if n != 2_001]
    assert {one["symbol"] for one in found} == {"BHP"}
    (dead,) = read(broker, f"{topic}.trades.asx.dlq", 1)
    assert b'"line":2001' in (dead.value() or b"")
