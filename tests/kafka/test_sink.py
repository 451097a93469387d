"""The Kafka sink against a real broker and a real registry, read back by a client we did not write."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.request import ProxyHandler, build_opener

import aiokafka.producer.sender
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from k2conn.avro import RecordSchema, load_schema
from k2conn.compat.aiokafka import Leaders
from k2conn.errors import SinkError, Unreachable
from k2conn.sinks.kafka.partitioner import partition_of
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.kafka.sink import KafkaSink
from k2conn.sinks.settings import SinkSettings
from tests.servers import Broker, Registry, SharedBroker, SharedRegistry
from tests.support.produce_requests import read_request
from tests.support.sinks import TRADE, Book, dead, trade

pytestmark = pytest.mark.kafka

NameTopic = Callable[[str], str]


def create(broker: Broker | SharedBroker, name: str, partitions: int = 1, **config: Any) -> str:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    (made,) = admin.create_topics([NewTopic(name, partitions, 1, config=config)]).values()
    made.result(20)
    return name


def read(broker: Broker | SharedBroker, topic: str, count: int, within: float = 90) -> list[Message]:
    """At least ``count`` messages of ``topic``, and whatever follows within a moment."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap,
            "group.id": f"test-{time.monotonic_ns()}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    # Assigned, not subscribed: a broker that has just been killed may take long to have its consumer groups again.
    found: list[Message] = []
    end = time.monotonic() + within
    while not (partitions := consumer.list_topics(topic, within).topics[topic].partitions):
        assert time.monotonic() < end, f"no partitions of {topic}"
        time.sleep(0.1)
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    try:
        while time.monotonic() < end:
            batch = consumer.consume(5000, 0.5)
            found += [message for message in batch if message.error() is None]
            if len(found) >= count and not batch:
                break
    finally:
        consumer.close()
    return found


def number_of(message: Message) -> int:
    value = message.value()
    assert value is not None
    number = load_schema("trade").decode(value[5:])["source_sequence"]
    assert isinstance(number, int)
    return number


