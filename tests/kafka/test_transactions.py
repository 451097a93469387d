"""Transactions of the exactly-once sink against a real broker: where they are known to go wrong."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer as StrangersProducer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from k2conn.envelope import Envelope
from k2conn.errors import SinkError, Unreachable
from k2conn.sinks.journal import Border, border_key, border_value, entry
from k2conn.sinks.kafka.exactly_once import ExactlyOnceSink, Fenced
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.kafka.state_reader import read_journal
from k2conn.sinks.kafka.transactions import LEAST_REQUEST_MS, TransactionalProducer
from k2conn.sinks.settings import SinkSettings
from tests.integration.test_run import started
from tests.kafka.test_sink import create
from tests.servers import Broker, SharedBroker, SharedRegistry
from tests.support.committed import committed, plain
from tests.support.sinks import Book, dead, trade
from tests.support.tape_venue import connector_file, tape_venue

pytestmark = pytest.mark.kafka

NameTopic = Callable[[str], str]


class Place:
    """A topic for records and one for state, which are this test's."""

    def __init__(self, broker: SharedBroker | Broker, registry: SharedRegistry, name: NameTopic) -> None:
        self.broker = broker
        self.topic = name("trades")
        self.state = name("state")
        self.given: dict[str, Any] = {
            "bootstrap": broker.bootstrap, "registry_url": registry.url, "delivery": "exactly-once",
            "state_topic": self.state, "state_partitions": 2, "transactional_id": self.state, "create_topics": True,
            "partitions": 2,
        }

    def settings(self, **given: Any) -> KafkaSettings:
        return KafkaSettings(**self.given | given)

    def numbers(self) -> list[int]:
        """The numbers of the committed trades, as often as each is there."""
        return sorted(int(str(one["source_sequence"])) for one in plain(committed(self.broker.bootstrap, self.topic),
                                                                        "trade"))


@pytest.fixture
def place(broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic) -> Place:
    return Place(broker, registry, kafka_topic)


class Bordered:
    """A sink, and borders as the journal puts them."""

    def __init__(self, settings: KafkaSettings, book: Book) -> None:
        self.book = book
        self.settings = settings
        self._number = 0
        self.sink = ExactlyOnceSink(SinkSettings(options=settings), book.settle, self._reject)

    def _reject(self, envelope: Envelope, reason: str) -> None:
        self.book.reject(envelope, reason)
        self.sink.put(dead(1, f"{envelope.topic}.dlq"))

    def put(self, *envelopes: Envelope, border: bool = True) -> None:
        self.sink.put_all(envelopes)
        if border:
            self._number += 1
            value = border_value(Border(self.settings.incarnation, self._number))
            self.sink.put(entry(self.settings.state_topic, border_key(self.settings.unit), value, 1_767_323_045_678))


def drive(settings: KafkaSettings, work: Callable[[Bordered], Awaitable[object]], book: Book | None = None) -> Book:
    """Runs ``work`` on an open sink."""
    found = book or Book()

    async def run() -> None:
        bordered = Bordered(settings, found)
        await bordered.sink.open()
        try:
            await work(bordered)
        finally:
            await bordered.sink.close()

    asyncio.run(run())
    return found


# -- what is committed


def test_nothing_is_there_before_its_border_and_all_behind_it_in_order(place: Place) -> None:
    async def work(bordered: Bordered) -> None:
        bordered.put(*(trade(number, place.topic) for number in range(5)), border=False)
        assert await bordered.sink.flush(1.0) == 5
        assert not bordered.book.settled
        assert place.numbers() == []
        bordered.put(trade(5, place.topic))
        assert await bordered.sink.flush(60) == 0
        assert place.numbers() == list(range(6))

    book = drive(place.settings(), work)
    assert [one.topic for one in book.settled] == [place.topic] * 6 + [place.state]


def test_transactions_one_behind_the_other_meet_no_failure(place: Place) -> None:
    """The broker is still writing the marks of the last one when the next begins (CONCURRENT_TRANSACTIONS)."""
    async def work(bordered: Bordered) -> None:
        for number in range(40):
            bordered.put(trade(number, place.topic))
            assert await bordered.sink.flush(60) == 0
        status = bordered.sink.status()
        assert (status["transactions"], status["failed_transactions"]) == (40, 0)

    drive(place.settings(), work)
    assert place.numbers() == list(range(40))


