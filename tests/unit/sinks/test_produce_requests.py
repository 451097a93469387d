"""Produce requests of our own: what is written, what an answer does, and that all that goes wrong is aiokafka's."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.client import ConnectionGroup
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError, ProducerClosed
from aiokafka.protocol.metadata import MetadataResponse_v1
from aiokafka.protocol.produce import ProduceResponse_v7
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from k2conn.compat.aiokafka import Batch, Exchange, Leaders
from k2conn.sinks.kafka.acknowledgement import Acknowledgement
from k2conn.sinks.kafka.produce_requests import ProduceRequests, outcomes
from k2conn.sinks.kafka.settings import KafkaSettings
from tests.support.produce_requests import read_request

NODE = 7
PRODUCER_ID, EPOCH = 4_000_000_001, 3
NOT_LEADER, TOO_LARGE = 6, 10


class Bench:
    """A producer of aiokafka that knows a topic of three partitions and has a connection to their leader, which keeps
    what is written on it. Its own sender does not run: what is left to it waits.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = KafkaSettings(compression="none", **settings)
        self.producer = AIOKafkaProducer(enable_idempotence=self.settings.idempotent, acks="all")
        if self.settings.idempotent:
            self.producer._txn_manager.set_pid_and_epoch(PRODUCER_ID, EPOCH)
        partitions = [(0, number, NODE, [NODE], [NODE]) for number in range(3)]
        self.producer.client.cluster.update_metadata(
            MetadataResponse_v1([(NODE, "localhost", 1, None)], NODE, [(0, "t", False, partitions)])
        )
        self.sent: list[bytes] = []
        self.connection = AIOKafkaConnection("localhost", 1, client_id="aiokafka's")
        self.connection._reader, self.connection._writer = self, self
        self.connection._protocol = self
        self.transport = self
        self.protocol: Any = None
        """Who takes what the broker says."""
        self.connection._read_task = asyncio.get_running_loop().create_future()
        self.connection._versions = {0: (3, 9)}
        self.producer.client._conns[NODE, ConnectionGroup.DEFAULT] = self.connection
        self.requests = ProduceRequests(self.producer, self.settings)
        self.eof = False
        self.closed = asyncio.Event()

    # what a connection asks of its reader and writer

    def at_eof(self) -> bool:
        return self.eof

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.eof = True
        self.closed.set()

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    # what the tests do

    def batch(self, *values: bytes) -> Batch:
        made = Batch(self.settings.batch_bytes, self.settings.compression)
        for value in values:
            made.append(timestamp=1, key=b"k", value=value)
        made.close()
        return made

    def take(self, partition: int, *values: bytes) -> Acknowledgement:
        taken = self.requests.take("t", partition, self.batch(*values))
        assert taken is not None
        return taken

    def answer(self, *codes: tuple[int, int], topic: str = "t") -> None:
        """The broker's, to the oldest request: (partition, error code)."""
        rows = [(partition, code, 100, -1, 0) for partition, code in codes]
        self.say(self.number() + ProduceResponse_v7([(topic, rows)], 0).encode())

    def say(self, answer: bytes, *cuts: int) -> None:
        """An answer as the socket brings it: in pieces that end at ``cuts``."""
        data = len(answer).to_bytes(4, "big") + answer
        for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
            self.protocol.data_received(data[start:end])

    def number(self) -> bytes:
        """Of the oldest request, as an answer begins."""
        number: int = self.connection._requests[0][0]
        return number.to_bytes(4, "big")

    def left(self) -> dict[int, Any]:
        """The batches that aiokafka is to send, by partition."""
        batches = self.producer._message_accumulator._batches
        return {where.partition: one for where, (one,) in batches.items()}

    def pop(self, partition: int) -> Any:
        """As aiokafka's sender takes one."""
        return self.producer._message_accumulator._pop_batch(TopicPartition("t", partition))


def on_bench(work: Callable[[Bench], Coroutine[Any, Any, None]], **settings: Any) -> None:
    async def main() -> None:
        bench = Bench(**settings)
        try:
            await work(bench)
        finally:
            bench.connection.close()
            bench.producer.client._conns.clear()
            await bench.producer.stop()

    asyncio.run(main())


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def records(data: bytes) -> tuple[Any, list[bytes]]:
    batch = MemoryRecords(data).next_batch()
    return batch, [record.value for record in batch]


