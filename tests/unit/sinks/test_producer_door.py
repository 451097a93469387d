"""What aiokafka raises at the door: never anything but Unreachable or a Failure."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, ProducerClosed
from aiokafka.structs import TopicPartition

from k2conn.compat.aiokafka import fail_batches
from k2conn.errors import Unreachable
from k2conn.sinks.kafka.producer import Failure, Producer
from k2conn.sinks.kafka.settings import KafkaSettings

SLIPS = [KeyError("gone"), OverflowError("getsockaddrarg: port must be 0-65535."), AssertionError(), RecursionError()]


def raising(error: Exception) -> Any:
    async def raises(*_: Any, **__: Any) -> Any:
        raise error

    return raises


@pytest.mark.parametrize("error", [*SLIPS, KafkaConnectionError("away")], ids=lambda error: type(error).__name__)
def test_whatever_it_raises(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        producer = Producer(KafkaSettings())
        client = producer._client
        monkeypatch.setattr(client, "start", raising(error))
        monkeypatch.setattr(client, "stop", raising(error))
        with pytest.raises(Unreachable, match=r"kafka localhost:9092: ."):
            await producer.connect(1)
        monkeypatch.setattr(client, "partitions_for", raising(error))
        with pytest.raises(Unreachable, match=r"kafka topic t: ."):
            await producer.find("t", 1)
        monkeypatch.setattr(client, "send_batch", raising(error))
        monkeypatch.setattr(producer, "partitions", lambda topic: 1)
        assert isinstance(await producer.send("t", 0, None), Failure)
        await producer.stop()
        await producer.abandon()

    asyncio.run(main())


def test_a_batch_that_waits_to_be_sent_again_may_end() -> None:
    """aiokafka takes it out of the batches under way and then once more: that was a KeyError in a callback."""

    async def main() -> list[dict[str, Any]]:
        said: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
        client = Producer(KafkaSettings(idempotent=False))._client
        accumulator, where = client._message_accumulator, TopicPartition("t", 0)
        builder = accumulator.create_builder()
        builder.append(timestamp=1, key=b"k", value=b"v")
        future = await accumulator.add_batch(builder, where, 1)
        batch = accumulator._pop_batch(where)
        accumulator.reenqueue(batch)
        fail_batches(client)
        await asyncio.sleep(0.01)
        assert isinstance(future.exception(), ProducerClosed)
        await client.stop()
        return said

    assert asyncio.run(main()) == []