def drive(
    broker: Broker | SharedBroker,
    registry: Registry | SharedRegistry,
    book: Book,
    work: Callable[[KafkaSink], Awaitable[None]],
    buffer_bytes: int = 32 * 1024 * 1024,
    **kafka: Any,
) -> None:
    """Run ``work`` on an open Kafka sink."""
    given: dict[str, Any] = {
        "bootstrap": broker.bootstrap,
        "registry_url": registry.url,
        "linger_ms": 5,
    } | kafka

    async def run() -> None:
        sink = KafkaSink(
            SinkSettings(options=KafkaSettings(**given), buffer_bytes=buffer_bytes), book.settle, book.reject
        )
        await sink.open()
        try:
            await work(sink)
        finally:
            await sink.close()
        await asyncio.sleep(0.01)
        assert len(asyncio.all_tasks()) == 1, "a task outlives the sink"

    asyncio.run(run())


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_trade_is_read_back_field_by_field(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    topic, book = kafka_topic("trades"), Book()

    async def work(sink: KafkaSink) -> None:
        sink.put(trade(7, topic))
        assert not book.settled
        assert await sink.flush(60) == 0
        assert sink.status()["reachable"] is True

    drive(broker, registry, book, work)
    (message,) = read(broker, topic, 1)
    with SchemaRegistryClient({"url": registry.url}) as client:
        record = AvroDeserializer(client)(message.value(), SerializationContext(topic, MessageField.VALUE))
    moment = datetime(1970, 1, 1, tzinfo=UTC)
    assert record == TRADE | {
        "trade_id": "X-7",
        "source_sequence": 7,
        "price": Decimal("64000.1"),
        "quantity": Decimal("0.25"),
        "timestamp": moment + timedelta(microseconds=TRADE["timestamp"]),
        "ingestion_timestamp": moment + timedelta(microseconds=TRADE["ingestion_timestamp"]),
    }
    assert message.key() == b"BTCUSD"
    assert message.timestamp()[1] == TRADE["timestamp"] // 1000
    assert [envelope.key for envelope in book.settled] == [b"BTCUSD"]


def test_the_subject_is_the_topics_and_has_the_rule_that_was_said(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    topic = kafka_topic("trades")

    async def work(sink: KafkaSink) -> None:
        await sink.prepare({topic: load_schema("trade"), f"{topic}.dlq": None})

    drive(broker, registry, Book(), work, compatibility="BACKWARD")
    opener = build_opener(ProxyHandler({}))
    with opener.open(f"{registry.url}/config/{topic}-value", timeout=60) as response:
        assert json.load(response)["compatibilityLevel"] == "BACKWARD"
    with opener.open(f"{registry.url}/subjects/{topic}-value/versions/latest", timeout=60) as response:
        registered = json.loads(json.load(response)["schema"])
    assert registered == json.loads(load_schema("trade").text)


def test_an_incompatible_schema_is_refused_before_any_record(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    topic = kafka_topic("trades")
    fields = [{"name": "extra", "type": "string"}]
    other = RecordSchema("trade", json.dumps({"type": "record", "name": "TradeV2", "fields": fields}))

    async def work(sink: KafkaSink) -> None:
        await sink.prepare({topic: load_schema("trade")})
        with pytest.raises(SinkError, match="409"):
            await sink.prepare({topic: other})

    drive(broker, registry, Book(), work, compatibility="BACKWARD")


def test_keys_go_where_the_java_client_sends_them(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    topic = create(broker, kafka_topic("trades"), partitions=7)
    symbols = [f"S{number}USD" for number in range(50)]

    async def work(sink: KafkaSink) -> None:
        for number, symbol in enumerate(symbols):
            sink.put(trade(number, topic, symbol))
        assert await sink.flush(60) == 0

    drive(broker, registry, Book(), work)
    messages = read(broker, topic, len(symbols))
    assert len(messages) == len(symbols)
    for message in messages:
        key = message.key()
        assert isinstance(key, bytes)
        assert message.partition() == partition_of(key, 7)


def test_dead_letters_go_out_as_they_are(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    topic, book = kafka_topic("trades.dlq"), Book()

    async def work(sink: KafkaSink) -> None:
        for number in range(3):
            sink.put(dead(number, topic))
        assert await sink.flush(60) == 0

    drive(broker, registry, book, work)
    documents = [json.loads(message.value() or b"") for message in read(broker, topic, 3)]
    assert [document["number"] for document in documents] == [0, 1, 2]
    assert len(book.settled) == 3


@pytest.mark.parametrize("way", ["kill", "pause"])
def test_an_outage_loses_nothing_and_keeps_the_order(
    own_broker: Broker, registry: SharedRegistry, kafka_topic: NameTopic, way: str
) -> None:
    topic, book = create(own_broker, kafka_topic("trades"), partitions=3), Book()
    symbols = [f"S{number}" for number in range(10)]
    total = 20_000

    async def work(sink: KafkaSink) -> None:
        for number in range(total):
            sink.put(trade(number, topic, symbols[number % 10]))
            if number % 100 == 0:
                await asyncio.sleep(0.005)
            if number == total // 3:
                own_broker.kill() if way == "kill" else own_broker.pause()
            if number == 2 * total // 3:
                await asyncio.sleep(1)
                assert not set(range(total // 2, number)) & {
                    envelope_number(envelope.value) for envelope in book.settled
                }
                await asyncio.to_thread(own_broker.restart if way == "kill" else own_broker.resume)
        assert await sink.flush(60) == 0

    drive(own_broker, registry, book, work)
    assert len(book.settled) == total
    messages = read(own_broker, topic, total)
    for index, symbol in enumerate(symbols):
        numbers = [number_of(message) for message in messages if message.key() == symbol.encode()]
        assert list(dict.fromkeys(numbers)) == list(range(index, total, 10)), symbol


def envelope_number(body: bytes) -> int:
    number = load_schema("trade").decode(body)["source_sequence"]
    assert isinstance(number, int)
    return number


@pytest.mark.deploy
def test_a_broken_producer_is_made_anew_and_the_rest_resent(
    own_broker: Broker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    topic, book = create(own_broker, kafka_topic("trades")), Book()

    async def work(sink: KafkaSink) -> None:
        own_broker.kill()
        for number in range(500):
            sink.put(trade(number, topic))
        await asyncio.sleep(3)
        assert not book.settled
        await asyncio.to_thread(own_broker.restart)
        assert await sink.flush(60) == 0
        assert isinstance(rebuilds := sink.status()["rebuilds"], int)
        assert rebuilds >= 1

    async def work_prepared(sink: KafkaSink) -> None:
        await sink.prepare({topic: load_schema("trade")})
        await work(sink)

    drive(
        own_broker,
        registry,
        book,
        work_prepared,
        request_timeout_ms=500,
        delivery_timeout_ms=1000,
        open_timeout=3,
    )
    numbers = [number_of(message) for message in read(own_broker, topic, 500)]
    assert list(dict.fromkeys(numbers)) == list(range(500))


def test_a_record_that_is_too_large_is_rejected_alone(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    topic, book = create(broker, kafka_topic("trades")), Book()

    async def work(sink: KafkaSink) -> None:
        for number in range(100):
            size = 2**20 if number == 50 else 10
            sink.put(trade(number, topic, vendor_data={"raw": "x" * size}))
        assert await sink.flush(60) == 0

    drive(broker, registry, book, work)
    ((culprit, reason),) = book.rejected
    assert (envelope_number(culprit.value), reason) == (50, "record-too-large")
    assert len(book.settled) == 99
    assert len(read(broker, topic, 99)) == 99


def test_a_record_only_the_topic_finds_too_large_is_found_and_rejected_alone(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    config = {"max.message.bytes": "20000"}
    topic, book = create(broker, kafka_topic("trades"), **config), Book()

    async def work(sink: KafkaSink) -> None:
        for number in range(64):
            size = 50_000 if number == 40 else 10
            sink.put(trade(number, topic, vendor_data={"raw": "x" * size}))
        assert await sink.flush(60) == 0

    drive(broker, registry, book, work, compression="none")
    ((culprit, reason),) = book.rejected
    assert (envelope_number(culprit.value), reason) == (40, "record-too-large")
    numbers = [number_of(message) for message in read(broker, topic, 63)]
    assert list(dict.fromkeys(numbers)) == [number for number in range(64) if number != 40]


def test_a_record_the_broker_refuses_is_found_and_rejected_alone(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    config = {"message.timestamp.before.max.ms": "3600000"}
    topic, book = create(broker, kafka_topic("trades"), **config), Book()
    now = int(time.time() * 1_000_000)

    async def work(sink: KafkaSink) -> None:
        for number in range(32):
            sink.put(trade(number, topic, timestamp=now - (10**11 if number == 9 else 0)))
        assert await sink.flush(60) == 0

    drive(broker, registry, book, work)
    ((culprit, reason),) = book.rejected
    assert (envelope_number(culprit.value), reason) == (9, "refused-by-sink")
    numbers = [number_of(message) for message in read(broker, topic, 31)]
    assert list(dict.fromkeys(numbers)) == [number for number in range(32) if number != 9]


@pytest.mark.deploy
def test_a_sink_closes_soon_although_the_broker_is_away(
    own_broker: Broker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    topic, book = create(own_broker, kafka_topic("trades")), Book()

    async def work(sink: KafkaSink) -> None:
        await sink.prepare({topic: load_schema("trade")})
        own_broker.kill()
        sink.put(trade(1, topic))
        assert await sink.flush(1) == 1
        begin = time.monotonic()
        await sink.close()
        assert time.monotonic() - begin < 20

    try:
        drive(own_broker, registry, book, work)
    finally:
        own_broker.restart()
    assert not book.settled


def test_a_record_larger_than_a_batch_goes_alone(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    topic, book = create(broker, kafka_topic("trades")), Book()

    async def work(sink: KafkaSink) -> None:
        for number in range(9):
            sink.put(trade(number, topic, vendor_data={"raw": "x" * (600_000 if number == 4 else 10)}))
        assert await sink.flush(60) == 0

    drive(broker, registry, book, work)
    assert [number_of(message) for message in read(broker, topic, 9)] == list(range(9))


def test_a_venues_wrong_clock_stops_nothing(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    topic, book = create(broker, kafka_topic("trades")), Book()
    future = int(time.time() * 1_000_000) + 10**12  # eleven days ahead

    async def work(sink: KafkaSink) -> None:
        sink.put(trade(1, topic, timestamp=future))
        sink.put(trade(2, topic, timestamp=-5_000_000))
        assert await sink.flush(60) == 0

    drive(broker, registry, book, work)
    first, second = read(broker, topic, 2)
    assert load_schema("trade").decode((first.value() or b"")[5:])["timestamp"] == future
    assert first.timestamp()[1] < future // 1000
    assert second.timestamp()[1] == 0


def test_a_missing_topic_is_waited_for_in_the_open(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    # A name no cluster takes: the trouble of one topic must neither end nor slow the others.
    good, bad, book = create(broker, kafka_topic("trades")), "not a topic", Book()

    async def work(sink: KafkaSink) -> None:
        sink.put(trade(1, bad))
        await asyncio.sleep(0.3)
        sink.put(trade(2, good))
        for _ in range(50):
            await asyncio.sleep(0.1)
            if book.settled:
                break
        assert [envelope.topic for envelope in book.settled] == [good]
        for _ in range(50):
            await asyncio.sleep(0.1)
            if sink.status()["trouble"]:
                break
        trouble = sink.status()["trouble"]
        assert isinstance(trouble, dict)
        assert list(trouble) == [bad]
        assert await sink.flush(0.1) == 1

    drive(broker, registry, book, work, open_timeout=2)


def test_topics_are_created_when_asked(broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic) -> None:
    topic = kafka_topic("trades")

    async def work(sink: KafkaSink) -> None:
        sink.put(trade(1, topic))
        assert await sink.flush(60) == 0

    drive(broker, registry, Book(), work, create_topics=True, partitions=5)
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    assert len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 5


@pytest.mark.parametrize("way", ["ours", "aiokafka's"])
def test_acknowledgements_are_asked_of_all_replicas(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    # One broker cannot show the difference: look at what is asked of it.
    asked: list[tuple[str, int]] = []
    real, post = aiokafka.producer.sender.ProduceRequest, Leaders.post

    def recorded(**fields: Any) -> Any:
        asked.append(("aiokafka's", fields["required_acks"]))
        return real(**fields)

    def posted(leaders: Leaders, connection: Any, request: Any, exchange: Any) -> None:
        asked.append(("ours", read_request(request(1)).required_acks))
        post(leaders, connection, request, exchange)

    monkeypatch.setattr(aiokafka.producer.sender, "ProduceRequest", recorded)
    monkeypatch.setattr(Leaders, "post", posted)
    if way != "ours":
        monkeypatch.setattr(Leaders, "connection", lambda *_: None)
    topic = create(broker, kafka_topic("trades"))

    async def work(sink: KafkaSink) -> None:
        sink.put(trade(1, topic))
        assert await sink.flush(60) == 0

    drive(broker, registry, Book(), work)
    assert asked == [(way, -1)]


def test_a_full_buffer_is_reported_and_drains(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    topic, book = create(broker, kafka_topic("trades")), Book()

    async def work(sink: KafkaSink) -> None:
        for number in range(1000):
            sink.put(trade(number, topic))
        assert sink.crowded
        await sink.drain()
        assert not sink.crowded
        assert await sink.flush(60) == 0

    drive(broker, registry, book, work, buffer_bytes=100_000)


@pytest.mark.parametrize("dependency", ["bootstrap", "registry_url"])
@pytest.mark.parametrize("port", ["closed", "deaf"])
def test_a_dependency_that_does_not_answer_is_unreachable_within_the_bound(
    broker: SharedBroker, registry: SharedRegistry, deaf_port: int, dependency: str, port: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed_port = server.getsockname()[1]
    address = f"127.0.0.1:{closed_port if port == 'closed' else deaf_port}"

    async def never(sink: KafkaSink) -> None:
        raise AssertionError("it opened")

    begin = time.monotonic()
    given = {dependency: address if dependency == "bootstrap" else f"http://{address}"}
    with pytest.raises(Unreachable, match=address) as caught:
        drive(broker, registry, Book(), never, open_timeout=2, **given)
    assert time.monotonic() - begin < 9  # the default is ten
    assert caught.value.exit_code == 69


@pytest.mark.deploy
def test_a_registry_that_comes_late_delays_and_loses_nothing(
    broker: SharedBroker, own_registry: Registry, kafka_topic: NameTopic
) -> None:
    topic, book = create(broker, kafka_topic("trades")), Book()

    async def work(sink: KafkaSink) -> None:
        own_registry.pause()
        try:
            sink.put(trade(1, topic))
            await asyncio.sleep(3)
            trouble = sink.status()["trouble"]
            assert isinstance(trouble, dict)
            assert "schema registry" in trouble[topic]
            assert not book.settled
        finally:
            own_registry.resume()
        assert await sink.flush(60) == 0

    drive(broker, own_registry, book, work, open_timeout=1)


def test_a_sink_that_is_closed_while_it_leaves_a_producer_leaves_no_task(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    topic = create(broker, kafka_topic("trades"))

    async def work(sink: KafkaSink) -> None:
        await sink.prepare({topic: load_schema("trade")})
        sender = sink._sender
        sender._broken = "a failure"
        sender.wake()
        for _ in range(100_000):  # each turn of the loop: it is left for some turns only
            if sender._producer is None:
                break
            await asyncio.sleep(0)
        assert sender._left is not None

    drive(broker, registry, Book(), work)
