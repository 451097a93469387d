"""What nothing public of aiokafka does: LZ4 at its own pace, requests of ours on its connections, and leaving a
producer whose batches are not acknowledged (aiokafka itself trips over that, see `_PendingBatches`).

Objects of aiokafka have no types, so they are ``Any`` here.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any

from aiokafka.client import ConnectionGroup, CoordinationType  # type: ignore[import-untyped]
from aiokafka.codec import lz4_encode  # type: ignore[import-untyped]
from aiokafka.conn import CloseReason  # type: ignore[import-untyped]
from aiokafka.errors import ProducerClosed, for_code  # type: ignore[import-untyped]
from aiokafka.producer.message_accumulator import BatchBuilder  # type: ignore[import-untyped]
from aiokafka.protocol.admin import AlterPartitionReassignmentsRequest  # type: ignore[import-untyped]
from aiokafka.protocol.api import Request, RequestStruct, Response  # type: ignore[import-untyped]
from aiokafka.protocol.group import LeaveGroupRequest  # type: ignore[import-untyped]
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String  # type: ignore[import-untyped]
from aiokafka.structs import TopicPartition  # type: ignore[import-untyped]

VERSIONS = ">=0.14,<0.15"

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
"""The protocol's numbers of compressions."""

LZ4_LEVEL = 1
"""LZ4 as it is meant, and as Java's client compresses by default. aiokafka asks for the "high compression" of level 9,
which costs fourteen times the CPU (3.4 us a trade instead of 0.24) for batches an eighth smaller.
"""
_RELEASES = 20
"""Times that a sender is cancelled before it is given up."""
_LENGTH = 4
"""Bytes before an answer that say its length."""

log = logging.getLogger("k2conn.sinks.kafka")


class Batch(BatchBuilder):  # type: ignore[misc]
    """A batch whose LZ4 is of `LZ4_LEVEL`. There is no setting for the level: it is the default of a function's
    argument, which is another one only while a batch of ours is compressed. Nothing else runs on the loop meanwhile, so
    that whoever else uses aiokafka in this process has its own default.
    """

    def __init__(self, batch_bytes: int, compression: str, transactional: bool = False) -> None:
        """``transactional``: its records count as committed only once their transaction is; without that mark a broker
        takes them into a transaction's partition all the same, and shows them at once.
        """
        super().__init__(batch_bytes, CODECS[compression], is_transactional=transactional)

    def _build(self) -> Any:
        before = lz4_encode.__defaults__
        lz4_encode.__defaults__ = (LZ4_LEVEL,)
        try:
            return super()._build()
        finally:
            lz4_encode.__defaults__ = before


class _PendingBatches(set[Any]):
    """A producer's batches that are sent and not acknowledged, in place of aiokafka's own set. Each batch takes itself
    out of that when it ends; but one that is to be sent again (no answer in time, a broker that is gone) has been taken
    out before, so that its end while it waits raised KeyError out of a callback of the event loop.
    """

    remove = set.discard


def mend_pending_batches(producer: Any) -> None:
    """Lets batches of a producer that is not started yet end while they wait to be sent again."""
    producer._message_accumulator._pending_batches = _PendingBatches()


async def connect_ahead(producer: Any, transactional_id: str) -> None:
    """Connects a producer of transactions that is not started yet to its cluster and the coordinator of its id: all
    that `start` does but to ask for the id, which ends whoever has it, is done then.
    """
    await producer.client.bootstrap()
    producer.client.bootstrap = _done
    await producer._sender._find_coordinator(CoordinationType.TRANSACTION, transactional_id)


async def connect_to_leaders(producer: Any, topics: Iterable[str]) -> None:
    """Connects a producer to the leaders of the partitions of some topics, as far as it knows them."""
    cluster = producer.client.cluster
    leaders = {
        cluster.leader_for_partition(TopicPartition(topic, partition))
        for topic in topics for partition in cluster.partitions_for_topic(topic) or ()
    }
    await asyncio.gather(*(producer.client.ready(one) for one in leaders if one is not None and one >= 0))


async def _done() -> None:
    """What has been done before."""


def sender_task(producer: Any) -> asyncio.Task[Any] | None:
    """The task that sends a producer's batches; None before it is started."""
    task: asyncio.Task[Any] | None = producer._sender.sender_task
    return task


