"""Every trouble Kafka is known for, against the real broker and registry: what comes of it, and that nothing is lost.

The table of docs/reliability.md names these tests.
"""

from __future__ import annotations

import asyncio
import random
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]
from confluent_kafka import Message

from k2conn.avro import load_schema
from k2conn.engine.accounting.ledger import Account
from k2conn.errors import Unreachable
from k2conn.sinks import SpoolableSink, make_sink
from k2conn.sinks.kafka.producer import Failure, Producer
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.kafka.sink import KafkaSink
from k2conn.sinks.settings import SinkSettings, SpoolSettings
from k2conn.spool.sink import SpoolingSink
from tests.kafka.test_sink import create, number_of, read
from tests.servers import Broker, Registry, SharedRegistry
from tests.support.sinks import Book, dead, trade
from tests.support.spool_child import SYMBOLS
from tests.support.spools import number_of as number_in

pytestmark = pytest.mark.kafka

NameTopic = Callable[[str], str]
KEYS = 10


class Bench:
    """A spooled Kafka sink on the bench."""

    def __init__(self, broker: Broker, registry: Registry | SharedRegistry, folder: Path) -> None:
        self.broker, self.registry, self.folder = broker, registry, folder
        self.book = Book()
        self.kafka: KafkaSink
        self.sink: SpoolingSink

    def drive(
        self,
        work: Callable[[SpoolingSink], Awaitable[None]],
        buffer_bytes: int = 32 << 20,
        spool: dict[str, Any] | None = None,
        **kafka: Any,
    ) -> None:
        """Run ``work`` on the open sink."""
        given: dict[str, Any] = {
            "bootstrap": self.broker.bootstrap, "registry_url": self.registry.url, "linger_ms": 5, "open_timeout": 3,
            "request_timeout_ms": 1500, "delivery_timeout_ms": 3000,
        }
        settings = SinkSettings(
            options=KafkaSettings(**given | kafka),
            buffer_bytes=buffer_bytes,
            spool=SpoolSettings(folder=self.folder, **{"patience_ms": 0, **(spool or {})}),
        )

        def inner(settle: Any, reject: Any) -> SpoolableSink:
            made = make_sink(settings, settle, reject)
            assert isinstance(made, KafkaSink)
            self.kafka = made
            return made

        async def main() -> None:
            self.sink = SpoolingSink(inner, settings.spool, self.book.settle, lambda *told: self.book.reject(*told))
            await self.sink.open()
            try:
                await work(self.sink)
            finally:
                await self.sink.close()

        asyncio.run(main())

    @property
    def spool(self) -> dict[str, Any]:
        found = self.sink.status()["spool"]
        assert isinstance(found, dict)
        return found

    async def put(self, topic: str, numbers: Iterable[int], pause: float = 0.0) -> None:
        """Put trades in turn under ``KEYS`` symbols, as the runner does."""
        for number in numbers:
            self.sink.put(trade(number, topic, f"S{number % KEYS}"))
            if self.sink.crowded:
                await self.sink.drain()
            if pause and number % 50 == 0:
                await asyncio.sleep(pause)

    async def until(self, holds: Callable[[], bool], within: float = 180) -> None:
        end = time.monotonic() + within
        while not holds():
            assert time.monotonic() < end, str(self.sink.status())
            await asyncio.sleep(0.02)


@pytest.fixture
def broker(own_broker: Broker) -> Broker:
    """Most tests here stop or pause it."""
    return own_broker


@pytest.fixture
def registry(own_registry: Registry) -> Registry:
    return own_registry


@pytest.fixture
def bench(broker: Broker, registry: Registry, tmp_path: Path) -> Bench:
    return Bench(broker, registry, tmp_path)


def proven(messages: list[Message], total: int) -> int:
    """Every number is there, in order per key; how many are there twice."""
    for index in range(KEYS):
        numbers = [number_of(one) for one in messages if one.key() == f"S{index}".encode()]
        assert list(dict.fromkeys(numbers)) == list(range(index, total, KEYS)), f"S{index}"
    return len(messages) - total


