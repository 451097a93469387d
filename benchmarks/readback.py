"""What is in a topic, by a client that we did not write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from k2conn.avro import load_schema

HEAD = 5
"""Bytes before a record's Avro body."""


def records(bootstrap: str, topic: str, schema: str = "trade") -> Iterator[tuple[dict[str, Any], int]]:
    """All records of a topic, partition by partition, each with its Kafka timestamp in milliseconds since 1970."""
    decode = load_schema(schema).decode
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "k2conn-bench", "enable.auto.commit": False})
    try:
        for number in consumer.list_topics(topic, 30).topics[topic].partitions:
            at, end = consumer.get_watermark_offsets(TopicPartition(topic, number), 30)
            consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING)])
            while at < end:
                for message in consumer.consume(10_000, 0.5):
                    value, offset = message.value(), message.offset()
                    assert message.error() is None, message.error()
                    assert value is not None
                    assert offset is not None
                    at = offset + 1
                    yield decode(value[HEAD:]), message.timestamp()[1]
    finally:
        consumer.close()