async def end_sender(producer: Any, sender: asyncio.Task[Any]) -> None:
    """Waits until a cancelled sender has ended. A request under way waits for metadata that a closed client never
    fetches: that is released, and the sender cancelled once more.
    """
    for _ in range(_RELEASES):
        waiting = producer.client._md_update_fut
        if waiting is not None and not waiting.done():
            waiting.cancel()
        await asyncio.wait({sender}, timeout=0.15)
        if sender.done():
            return
        sender.cancel()


def fail_batches(producer: Any) -> None:
    """Ends all batches of a producer. Each has a future besides that of its records, for which nobody waits: asyncio
    would report its exception as an error that was never looked at.
    """
    accumulator = producer._message_accumulator
    batches = [*accumulator._pending_batches, *(one for every in accumulator._batches.values() for one in every)]
    for batch in batches:
        batch._drain_waiter.add_done_callback(lambda future: future.cancelled() or future.exception())
    accumulator.fail_all(ProducerClosed())


def forget_transaction(producer: Any) -> None:
    """A producer is left whose transaction may have failed: that has a future of its own, for which nobody waits any
    more, and asyncio would report its exception as an error that was never looked at.
    """
    waiting = producer._txn_manager._transaction_waiter
    if waiting is not None and waiting.done() and not waiting.cancelled():
        waiting.exception()


def names_controller(admin: Any) -> bool:
    """Whether the cluster, as an admin client sees it, has a controller."""
    return admin._client.cluster.controller is not None


async def refresh_metadata(consumer: Any) -> None:
    """Asks the cluster for its topics and partitions, now."""
    await consumer._client.force_metadata_update()


_PARTS = {
    "_txn_manager": ("transactional_id", "has_pid", "sequence_number", "increment_sequence_number", "producer_id",
                     "producer_epoch"),
    "_message_accumulator": ("_append_batch", "_pending_batches", "_closed", "_exception"),
    "client": ("_conns", "cluster"),
}
"""What `Leaders` uses of a producer's parts."""

_OF_A_CONNECTION = ("_requests", "_writer", "_protocol", "_versions", "_next_correlation_id", "_handle_frame",
                    "_last_action", "connected", "close")


class Exchange:
    """One of our requests on a connection of aiokafka, until it ends. It stands in the connection's queue in place of a
    request and its future: the connection reads the answer by it, and tells it how it ended. ``ended`` hears that once:
    the answer's bytes behind its head, or the error there is instead.
    """

    __slots__ = ("_ended", "_over", "correlation_id")

    def __init__(self, ended: Callable[[Exchange, bytes | BaseException], None]) -> None:
        self._ended = ended
        self._over = False
        self.correlation_id = -1
        """As the answer's head has it."""

    @property
    def RESPONSE_TYPE(self) -> Exchange:  # noqa: N802 (aiokafka's name)
        """What decodes the answer."""
        return self

    def parse_response_header(self, answer: BytesIO) -> Exchange:
        """The head is its number and nothing else."""
        self.correlation_id = int.from_bytes(answer.read(4), "big", signed=True)
        return self

    def decode(self, answer: BytesIO) -> bytes:
        """All behind the head."""
        return answer.read()

    def done(self) -> bool:
        """Whether it has ended."""
        return self._over

    def set_result(self, answer: bytes) -> None:
        """The answer came."""
        self._over = True
        self._ended(self, answer)

    def set_exception(self, error: BaseException) -> None:
        """None will come."""
        self._over = True
        self._ended(self, error)