# -- the broker


@pytest.mark.parametrize("way", [pytest.param("restart", marks=pytest.mark.deploy), "kill"])
def test_a_broker_that_goes_while_records_flow(bench: Bench, broker: Broker, kafka_topic: NameTopic, way: str) -> None:
    """In memory 150 KB, so the rest of the outage is on disk."""
    topic, total = create(broker, kafka_topic("trades"), partitions=3), 7000

    async def work(sink: SpoolingSink) -> None:
        await sink.prepare({topic: load_schema("trade")})
        await bench.put(topic, range(2000), pause=0.005)
        await asyncio.to_thread(broker.stop if way == "restart" else broker.kill)
        await bench.put(topic, range(2000, total), pause=0.002)
        assert bench.spool["state"] == "spooling"
        assert bench.spool["behind"] > 1000
        assert not sink.crowded
        await asyncio.to_thread(broker.start)
        await bench.until(lambda: len(bench.book.settled) == total)
        await bench.until(lambda: bench.spool["state"] == "direct" and not bench.spool["segments"])

    bench.drive(work, buffer_bytes=150_000)
    assert not list(bench.folder.rglob("*.spool"))
    proven(read(broker, topic, total), total)


@pytest.mark.deploy
def test_a_full_local_queue_goes_to_the_disk_and_memory_stays_bounded(
    bench: Bench, broker: Broker, kafka_topic: NameTopic
) -> None:
    topic, bound, total = create(broker, kafka_topic("trades")), 1 << 20, 15_000

    async def work(sink: SpoolingSink) -> None:
        await sink.prepare({topic: load_schema("trade")})
        broker.pause()
        try:
            tracemalloc.start()
            for number in range(total):
                sink.put(trade(number, topic, f"S{number % KEYS}"))
                assert not sink.crowded
                if number % 100 == 0:
                    await asyncio.sleep(0.001)
            await bench.until(lambda: bench.spool["synced"] >= total - 1000)
            held, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            queued = sink.status()["queued_bytes"]
            assert isinstance(queued, int)
            assert queued < bound + 1000
            # records of 130 bytes are mostly Python objects; all of them would be 7 MB
            assert held < 4 * bound
        finally:
            broker.resume()
        await bench.until(lambda: len(bench.book.settled) == total)

    bench.drive(work, buffer_bytes=bound, request_timeout_ms=10_000, delivery_timeout_ms=20_000)
    proven(read(broker, topic, total), total)


def test_a_full_spool_holds_the_caller_back_and_recovers(bench: Bench, broker: Broker, kafka_topic: NameTopic) -> None:
    topic = create(broker, kafka_topic("trades"))
    put: list[int] = []

    async def work(sink: SpoolingSink) -> None:
        await sink.prepare({topic: load_schema("trade")})
        broker.pause()
        try:
            while not sink.crowded:
                sink.put(trade(len(put), topic, f"S{len(put) % KEYS}"))
                put.append(1)
            assert bench.spool["full"]
            waiting = asyncio.create_task(sink.drain())
            await asyncio.sleep(1)
            assert not waiting.done()
        finally:
            broker.resume()
        await asyncio.wait_for(waiting, 60)
        await bench.put(topic, range(len(put), len(put) + 100))
        assert await sink.flush(60) == 0

    bench.drive(work, buffer_bytes=100_000, spool={"max_bytes": 1 << 20})
    proven(read(broker, topic, len(put) + 100), len(put) + 100)


