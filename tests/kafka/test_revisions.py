"""Revisions of record schemas and a real registry: registered over what was there, read by consumers of before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from k2conn.avro import RecordSchema
from k2conn.errors import SinkError
from k2conn.records import load_record, record_revisions
from k2conn.sinks.kafka.registry import SchemaRegistry
from k2conn.sinks.kafka.sink import KafkaSink
from tests.kafka.test_sink import drive, read
from tests.servers import SharedBroker, SharedRegistry
from tests.servers.postgres import Database
from tests.support.grown import grown_trade, one_sided, priced, whole_quote
from tests.support.sinks import Book, trade
from tests.support.topics import Consumer, made, wrote
from tests.unit.records.test_revisions import GROWN, first_text

pytestmark = pytest.mark.kafka

NameTopic = Callable[[str], str]


def first(name: str) -> str:
    """What was registered of a type before anything grew."""
    return RecordSchema(name, first_text(name)).text


def register(registry: SharedRegistry, subject: str, text: str, rule: str) -> int:
    return SchemaRegistry(registry.url, 20).register(subject, text, rule)


@pytest.mark.parametrize("name", GROWN)
def test_every_revision_registers_over_the_schema_of_before(
    registry: SharedRegistry, kafka_topic: NameTopic, name: str
) -> None:
    subject = kafka_topic(name) + "-value"
    numbers = [register(registry, subject, first(name), "BACKWARD")]
    numbers += [register(registry, subject, one.schema.text, "BACKWARD") for one in record_revisions(name)]
    assert numbers[0] == numbers[1], "the first revision is another schema than it was"
    assert len(set(numbers)) == len(record_revisions(name))
    with SchemaRegistryClient({"url": registry.url}) as client:
        assert client.get_versions(subject) == list(range(1, len(record_revisions(name)) + 1))


@pytest.mark.parametrize("name", ["trade", "quote"])
def test_a_second_revision_registers_both_ways_and_a_third_only_backward(
    registry: SharedRegistry, kafka_topic: NameTopic, name: str
) -> None:
    subject = kafka_topic(f"full.{name}") + "-value"
    register(registry, subject, first(name), "FULL_TRANSITIVE")
    register(registry, subject, load_record(name, 2).schema.text, "FULL_TRANSITIVE")
    with pytest.raises(SinkError, match="409"):
        register(registry, subject, load_record(name, 3).schema.text, "FULL_TRANSITIVE")


def deserialized(registry: SharedRegistry, topic: str, messages: list[Any], schema: str | None) -> list[dict[str, Any]]:
    """What Confluent's reader makes of messages; ``schema``: that of the consumer, None: each message's own."""
    with SchemaRegistryClient({"url": registry.url}) as client:
        reader = AvroDeserializer(client, schema)
        where = SerializationContext(topic, MessageField.VALUE)
        return [reader(one.value(), where) for one in messages]


def put(broker: SharedBroker, registry: SharedRegistry, *envelopes: Any, **kafka: Any) -> Book:
    book = Book()

    async def work(sink: KafkaSink) -> None:
        for envelope in envelopes:
            sink.put(envelope)
        assert await sink.flush(60) == 0

    drive(broker, registry, book, work, **kafka)
    return book


def test_consumers_of_before_and_of_now_read_one_topic(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    topic = kafka_topic("trades")
    made(broker, topic)
    register(registry, f"{topic}-value", first("trade"), "BACKWARD")
    book = put(broker, registry, trade(1, topic), grown_trade(2, topic), trade(3, topic), compatibility="BACKWARD")
    assert len(book.settled) == 3
    messages = read(broker, topic, 3)
    old = deserialized(registry, topic, messages, first_text("trade"))
    assert [one["trade_id"] for one in old] == ["X-1", "X-2", "X-3"]
    assert len({tuple(one) for one in old}) == 1
    assert "venue" not in old[1]
    now = deserialized(registry, topic, messages, load_record("trade").schema.text)
    assert [one["venue"] for one in now] == [None, "XNAS", None]
    assert [one["trade_action"] for one in now] == [None, "CORRECT", None]


def test_streams_of_all_revisions_share_a_subject_whichever_comes_first(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    topic = kafka_topic("quotes")
    made(broker, topic)
    put(broker, registry, one_sided(1, topic), compatibility="BACKWARD")
    book = put(broker, registry, whole_quote(2, 1, topic), whole_quote(3, 2, topic), compatibility="BACKWARD")
    assert len(book.settled) == 2
    with SchemaRegistryClient({"url": registry.url}) as client:
        assert len(client.get_versions(f"{topic}-value")) == 3
    found = deserialized(registry, topic, read(broker, topic, 3), load_record("quote").schema.text)
    assert [one["ask_price"] is None for one in found] == [True, False, False]


def test_topics_of_all_revisions_into_tables(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, database: Database, tmp_path: Path
) -> None:
    prefix = kafka_topic("m")
    trades, quotes, prices = (f"{prefix}.{name}" for name in ("trades", "quotes", "prices"))
    made(broker, trades, quotes, prices)
    put(broker, registry, trade(1, trades, message_id="00000000-0000-0000-0000-000000000001"), grown_trade(2, trades),
        grown_trade(3, trades, revision=3, asset_class="commodity"), one_sided(4, quotes), whole_quote(5, 2, quotes),
        priced(6, prices))
    with Consumer(tmp_path / "c", broker, registry, f"{prefix}.*", prefix, "--sink", "postgres", "--from-beginning",
                  K2_POSTGRES_DSN=database.dsn) as consumer:
        consumer.until(wrote(6))
        code, summary = consumer.stop()
    assert code == 0, consumer.said
    assert summary["source"]["balanced"]
    assert database.query("SELECT trade_id, asset_class, venue, strike FROM trades_v2 ORDER BY 1") == [
        ["X-1", "crypto", "", ""], ["X-2", "crypto", "XNAS", "650.00000000"],
        ["X-3", "commodity", "XNAS", "650.00000000"],
    ]
    sides = database.query("SELECT quote_id, ask_price IS NULL FROM quotes_v2 ORDER BY 1")
    assert sides == [["X-4", "t"], ["X-5", "f"]]
    assert database.query("SELECT symbol, price FROM prices_v2") == [["SPX", "-0.50000000"]]
