"""The state topic: compacted, so that it keeps the latest value of each key. Partition n belongs to slot n, which alone
writes it.

It is made where it is not there. One of another shape is refused, and never changed: a topic that is not compacted
forgets the state when its records are old, and one of another number of partitions gives each slot another one's state.

`state_reader` reads it back.
"""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

import aiokafka.errors as kafka_errors  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType  # type: ignore[import-untyped]

from k2conn.errors import SinkError, Unreachable
from k2conn.sinks.kafka.producer import client_options
from k2conn.sinks.kafka.rights import missing_right
from k2conn.sinks.kafka.settings import KafkaSettings

POLICY = "cleanup.policy"
COMPACT = "compact"
AGAIN = 0.2
"""Seconds until a cluster is asked again that does not know of its new topic everywhere yet."""


def name_of(settings: KafkaSettings) -> str:
    """The whole name of the state topic."""
    return settings.topic_prefix + settings.state_topic


async def make_sure(settings: KafkaSettings, within: float) -> None:
    """The state topic is there, and as it must be. Unreachable, or SinkError where it is refused."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    passing: Exception | None = None
    try:
        async with asyncio.timeout(within):
            await admin.start()
            while True:
                try:
                    return await _made(admin, settings)
                except kafka_errors.KafkaError as error:
                    if not error.retriable:
                        raise
                    passing = error  # a cluster that is just starting knows no broker for a moment
                await asyncio.sleep(AGAIN)
    except TimeoutError:
        if passing is not None:
            fail(settings, passing)
        raise Unreachable(f"kafka topic {name_of(settings)}: no answer in {within:.0f} s") from None
    except (kafka_errors.KafkaError, OSError) as error:
        fail(settings, error)
    finally:
        await admin.close()


async def _made(admin: Any, settings: KafkaSettings) -> None:
    name = name_of(settings)
    # Not asked for by its name before: some brokers then make it, with one partition and not compacted.
    if name not in await admin.list_topics():
        await _make(admin, name, settings)
    while True:
        described = (await admin.describe_topics([name]))[0]
        error = kafka_errors.for_code(described["error_code"])
        if error is kafka_errors.NoError and described["partitions"]:
            return _refuse_other(name, settings, len(described["partitions"]), await _policy(admin, name))
        if error is not kafka_errors.NoError and not error.retriable:
            raise error(name)
        await asyncio.sleep(AGAIN)


async def _make(admin: Any, name: str, settings: KafkaSettings) -> None:
    wanted = NewTopic(name, settings.state_partitions, settings.replication, topic_configs={POLICY: COMPACT})
    answer = await admin.create_topics([wanted])
    for _, code, text in answer.topic_errors:
        error = kafka_errors.for_code(code)
        if error not in (kafka_errors.NoError, kafka_errors.TopicAlreadyExistsError):
            raise error(f"cannot be created: {text}")


async def _policy(admin: Any, name: str) -> str:
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name, {POLICY: ""})])
    for code, text, _, _, entries in answers[0].resources:
        error = kafka_errors.for_code(code)
        if error is not kafka_errors.NoError:
            raise error(f"its configuration cannot be read: {text}")
        for entry in entries:
            if entry[0] == POLICY:
                return str(entry[1])
    return ""


def _refuse_other(name: str, settings: KafkaSettings, partitions: int, policy: str) -> None:
    problems = []
    if policy != COMPACT:
        problems.append(f"its {POLICY} is {policy or 'unknown'}, and state is kept only where it is {COMPACT}")
    if partitions != settings.state_partitions:
        problems.append(
            f"it has {partitions} partitions, and K2_KAFKA_STATE_PARTITIONS is {settings.state_partitions}"
        )
    if problems:
        raise SinkError(
            f"kafka topic {name} has another shape than a state topic: {'; '.join(problems)}. It is left as it is: "
            "name another one with K2_KAFKA_STATE_TOPIC, or change it yourself"
        )


def fail(settings: KafkaSettings, error: Exception) -> NoReturn:
    """Raises Unreachable for an error of the client, by the name of the right that is missing where it is that."""
    right = missing_right(error, name_of(settings), settings)
    raise Unreachable(right or f"kafka topic {name_of(settings)}: {error or type(error).__name__}") from None
