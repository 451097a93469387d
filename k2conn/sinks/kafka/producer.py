"""A connected producer: the one door to aiokafka, whose errors become ``Unreachable`` or a ``Failure`` here. That holds
for those it does not foresee itself, too (a broker that speaks nonsense, a slip of the library): the next producer may
do better, and nothing that was put is lost by trying.

Batches are built by us and go whole: as requests of our own while all is well (`ProduceRequests`), else by aiokafka's
``send_batch``, a third of the cost of a ``send`` each. aiokafka retries a batch by itself, in order and without
repeats, for as long as it lives; what it cannot retry breaks the partition's sequence for good, so a failed producer is
left (``abandon``) and a new one made.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import aiokafka.errors as kafka_errors  # type: ignore[import-untyped]
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]

from k2conn import native
from k2conn.avro import RecordSchema
from k2conn.clock import wall_ms
from k2conn.compat.aiokafka import Batch, end_sender, fail_batches, mend_pending_batches, names_controller, sender_task
from k2conn.envelope import Envelope
from k2conn.errors import Unreachable
from k2conn.net.tls import client_context
from k2conn.sinks.kafka.acknowledgement import Acknowledgement
from k2conn.sinks.kafka.produce_requests import ProduceRequests
from k2conn.sinks.kafka.record_batches import PackedBatch
from k2conn.sinks.kafka.settings import OAUTH, KafkaSettings
from k2conn.sinks.kafka.tokens import Tokens
from k2conn.variable_files import latest

AHEAD_MS = 10 * 60 * 1000
"""A broker refuses a whole batch for one record dated more than an hour ahead (its default): a venue's wrong
clock must not do that, so a record's Kafka timestamp is never further ahead than this. The record's own field
keeps it.
"""

RECORD_OVERHEAD = 100
"""More bytes than a record's framing and a batch's header can take."""

CONTROLLER_AGAIN = 0.2
"""Seconds until a cluster that names no controller is asked again."""

STOP_WITHIN = 3.0
"""Seconds a producer may take to close."""

REFUSED = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.InvalidTimestampError,
)
"""What is wrong with a record, not with the cluster: some record of the batch will never be taken."""

REFUSED_TOKEN = ": it does not accept the token"
"""aiokafka takes a refused token for an accepted one, and then hears of no broker."""

FENCED: int = kafka_errors.InvalidReplicationFactorError.errno
"""Too few brokers for the topic: for good, or (the text says so) because they have not joined again yet."""

UNKNOWN_INVALID_RECORD = 87
"""The protocol's INVALID_RECORD, which aiokafka does not know by name."""


log = logging.getLogger("k2conn.sinks.kafka")


Sent = Acknowledgement | asyncio.Future[Any]
"""What becomes of a batch on its way: ours, or of aiokafka's own way."""


class Failure(NamedTuple):
    """Why a batch was not acknowledged. ``refused``: a record of it is to blame; ``too_large``: by its size;
    ``topic``: only this topic is in trouble (rights, existence)."""

    text: str
    refused: bool = False
    too_large: bool = False
    topic: bool = False


