"""A producer of transactions: the one door to those of aiokafka.

Theory of operation. A transaction is made of batches that are all there before it begins: it is open from its first
batch to its commit, some tens of milliseconds, and never waits for the market. It is committed once the broker has
acknowledged each batch of it, one by one; aiokafka by itself would commit one of whose batches one had failed. Whatever
goes wrong, the producer is left as it is (`Producer.abandon`) and nothing is aborted: another producer with the same
transactional id makes the broker abort what this one has left open, and fences it, so that nothing of it can come late.
Where the answer to a commit was lost, whether it was committed is found in the state topic, not guessed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import aiokafka.errors as kafka_errors  # type: ignore[import-untyped]

from k2conn.compat.aiokafka import connect_ahead, connect_to_leaders, forget_transaction
from k2conn.errors import Unreachable
from k2conn.sinks.kafka.partition_queues import PartitionQueue, Topic
from k2conn.sinks.kafka.producer import Failure, Producer, failure_from
from k2conn.sinks.kafka.rights import missing_right
from k2conn.sinks.kafka.settings import KafkaSettings

LEAST_REQUEST_MS = 60_000
"""Below, aiokafka gives up a batch by itself while a coordinator moves, and then commits what is left. What takes too
long is ended by our own clock.
"""

FENCED = (kafka_errors.ProducerFenced, kafka_errors.InvalidProducerEpoch)
"""Another producer has the transactional id, or the broker has ended a transaction that took too long."""


class FailedBatch(NamedTuple):
    """A batch that was not taken: ``size`` of the records that wait in a queue, from ``first`` on."""

    queue: PartitionQueue
    first: int
    size: int
    failure: Failure


class TransactionError(Exception):
    """A transaction was not committed, as far as we know. ``batch``: the one that was not taken, where it was that."""

    def __init__(self, text: str, cause: BaseException | None = None, batch: FailedBatch | None = None) -> None:
        super().__init__(text)
        self.cause = cause
        self.batch = batch

    @property
    def fenced(self) -> bool:
        """Whether the broker takes nothing from this producer any more."""
        return isinstance(self.cause, FENCED)


class TransactionalProducer(Producer):
    """One producer of the settings' transactional id, from ``connect``, which ends any other of that id, to ``stop`` or
    ``abandon``.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(
            settings,
            transactional_id=settings.unit,
            transaction_timeout_ms=settings.transaction_timeout_ms,
            request_timeout_ms=max(settings.request_timeout_ms, LEAST_REQUEST_MS),
        )

    async def connect_ahead(self, within: float) -> None:
        """Does all of `connect` that does not end another producer of the id. Unreachable where that is not done in
        time.
        """
        try:
            async with asyncio.timeout(within):
                await connect_ahead(self._client, self._settings.unit)
        except Exception as error:  # of the library, whatever it is
            await self.stop()
            raise Unreachable(f"kafka {self._settings.bootstrap}: {error or type(error).__name__}") from error

    async def connect_to_leaders(self, topics: Iterable[str]) -> None:
        """So that the first batch to each of some topics, whose partitions are known, waits for no connection."""
        with contextlib.suppress(kafka_errors.KafkaError, OSError):  # it is tried again with the batch
            await connect_to_leaders(self._client, topics)

    async def abandon(self) -> None:
        """See `Producer.abandon`."""
        await super().abandon()
        forget_transaction(self._client)

    async def commit(self, topics: Iterable[Topic], now: float, within: float) -> None:
        """Commits all that waits in the queues of some topics as one transaction; the queues stay as they are.
        TransactionError where that fails, or takes more than ``within`` seconds. Nothing else may be sent meanwhile.
        """
        try:
            async with asyncio.timeout(within):
                await self._client.begin_transaction()
                await self._acknowledged(topics, now)
                await self._client.commit_transaction()
        except TransactionError:
            raise
        except TimeoutError:
            raise TransactionError(f"the transaction was not committed in {within:.0f} s") from None
        except Exception as error:  # of the library, whatever it is
            raise TransactionError(failure_from(error).text, error) from error

    async def _acknowledged(self, topics: Iterable[Topic], now: float) -> None:
        """Sends all batches and waits until each is acknowledged."""
        sent: dict[asyncio.Future[Any], _Part] = {}
        for topic in topics:
            for queue in topic.queues:
                at, count = 0, 0
                while at < len(queue.waiting):
                    # Records of one queue are much alike: to offer each batch all the rest would be to copy all of it.
                    batch, count = self.pack(queue.offered(now, at, 2 * count), topic.heads)
                    part = _Part(topic, queue, at, count)
                    try:
                        future = await self._client.send_batch(batch, topic.name, partition=queue.partition)
                    except Exception as error:  # of the library, whatever it is
                        raise part.failed(error) from error
                    future.add_done_callback(_looked_at)
                    sent[future] = part
                    at += count
                    await asyncio.sleep(0)
        done, _ = await asyncio.wait(sent, return_when=asyncio.FIRST_EXCEPTION)
        for one in done:
            failed = asyncio.CancelledError() if one.cancelled() else one.exception()
            if failed is not None:
                raise sent[one].failed(failed)


class _Part(NamedTuple):
    """Where the records of a batch are: ``size`` of those that wait in a queue, from ``first`` on."""

    topic: Topic
    queue: PartitionQueue
    first: int
    size: int

    def failed(self, error: BaseException) -> TransactionError:
        """The batch was not taken."""
        failure = failure_from(error)
        text = f"{self.topic.name}/{self.queue.partition}: {failure.text}"
        return TransactionError(text, error, FailedBatch(self.queue, self.first, self.size, failure))


def _looked_at(future: asyncio.Future[Any]) -> None:
    """What a batch of a transaction that has failed already ends with, nobody asks for."""
    if not future.cancelled():
        future.exception()


async def make_sure_of_transactions(settings: KafkaSettings, topic: str) -> None:
    """The broker allows transactions under the settings' id, which nobody works under. Unreachable, with the right that
    is missing where it is that.
    """
    producer = TransactionalProducer(settings)
    try:
        await producer.connect(settings.open_timeout)
    except Unreachable as error:
        raise Unreachable(missing_right(error.__cause__ or error, topic, settings) or str(error)) from None
    await producer.abandon()
