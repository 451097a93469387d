"""The two topics of groups: made where they are not there, refused where they have another shape, and never changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiokafka.errors as kafka_errors  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]

from k2conn.errors import SettingsError, Unreachable
from k2conn.group.settings import GroupSettings
from k2conn.sinks.kafka.diagnosis import likely_cause
from k2conn.sinks.kafka.producer import client_options

AGAIN = 0.2
"""Seconds until a cluster is asked again that does not know of its new topic everywhere yet."""
BEATS_KEPT_MS = 3_600_000
_BEATS = {"cleanup.policy": "delete", "retention.ms": str(BEATS_KEPT_MS), "segment.ms": "600000"}
"""What was said an hour ago helps nobody."""


async def make_sure_of_topics(settings: GroupSettings) -> None:
    """Both topics are there. Unreachable; SettingsError where one has another shape, or may not be made."""
    kafka = settings.kafka
    admin = AIOKafkaAdminClient(**client_options(kafka))
    try:
        with kafka_trouble(settings, "its topics"):
            async with asyncio.timeout(kafka.open_timeout):
                await admin.start()
                await _made(admin, settings, settings.slots_topic, settings.slots, {})
                await _made(admin, settings, settings.beats_topic, 1, _BEATS)
    except Unreachable as error:
        raise Unreachable((await likely_cause(kafka)).text or str(error)) from None
    finally:
        await admin.close()


async def has_beats_topic(settings: GroupSettings) -> bool:
    """Whether there is a topic in which members say something; it is not made."""
    admin = AIOKafkaAdminClient(**client_options(settings.kafka))
    try:
        with kafka_trouble(settings, "its topics"):
            async with asyncio.timeout(settings.kafka.open_timeout):
                await admin.start()
                return settings.beats_topic in await admin.list_topics()
    except Unreachable as error:
        raise Unreachable((await likely_cause(settings.kafka)).text or str(error)) from None
    finally:
        await admin.close()


async def _made(admin: Any, settings: GroupSettings, name: str, partitions: int, configs: dict[str, str]) -> None:
    # Not asked for by its name before: some brokers then make it, with one partition.
    if name not in await admin.list_topics():
        wanted = NewTopic(name, partitions, settings.kafka.replication, topic_configs=configs)
        for _, code, text in (await admin.create_topics([wanted])).topic_errors:
            error = kafka_errors.for_code(code)
            if error not in (kafka_errors.NoError, kafka_errors.TopicAlreadyExistsError):
                raise error(f"topic {name} cannot be made: {text}")
    while True:
        described = (await admin.describe_topics([name]))[0]
        error = kafka_errors.for_code(described["error_code"])
        if error is kafka_errors.NoError and described["partitions"]:
            break
        if error is not kafka_errors.NoError and not error.retriable:
            raise error(f"topic {name}")
        await asyncio.sleep(AGAIN)
    found = len(described["partitions"])
    if found != partitions:
        said = "K2_GROUP_SLOTS says" if partitions != 1 or name == settings.slots_topic else "it must have"
        raise SettingsError(
            f"the topic {name} has {found} partitions, and {said} {partitions}: it is left as it is; say"
            f" {'K2_GROUP_SLOTS=' + str(found) if name == settings.slots_topic else 'another K2_KAFKA_TOPIC_PREFIX'}"
        )


@contextmanager
def kafka_trouble(settings: GroupSettings, what: str) -> Iterator[None]:
    """Errors of the client become ours."""
    where = f"kafka {settings.kafka.bootstrap}: group {settings.name}, {what}"
    try:
        yield
    except TimeoutError:
        raise Unreachable(f"{where}: no answer in {settings.kafka.open_timeout:.0f} s") from None
    except (
        kafka_errors.GroupAuthorizationFailedError, kafka_errors.TopicAuthorizationFailedError,
        kafka_errors.ClusterAuthorizationFailedError,
    ) as error:
        right = "READ on the group" if isinstance(error, kafka_errors.GroupAuthorizationFailedError) else (
            "CREATE on the cluster" if isinstance(error, kafka_errors.ClusterAuthorizationFailedError)
            else "READ, WRITE and DESCRIBE on the topics"
        )
        raise Unreachable(f"{where}: the right {right} is missing ({settings.group_id}, {settings.slots_topic}, "
                          f"{settings.beats_topic})") from None
    except (kafka_errors.KafkaError, OSError) as error:
        raise Unreachable(f"{where}: {error or type(error).__name__}") from None