class _AnswerProtocol(asyncio.Protocol):
    """Takes the answers of a connection as they come. aiokafka's own reader has a buffer, a future and a task for that,
    which cost more than all that is done with an answer; it waits for the end of the connection now, as it does for
    the next answer.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = weakref.ref(connection)
        """aiokafka sees by such a reference that nobody has the connection any more."""
        self._before = connection._protocol
        self._left = bytearray()
        """An answer that is not all there."""

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        came: bytes | bytearray = data
        if self._left:
            self._left += data
            came = self._left
        at = 0
        while len(came) - at >= _LENGTH:
            start = at + _LENGTH
            end = start + int.from_bytes(came[at:start], "big", signed=True)
            connection = self._connection()
            if connection is None or not connection.connected():
                return
            if end > len(came):
                break
            try:
                if end < start:
                    raise ValueError("the broker's answer has less than nothing")
                if not _is_ours(connection, came, start, end):
                    connection._handle_frame(bytes(came[start:end]))
            except Exception as error:  # whatever it is, it ends the connection, as it ends aiokafka's task
                if not isinstance(error, OSError | EOFError):
                    log.exception("kafka: an answer that cannot be read")
                connection.close(reason=CloseReason.CONNECTION_BROKEN, exc=error)
                return
            at = end
        self._left = bytearray(came[at:]) if at < len(came) else bytearray()

    def eof_received(self) -> bool | None:
        """See `asyncio.Protocol`."""
        ends: bool | None = self._before.eof_received()
        return ends

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._before.connection_lost(exc)

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._before.pause_writing()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._before.resume_writing()


def _is_ours(connection: Any, came: bytes | bytearray, start: int, end: int) -> bool:
    """Whether an answer is that to one of our requests, which then has it: what aiokafka does with it, without its
    stream and its log.
    """
    waiting = connection._requests
    if not waiting or type(waiting[0][1]) is not Exchange:
        return False
    number, exchange, _ = waiting[0]
    body = start + _LENGTH
    if body > end or int.from_bytes(came[start:body], "big", signed=True) != number:
        return False
    if not exchange.done():
        exchange.set_result(bytes(came[body:end]))
    connection._last_action = asyncio.get_running_loop().time()
    if connection._requests is waiting:  # else it was closed meanwhile
        waiting.popleft()
    return True


class Leaders:
    """The leaders of partitions as a producer knows them, its connections to them, its numbering of batches, and its
    own way for a batch that has to be sent again: what is needed to send beside it without being in its way.

    Nothing here connects or asks who leads: where something is missing, the producer itself is the one to send.
    """

    def __init__(self, producer: Any) -> None:
        self._accumulator = producer._message_accumulator
        self._client = producer.client
        self._numbering = getattr(producer, "_txn_manager", None)
        self._usable: dict[int, Any] = {}
        """By broker: the connection that was found to have everything, and whose answers are taken as they come."""
        self._known: dict[tuple[str, int], Any] = {}
        """The connections to the leaders of partitions, as they were when the cluster was last heard of."""
        self._client.cluster.add_listener(lambda _: self._known.clear())
        self.lacking = [
            f"{part}.{name}" for part, names in _PARTS.items() for name in names
            if getattr(producer, part, None) is not None and not hasattr(getattr(producer, part), name)
        ]
        """Names that this aiokafka has no more; with any, nothing else here may be used."""

    def connection(self, topic: str, partition: int, request: tuple[int, int]) -> Any:
        """The connection to the partition's leader, where ``request`` (the protocol's number and its version) can be
        sent on it now; else None.
        """
        numbering = self._numbering
        if numbering is not None and (numbering.transactional_id is not None or not numbering.has_pid()):
            return None
        if self._accumulator._closed or self._accumulator._exception is not None:
            return None
        known = self._known.get((topic, partition))
        if known is not None and known.connected():
            return known
        leader = self._client.cluster.leader_for_partition(TopicPartition(topic, partition))
        found = self._client._conns.get((leader, ConnectionGroup.DEFAULT))
        if found is None or (found is not self._usable.get(leader) and not self._has_all(found, leader, request)):
            return None
        if not found.connected():
            return None
        if found is self._usable.get(leader):
            self._known[topic, partition] = found
        return found

    def _has_all(self, connection: Any, leader: int, request: tuple[int, int]) -> bool:
        if not all(hasattr(connection, name) for name in _OF_A_CONNECTION):
            return False
        low, high = connection._versions.get(request[0], (0, -1))
        if not low <= request[1] <= high:
            return False
        if not connection._requests and connection.connected():  # else its own reader may be in the middle of an answer
            connection._writer.transport.set_protocol(_AnswerProtocol(connection))
            self._usable[leader] = connection
        return True

    def seal(self, batch: Any, topic: str, partition: int) -> Any:
        """The batch's bytes, with the producer's id and the partition's next sequence number where it is idempotent."""
        numbering, where = self._numbering, TopicPartition(topic, partition)
        if numbering is not None:
            batch._set_producer_state(numbering.producer_id, numbering.producer_epoch, numbering.sequence_number(where))
            numbering.increment_sequence_number(where, batch.record_count())
        return batch._build()

    def post(self, connection: Any, request: Callable[[int], bytes], exchange: Exchange) -> None:
        """Sends ``request``, which is told its number. Its ``exchange`` hears what comes of it, also that the
        connection breaks right now.
        """
        number = connection._next_correlation_id()
        data = request(number)
        connection._requests.append((number, exchange, exchange))
        try:
            connection._writer.write(data)
        except (OSError, RuntimeError) as error:  # the latter is uvloop's for a socket that was closed meanwhile
            connection.close(reason=CloseReason.CONNECTION_BROKEN, exc=error)

    def unanswered(self, connection: Any) -> None:
        """Breaks a connection on which a request was not answered in time."""
        connection.close(reason=CloseReason.CONNECTION_TIMEOUT)

    def send_again(self, batch: Any, topic: str, partition: int, sealed: bool, since: float) -> asyncio.Future[Any]:
        """Gives a batch to the producer's own sender; where it is ``sealed``, as one that it sent itself, at ``since``
        of the monotonic clock, and that has to be sent once more.
        """
        accumulator = self._accumulator
        if accumulator._exception is not None or accumulator._closed:
            failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            failed.set_exception(copy.copy(accumulator._exception) or ProducerClosed())
            return failed
        waiting = accumulator._append_batch(batch, TopicPartition(topic, partition))
        if sealed:  # so that it gets no second number
            waiting._retry_count, waiting._ctime = 1, since
            waiting.future.add_done_callback(lambda _: accumulator._pending_batches.discard(waiting))
        future: asyncio.Future[Any] = waiting.future
        return future


