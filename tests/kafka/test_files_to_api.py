"""A file of trades by way of Kafka into the lake, and out of it over HTTP: four processes, as people start them."""

from __future__ import annotations

from pathlib import Path
from shutil import copy

import pytest

from k2conn.resources import connectors_folder
from tests.integration.test_load import load
from tests.kafka.test_end_to_end import NameTopic, own_topics
from tests.servers import SharedBroker, SharedRegistry
from tests.support.api import Serving
from tests.support.files import trade_rows, written
from tests.support.topics import Consumer, wrote

pytestmark = pytest.mark.kafka


def test_rows_of_a_file_are_answers(
    tmp_path: Path, broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    topic, lake = kafka_topic("load"), {"K2_LAKE_FOLDER": str(tmp_path / "lake")}
    connector = own_topics("asx-trades", tmp_path, topic)
    copy(connectors_folder() / "asx-symbols.csv", tmp_path)
    file = written(tmp_path / "7078.csv", trade_rows(500))
    done = load(tmp_path, connector, file, "--kafka", broker.bootstrap, "--registry", registry.url)
    assert done.returncode == 0, done.stderr
    words = ("--sink", "iceberg", "--from-beginning")
    with Consumer(tmp_path / "c", broker, registry, f"{topic}.*", topic, *words, **lake) as consumer:
        consumer.until(wrote(500))
        assert consumer.stop()[0] == 0, consumer.said
    with Serving(tmp_path, "--store", "lake", **lake) as serving:
        page = serving.get("/v1/trades", symbol="BHP", exchange="asx", currency="aud", limit=1000)
    assert page.status == 200, page.body
    ids = {int(one.rpartition("-")[2]) for one in page.ids}
    assert ids == set(range(1, 501))
    first = page.json["data"][0]
    assert (first["asset_class"], first["side"], first["vendor_data"]["company_id"]) == ("equities", "UNKNOWN", "7078")