class Producer:
    """One producer, from ``connect`` to ``stop`` or ``abandon``."""

    def __init__(self, settings: KafkaSettings, **options: Any) -> None:
        """``options``: what the client of aiokafka is given beside, or instead of, what the settings say."""
        self._settings = settings
        self._transactional = "transactional_id" in options
        self._client = AIOKafkaProducer(
            **{**client_options(settings), **options},
            acks="all" if settings.acks == "all" else int(settings.acks),
            enable_idempotence=settings.idempotent,
            compression_type=None if settings.compression == "none" else settings.compression,
            max_batch_size=settings.batch_bytes,
            max_request_size=settings.max_request_bytes,
            linger_ms=0,
        )
        self._counts: dict[str, int] = {}
        """How many partitions topics had when the cluster was last heard of."""
        self._client.client.cluster.add_listener(lambda _: self._counts.clear())
        mend_pending_batches(self._client)
        self._requests = ProduceRequests(self._client, settings)

    async def connect(self, within: float) -> None:
        """Reach the cluster. Raises Unreachable, with the addresses and the reason, after ``within``
        seconds.
        """
        address = self._settings.bootstrap
        try:
            async with asyncio.timeout(within):
                await self._client.start()
        except TimeoutError:
            await self.stop()
            refused = REFUSED_TOKEN if self._settings.sasl_mechanism == OAUTH and not self.brokers() else ""
            raise Unreachable(f"kafka {address}: no answer in {within:.0f} s{refused}") from None
        except asyncio.CancelledError:
            await self.stop()
            raise
        except Exception as error:  # of the library, whatever it is
            await self.stop()
            raise Unreachable(f"kafka {address}: {_text(error)}") from error

    async def find(self, topic: str, within: float) -> int:
        """How many partitions ``topic`` has, now. Raises Unreachable with the reason where it cannot be
        told.
        """
        try:
            if self._settings.create_topics and self.partitions(topic) is None:
                async with asyncio.timeout(within):
                    await _create(self._settings, topic)
            async with asyncio.timeout(within):
                return len(await self._client.partitions_for(topic))
        except TimeoutError:
            hint = "" if self._settings.create_topics else " and topics are not created here (create_topics)"
            raise Unreachable(f"kafka topic {topic}: no partitions known; it may not exist{hint}") from None
        except Exception as error:  # of the library, whatever it is
            raise Unreachable(f"kafka topic {topic}: {_text(error)}") from error

    def brokers(self) -> list[tuple[str, int]]:
        """Where the cluster says its brokers are. Does not wait."""
        return [(broker.host, broker.port) for broker in self._client.client.cluster.brokers()]

    def partitions(self, topic: str) -> int | None:
        """How many partitions ``topic`` had at last sight; None where it is not known. Does not wait."""
        count = self._counts.get(topic)
        if count is None:
            known = self._client.client.cluster.partitions_for_topic(topic)
            if known:
                count = self._counts[topic] = len(known)
        return count

    def pack(self, envelopes: Sequence[Envelope], heads: Mapping[RecordSchema | None, bytes]) -> tuple[Any, int]:
        """A batch of the first envelopes, as many as fit (at least one), and how many those are."""
        settings, latest = self._settings, wall_ms() + AHEAD_MS
        if native.packed is not None:
            made = PackedBatch(
                envelopes, heads, settings.batch_bytes, settings.compression, latest, self._transactional
            )
            return made, made.record_count()
        batch = Batch(settings.batch_bytes, settings.compression, self._transactional)
        append = batch.append
        count = 0
        for _, key, value, schema, stamp, *_ in envelopes:
            if not 0 <= stamp <= latest:
                stamp = min(max(stamp, 0), latest)
            if append(timestamp=stamp, key=key, value=heads[schema] + value) is None:
                break
            count += 1
        batch.close()
        return batch, count

    def connection(self, topic: str, partition: int) -> Any:
        """What a batch can be sent on with `send_now`, now; None where there is nothing."""
        return self._requests.connection(topic, partition)

    def send_now(self, connection: Any, topic: str, partition: int, batch: Any) -> Acknowledgement:
        """As `send`, on a `connection`; it leaves with `depart`."""
        return self._requests.gather(connection, topic, partition, batch)

    def depart(self) -> None:
        """What `send_now` was given is sent."""
        self._requests.depart()

    async def send(self, topic: str, partition: int, batch: Any) -> Sent | Failure:
        """Hand ``batch`` over; what is returned ends when it is acknowledged, or fails (see ``failure_of``)."""
        if partition >= (self.partitions(topic) or 0):
            return Failure(f"partition {partition} is gone", topic=True)
        taken = self._requests.take(topic, partition, batch)
        if taken is not None:
            return taken
        try:
            future: asyncio.Future[Any] = await self._client.send_batch(batch, topic, partition=partition)
        except Exception as error:  # of the library, whatever it is
            return failure_from(error)
        return future

    async def stop(self) -> None:
        """Close; waits for what is unacknowledged, within a bound."""
        with _leaving():
            async with asyncio.timeout(STOP_WITHIN):
                await self._client.stop()

    async def abandon(self) -> None:
        """Let go of it although batches are unacknowledged, so that it can never send them later.

        ``stop`` would wait for the broker, and nothing public ends aiokafka's sender without it.
        """
        sender = sender_task(self._client)
        if sender is not None:
            sender.cancel()
            with _leaving():
                async with asyncio.timeout(STOP_WITHIN):
                    await self._client.client.close()
            with _leaving():
                await end_sender(self._client, sender)
            with _leaving():
                fail_batches(self._client)
        await self.stop()


