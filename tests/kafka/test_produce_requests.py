"""Produce requests of our own before a real broker: answers that get lost, and both ways in turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from k2conn.compat.aiokafka import Exchange, Leaders
from k2conn.sinks.kafka.sink import KafkaSink
from tests.kafka.test_sink import create, drive, number_of, read
from tests.servers import SharedBroker, SharedRegistry
from tests.support.sinks import Book, trade

pytestmark = pytest.mark.kafka

RECORDS, EACH, SYMBOLS = 600, 20, 7


def putting(topic: str) -> Callable[[KafkaSink], Awaitable[None]]:
    """Puts some records at a time, so that many batches leave however slow the broker is."""

    async def put(sink: KafkaSink) -> None:
        for number in range(RECORDS):
            sink.put(trade(number, topic, f"S{number % SYMBOLS}"))
            if number % EACH == EACH - 1:
                assert await sink.flush(60) == 0

    return put


def proven(broker: SharedBroker, topic: str) -> None:
    """Each record is there once, those of each symbol in order."""
    found: dict[bytes, list[int]] = {}
    for message in read(broker, topic, RECORDS):
        key = message.key()
        assert isinstance(key, bytes)
        found.setdefault(key, []).append(number_of(message))
    assert found == {f"S{one}".encode(): list(range(one, RECORDS, SYMBOLS)) for one in range(SYMBOLS)}


def test_what_the_broker_took_without_an_answer_is_there_once(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, lost = 0, 0
    heard = Exchange.set_result

    def loses_some(exchange: Exchange, answer: bytes) -> None:
        nonlocal answers, lost
        answers += 1
        if answers % 5 == 0:
            lost += 1
            raise ConnectionResetError  # the batch was taken, and nobody hears of it
        heard(exchange, answer)

    monkeypatch.setattr(Exchange, "set_result", loses_some)
    topic = create(broker, kafka_topic("trades"), partitions=3)
    drive(broker, registry, Book(), putting(topic), linger_ms=1)
    proven(broker, topic)
    assert lost > 3
    assert answers > lost


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_both_ways_in_turn_keep_order_and_numbers(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: Callable[[str], str], monkeypatch: pytest.MonkeyPatch,
    compression: str,
) -> None:
    asked, ours = 0, 0
    connection, post = Leaders.connection, Leaders.post

    def now_and_then(leaders: Leaders, topic: str, partition: int, request: tuple[int, int]) -> Any:
        nonlocal asked
        asked += 1
        return None if asked % 3 == 0 else connection(leaders, topic, partition, request)

    def posted(*given: Any) -> None:
        nonlocal ours
        ours += 1
        post(*given)

    monkeypatch.setattr(Leaders, "connection", now_and_then)
    monkeypatch.setattr(Leaders, "post", posted)
    topic = create(broker, kafka_topic("trades"), partitions=3)
    drive(broker, registry, Book(), putting(topic), linger_ms=1, compression=compression)
    proven(broker, topic)
    assert ours > 3
    assert asked > ours