def test_a_broker_away_at_the_end_leaves_it_to_the_next_start(
    bench: Bench, broker: Broker, kafka_topic: NameTopic
) -> None:
    topic = create(broker, kafka_topic("trades"))

    async def first(sink: SpoolingSink) -> None:
        await sink.prepare({topic: load_schema("trade")})
        await bench.put(topic, range(500))
        broker.pause()
        await bench.put(topic, range(500, 1000))
        assert await sink.flush(0.5) == 0  # not acknowledged, but on the disk

    async def second(sink: SpoolingSink) -> None:
        assert bench.spool["recovered"] >= 500
        await bench.put(topic, range(1000, 1100))
        assert await sink.flush(60) == 0

    try:
        bench.drive(first)
    finally:
        broker.resume()
    bench.drive(second)
    proven(read(broker, topic, 1100), 1100)


def test_a_fatal_idempotence_error_makes_a_new_producer_and_resends(
    bench: Bench, broker: Broker, kafka_topic: NameTopic
) -> None:
    topic = create(broker, kafka_topic("trades"))

    async def work(sink: SpoolingSink) -> None:
        await bench.put(topic, range(1000))
        assert await sink.flush(60) == 0
        producer = bench.kafka._sender._producer
        assert producer is not None
        manager = producer._client._txn_manager
        for partition in list(manager._sequence_numbers):
            manager._sequence_numbers[partition] += 17  # the broker will find a hole in the sequence
        await bench.put(topic, range(1000, 2000))
        assert await sink.flush(60) == 0
        assert sink.status()["rebuilds"] == 1

    bench.drive(work)
    proven(read(broker, topic, 2000), 2000)