async def leave_group(admin: Any, group: str, member: str) -> int:
    """Takes a member out of a group in its place; the error's number, 0 where that was done. A consumer with an
    instance id never leaves by itself, and no public call makes it.
    """
    coordinator = await admin.find_coordinator(group)
    answer = await admin._send_request(LeaveGroupRequest(group, member), coordinator)
    return int(answer.error_code)


class _ElectionAnswer(Response):  # type: ignore[misc]
    API_KEY, API_VERSION = 43, 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("results", Array(
            ("topic", String("utf-8")),
            ("partitions", Array(("partition", Int32), ("error_code", Int16), ("error_message", String("utf-8")))),
        )),
    )


class _Election(RequestStruct):  # type: ignore[misc]
    API_KEY, API_VERSION, RESPONSE_TYPE = 43, 0, _ElectionAnswer
    SCHEMA = Schema(
        ("topics", Array(("topic", String("utf-8")), ("partitions", Array(Int32)))), ("timeout_ms", Int32),
    )


class _ElectPreferredLeaders(Request[_Election]):  # type: ignore[misc]
    """aiokafka has no request of that kind."""

    API_KEY = 43

    def __init__(self, topics: list[tuple[str, list[int]]], timeout_ms: int) -> None:
        self._given = topics, timeout_ms

    def build(self, request_struct_class: type[_Election]) -> _Election:
        """The request itself."""
        return request_struct_class(*self._given)


_ELECTION_NOT_NEEDED = 84


async def order_replicas(admin: Any, wanted: Mapping[str, Mapping[int, Sequence[int]]]) -> list[str]:
    """Gives the replicas of some partitions another order, the first of them being the one that is to lead; what the
    cluster refused, as text.
    """
    topics: list[Any] = [(topic, [(number, list(nodes), {}) for number, nodes in sorted(partitions.items())], {})
              for topic, partitions in sorted(wanted.items())]
    answer = await admin._send_to_controller(AlterPartitionReassignmentsRequest(10_000, topics, {}))
    found = [for_code(answer.error_code).__name__] if answer.error_code else []
    return found + [
        f"{topic}/{number}: {text or for_code(code).__name__}"
        for topic, partitions, _ in answer.responses for number, code, text, _ in partitions if code
    ]


async def elect_preferred(admin: Any, wanted: Mapping[str, Iterable[int]]) -> list[str]:
    """Makes the first replica of some partitions their leader; what the cluster refused, as text."""
    topics = [(topic, sorted(partitions)) for topic, partitions in sorted(wanted.items())]
    answer = await admin._send_to_controller(_ElectPreferredLeaders(topics, 10_000))
    return [
        f"{topic}/{number}: {text or for_code(code).__name__}"
        for topic, partitions in answer.results for number, code, text in partitions
        if code not in (0, _ELECTION_NOT_NEEDED)
    ]


async def stop_consumer(consumer: Any, within: float) -> None:
    """Stops a consumer, or gives up after so many seconds. One that is about to try a fetch again when it is stopped
    (aiokafka 0.14.0) raises the cancellation of its own task, which is nobody else's.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    await asyncio.wait({stopping}, timeout=within)
    if not stopping.done():
        stopping.cancel()
        await asyncio.wait({stopping}, timeout=within)
    if stopping.done() and not stopping.cancelled():
        stopping.exception()  # a broker that is away: what is left of the client goes with it
