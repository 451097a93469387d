"""Kafka into the lake: each record once by its offset, whatever ends a process and whoever has a partition next."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kafka.test_consumer import framed
from tests.servers import SharedBroker, SharedRegistry
from tests.support.lakes import lake, read
from tests.support.topics import Consumer, done, filled, made, trades, wrote

pytestmark = pytest.mark.kafka

NameTopic = Callable[[str], str]
ONCE = "SELECT count(*), count(DISTINCT trade_id), max(source_sequence) FROM trades"
LETTERS = ("SELECT count(*), count(DISTINCT message_id) FROM dead_letters", "dead_letters")
BEFORE_THE_TABLE_HAS_IT = """
import os, signal
from pyiceberg.catalog.sql import SqlCatalog
commit = SqlCatalog.commit_table
def killed(self, table, requirements, updates):
    if "trades" in str(table.name()) and any(one.action == "add-snapshot" for one in updates):
        os.kill(os.getpid(), signal.SIGKILL)
    return commit(self, table, requirements, updates)
SqlCatalog.commit_table = killed
"""
AFTER_THE_TABLE_HAS_IT = """
import os, signal
from k2conn.consumer.member import GroupMember
commit = GroupMember.commit
async def killed(self, offsets):
    if any(place.offset for place in offsets.values()):
        os.kill(os.getpid(), signal.SIGKILL)
    return await commit(self, offsets)
GroupMember.commit = killed
"""


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """A lake that looks for no repeats but for those that offsets speak of."""
    return {"K2_LAKE_FOLDER": str(tmp_path / "lake"), "K2_LAKE_DEDUPE": "false", "K2_LAKE_COMMIT_MS": "100",
            "K2_LAKE_COMMIT_ROWS": "300"}


@pytest.mark.deploy
@pytest.mark.parametrize("moment", [BEFORE_THE_TABLE_HAS_IT, AFTER_THE_TABLE_HAS_IT], ids=["before", "after"])
def test_a_kill_between_what_is_written_and_what_is_committed_loses_and_doubles_nothing(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path, variables: dict[str, str],
    moment: str,
) -> None:
    topic, count = kafka_topic("trades"), 3000
    made(broker, topic, partitions=3)
    values = framed(registry, topic, trades(range(count)))
    for part in range(3):
        filled(broker, topic, [*values[part:count:3], b"no record", b"nor this"], partition=part)
    given = (broker, registry, topic, topic, "--sink", "iceberg", "--from-beginning")
    for _ in range(2):
        with Consumer(tmp_path / "c", *given, before=moment, **variables) as consumer:
            assert consumer.ended()[0] == -9, consumer.said
    with Consumer(tmp_path / "c", *given, **variables) as consumer:
        consumer.until(lambda source: source["assigned"] == 3 and not source["lag"] and all(
            one["committed"] == count // 3 + 2 for one in source["topics"][topic]["partitions"].values()))
        assert consumer.stop()[0] == 0, consumer.said
    settings = lake(tmp_path)
    assert read(settings, ONCE) == [(count, count, count - 1)]
    assert read(settings, *LETTERS) == [(6, 6)]
    if moment is BEFORE_THE_TABLE_HAS_IT:  # what the table has goes by its offsets, or is found by its ids
        assert re.search(r"trades_v2: \d+ records were there already", consumer.said) is None


@pytest.mark.deploy
def test_partitions_that_go_from_process_to_process_are_once_in_the_table(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path, variables: dict[str, str]
) -> None:
    """Shared by two, then one is stopped, then another one comes and is killed."""
    topic, part_of = kafka_topic("trades"), 4000
    made(broker, topic, partitions=4)
    values = framed(registry, topic, trades(range(3 * part_of)))

    def fill(turn: int) -> None:
        for part in range(4):
            filled(broker, topic, values[turn * part_of + part : (turn + 1) * part_of : 4], partition=part)

    given = (broker, registry, topic, topic, "--sink", "iceberg", "--from-beginning")
    with Consumer(tmp_path / "a", *given, **variables) as one:
        with Consumer(tmp_path / "b", *given, **variables) as two:
            one.until(lambda source: source["assigned"] == 2)
            two.until(lambda source: source["assigned"] == 2)
            fill(0)
            two.until(lambda source: done(source) > 0)
            assert two.stop()[0] == 0, two.said
        one.until(lambda source: source["assigned"] == 4)
        fill(1)
        one.until(lambda source: not source["lag"])
        with Consumer(tmp_path / "b", *given, **variables) as two:
            two.until(lambda source: source["assigned"] == 2)
            fill(2)
            two.until(lambda source: done(source) > 0)
            two.kill()
        one.until(lambda source: source["assigned"] == 4 and not source["lag"] and all(
            part["committed"] == 3 * part_of // 4 for part in source["topics"][topic]["partitions"].values()))
        assert one.stop()[0] == 0, one.said
    assert read(lake(tmp_path), ONCE) == [(3 * part_of, 3 * part_of, 3 * part_of - 1)]


def test_a_topic_that_was_made_anew_is_read_although_its_offsets_were_there_before(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path, variables: dict[str, str]
) -> None:
    """Offsets count from 0 again: what is behind a stored one is looked for, and not taken for stored unseen."""
    from confluent_kafka.admin import AdminClient

    topic = kafka_topic("trades")
    made(broker, topic)
    given = (broker, registry, topic, topic, "--sink", "iceberg", "--from-beginning")
    filled(broker, topic, framed(registry, topic, trades(range(50))))
    with Consumer(tmp_path / "c", *given, **variables) as consumer:
        consumer.until(wrote(50))
        assert consumer.stop()[0] == 0
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    for future in admin.delete_topics([topic]).values():
        future.result(20)
    made_again(broker, topic)
    filled(broker, topic, framed(registry, topic, trades(range(50, 80))))
    with Consumer(tmp_path / "c", *given, **variables) as consumer:
        consumer.until(wrote(30))
        assert consumer.stop()[0] == 0
    assert read(lake(tmp_path), ONCE) == [(80, 80, 79)]


def made_again(broker: SharedBroker, topic: str) -> None:
    """A topic is deleted a moment after the broker has said so."""
    from confluent_kafka import KafkaException

    for _ in range(50):
        try:
            return made(broker, topic)
        except KafkaException:
            time.sleep(0.2)
    raise AssertionError(f"{topic} is still there")
