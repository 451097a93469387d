"""Batches as produce requests of our own, for as long as all is well.

aiokafka takes a batch through two futures, a queue, two tasks and a request made of objects, which costs as much as
some fifty trades; with a batch a millisecond that is most of what k2conn does. Here the batches of one turn of the
event loop leave in one request for each leader, written on aiokafka's own connection; its answer acknowledges them.

Nothing that goes wrong is judged here: the batch is given to aiokafka, which then does with it what it always did.
Before it is sent that is for want of a leader, a connection or a producer id; afterwards for any error code, no answer
in time, a connection that broke. Then aiokafka has it as a batch that it sent itself and must send again, under the
sequence number that it has. So the idempotent producer's promise holds: a partition has one batch under way, numbers
come from aiokafka's one counter, and what the broker has taken it does not take again. To make connections, with TLS
and logins, to know the leaders, and transactions are aiokafka's in any case.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from struct import Struct, error
from typing import Any, NamedTuple

from k2conn.clock import monotonic
from k2conn.compat.aiokafka import Batch, Exchange, Leaders
from k2conn.sinks.kafka.acknowledgement import Acknowledgement
from k2conn.sinks.kafka.record_batches import PackedBatch
from k2conn.sinks.kafka.settings import KafkaSettings

PRODUCE = (0, 7)
"""The protocol's number of the request, and the version that is spoken here: any broker since Kafka 2.1 knows it."""

_HEAD = Struct(">ihhi")
"""Length, number and version of the request, number of the exchange; the client's name follows."""
_OPTIONS = Struct(">hhii")
"""No transaction (a text without a length), acks, milliseconds in which copies are made, number of topics."""
_PARTITION = Struct(">ii")
"""Number, bytes of the batch."""
_COUNT = Struct(">i")
_SIZE = Struct(">h")
_OUTCOME = Struct(">ihqqq")
"""Of one partition: number, error code, first offset, the broker's time, first offset kept."""

log = logging.getLogger("k2conn.sinks.kafka")


class Parcel(NamedTuple):
    """A batch on its way, the connection that it takes, and what tells who waits for it."""

    connection: Any
    topic: str
    partition: int
    batch: Batch | PackedBatch
    acknowledgement: Acknowledgement


