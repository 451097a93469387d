"""Groups whose slots have their state with them: a venue that goes on while nobody listens, members that are killed,
frozen and restarted, and a reader of committed records that is not ours.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.tools.certify.committed_books import CommittedBooks
from tests.integration.test_console import looking
from tests.integration.test_health import get
from tests.integration.test_run import environment
from tests.integration.test_workers import timed
from tests.kafka.test_end_to_end import NameTopic
from tests.kafka.test_exactly_once import GAPS, TRADES, named
from tests.kafka.test_group import Member, Members, at_rest, until
from tests.servers import Broker, Registry, SharedBroker, SharedRegistry
from tests.servers.process import free_port
from tests.support.committed import Follower, committed, plain
from tests.support.tape_venue import connector_file, latest, tape_venue

pytestmark = pytest.mark.kafka

SYMBOLS = tuple(f"{base}-USD" for base in ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "LTC", "DOT"))
RATE = 40
SLOTS = 6


class Scene:
    """Members of one group, the venue that they share, and what is committed of it."""

    def __init__(self, members: Members, broker: SharedBroker | Broker, prefix: str, port: int) -> None:
        self.members = members
        self.port = port
        self._broker = broker
        self._prefix = prefix
        self._follower = Follower(broker.bootstrap, prefix + TRADES)
        self._latest = dict.fromkeys(map(written, SYMBOLS), 0)

    async def start(self, *names: str, **variables: str) -> list[Member]:
        return [await self.members.start(name, **variables) for name in names]

    async def caught_up(self, within: float = 120) -> None:
        """Until all that the venue has by now is committed, of every symbol."""
        number, end = await asyncio.to_thread(latest, self.port), time.monotonic() + within
        while min(self._latest.values()) < number:
            assert time.monotonic() < end, f"trade {number} did not come: {self._latest}"
            for record in plain(await asyncio.to_thread(self._follower.new), "trade"):
                symbol = str(record["symbol"])
                self._latest[symbol] = max(self._latest[symbol], int(str(record["source_sequence"])))

    def books(self, twice: bool = False) -> tuple[dict[str, list[int]], dict[str, set[int]]]:
        """Of each symbol the committed numbers in their order, and those that the books of gaps name as missing.
        ``twice``: some may be there again, under the same id.
        """
        trades = plain(committed(self._broker.bootstrap, self._prefix + TRADES), "trade")
        gaps = plain(committed(self._broker.bootstrap, self._prefix + GAPS), "gap")
        found: dict[str, list[int]] = {written(symbol): [] for symbol in SYMBOLS}
        fetched = 0
        for record in trades:
            found[str(record["symbol"])].append(int(str(record["source_sequence"])))
            fetched += "backfill" in str(record["vendor_data"])
        ids = [record["message_id"] for record in trades]
        again = len(ids) - len(set(ids))
        assert twice or not again, f"{again} of {len(ids)} ids are there more than once"
        numbers = {record["message_id"]: (record["symbol"], record["source_sequence"]) for record in trades}
        assert len(set(numbers.values())) == len(numbers), "one trade has two ids"
        assert twice or len({record["message_id"] for record in gaps}) == len(gaps)
        return found, {symbol: named(gaps, symbol) for symbol in found}

    async def filled(self, within: float = 180, twice: bool = False) -> None:
        """Until nothing is missing that history has."""
        end = time.monotonic() + within
        while holes(found := (await asyncio.to_thread(self.books, twice))[0]):
            assert time.monotonic() < end, holes(found)
            await asyncio.sleep(0.5)

    def close(self) -> None:
        self._follower.close()


def written(symbol: str) -> str:
    return symbol.replace("-", "")


@asynccontextmanager
async def scene_of(
    folder: Path, broker: SharedBroker | Broker, registry: SharedRegistry | Registry, prefix: str,
    history: bool = True, rate: int = RATE, **variables: str,
) -> AsyncIterator[Scene]:
    with tape_venue(rate) as port:
        file = connector_file(folder, port, history)
        members = Members(folder, {
            "K2_TAPE_SYMBOLS": ",".join(SYMBOLS), "K2_GROUP": "g", "K2_GROUP_SLOTS": str(SLOTS),
            "K2_GROUP_SESSION": "6s", "K2_KAFKA_TOPIC_PREFIX": prefix, "K2_KAFKA_CREATE_TOPICS": "true",
            "K2_KAFKA_PARTITIONS": "3", "K2_KAFKA_DELIVERY": "exactly-once", "K2_KAFKA_COMMIT_MS": "100", **variables,
        }, (str(file), "--kafka", broker.bootstrap, "--registry", registry.url))
        scene = Scene(members, broker, prefix, port)
        try:
            yield scene
        finally:
            scene.close()
            await members.end()


def holes(found: dict[str, list[int]]) -> dict[str, list[int]]:
    """What is missing between the first and the last trade of a symbol; some of it."""
    missing = {symbol: set(range(min(numbers), max(numbers))) - set(numbers) for symbol, numbers in found.items()}
    return {symbol: sorted(numbers)[:20] for symbol, numbers in missing.items() if numbers}


def test_killed_frozen_and_moved_each_trade_is_there_once_and_none_is_missing(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    @timed
    async def main() -> None:
        async with scene_of(tmp_path, broker, registry, kafka_topic("")) as scene:
            a, b = await scene.start("a", "b")
            for member in (a, b):
                await member.until(at_rest(2))
            await scene.caught_up()
            (c,) = await scene.start("c")  # slots move to it, as planned
            for member in (a, b, c):
                await member.until(at_rest(3))
            await scene.caught_up()
            await shown_as_one(c)
            a.process.kill()
            await b.until(at_rest(2))
            await scene.caught_up()
            b.process.send_signal(signal.SIGSTOP)
            await c.until(at_rest(1))
            await scene.caught_up()
            b.process.send_signal(signal.SIGCONT)
            await c.until(at_rest(2))
            await b.until(at_rest(2))
            await scene.caught_up()
            await scene.filled()
            assert b.process.returncode is None, b.text
            for member in (b, c):
                await member.stop()
            found, _ = await asyncio.to_thread(scene.books)
            assert holes(found) == {}

    main()


async def shown_as_one(member: Member) -> None:
    """The slots of a member are one process to those who look on."""
    health = json.loads((await get(member.port, "/health"))[2])
    assert list(health["connectors"]) == ["tape"]
    assert health["connectors"]["tape"]["published"] > 0
    assert 0 < (health["memory_mb"] or 1) < 500, "it is the process's, and no sum"
    text = (await get(member.port, "/metrics"))[2].decode()
    slots = set(re.findall(r'k2conn_records_published_total\{slot="(\d)",connector="tape"', text))
    assert slots
    assert text.count("# HELP process_cpu_seconds_total") == 1
    assert 'k2conn_group_fenced_total{group="g"} 0.0' in text
    async with looking(member.port, "page=overview") as page:
        overview = (await page.until("overview"))["overview"]
    assert overview["board"]["group"]["name"] == "g"
    assert [one["instance"] for one in overview["board"]["group"]["members"]] == ["a", "b", "c"]
    assert [row["connector"] for row in overview["rows"]] == ["tape"]


@pytest.mark.deploy
def test_a_planned_move_waits_for_no_interval_of_commits(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    """Its hole is seen by a reader of committed records that knows nothing of the group."""
    prefix = kafka_topic("")
    books = CommittedBooks(
        KafkaSettings(bootstrap=broker.bootstrap, topic_prefix=prefix), TRADES, GAPS, "k2conn.state.g"
    )

    @timed
    async def main() -> None:
        end = asyncio.Event()
        async with scene_of(tmp_path, broker, registry, prefix, K2_KAFKA_COMMIT_MS="5000") as scene:
            reading = asyncio.create_task(books.read(end))
            a, b = await scene.start("a", "b")
            for member in (a, b):
                await member.until(at_rest(2))
            await scene.caught_up()
            before = len(books.handovers)
            (c,) = await scene.start("c")
            for member in (a, b, c):
                await member.until(at_rest(3))
            await scene.caught_up()
            end.set()
            await reading
            moves = books.handovers[before:]
            assert moves
            assert max(one.seen_ms for one in moves) < 4000, moves
            for member in (a, b, c):
                await member.stop()
            found, _ = await asyncio.to_thread(scene.books)
            assert holes(found) == {}

    main()


NEWER = (
    "import sys, k2conn.engine.state_parts as parts; parts.VERSION = 2; sys.argv[0] = 'k2conn'; "
    "from k2conn.__main__ import main; main()"
)
"""A k2conn of a later version, as far as what it keeps of its state is concerned."""


@pytest.mark.deploy
def test_a_member_of_an_earlier_version_refuses_the_state_of_a_later_one_by_name_and_harms_nothing(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    async def newer(scene: Scene, name: str) -> Member:
        folder, port = tmp_path / name, free_port()
        folder.mkdir(exist_ok=True)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", NEWER, "run", *scene.members.arguments, "--port", str(port), "--daemon", cwd=folder,
            env=environment(**scene.members.variables, K2_GROUP_INSTANCE_ID=name), stderr=asyncio.subprocess.PIPE,
        )
        return scene.members.took(process, port)

    @timed
    async def main() -> None:
        async with scene_of(tmp_path, broker, registry, kafka_topic("")) as scene:
            new = await newer(scene, "new")
            await new.until(at_rest(1))
            await scene.caught_up()
            (old,) = await scene.start("old")
            await old.until(lambda group: len(group["members"]) == 2 and group["owned"])
            await until(lambda: "it has version 2, and this k2conn reads 1" in old.text)
            assert "slot cannot be run" in old.text
            await old.until(lambda group: group["not_carried"])
            old.process.kill()
            await new.until(at_rest(1))
            await scene.caught_up()
            await scene.filled()
            await new.stop()
            found, _ = await asyncio.to_thread(scene.books)
            assert holes(found) == {}

    main()


@pytest.mark.deploy
def test_state_in_kafka_without_transactions_moves_with_its_slot(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    """At least once: what is published twice has the same id, and nothing is missing."""

    @timed
    async def main() -> None:
        async with scene_of(
            tmp_path, broker, registry, kafka_topic(""), K2_KAFKA_DELIVERY="at-least-once", K2_STATE="kafka"
        ) as scene:
            a, b = await scene.start("a", "b")
            for member in (a, b):
                await member.until(at_rest(2))
            await scene.caught_up()
            (c,) = await scene.start("c")
            for member in (a, b, c):
                await member.until(at_rest(3))
            await scene.caught_up()
            a.process.kill()
            await b.until(at_rest(2))
            await scene.caught_up()
            await scene.filled(twice=True)
            for member in (b, c):
                await member.stop()
            found, _ = await asyncio.to_thread(scene.books, True)
            assert holes(found) == {}

    main()