def test_what_comes_while_a_transaction_is_sent_waits_for_the_next(place: Place) -> None:
    """Many batches of each partition, and puts at every turn of the loop: none may meet the commit."""
    async def work(bordered: Bordered) -> None:
        bordered.put(*(trade(number, place.topic, f"S{number % 7}") for number in range(3000)))
        for number in range(3000, 3300):
            bordered.put(trade(number, place.topic, f"S{number % 7}"), border=number % 50 == 49)
            await asyncio.sleep(0)
        assert await bordered.sink.flush(60) == 0
        assert bordered.sink.status()["failed_transactions"] == 0

    drive(place.settings(batch_bytes=8192), work)
    assert place.numbers() == list(range(3300))


def test_a_record_that_is_refused_becomes_a_dead_letter_of_the_same_transaction(place: Place) -> None:
    """The broker refuses a batch: it must not be committed without it, and its partition needs another producer."""
    create(place.broker, place.topic, 2, **{"max.message.bytes": "2000"})

    async def work(bordered: Bordered) -> None:
        large = trade(7, place.topic, vendor_data={"x": "".join(uuid.uuid4().hex for _ in range(200))})
        bordered.put(*(trade(number, place.topic) for number in range(7)), large, trade(8, place.topic))
        bordered.put(trade(9, place.topic))
        assert await bordered.sink.flush(60) == 0
        assert bordered.sink.status()["failed_transactions"] > 0

    book = drive(place.settings(), work)
    assert [reason for _, reason in book.rejected] == ["record-too-large"]
    assert place.numbers() == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert len(committed(place.broker.bootstrap, f"{place.topic}.dlq")) == 1


def test_a_record_too_large_for_any_broker_never_leaves(place: Place) -> None:
    async def work(bordered: Bordered) -> None:
        bordered.put(trade(1, place.topic), trade(2, place.topic, vendor_data={"x": "x" * 30_000}))
        assert await bordered.sink.flush(60) == 0
        assert bordered.sink.status()["failed_transactions"] == 0

    drive(place.settings(max_request_bytes=20_000, batch_bytes=10_000), work)
    assert place.numbers() == [1]
    assert len(committed(place.broker.bootstrap, f"{place.topic}.dlq")) == 1


# -- answers that are lost


def test_a_commit_whose_answer_is_lost_is_looked_up_and_not_made_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, lost = TransactionalProducer.commit, []

    async def without_answer(self: TransactionalProducer, *words: Any) -> None:
        await commit(self, *words)
        if len(lost) < 3 and any(topic.name == place.topic for topic in words[0]):
            lost.append(1)
            raise_lost()

    monkeypatch.setattr(TransactionalProducer, "commit", without_answer)

    async def work(bordered: Bordered) -> None:
        for number in range(6):
            bordered.put(trade(number, place.topic))
            assert await bordered.sink.flush(60) == 0
        assert bordered.sink.status()["failed_transactions"] == 3

    drive(place.settings(), work)
    assert place.numbers() == list(range(6))


def raise_lost() -> None:
    from k2conn.sinks.kafka.transactions import TransactionError

    raise TransactionError("the answer was lost")


