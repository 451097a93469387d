"""The state topic: compacted, so that it keeps the latest value of each key. Partition n belongs to slot n, which alone
writes it.

It is made where it is not there. One of another shape is refused, and never changed: a topic that is not compacted
forgets the state when its records are old, and one of another number of partitions gives each slot another one's state.

What is read is what is committed, up to what was written when reading began: the end must be asked for as it is, not as
the end of what is committed, because a transaction that is still open may be another slot's process's, or one that is
just being ended.
"""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

import aiokafka.errors as kafka_errors  # type: ignore[import-untyped]
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType  # type: ignore[import-untyped]

from k2conn import exactjson
from k2conn.compat.aiokafka import stop_consumer
from k2conn.errors import SinkError, Unreachable
from k2conn.sinks.journal import JournalEntries
from k2conn.sinks.kafka.producer import STOP_WITHIN, client_options
from k2conn.sinks.kafka.rights import missing_right
from k2conn.sinks.kafka.settings import KafkaSettings

POLICY = "cleanup.policy"
COMPACT = "compact"
AGAIN = 0.2
"""Seconds until a cluster is asked again that does not know of its new topic everywhere yet."""
LARGEST_BYTES = 256 * 1024 * 1024
"""Of all that is read, keys included."""
LARGEST_VALUES = 4_000_000
"""Brackets and commas of all that is read: what it becomes in memory is bounded by these."""


def name_of(settings: KafkaSettings) -> str:
    """The whole name of the state topic."""
    return settings.topic_prefix + settings.state_topic


async def make_sure(settings: KafkaSettings, within: float) -> None:
    """The state topic is there, and as it must be. Unreachable, or SinkError where it is refused."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        async with asyncio.timeout(within):
            await admin.start()
            await _made(admin, settings)
    except TimeoutError:
        raise Unreachable(f"kafka topic {name_of(settings)}: no answer in {within:.0f} s") from None
    except (kafka_errors.KafkaError, OSError) as error:
        _fail(settings, error)
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


async def read_journal(settings: KafkaSettings) -> JournalEntries:
    """What the slot's partition of the state topic holds, the latest value of each key. Unreachable; SinkError for what
    cannot be read.
    """
    at = TopicPartition(name_of(settings), settings.slot)
    found = LatestValues(f"kafka topic {at.topic}/{at.partition}")
    options = {**client_options(settings), "enable_auto_commit": False, "auto_offset_reset": "earliest"}
    committed: Any = AIOKafkaConsumer(**options, isolation_level="read_committed")
    written: Any = AIOKafkaConsumer(**options, isolation_level="read_uncommitted")
    try:
        async with asyncio.timeout(_patience(settings)):
            await asyncio.gather(committed.start(), written.start())
            for consumer in (committed, written):
                consumer.assign([at])
            end = (await written.end_offsets([at]))[at]
            await committed.seek_to_beginning(at)
            while await committed.position(at) < end:
                for messages in (await committed.getmany(timeout_ms=200)).values():
                    for one in messages:
                        if one.key is not None and one.value is not None:
                            found.put(one.key, one.offset, one.value)
    except TimeoutError:
        raise Unreachable(
            f"kafka topic {at.topic}/{at.partition}: the state cannot be read to its end: a transaction of another "
            f"process is still open, or the broker does not answer"
        ) from None
    except (kafka_errors.KafkaError, OSError) as error:
        _fail(settings, error)
    finally:
        await asyncio.gather(*(stop_consumer(one, STOP_WITHIN) for one in (committed, written)))
    return found.decoded()


class LatestValues:
    """The latest value of each key of a topic, which anybody may have written. SinkError where that is too much, or no
    state.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._found: dict[bytes, tuple[int, bytes]] = {}
        self._size = 0

    def put(self, key: bytes, offset: int, value: bytes) -> None:
        """One message."""
        before = self._found.get(key)
        self._size += len(value) + (len(key) if before is None else -len(before[1]))
        if self._size > LARGEST_BYTES:
            raise SinkError(f"{self._topic} holds more than {LARGEST_BYTES} bytes of state")
        self._found[key] = offset, value

    def decoded(self) -> JournalEntries:
        """All of them."""
        entries: JournalEntries = []
        values = 0
        for key, (offset, value) in self._found.items():
            values += sum(value.count(one) for one in (b"[", b"{", b","))
            if values > LARGEST_VALUES:
                raise SinkError(f"{self._topic} holds more than {LARGEST_VALUES} values of state")
            try:
                decoded = exactjson.decode(key)
                if type(decoded) is not list or not decoded or type(decoded[0]) is not str:
                    raise ValueError("its key is no list that begins with a kind")
                entries.append((decoded, exactjson.decode(value)))
            except ValueError as error:
                raise SinkError(f"{self._topic}, offset {offset}: no state of k2conn: {error}") from None
        return entries


def _patience(settings: KafkaSettings) -> float:
    """Seconds: a transaction that somebody else left open is ended by the broker before that."""
    return settings.open_timeout + settings.transaction_timeout_ms / 1000 + 10


def _fail(settings: KafkaSettings, error: Exception) -> NoReturn:
    right = missing_right(error, name_of(settings), settings)
    raise Unreachable(right or f"kafka topic {name_of(settings)}: {error or type(error).__name__}") from None