class ProduceRequests:
    """The quick way of one producer's batches."""

    def __init__(self, producer: Any, settings: KafkaSettings) -> None:
        self._leaders = Leaders(producer)
        self._usable = not self._leaders.lacking
        if not self._usable:
            missing = ", ".join(self._leaders.lacking)
            log.warning("kafka: this aiokafka has no %s; all batches take its own way", missing)
        name = settings.client_id.encode()
        self._name = _SIZE.pack(len(name)) + name
        self._acks = -1 if settings.acks == "all" else int(settings.acks)
        self._within = settings.request_timeout_ms
        self._waiting: list[Parcel] = []
        """Those of this turn of the event loop."""
        self._under_way: dict[Exchange, tuple[Any, float]] = {}
        """The connection of each request that is not answered, and when it was sent; the oldest first."""
        self._watching = False
        """Whether there is a timer for them: one for all, which looks when the oldest is due."""

    def connection(self, topic: str, partition: int) -> Any:
        """What a batch of the partition could be sent on now; None where it cannot."""
        return self._leaders.connection(topic, partition, PRODUCE) if self._usable else None

    def take(self, topic: str, partition: int, batch: Batch | PackedBatch) -> Acknowledgement | None:
        """What tells that ``batch`` is acknowledged, or failed; None where it must take aiokafka's own way."""
        connection = self.connection(topic, partition)
        if connection is None:
            return None
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.depart)
        return self.gather(connection, topic, partition, batch)

    def gather(self, connection: Any, topic: str, partition: int, batch: Batch | PackedBatch) -> Acknowledgement:
        """As `take`, on a connection that is there; for who says `depart` when all are here."""
        acknowledgement = Acknowledgement()
        self._waiting.append(Parcel(connection, topic, partition, batch, acknowledgement))
        return acknowledgement

    def depart(self) -> None:
        """Sends what is gathered."""
        if not self._waiting:
            return
        parcels, self._waiting = self._waiting, []
        requests: dict[Any, list[Parcel]] = {}
        for parcel in parcels:
            if parcel.connection.connected():
                requests.setdefault(parcel.connection, []).append(parcel)
            else:
                self._leave_to_aiokafka(parcel)
        for connection, taken in requests.items():
            try:
                self._send(connection, taken)
            except Exception as bug:  # of the library's batches; the sender makes a producer anew for it
                for parcel in taken:
                    parcel.acknowledgement.set_exception(bug)

    def _send(self, connection: Any, parcels: Sequence[Parcel]) -> None:
        topics: dict[str, list[bytes]] = {}
        for _, topic, partition, batch, _ in parcels:
            sealed = self._leaders.seal(batch, topic, partition)
            topics.setdefault(topic, []).extend((_PARTITION.pack(partition, len(sealed)), sealed))
        parts = [self._name, _OPTIONS.pack(-1, self._acks, self._within, len(topics))]
        for topic, partitions in topics.items():
            name = topic.encode()
            parts += (_SIZE.pack(len(name)), name, _COUNT.pack(len(partitions) // 2), *partitions)
        size = _HEAD.size - _COUNT.size + sum(map(len, parts))

        def numbered(number: int) -> bytes:
            return b"".join((_HEAD.pack(size, *PRODUCE, number), *parts))

        exchange = Exchange(partial(self._ended, parcels))
        self._under_way[exchange] = (connection, monotonic())
        if not self._watching:
            self._watch(self._within / 1000)
        self._leaders.post(connection, numbered, exchange)

    def _ended(self, parcels: Sequence[Parcel], exchange: Exchange, answer: bytes | BaseException) -> None:
        _, since = self._under_way.pop(exchange)
        codes = outcomes(answer) if isinstance(answer, bytes) else {}
        for parcel in parcels:
            if codes.get((parcel.topic, parcel.partition)) == 0:
                parcel.acknowledgement.set_result()
            else:
                self._leave_to_aiokafka(parcel, since)

    def _watch(self, seconds: float) -> None:
        self._watching = True
        asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """Breaks the connections on which a request was not answered in time."""
        self._watching = False
        sent_by = monotonic() - self._within / 1000
        for connection in dict.fromkeys(one for one, since in self._under_way.values() if since <= sent_by):
            self._leaders.unanswered(connection)
        if self._under_way:
            _, oldest = next(iter(self._under_way.values()))
            self._watch(max(0.001, oldest - sent_by))

    def _leave_to_aiokafka(self, parcel: Parcel, since: float | None = None) -> None:
        """``since``: when it was sent, where it was."""
        again = self._leaders.send_again(parcel.batch, parcel.topic, parcel.partition, since is not None, since or 0.0)
        again.add_done_callback(partial(_as_it_ended, parcel.acknowledgement))


def _as_it_ended(ours: Acknowledgement, theirs: asyncio.Future[Any]) -> None:
    trouble = None if theirs.cancelled() else theirs.exception()
    if theirs.cancelled():
        ours.cancel()
    elif trouble is not None:
        ours.set_exception(trouble)
    else:
        ours.set_result()


def outcomes(answer: bytes) -> dict[tuple[str, int], int]:
    """The error code of each (topic, partition) that an answer names; 0 is none. Nothing of what makes no sense."""
    found: dict[tuple[str, int], int] = {}
    try:
        (topics,) = _COUNT.unpack_from(answer)
        at = _COUNT.size
        for _ in range(topics):
            (size,) = _SIZE.unpack_from(answer, at)
            if size < 0:
                return {}
            at += _SIZE.size + size
            topic = answer[at - size : at].decode()
            (partitions,) = _COUNT.unpack_from(answer, at)
            at += _COUNT.size
            for _ in range(partitions):
                partition, code, *_ = _OUTCOME.unpack_from(answer, at)
                at += _OUTCOME.size
                found[topic, partition] = code
    except (error, UnicodeDecodeError):
        return {}
    return found