def test_a_sink_that_is_closed_in_the_middle_of_a_transaction_leaves_nothing_of_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To stop a producer aborts nothing: the next one of the id does, before it reads what is committed."""
    async def first(bordered: Bordered) -> None:
        bordered.put(trade(0, place.topic))
        assert await bordered.sink.flush(60) == 0
        with monkeypatch.context() as patch:
            patch.setattr("aiokafka.AIOKafkaProducer.commit_transaction", lambda self: asyncio.sleep(60))
            bordered.put(trade(1, place.topic))
            assert await bordered.sink.flush(1.5) > 0
            assert place.numbers() == [0]

    async def second(bordered: Bordered) -> None:
        bordered.put(trade(2, place.topic))
        assert await bordered.sink.flush(60) == 0

    drive(place.settings(), first)
    began = time.monotonic()
    drive(place.settings(), second)
    assert time.monotonic() - began < 30  # not only once the broker's transaction timeout is over
    assert place.numbers() == [0, 2]


def test_what_another_process_still_commits_is_waited_for(place: Place) -> None:
    """The end of the state topic is asked for as it is; as the end of what is committed, it would leave this out."""
    drive(place.settings(), lambda bordered: asyncio.sleep(0))
    stranger = StrangersProducer({"bootstrap.servers": place.broker.bootstrap, "transactional.id": f"{place.state}.x"})
    stranger.init_transactions(20)
    stranger.begin_transaction()
    stranger.produce(place.state, key='["connector","other"]', value='{"v":1}', partition=0)
    stranger.flush(20)

    async def reading() -> Any:
        task = asyncio.create_task(read_journal(place.settings()))
        await asyncio.sleep(2)
        assert not task.done()
        await asyncio.to_thread(stranger.commit_transaction, 20)
        return await task

    assert [["connector", "other"], {"v": 1}] in [list(one) for one in asyncio.run(reading())]


def test_requests_may_take_a_minute_whatever_is_set() -> None:
    async def main() -> int:
        producer = TransactionalProducer(KafkaSettings(request_timeout_ms=3000, transactional_id="x"))
        await producer.stop()
        return int(producer._client._request_timeout_ms)

    assert asyncio.run(main()) == LEAST_REQUEST_MS


# -- who may write


def test_who_starts_later_under_the_same_id_ends_who_is_at_work(place: Place) -> None:
    async def work(bordered: Bordered) -> None:
        bordered.put(trade(0, place.topic))
        assert await bordered.sink.flush(60) == 0
        later = Bordered(place.settings(), Book())
        await later.sink.open()
        try:
            bordered.put(trade(1, place.topic))
            with pytest.raises(Fenced, match="another process has taken over the transactional id"):
                await bordered.sink.flush(30)
            assert bordered.sink.crowded
            assert not bordered.sink.status()["reachable"]
            later.put(trade(2, place.topic))
            assert await later.sink.flush(60) == 0
            assert later.sink.status()["failed_transactions"] == 0
        finally:
            await later.sink.close()

    drive(place.settings(), work)
    assert place.numbers() == [0, 2]


def test_slots_do_not_end_each_other(place: Place) -> None:
    async def work(bordered: Bordered) -> None:
        other = Bordered(place.settings(slot=1), Book())
        await other.sink.open()
        try:
            for number in range(0, 10, 2):
                bordered.put(trade(number, place.topic))
                other.put(trade(number + 1, place.topic))
                assert await bordered.sink.flush(20) == await other.sink.flush(60) == 0
        finally:
            await other.sink.close()

    drive(place.settings(), work)
    assert place.numbers() == list(range(10))
    for slot in (0, 1):
        kinds = [key[:2] for key, _ in asyncio.run(read_journal(place.settings(slot=slot)))]
        assert sorted(kinds) == [["border", f"{place.state}-{slot}"], ["owner", f"{place.state}-{slot}"]]


def test_a_process_whose_id_is_taken_ends_with_its_name(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    own = kafka_topic("x")
    variables = {
        "K2_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "K2_KAFKA_SCHEMA_REGISTRY_URL": registry.url,
        "K2_KAFKA_CREATE_TOPICS": "true", "K2_KAFKA_TOPIC_PREFIX": own, "K2_KAFKA_TRANSACTIONAL_ID": own,
        "K2_KAFKA_STATE_PARTITIONS": "2", "K2_KAFKA_DELIVERY": "exactly-once",
    }
    with tape_venue(50) as port:
        spec = connector_file(tmp_path, port, False)
        processes: list[subprocess.Popen[str]] = []
        try:
            for name in ("first", "second"):
                folder = tmp_path / name
                folder.mkdir()
                processes.append(started(folder, spec, "--port", 0, "--sink", "kafka", **variables))
                end = time.monotonic() + 60
                while not committed(broker.bootstrap, f"{own}market.crypto.trades.tape"):
                    assert time.monotonic() < end
                    time.sleep(0.2)
            try:
                _, said = processes[0].communicate(timeout=60)
            except subprocess.TimeoutExpired:
                for process in processes:
                    process.kill()
                both = "\n\nThe second:\n".join(one.communicate()[1] for one in processes)
                pytest.fail(f"the first did not end:\n{both}")
            assert processes[0].returncode == 69, said
            assert f"another process has taken over the transactional id {own}-0" in said
            assert processes[1].poll() is None
        finally:
            for process in processes:
                process.kill()
                process.communicate()


# -- what is refused


@pytest.mark.parametrize(
    ("partitions", "config", "told"),
    [
        (2, {"cleanup.policy": "delete"}, "cleanup.policy is delete"),
        (2, {"cleanup.policy": "compact,delete"}, "cleanup.policy is compact,delete"),
        (3, {"cleanup.policy": "compact"}, "it has 3 partitions, and K2_KAFKA_STATE_PARTITIONS is 2"),
    ],
)
def test_a_state_topic_of_another_shape_is_refused_and_left_as_it_is(
    place: Place, partitions: int, config: dict[str, str], told: str
) -> None:
    create(place.broker, place.state, partitions, **config)
    with pytest.raises(SinkError, match=told):
        drive(place.settings(), lambda bordered: asyncio.sleep(0))
    known = AdminClient({"bootstrap.servers": place.broker.bootstrap}).list_topics(timeout=20).topics
    assert len(known[place.state].partitions) == partitions
    assert committed(place.broker.bootstrap, place.state) == []


def test_a_state_of_a_later_version_is_refused_with_its_place(place: Place) -> None:
    drive(place.settings(), lambda bordered: asyncio.sleep(0))
    stranger = StrangersProducer({"bootstrap.servers": place.broker.bootstrap})
    value = json.dumps({"v": 2, "incarnation": "x", "number": 1})
    stranger.produce(place.state, key=json.dumps(["border", f"{place.state}-0"], separators=(",", ":")), value=value,
                     partition=0)
    stranger.flush(20)
    with pytest.raises(SinkError, match=r"a border has version 2, and this k2conn reads 1"):
        drive(place.settings(), lambda bordered: asyncio.sleep(0))


@pytest.fixture(scope="module")
def strict_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with rights, where everybody may do what nothing is said of."""
    rights = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    with Broker(tmp_path_factory.mktemp("strict"), rights, heap=192) as broker:
        yield broker


