"""Exactly once, as a user runs it: a venue that goes on while nobody listens, kill -9, a reader that is not ours."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from tests.integration.test_run import started
from tests.servers import Broker, Registry, SharedBroker, SharedRegistry
from tests.support.committed import Follower, committed, plain
from tests.support.tape_venue import SYMBOLS, connector_file, latest, tape_venue

pytestmark = pytest.mark.kafka

NameTopic = Callable[[str], str]
TRADES = "market.crypto.trades.tape"
GAPS = "market.crypto.gaps.tape"


class Setting:
    """A connector of the venue and its topics, which are this test's."""

    def __init__(
        self, broker: SharedBroker | Broker, registry: SharedRegistry | Registry, prefix: str, folder: Path, port: int,
        history: bool, **variables: str,
    ) -> None:
        self.processes: list[subprocess.Popen[str]] = []
        self.broker = broker
        self.prefix = prefix
        self._follower = Follower(broker.bootstrap, prefix + TRADES)
        self._admin = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0})
        self._seen: dict[str, set[int]] = {symbol: set() for symbol in by_symbol([])}
        self._history = history
        self.folder = folder
        self.spec = connector_file(folder, port, history)
        self.variables = {
            "K2_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "K2_KAFKA_SCHEMA_REGISTRY_URL": registry.url,
            "K2_KAFKA_CREATE_TOPICS": "true", "K2_KAFKA_PARTITIONS": "3", "K2_KAFKA_TOPIC_PREFIX": prefix,
            "K2_KAFKA_TRANSACTIONAL_ID": prefix, "K2_KAFKA_STATE_PARTITIONS": "2", "K2_KAFKA_COMMIT_MS": "50",
            "K2_SPOOL_FOLDER": str(folder / "spool"), **variables,
        }

    def start(self) -> subprocess.Popen[str]:
        process = started(self.folder, self.spec, "--port", 0, "--sink", "kafka", **self.variables)
        self.processes.append(process)
        return process

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()
        self._follower.close()

    def committed(self, topic: str) -> list[dict[str, object]]:
        return plain(committed(self.broker.bootstrap, self.prefix + topic), "gap" if topic == GAPS else "trade")

    def ends(self, committed_only: bool = False) -> list[int]:
        """Where the partitions of trades end now, transactions that are not committed included or not."""
        level = IsolationLevel.READ_COMMITTED if committed_only else IsolationLevel.READ_UNCOMMITTED
        asked = {TopicPartition(self.prefix + TRADES, number): OffsetSpec.latest() for number in range(3)}
        found = self._admin.list_offsets(asked, isolation_level=level)
        return [int(one.result(60).offset) for one in found.values()]

    def wait_for_trade(self, number: int, within: float = 180) -> None:
        """Until this trade of each symbol, or a later one, is committed."""
        end = time.monotonic() + within
        while min(max(numbers, default=0) for numbers in self._seen.values()) < number:
            assert time.monotonic() < end, f"trade {number} did not come"
            self._follow()

    def wait_for_all(self, within: float = 180) -> None:
        """Until each trade since the first one is committed, or in the books of gaps where no history has it."""
        end = time.monotonic() + within
        while missing := self._missing():
            assert time.monotonic() < end, f"these did not come: {missing}"
            self._follow()

    def _missing(self) -> dict[str, set[int]]:
        found = {symbol: set(range(min(numbers), max(numbers))) - numbers for symbol, numbers in self._seen.items()}
        if not self._history:
            books = self.committed(GAPS)
            found = {symbol: numbers - named(books, symbol) for symbol, numbers in found.items()}
        return {symbol: numbers for symbol, numbers in found.items() if numbers}

    def _follow(self) -> None:
        for symbol, numbers in by_symbol(plain(self._follower.new(), "trade")).items():
            self._seen[symbol].update(numbers)