def test_the_batches_of_a_turn_are_one_request() -> None:
    async def work(bench: Bench) -> None:
        first, second = bench.take(0, b"a", b"b"), bench.take(2, b"c")
        assert not bench.sent
        await turn()
        (sent,) = bench.sent
        request = read_request(sent)
        assert (request.transactional_id, request.required_acks, request.timeout) == (None, -1, 30_000)
        ((topic, partitions),) = request.topics
        assert topic == "t"
        found = {number: records(data) for number, data in partitions}
        assert {number: values for number, (_, values) in found.items()} == {0: [b"a", b"b"], 2: [b"c"]}
        assert all(batch.producer_id == PRODUCER_ID and batch.producer_epoch == EPOCH for batch, _ in found.values())
        bench.answer((0, 0), (2, 0))
        assert first.done()
        assert second.done()
        assert first.exception() is None
        assert not bench.left()
        assert not bench.connection._requests

    on_bench(work)


def test_numbers_go_on_from_batch_to_batch_in_each_partition() -> None:
    async def work(bench: Bench) -> None:
        for _ in range(2):
            bench.take(0, b"a", b"b", b"c"), bench.take(1, b"d")
            await turn()
            bench.answer((0, 0), (1, 0))
        found = [{number: records(data)[0].base_sequence for number, data in read_request(sent).topics[0][1]}
                 for sent in bench.sent]
        assert found == [{0: 0, 1: 0}, {0: 3, 1: 1}]
        assert bench.producer._txn_manager.sequence_number(TopicPartition("t", 0)) == 6

    on_bench(work)


@pytest.mark.parametrize("idempotent", [True, False])
def test_what_a_broker_refuses_is_sent_again_by_aiokafka_as_it_was(idempotent: bool) -> None:
    async def work(bench: Bench) -> None:
        good, bad = bench.take(0, b"a"), bench.take(1, b"b")
        await turn()
        sent = dict(read_request(bench.sent[0]).topics[0][1])
        bench.answer((0, 0), (1, NOT_LEADER))
        await turn()
        assert good.done()
        assert not bad.done()
        assert bench.left().keys() == {1}
        again = bench.pop(1)
        assert bytes(again.get_data_buffer()) == bytes(sent[1]), "another number, or another batch"
        again.done(100)
        await turn()
        assert bad.done()
        assert bad.exception() is None
        assert not bench.producer._message_accumulator._pending_batches

    on_bench(work, idempotent=idempotent, acks="all")


def test_what_aiokafka_fails_in_fails() -> None:
    async def work(bench: Bench) -> None:
        bad = bench.take(1, b"b")
        await turn()
        bench.answer((1, TOO_LARGE))
        error = KafkaConnectionError("whatever it says")
        bench.pop(1).failure(error)
        await turn()
        assert bad.exception() is error

    on_bench(work)


@pytest.mark.parametrize("nonsense", [b"", b"\xff" * 40, b"\x7f\xff\xff\xff", (1).to_bytes(4, "big") + b"\x00\x09t",
                                      (1 << 30).to_bytes(4, "big") + b"\xff\xff" * 50])
def test_an_answer_without_sense_acknowledges_nothing(nonsense: bytes) -> None:
    assert outcomes(nonsense) == {}

    async def work(bench: Bench) -> None:
        sent = bench.take(0, b"a")
        await turn()
        bench.say(bench.number() + nonsense)
        assert not sent.done()
        assert bench.left().keys() == {0}

    on_bench(work)


def test_an_answer_about_something_else_acknowledges_nothing() -> None:
    async def work(bench: Bench) -> None:
        sent = bench.take(0, b"a")
        await turn()
        bench.answer((1, 0), (0, 0), topic="another")
        assert not sent.done()
        assert bench.left().keys() == {0}

    on_bench(work)


@pytest.mark.parametrize("how", ["closed", "answers out of step", "cannot be written", "uvloop: is closed"])
def test_what_was_under_way_on_a_connection_that_breaks_is_sent_again(how: str) -> None:
    async def work(bench: Bench) -> None:
        def fails(data: bytes) -> None:
            raise RuntimeError("the handler is closed") if how.startswith("uvloop") else ConnectionResetError()

        if how in ("cannot be written", "uvloop: is closed"):
            bench.write = fails  # type: ignore[method-assign]
        sent = bench.take(0, b"a")
        await turn()
        if how == "closed":
            bench.connection.close()
        elif how == "answers out of step":
            bench.say(b"\x00\x00\x77\x77" + bytes(8))
        assert not sent.done()
        assert bench.left().keys() == {0}
        assert bench.left()[0].retry_count == 1, "it would get a second number"
        assert bench.requests.take("t", 1, bench.batch(b"b")) is None, "the connection is gone"

    on_bench(work)