@pytest.mark.parametrize(
    ("kind", "operation", "told"),
    [
        (ResourceType.TRANSACTIONAL_ID, AclOperation.WRITE, "right to Write and Describe on transactional id"),
        (ResourceType.TOPIC, AclOperation.WRITE, "right to Describe, DescribeConfigs, Read and Write on topic"),
        (ResourceType.TOPIC, AclOperation.DESCRIBE_CONFIGS, "right to Describe, DescribeConfigs, Read and Write"),
        (ResourceType.TOPIC, AclOperation.READ, "right to Describe, DescribeConfigs, Read and Write on topic"),
    ],
)
def test_a_right_that_is_missing_is_named(
    strict_broker: Broker, registry: SharedRegistry, kafka_topic: NameTopic, kind: Any, operation: Any, told: str
) -> None:
    place = Place(strict_broker, registry, kafka_topic)
    create(strict_broker, place.state, 2, **{"cleanup.policy": "compact"})
    admin = AdminClient({"bootstrap.servers": strict_broker.bootstrap})
    name = place.state if kind == ResourceType.TOPIC else f"{place.state}-0"
    denied = AclBinding(kind, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", operation,
                        AclPermissionType.DENY)
    allowed = AclBinding(kind, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", AclOperation.ALL,
                         AclPermissionType.ALLOW)
    for made in admin.create_acls([denied, allowed]).values():
        made.result(20)
    settings = place.settings(open_timeout=8)
    with pytest.raises(Unreachable, match=told) as refused:
        drive(settings, lambda bordered: read_journal(settings))
    assert refused.value.exit_code == 69
    assert name in str(refused.value)


@pytest.mark.deploy
def test_a_member_of_a_group_that_may_make_no_transactions_ends_with_the_name_of_the_right(
    strict_broker: Broker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    prefix = kafka_topic("g")
    admin = AdminClient({"bootstrap.servers": strict_broker.bootstrap})
    denied = AclBinding(ResourceType.TRANSACTIONAL_ID, f"k2conn.group.{prefix}", ResourcePatternType.PREFIXED,
                        "User:ANONYMOUS", "*", AclOperation.WRITE, AclPermissionType.DENY)
    for made in admin.create_acls([denied]).values():
        made.result(20)
    with tape_venue(5) as port:
        process = started(
            tmp_path, connector_file(tmp_path, port, False), "--sink", "kafka", "--port", 0, "--group", "g",
            K2_KAFKA_BOOTSTRAP_SERVERS=strict_broker.bootstrap, K2_KAFKA_SCHEMA_REGISTRY_URL=registry.url,
            K2_KAFKA_TOPIC_PREFIX=prefix, K2_KAFKA_DELIVERY="exactly-once", K2_GROUP_INSTANCE_ID="m",
            K2_GROUP_SLOTS="2",
        )
        _, said = process.communicate(timeout=120)
    assert process.returncode == 69, said
    assert f"the right to Write and Describe on transactional id k2conn.group.{prefix}g.m-0 is missing" in said