def by_symbol(records: list[dict[str, object]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {symbol.replace("-", ""): [] for symbol in SYMBOLS}
    for record in records:
        found[str(record["symbol"])].append(int(str(record["source_sequence"])))
    return found


def stopped(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return said


def killed_again_and_again(setting: Setting, port: int, times: int) -> None:
    """Runs of a random length, each ended by kill -9, and a last one that is stopped in order."""
    chance = random.Random(1)
    for _ in range(times):
        process = setting.start()
        setting.wait_for_trade(latest(port) + 1)
        time.sleep(chance.uniform(0.0, 1.0))
        process.kill()
        process.communicate()
    process = setting.start()
    setting.wait_for_trade(latest(port) + 1)
    setting.wait_for_all()  # after the grace of gaps, and their backfill
    stopped(process)


def assert_each_once(setting: Setting) -> dict[str, list[int]]:
    trades = setting.committed(TRADES)
    ids = Counter(str(record["message_id"]) for record in trades)
    assert [identity for identity, count in ids.items() if count > 1] == []
    numbers = by_symbol(trades)
    for found in numbers.values():
        assert len(found) == len(set(found))
    return numbers


Made = Callable[..., Setting]


@pytest.fixture
def made(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> Iterator[Made]:
    """Makes a setting; its processes end with the test."""
    settings: list[Setting] = []

    def make(port: int, history: bool = True, **variables: str) -> Setting:
        delivery = {"K2_KAFKA_DELIVERY": "exactly-once"}
        settings.append(Setting(broker, registry, kafka_topic(""), tmp_path, port, history, **delivery | variables))
        return settings[-1]

    yield make
    for setting in settings:
        setting.end()


def test_killed_and_killed_again_each_trade_is_there_once_and_none_is_missing(made: Made) -> None:
    with tape_venue(150) as port:
        setting = made(port)
        killed_again_and_again(setting, port, 3)
    for found in assert_each_once(setting).values():
        assert sorted(found) == list(range(min(found), max(found) + 1))


def test_killed_in_the_middle_of_a_transaction_nothing_of_it_is_there(made: Made) -> None:
    """A process dies as soon as a batch of it stands in the topic, which is some milliseconds before its commit. Where
    batches were not marked as a transaction's, readers would have them, and once more from the next process.
    """
    with tape_venue(150) as port:
        setting = made(port, K2_KAFKA_COMMIT_MS="500")
        unfinished = 0
        for _ in range(12):
            process = setting.start()
            setting.wait_for_trade(latest(port) + 1)
            before = setting.ends()
            while (now := setting.ends()) == before:
                time.sleep(0.0005)
            process.kill()
            process.communicate()
            unfinished += setting.ends(committed_only=True) != now
            if unfinished == 3:
                break
        assert unfinished == 3, "no process was killed before its commit, or its batches count as committed without one"
        process = setting.start()
        setting.wait_for_trade(latest(port) + 1)
        setting.wait_for_all()  # after the grace of gaps, and their backfill
        stopped(process)
    for found in assert_each_once(setting).values():
        assert sorted(found) == list(range(min(found), max(found) + 1))


def test_without_history_what_was_missed_is_in_the_books(made: Made) -> None:
    with tape_venue(150) as port:
        setting = made(port, history=False)
        killed_again_and_again(setting, port, 2)
    books = setting.committed(GAPS)
    assert len({record["message_id"] for record in books}) == len(books)
    for symbol, found in assert_each_once(setting).items():
        missing = set(range(min(found), max(found) + 1)) - set(found)
        assert missing == named(books, symbol) != set()


def named(books: list[dict[str, object]], symbol: str) -> set[int]:
    """The numbers that the books of gaps say are missing."""
    return {
        number for record in books if record["symbol"] == symbol and record["status"] == "OPEN"
        for number in range(int(str(record["first_sequence"])), int(str(record["last_sequence"])) + 1)
    }


@pytest.mark.deploy
def test_at_least_once_with_its_state_in_kafka_repeats_only_what_was_in_flight(made: Made) -> None:
    with tape_venue(150) as port:
        setting = made(port, K2_KAFKA_DELIVERY="at-least-once", K2_STATE="kafka")
        killed_again_and_again(setting, port, 2)
    trades = setting.committed(TRADES)
    ids = Counter(str(record["message_id"]) for record in trades)
    for found in by_symbol(trades).values():
        assert set(found) == set(range(min(found), max(found) + 1))
    # Each kill repeats at most what came since the last state, two commits ago at worst; without a state the whole
    # snapshot would come again, too.
    assert sum(count - 1 for count in ids.values()) < 3 * 2 * 150 * 2


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_a_stop_in_order_leaves_nothing_to_repeat(made: Made, delivery: str) -> None:
    with tape_venue(50) as port:
        setting = made(port, K2_KAFKA_DELIVERY=delivery, K2_STATE="kafka")
        for _ in range(2):
            process = setting.start()
            setting.wait_for_trade(latest(port) + 1)
            stopped(process)
    assert_each_once(setting)


@pytest.mark.deploy
def test_an_outage_beyond_the_transaction_timeout_is_outlived_by_way_of_the_spool(
    own_broker: Broker, own_registry: Registry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    """The broker is killed, and frozen; then the process is, in the middle of a transaction more often than not."""
    with tape_venue(300) as port:
        setting = Setting(
            own_broker, own_registry, kafka_topic(""), tmp_path, port, True, K2_KAFKA_DELIVERY="exactly-once",
            K2_KAFKA_TRANSACTION_TIMEOUT_MS="1000", K2_KAFKA_COMMIT_MS="50", K2_KAFKA_DELIVERY_TIMEOUT_MS="4000",
            K2_KAFKA_REQUEST_TIMEOUT_MS="3000",
        )
        try:
            process = setting.start()
            setting.wait_for_trade(latest(port) + 1)
            own_broker.kill()
            time.sleep(8)
            own_broker.start()
            setting.wait_for_trade(latest(port))
            own_broker.pause()
            time.sleep(8)
            own_broker.resume()
            setting.wait_for_trade(latest(port))
            for _ in range(3):
                process.send_signal(signal.SIGSTOP)
                time.sleep(2.5)
                process.send_signal(signal.SIGCONT)
                setting.wait_for_trade(latest(port))
            said = stopped(process)
            assert "spooling to" in said
            for found in assert_each_once(setting).values():
                assert sorted(found) == list(range(min(found), max(found) + 1))
        finally:
            setting.end()


@pytest.mark.deploy
def test_what_a_killed_process_left_in_the_spool_goes_out_before_anything_else(
    own_broker: Broker, own_registry: Registry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    """Without history: what was read during the outage is on the disk only."""
    with tape_venue(100) as port:
        setting = Setting(
            own_broker, own_registry, kafka_topic(""), tmp_path, port, False, K2_KAFKA_DELIVERY="exactly-once",
            K2_KAFKA_TRANSACTION_TIMEOUT_MS="1000",
        )
        try:
            process = setting.start()
            setting.wait_for_trade(latest(port) + 1)
            own_broker.kill()
            time.sleep(9)  # by then it spools
            began, ended = latest(port) - 200, latest(port) - 100
            process.kill()
            process.communicate()
            own_broker.start()
            process = setting.start()
            setting.wait_for_trade(latest(port))
            time.sleep(3)  # the grace of gaps
            said = stopped(process)
        finally:
            setting.end()
    assert "go out first" in said
    books = setting.committed(GAPS)
    for symbol, found in assert_each_once(setting).items():
        assert set(range(began, ended)) <= set(found)
        assert set(range(min(found), max(found) + 1)) - set(found) == named(books, symbol) != set()