def test_a_request_without_an_answer_breaks_its_connection() -> None:
    async def work(bench: Bench) -> None:
        bench.take(0, b"a")
        await asyncio.wait_for(bench.closed.wait(), 60)
        assert bench.left().keys() == {0}

    on_bench(work, request_timeout_ms=20)


def test_an_answer_in_time_ends_the_watch() -> None:
    async def work(bench: Bench) -> None:
        bench.take(0, b"a")
        await turn()
        bench.answer((0, 0))
        await asyncio.sleep(0.1)
        assert not bench.closed.is_set()

    on_bench(work, request_timeout_ms=20)


@pytest.mark.parametrize("cuts", [(), (1,), (3, 4, 5), (4,), (20, 30), tuple(range(1, 30))])
def test_an_answer_comes_in_any_pieces(cuts: tuple[int, ...]) -> None:
    async def work(bench: Bench) -> None:
        first = bench.take(0, b"a")
        await turn()
        rows = [(0, 0, 100, -1, 0)]
        bench.say(bench.number() + ProduceResponse_v7([("t", rows)], 0).encode(), *cuts)
        assert first.done()
        second = bench.take(0, b"b")
        await turn()
        bench.answer((0, 0))
        assert second.done()
        assert not bench.closed.is_set()

    on_bench(work)


def test_answers_that_come_together_are_told_apart() -> None:
    async def work(bench: Bench) -> None:
        taken = [bench.take(0, b"a")]
        await turn()
        taken.append(bench.take(1, b"b"))
        await turn()
        said = b""
        for at, (number, _, _) in enumerate(list(bench.connection._requests)):
            answer = number.to_bytes(4, "big") + ProduceResponse_v7([("t", [(at, 0, 100, -1, 0)])], 0).encode()
            said += len(answer).to_bytes(4, "big") + answer
        bench.protocol.data_received(said)
        assert [one.done() for one in taken] == [True, True]

    on_bench(work)


@pytest.mark.parametrize("said", [b"\xff\xff\xff\xff", bytes(8)])
def test_an_answer_that_cannot_be_breaks_its_connection(said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def work(bench: Bench) -> None:
        sent = bench.take(0, b"a")
        await turn()
        bench.protocol.data_received(said)
        bench.protocol.data_received(bytes(100))  # nobody reads on
        assert bench.closed.is_set()
        assert not sent.done()
        assert bench.left().keys() == {0}

    on_bench(work)


def test_a_connection_in_the_middle_of_an_answer_keeps_its_own_reader_until_that_is_over() -> None:
    async def work(bench: Bench) -> None:
        bench.connection._requests.append((1, Exchange(lambda *_: None), asyncio.get_running_loop().create_future()))
        first = bench.take(0, b"a")
        await turn()
        assert bench.protocol is None
        del bench.connection._requests[0]
        bench.connection._handle_frame(bench.number() + ProduceResponse_v7([("t", [(0, 0, 1, -1, 0)])], 0).encode())
        assert first.done()
        bench.take(0, b"b")
        assert bench.protocol is not None

    on_bench(work)


def test_whoever_waits_for_a_batch_hears_of_it_at_once_and_his_bug_is_told() -> None:
    async def work(bench: Bench) -> None:
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(repr(context["exception"])))

        def fails(sent: Acknowledgement) -> None:
            told.append("heard")
            raise LookupError("a bug")

        bench.take(0, b"a").add_done_callback(fails)
        other = bench.take(1, b"b")
        await turn()
        bench.answer((0, 0), (1, 0))
        assert told == ["heard"]
        assert other.done(), "the bug is nobody else's"
        assert not bench.closed.is_set()
        await turn()
        assert told == ["heard", "LookupError('a bug')"]

    on_bench(work)


