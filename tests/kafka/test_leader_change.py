"""Partitions change their leader while records flow: a cluster of two brokers, each partition with a copy on both.

The second broker leaves, in good order or killed, and the first one leads all; it comes back and gets its partitions
back by an election of preferred leaders.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from confluent_kafka import ElectionType, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from k2conn.avro import load_schema
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.spool.sink import SpoolingSink
from tests.kafka.test_kafka_trouble import KEYS, Bench, proven
from tests.kafka.test_sink import number_of, read
from tests.servers import Broker, SharedRegistry
from tests.support.sinks import trade

pytestmark = [pytest.mark.kafka, pytest.mark.deploy]

NameTopic = Callable[[str], str]

PREFERRED = [1, 2, 1, 2]
"""The leader that each partition prefers."""
ONE_LEFT = [1, 1, 1, 1]

HEAP = 128

AS_IN_PRODUCTION = {
    "request_timeout_ms": KafkaSettings.request_timeout_ms,
    "delivery_timeout_ms": KafkaSettings.delivery_timeout_ms,
}
HASTY = {"request_timeout_ms": 700, "delivery_timeout_ms": 1000}
"""Shorter than the three seconds after which the controller takes a silent broker for dead."""


class Cluster:
    """Two brokers: the first is the controller as well and stays, the second comes and goes."""

    def __init__(self, folder: Path) -> None:
        self.first = Broker(folder / "first", heap=HEAP)
        self.second = Broker(folder / "second", heap=HEAP, joins=self.first)
        self.bootstrap = f"{self.first.bootstrap},{self.second.bootstrap}"
        self._admin = AdminClient({"bootstrap.servers": self.first.bootstrap, "log_level": 0})

    def create(self, topic: str) -> str:
        """A topic whose partitions prefer the two brokers in turn, each with a copy on the other."""
        self.second.start()  # a test that failed may have left it down
        replicas = [[node, 3 - node] for node in PREFERRED]
        new = NewTopic(topic, len(PREFERRED), replica_assignment=replicas, config={"min.insync.replicas": "1"})
        self._admin.create_topics([new])[topic].result(20)
        self.until(topic, PREFERRED, in_sync=2)
        return topic

    def prefer(self, topic: str) -> None:
        """Give each partition back to the broker it prefers, once that one has caught up."""
        self.until(topic, ONE_LEFT, in_sync=2)
        partitions = [TopicPartition(topic, number) for number in range(len(PREFERRED))]
        for error in self._admin.elect_leaders(ElectionType.PREFERRED, partitions).result(20).values():
            assert error is None or error.name() == "ELECTION_NOT_NEEDED"
        self.until(topic, PREFERRED, in_sync=2)

    def until(self, topic: str, leaders: list[int], in_sync: int, within: float = 90) -> None:
        """Wait until the partitions have these leaders and so many replicas in step."""
        end = time.monotonic() + within
        while True:
            found = self._admin.list_topics(topic, 10).topics[topic].partitions
            now = [(found[number].leader, len(found[number].isrs)) for number in sorted(found)]
            if now == [(leader, in_sync) for leader in leaders]:
                return
            assert time.monotonic() < end, now
            time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    with made.first, made.second:
        yield made


class Stream:
    """Trades that are put whatever happens, at most two thousand a second."""

    def __init__(self, bench: Bench, topic: str) -> None:
        self._bench, self._topic = bench, topic
        self.total = 0
        self._ended = False
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while not self._ended:
            for _ in range(10):
                number, self.total = self.total, self.total + 1
                identity = str(uuid.UUID(int=number))
                self._bench.sink.put(trade(number, self._topic, f"S{number % KEYS}", message_id=identity))
            assert not self._bench.sink.crowded
            await asyncio.sleep(0.005)

    async def arrives(self) -> None:
        """Wait until what was put up to now is acknowledged, and then what was put in the next moment."""
        for _ in range(2):
            put = self.total
            await self._bench.until(lambda put=put: len(self._bench.book.settled) >= put)
            await asyncio.sleep(0.2)

    async def end(self) -> None:
        self._ended = True
        await self._task
        assert await self._bench.sink.flush(60) == 0


def moved(
    cluster: Cluster, bench: Bench, topic: str, leave: Callable[[], None], waits: Mapping[str, int]
) -> tuple[int, object]:
    """Trades through two changes of leader, the first one by ``leave``: how many, and how many producers made anew."""
    seen: list[tuple[int, object]] = []

    async def work(sink: SpoolingSink) -> None:
        await sink.prepare({topic: load_schema("trade")})
        stream = Stream(bench, topic)
        await stream.arrives()
        await asyncio.to_thread(leave)
        await asyncio.to_thread(cluster.until, topic, ONE_LEFT, in_sync=1)
        await stream.arrives()
        await asyncio.to_thread(cluster.second.start)
        await asyncio.to_thread(cluster.prefer, topic)
        await stream.arrives()
        await stream.end()
        seen.append((stream.total, sink.status()["rebuilds"]))

    bench.drive(work, bootstrap=cluster.bootstrap, **waits)
    return seen[0]


def repeats(messages: list[Message], total: int) -> int:
    """Nothing is missing, each key is in order and on one partition, every partition has some; a repeat is its first
    one again, byte for byte. How many repeats there are.
    """
    places: dict[bytes | None, int | None] = {}
    values: dict[int, bytes | None] = {}
    for one in messages:
        assert places.setdefault(one.key(), one.partition()) == one.partition()
        assert values.setdefault(number_of(one), one.value()) == one.value()
    assert set(places.values()) == set(range(len(PREFERRED)))
    return proven(messages, total)


@pytest.mark.parametrize("way", [pytest.param("stop", marks=pytest.mark.deploy), "kill"])
def test_leaders_that_move_under_one_producer_cost_nothing_and_repeat_nothing(
    cluster: Cluster, registry: SharedRegistry, tmp_path: Path, kafka_topic: NameTopic, way: str
) -> None:
    """What the producer sends again, the new leader knows already."""
    topic, bench = cluster.create(kafka_topic("trades")), Bench(cluster.first, registry, tmp_path)
    leave = cluster.second.stop if way == "stop" else cluster.second.kill
    total, rebuilds = moved(cluster, bench, topic, leave, AS_IN_PRODUCTION)
    assert rebuilds == 0
    assert repeats(read(cluster.first, topic, total), total) == 0


def test_a_leader_that_dies_longer_than_the_producer_waits_costs_nothing(
    cluster: Cluster, registry: SharedRegistry, tmp_path: Path, kafka_topic: NameTopic
) -> None:
    """A new producer sends again what was open; what the other broker had taken by then is there twice."""
    topic, bench = cluster.create(kafka_topic("trades")), Bench(cluster.first, registry, tmp_path)
    total, rebuilds = moved(cluster, bench, topic, cluster.second.kill, HASTY)
    assert rebuilds
    repeats(read(cluster.first, topic, total), total)