@contextlib.contextmanager
def _leaving() -> Iterator[None]:
    """A step of letting go of a client: what goes wrong in it must not keep the next steps from being made."""
    try:
        yield
    except (TimeoutError, kafka_errors.KafkaError, OSError):
        return  # a broker that is away
    except Exception:  # aiokafka promises no set of errors here; it is logged, and the next step is made all the same
        log.warning("kafka: a client could not be closed in order", exc_info=True)


def failure_of(sent: Sent) -> Failure | None:
    """The failure of a sent batch; None if it is durable."""
    if sent.cancelled():
        return Failure("the batch was abandoned")
    error = sent.exception()
    if error is None:
        return None
    return failure_from(error)


def failure_from(error: BaseException) -> Failure:
    """An error of the client, classified by how to recover from it."""
    too_large = isinstance(error, kafka_errors.MessageSizeTooLargeError | kafka_errors.RecordListTooLargeError)
    invalid = getattr(error, "errno", None) == UNKNOWN_INVALID_RECORD
    topic = isinstance(
        error,
        kafka_errors.TopicAuthorizationFailedError
        | kafka_errors.InvalidTopicError
        | kafka_errors.UnknownTopicOrPartitionError
        | kafka_errors.PolicyViolationError,
    )
    return Failure(_text(error), invalid or isinstance(error, REFUSED), too_large, topic)


async def _create(settings: KafkaSettings, topic: str) -> None:
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        answer = await _created(admin, NewTopic(topic, settings.partitions, settings.replication))
        for name, code, text in answer.topic_errors:
            error = kafka_errors.for_code(code)
            if error not in (kafka_errors.NoError, kafka_errors.TopicAlreadyExistsError):
                raise error(f"{name} cannot be created: {text}")
    finally:
        await admin.close()


async def _created(admin: Any, topic: NewTopic) -> Any:
    """The answer of the cluster's controller. A cluster that is just coming back names none for a moment, and aiokafka
    trips over that; or it says that all its brokers are still fenced. The caller bounds how long it is asked again.
    """
    while True:
        try:
            answer = await admin.create_topics([topic])
            if not any(code == FENCED and "fenced" in (text or "") for _, code, text in answer.topic_errors):
                return answer
        except AttributeError:
            if names_controller(admin):
                raise
        await asyncio.sleep(CONTROLLER_AGAIN)


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """What every client of aiokafka is given to reach the cluster."""
    given: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "client_id": settings.client_id,
        "request_timeout_ms": settings.request_timeout_ms,
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.endswith("SSL"):
        given["ssl_context"] = client_context(settings.ca_file, True, settings.cert_file, settings.key_file)
    if settings.sasl_mechanism == OAUTH:
        given["sasl_mechanism"] = OAUTH
        given["sasl_oauth_token_provider"] = Tokens(settings)
    elif settings.sasl_mechanism:
        given["sasl_mechanism"] = settings.sasl_mechanism
        given["sasl_plain_username"] = settings.username
        given["sasl_plain_password"] = latest(settings.password)
    return given


def _text(error: BaseException) -> str:
    text, name = str(error), type(error).__name__
    if not text or isinstance(error, kafka_errors.KafkaError | OSError):
        return text or name
    return f"{name}: {text}"