def test_a_cluster_that_names_no_controller_for_a_moment_is_asked_again(
    bench: Bench, broker: Broker, kafka_topic: NameTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that is just coming back does."""
    topic, asked = kafka_topic("trades"), []
    real = AIOKafkaAdminClient._send_to_controller

    async def nothing() -> None:
        pass

    async def send(self: Any, request: Any) -> Any:
        asked.append(request)
        with monkeypatch.context() as patch:
            if len(asked) < 3:
                self._client.cluster.controller = None
                patch.setattr(self._client, "force_metadata_update", nothing)
            return await real(self, request)

    monkeypatch.setattr(AIOKafkaAdminClient, "_send_to_controller", send)

    async def work(sink: SpoolingSink) -> None:
        await sink.prepare({topic: load_schema("trade")})
        assert len(asked) == 3
        await bench.put(topic, range(100))
        assert await sink.flush(60) == 0

    bench.drive(work, create_topics=True, partitions=1)
    proven(read(broker, topic, 100), 100)


# -- topics and records


@pytest.mark.deploy
def test_a_topic_that_does_not_exist_waits_on_disk_and_holds_nobody_up(
    registry: Registry, tmp_path: Path, kafka_topic: NameTopic
) -> None:
    good, missing, total = kafka_topic("trades"), kafka_topic("missing"), 2000
    with Broker(tmp_path / "kafka", {"auto.create.topics.enable": "false"}) as broker:
        bench = Bench(broker, registry, tmp_path / "spool")
        create(broker, good)

        async def work(sink: SpoolingSink) -> None:
            for number in range(total):
                sink.put(trade(number, good, f"S{number % KEYS}"))
                sink.put(trade(number, missing, f"S{number % KEYS}"))
                assert not sink.crowded
                if number % 50 == 0:
                    await asyncio.sleep(0.02)
            await bench.until(lambda: len(bench.book.settled) == total)
            assert {envelope.topic for envelope in bench.book.settled} == {good}
            assert bench.spool["parked"] == [missing]
            trouble = sink.status()["trouble"]
            assert isinstance(trouble, dict)
            assert missing in trouble
            create(broker, missing)
            await bench.until(lambda: len(bench.book.settled) == 2 * total)
            await bench.until(lambda: not bench.spool["parked"])

        bench.drive(work, buffer_bytes=300_000, open_timeout=1)
        proven(read(broker, good, total), total)
        proven(read(broker, missing, total), total)


def test_lost_rights_park_the_topic_until_they_are_back(
    bench: Bench, broker: Broker, kafka_topic: NameTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker runs without rights, so the refusal is made up where the client would report it."""
    good, denied = create(broker, kafka_topic("trades")), create(broker, kafka_topic("denied"))
    allowed = [True]
    real, quick = Producer.send, Producer.connection

    async def send(self: Producer, topic: str, partition: int, batch: Any) -> Any:
        if topic == denied and not allowed[0]:
            return Failure("TopicAuthorizationFailedError", topic=True)
        return await real(self, topic, partition, batch)

    def connection(self: Producer, topic: str, partition: int) -> Any:
        return quick(self, topic, partition) if topic != denied or allowed[0] else None

    monkeypatch.setattr(Producer, "send", send)
    monkeypatch.setattr(Producer, "connection", connection)

    async def work(sink: SpoolingSink) -> None:
        await bench.put(denied, range(100))
        assert await sink.flush(60) == 0
        allowed[0] = False
        for start in range(0, 1000, 100):
            await bench.put(denied, range(100 + start, 200 + start))
            await bench.put(good, range(start, 100 + start))
            await asyncio.sleep(0.05)
        await bench.until(lambda: len(bench.book.settled) >= 1100 and bench.spool["parked"] == [denied])
        allowed[0] = True
        await bench.until(lambda: len(bench.book.settled) >= 2100)

    bench.drive(work)
    proven(read(broker, good, 1000), 1000)
    proven(read(broker, denied, 1100), 1100)


def test_a_record_too_large_is_one_dead_letter_and_its_neighbours_pass(
    bench: Bench, broker: Broker, kafka_topic: NameTopic
) -> None:
    topic = create(broker, kafka_topic("trades"))
    letters = create(broker, f"{topic}.dlq")

    def reject(envelope: Any, reason: str, words: str = "") -> None:
        assert (number_in(envelope), reason) == (50, "record-too-large")
        bench.sink.put(dead(50, letters))

    async def work(sink: SpoolingSink) -> None:
        bench.book.reject = reject  # type: ignore[method-assign]
        for number in range(100):
            size = 1 << 20 if number == 50 else 10
            sink.put(trade(number, topic, vendor_data={"raw": "x" * size}))
        assert await sink.flush(60) == 0
        assert bench.spool["records"] == 0

    bench.drive(work, spool={"mode": "always"})
    assert [number_of(one) for one in read(broker, topic, 99)] == [number for number in range(100) if number != 50]
    assert len(read(broker, letters, 1)) == 1


def test_records_of_other_centuries_cost_their_neighbours_nothing(
    bench: Bench, broker: Broker, kafka_topic: NameTopic
) -> None:
    """A broker refuses a batch of which one record is of tomorrow (`message.timestamp.after.max.ms` is an hour)."""
    topic = create(broker, kafka_topic("trades"))
    far = (4_102_444_800_000, 2**62, -5, 0)

    async def work(sink: SpoolingSink) -> None:
        for number in range(200):
            one = trade(number, topic, f"S{number % KEYS}")
            sink.put(one._replace(timestamp_ms=far[number // 7 % len(far)]) if number % 7 == 0 else one)
        assert await sink.flush(20) == 0
        assert bench.spool["records"] == 0

    bench.drive(work)
    proven(read(broker, topic, 200), 200)


# -- the registry


def test_a_registry_away_at_the_start_ends_it_within_the_bound(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    async def never(sink: SpoolingSink) -> None:
        raise AssertionError("it opened")

    begin = time.monotonic()
    with pytest.raises(Unreachable, match=str(port)) as caught:
        bench.drive(never, registry_url=f"http://127.0.0.1:{port}", open_timeout=1)
    assert caught.value.exit_code == 69
    assert time.monotonic() - begin < 9  # the default is ten


def test_a_registry_away_later_holds_up_new_subjects_only(
    bench: Bench, broker: Broker, registry: Registry, kafka_topic: NameTopic
) -> None:
    known, new = create(broker, kafka_topic("trades")), create(broker, kafka_topic("new"))

    async def work(sink: SpoolingSink) -> None:
        await bench.put(known, range(100))
        assert await sink.flush(60) == 0
        registry.pause()
        try:
            await bench.put(new, range(1000))
            await bench.put(known, range(100, 1000))
            await bench.until(lambda: len(bench.book.settled) == 1000)
            await bench.until(lambda: bench.spool["parked"] == [new])
            await bench.put(new, range(1000, 2000))
            await bench.until(lambda: bench.spool["synced"] >= 2000)
        finally:
            registry.resume()
        await bench.until(lambda: len(bench.book.settled) == 3000)

    bench.drive(work, open_timeout=1)
    proven(read(broker, known, 1000), 1000)
    proven(read(broker, new, 2000), 2000)


# -- our own end


class Child:
    """A process that puts trades; ``said`` is its last word, ``put`` and ``synced`` how far it got."""

    def __init__(self, bench: Bench, topic: str, first: int, count: int) -> None:
        command = [sys.executable, "-m", "tests.support.spool_child", bench.broker.bootstrap, bench.registry.url, topic,
                   str(bench.folder / "spool"), str(first), str(count)]
        self.put = self.synced = 0
        self.ready, self.done = threading.Event(), False
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            words = line.split()
            if words == ["ready"]:
                self.ready.set()
            elif words == ["done"]:
                self.done = True
            elif len(words) == 2 and line.endswith("\n"):
                self.put, self.synced = int(words[0]), int(words[1])

    def wait_for(self, synced: int, within: float = 180) -> None:
        end = time.monotonic() + within
        while self.synced < synced:
            assert time.monotonic() < end
            time.sleep(0.005)

    def end(self, kill: bool) -> None:
        if kill:
            self.process.kill()
        self.process.wait(60)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


def test_a_killed_process_loses_no_more_than_was_not_yet_on_the_disk(
    bench: Bench, broker: Broker, kafka_topic: NameTopic
) -> None:
    """Killed three times at random, once of them with the broker paused; the fourth sends what they left."""
    topic, million = create(broker, kafka_topic("trades"), partitions=3), 1_000_000
    killed: list[Child] = []
    for life in range(3):
        child = Child(bench, topic, life * million, million)
        assert child.ready.wait(60)
        if life == 1:
            child.wait_for(500)
            broker.pause()
        child.wait_for(child.synced + 1000)
        time.sleep(random.uniform(0, 0.3))
        child.end(kill=True)
        broker.resume()
        killed.append(child)
    last = Child(bench, topic, 3 * million, 500)
    last.end(kill=False)
    assert last.done
    messages = read(broker, topic, 500 + sum(child.synced for child in killed))
    lives: dict[int, dict[int, None]] = {}
    order: dict[bytes, list[int]] = {}
    for message in messages:
        number = number_of(message)
        key = message.key()
        assert key is not None
        lives.setdefault(number // million, {})[number % million] = None
        order.setdefault(key, []).append(number)
    for life, child in enumerate(killed):
        found = sorted(lives[life])
        assert found == list(range(len(found))), "a hole"
        assert len(found) >= child.synced, "what was on the disk is missing"
    assert sorted(lives[3]) == list(range(500))
    assert len(order) == SYMBOLS
    for numbers in order.values():
        first_seen = list(dict.fromkeys(numbers))
        assert first_seen == sorted(first_seen)


# -- how far behind


def test_the_lag_is_from_the_exchanges_time_to_the_acknowledgement() -> None:
    account = Account("trade", "BTCUSD")
    account.received, account.published = 2, 1
    account.settled_event_us, account.settled_us = 1_000_000, 1_250_000
    assert account.lag_us(9_000_000) == 8_000_000  # one is in flight: it grows
    account.settled(False)
    assert account.lag_us(9_000_000) == 250_000