def test_a_leader_that_moved_is_not_sent_to_any_more() -> None:
    async def work(bench: Bench) -> None:
        bench.take(0, b"a")
        await turn()
        bench.answer((0, 0))
        partitions = [(0, number, NODE + 1, [NODE], [NODE]) for number in range(2)]
        bench.producer.client.cluster.update_metadata(
            MetadataResponse_v1([(NODE + 1, "localhost", 2, None)], NODE + 1, [(0, "t", False, partitions)])
        )
        assert bench.requests.take("t", 0, bench.batch(b"b")) is None, "there is no connection to the new leader"

    on_bench(work)


def test_one_timer_watches_all_requests() -> None:
    async def work(bench: Bench) -> None:
        timers: list[float] = []
        loop = asyncio.get_running_loop()
        call_later = loop.call_later

        def counted(delay: float, callback: Any, *rest: Any) -> asyncio.TimerHandle:
            timers.append(delay)
            return call_later(delay, callback, *rest)

        loop.call_later = counted  # type: ignore[method-assign, assignment]
        for _ in range(20):
            bench.take(0, b"a")
            await turn()
            bench.answer((0, 0))
        assert timers == [30.0]

    on_bench(work)


def test_a_connection_that_breaks_before_the_turn_ends_costs_no_number() -> None:
    async def work(bench: Bench) -> None:
        sent = bench.take(0, b"a")
        bench.eof = True
        await turn()
        assert not bench.sent
        again = bench.pop(0)  # as one that was never sent: it is numbered now
        batch, values = records(bytes(again.get_data_buffer()))
        assert (batch.base_sequence, batch.producer_id, values) == (0, PRODUCER_ID, [b"a"])
        again.done(0)
        await turn()
        assert sent.done()

    on_bench(work)


def test_a_producer_that_is_left_fails_what_it_had() -> None:
    async def work(bench: Bench) -> None:
        sent = bench.take(0, b"a")
        await turn()
        bench.producer._message_accumulator.fail_all(ProducerClosed())
        bench.connection.close()
        await turn()
        assert isinstance(sent.exception(), ProducerClosed)

    on_bench(work)


UNFIT: dict[str, Callable[[Bench], Any]] = {
    "no leader": lambda bench: bench.producer.client.cluster._partitions.clear(),
    "no connection": lambda bench: bench.producer.client._conns.clear(),
    "a connection at its end": lambda bench: setattr(bench, "eof", True),
    "a broker older than 2.1": lambda bench: bench.connection._versions.update({0: (0, 6)}),
    "a broker that has given the version up": lambda bench: bench.connection._versions.update({0: (8, 12)}),
    "no producer id": lambda bench: setattr(bench.producer._txn_manager, "_pid_and_epoch", type("", (), {"pid": -1})),
    "a transaction": lambda bench: setattr(bench.producer._txn_manager, "transactional_id", "t"),
    "a sender that failed": lambda bench: setattr(bench.producer._message_accumulator, "_exception", ProducerClosed()),
    "a connection of another kind": lambda bench: bench.producer.client._conns.update(
        {(NODE, ConnectionGroup.DEFAULT): deque()}),
}


@pytest.mark.parametrize("why", UNFIT)
def test_what_is_not_fit_is_not_taken(why: str) -> None:
    async def work(bench: Bench) -> None:
        UNFIT[why](bench)
        assert bench.requests.take("t", 0, bench.batch(b"a")) is None

    on_bench(work)


@pytest.mark.parametrize(("part", "name"), [("_message_accumulator", "_append_batch"), ("client", "_conns")])
def test_an_aiokafka_without_what_is_used_is_left_to_itself(
    part: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(bench: Bench) -> None:
        class Without:
            def __init__(self, whole: Any) -> None:
                self._whole = whole

            def __getattr__(self, asked: str) -> Any:
                if asked == name:
                    raise AttributeError(asked)
                return getattr(self._whole, asked)

        whole = getattr(bench.producer, part)
        setattr(bench.producer, part, Without(whole))
        try:
            requests = ProduceRequests(bench.producer, bench.settings)
            assert requests.take("t", 0, bench.batch(b"a")) is None
            assert f"this aiokafka has no {part}.{name};" in caplog.text
        finally:
            setattr(bench.producer, part, whole)

    on_bench(work)


def test_nothing_is_lacking_now() -> None:
    async def work(bench: Bench) -> None:
        assert Leaders(bench.producer).lacking == []
        assert bench.requests.take("t", 0, bench.batch(b"a")) is not None
        await turn()

    on_bench(work)
