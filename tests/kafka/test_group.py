"""`k2conn run --group`: real processes that share slots through a real broker, against a mock exchange."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from k2conn.compiler.compiler import load_plan
from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.server import MockServer
from tests.integration.test_all_symbols import ListedVenue
from tests.integration.test_health import get
from tests.integration.test_run import environment
from tests.integration.test_workers import timed
from tests.kafka.test_end_to_end import NameTopic, own_topics, readable
from tests.kafka.test_sink import read
from tests.servers import Broker, SharedBroker, SharedRegistry
from tests.servers.process import free_port
from tests.support import warm_process

pytestmark = pytest.mark.kafka

SYMBOLS = tuple(
    f"{base}USDT" for base in ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "LTC", "DOT", "LINK", "BCH", "AVAX")
)
GIVEN_BACK = 12.0
"""Seconds within which the slots of a member that is gone have owners again: its session is 10."""


class Member:
    """One process, and what it says."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port
        self.said: list[str] = []

    async def listen(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.said.append(line.decode().rstrip("\n"))

    @property
    def text(self) -> str:
        return "\n".join(self.said)

    async def group(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((await get(self.port, "/health"))[2])["group"]
        return found

    async def until(self, condition: Callable[[dict[str, Any]], object], within: float = 180) -> dict[str, Any]:
        """How it sees its group, as soon as it is so."""
        end, group = time.monotonic() + within, {}
        while time.monotonic() < end:
            with suppress(OSError, ValueError, KeyError):
                group = await self.group()
                if condition(group):
                    return group
            assert self.process.returncode is None, self.text
            await asyncio.sleep(0.05)
        raise AssertionError(f"it never came true: {group}\n{self.text}")

    async def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert await self.ended() == 0, self.text

    async def ended(self, within: float = 60) -> int:
        async with asyncio.timeout(within):
            return await self.process.wait()


class Members:
    """The processes of one test."""

    def __init__(self, folder: Path, variables: dict[str, str], arguments: tuple[str, ...]) -> None:
        self.folder = folder
        self.variables = variables
        self.arguments = arguments
        self._running: list[Member] = []
        self._listening: list[asyncio.Task[None]] = []

    async def start(self, instance: str, *more: str, **variables: str) -> Member:
        folder, port = self.folder / instance, free_port()
        folder.mkdir(exist_ok=True)
        process = await warm_process.executed(
        "run", *self.arguments, *more, "--port", str(port), "--daemon",
            cwd=folder, env=environment(**{**self.variables, "K2_GROUP_INSTANCE_ID": instance, **variables}),
            stderr=asyncio.subprocess.PIPE,
        )
        return self.took(process, port)

    def took(self, process: asyncio.subprocess.Process, port: int) -> Member:
        """A process that somebody has started."""
        member = Member(process, port)
        self._running.append(member)
        self._listening.append(asyncio.create_task(member.listen()))
        return member

    async def end(self) -> None:
        for member in self._running:
            if member.process.returncode is None:
                member.process.kill()
                await member.process.wait()
        await asyncio.wait(self._listening, timeout=5)


@asynccontextmanager
async def members_of(
    folder: Path, broker: SharedBroker | Broker, registry: SharedRegistry, prefix: str, **how: Any
) -> AsyncIterator[tuple[MockExchange, Members]]:
    """A mock exchange, and members that are not started."""
    file = own_topics("binance", folder, "t")
    async with MockServer([exchange := MockExchange(load_plan(file), symbols=SYMBOLS, **how)]):
        members = Members(folder, {
            "K2_BINANCE_WEBSOCKET_URL": exchange.url(), "K2_BINANCE_HTTP_URL": exchange.http_url or "",
            "K2_BACKFILL": "false", "K2_BINANCE_SYMBOLS": ",".join(SYMBOLS),
            "K2_BINANCE_STREAMS": "trade", "K2_GROUP": "g", "K2_KAFKA_TOPIC_PREFIX": f"{prefix}.",
            "K2_KAFKA_CREATE_TOPICS": "true",
        }, (str(file), "--kafka", broker.bootstrap, "--registry", registry.url))
        try:
            yield exchange, members
        finally:
            await members.end()


def covered(exchange: MockExchange) -> Counter[str]:
    """How many connections carry each symbol."""
    return Counter(symbol for client in exchange.clients for _, symbol in client.subscribed)


def at_rest(count: int) -> Callable[[dict[str, Any]], bool]:
    """So many members, every slot with an owner and carried, nothing on its way."""
    def judge(group: dict[str, Any]) -> bool:
        return (len(group["members"]) == count and not group["without_owner"] and not group["not_carried"]
                and all(one["carrying"] == one["owned"] > 0 for one in group["members"]))

    return judge


async def once_each(exchange: MockExchange) -> None:
    """Every symbol is on one connection."""
    await until(lambda: covered(exchange) == Counter(SYMBOLS))


async def until(condition: Callable[[], bool], within: float = 120) -> None:
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


async def shown(members: Members, *more: str) -> tuple[int, str]:
    """What `k2conn group` prints."""
    process = await warm_process.executed(
        "group", "g", "--kafka", members.arguments[2], *more,
        env=environment(**members.variables), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


@pytest.mark.parametrize("bound", [
    pytest.param(GIVEN_BACK, marks=[pytest.mark.deploy, pytest.mark.alone]), GIVEN_BACK + 60,
])
def test_three_members_share_the_symbols_and_take_over_from_one_that_is_killed(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path, bound: float
) -> None:
    """Beside other tests it proves the absence of a longer wait; how quick it is, make test-deploy asks, alone."""
    prefix = kafka_topic("g")

    @timed
    async def main() -> None:
        async with members_of(tmp_path, broker, registry, prefix, rate=20) as (exchange, members):
            first = await members.start("a")
            alone = await first.until(at_rest(1))
            assert (alone["owned"], alone["slots"], alone["lost"]) == (64, 64, 0)
            await once_each(exchange)
            others = [await members.start(name) for name in ("b", "c")]
            for member in (first, *others):
                group = await member.until(at_rest(3))
                assert sum(one["owned"] for one in group["members"]) == 64
            await once_each(exchange)
            assert len(exchange.clients) == 3
            await asyncio.sleep(1)  # a moment in which nothing may change
            assert covered(exchange) == Counter(SYMBOLS)
            killed = others[0]
            killed.process.kill()
            began = time.monotonic()
            await first.until(lambda group: "b" not in [one["instance"] for one in group["members"]])
            await first.until(at_rest(2), within=bound + 20)
            took = time.monotonic() - began
            await once_each(exchange)
            again = await members.start("b")
            await again.until(at_rest(3))
            await once_each(exchange)
            for member in (first, again, others[1]):
                await member.stop()
            assert took < bound, f"without an owner for {took:.1f} s"

    main()


@pytest.mark.deploy
def test_a_restart_moves_nothing_and_what_members_say_is_shown(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    prefix = kafka_topic("r")

    @timed
    async def main() -> None:
        async with members_of(tmp_path, broker, registry, prefix, rate=5) as (exchange, members):
            members.variables["K2_GROUP_SESSION"] = "60s"  # longer than a restart takes on a busy machine
            code, text = await shown(members)
            assert (code, "no member of a group has ever been here" in text) == (69, True), text
            run = {name: await members.start(name) for name in ("a", "b", "c")}
            for member in run.values():
                await member.until(at_rest(3))
            await once_each(exchange)
            code, text = await shown(members, "--format", "json")
            assert code == 0, text
            before = {one["instance"]: one["slots"] for one in json.loads(text)["members"]}
            assert sorted(slot for slots in before.values() for slot in slots) == list(range(64))
            moves = {name: (await member.group())["moves"] for name, member in run.items()}
            for name in ("a", "c"):
                await run[name].stop()
                run[name] = await members.start(name)
                await run[name].until(at_rest(3))
            code, text = await shown(members, "--format", "json")
            survey = json.loads(text)
            assert {one["instance"]: one["slots"] for one in survey["members"]} == before
            assert (await run["b"].group())["moves"] == moves["b"], run["b"].text
            assert sum(one["load"] for one in survey["members"]) == len(SYMBOLS)
            assert (survey["kinds"], survey["symbols"], survey["silent"], survey["not_carried"]) == (1, 1, [], [])
            code, text = await shown(members)
            assert code == 0, text
            assert "3 members, 64 slots" in text
            metrics = (await get(run["b"].port, "/metrics"))[2].decode()
            assert 'k2conn_group_members{group="g"} 3.0' in metrics
            assert 'k2conn_group_slots{group="g",kind="without_owner"} 0.0' in metrics
            assert (await get(run["b"].port, "/ready"))[0] == 200
            await once_each(exchange)
            for member in run.values():
                await member.stop()
            code, text = await shown(members)
            assert (code, "no member is heard" in text) == (1, True), text

    main()


def test_a_move_loses_no_record_and_what_is_published_twice_has_equal_ids(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    prefix = kafka_topic("m")

    @timed
    async def main() -> None:
        async with members_of(tmp_path, broker, registry, prefix, rate=40, keep_generating=True) as (
            exchange, members
        ):
            first = await members.start("a")
            await first.until(at_rest(1))
            await once_each(exchange)
            others = [await members.start(name) for name in ("b", "c")]
            for member in others:
                await member.until(at_rest(3))
            await once_each(exchange)
            for member in (first, *others):
                await member.stop()
        count = sum(map(len, exchange.sent.values())) // 2
        messages = await asyncio.to_thread(read, broker, f"{prefix}.t.trades.binance", count)
        names: dict[str, dict[int, set[str]]] = {symbol: {} for symbol in SYMBOLS}
        for record in readable(registry, messages):
            number = int(record["trade_id"].partition("-")[2])
            names[record["vendor_data"]["native_symbol"]].setdefault(number, set()).add(record["message_id"])
        for found in names.values():
            assert len(found) > 20
            assert found.keys() == set(range(min(found), max(found) + 1)), "the venue goes on; nothing was missed"
            assert {len(ids) for ids in found.values()} == {1}, "who publishes a trade again gives it the same id"

    main()


@pytest.mark.deploy
def test_a_member_that_was_frozen_takes_its_share_again(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    prefix = kafka_topic("f")

    @timed
    async def main() -> None:
        async with members_of(tmp_path, broker, registry, prefix, rate=5) as (exchange, members):
            members.variables["K2_GROUP_SESSION"] = "6s"
            first, other = [await members.start(name) for name in ("a", "b")]
            for member in (first, other):
                await member.until(at_rest(2))
            await once_each(exchange)
            other.process.send_signal(signal.SIGSTOP)
            try:
                group = await first.until(at_rest(1))
                assert group["owned"] == 64
                await until(lambda: all(covered(exchange)[symbol] for symbol in SYMBOLS))
            finally:
                other.process.send_signal(signal.SIGCONT)
            for member in (first, other):
                await member.until(at_rest(2))
            await once_each(exchange)
            for member in (first, other):
                await member.stop()

    main()


@pytest.mark.deploy
def test_while_kafka_is_away_what_runs_goes_on(
    own_broker: Broker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    prefix = kafka_topic("w")

    @timed
    async def main() -> None:
        async with members_of(tmp_path, own_broker, registry, prefix, rate=5) as (exchange, members):
            members.variables["K2_GROUP_SESSION"] = "6s"
            run = [await members.start(name) for name in ("a", "b")]
            for member in run:
                await member.until(at_rest(2))
            await once_each(exchange)
            await asyncio.to_thread(own_broker.stop)
            await asyncio.sleep(8)  # longer than a session
            assert covered(exchange) == Counter(SYMBOLS)
            assert [member.process.returncode for member in run] == [None, None]
            await asyncio.to_thread(own_broker.start)
            for member in run:
                await member.until(at_rest(2))
            await once_each(exchange)
            for member in run:
                await member.stop()
        sent = {symbol: len(exchange.sent["trade", symbol]) for symbol in SYMBOLS}
        found = await asyncio.to_thread(read, own_broker, f"{prefix}.t.trades.binance", sum(sent.values()))
        ids = {record["message_id"] for record in readable(registry, found)}
        assert len(ids) >= sum(sent.values()) - len(SYMBOLS) * 2, "but for what was under way when sockets closed"

    main()


@pytest.mark.deploy
def test_a_member_that_is_gone_for_good_can_be_taken_out(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    prefix = kafka_topic("o")

    @timed
    async def main() -> None:
        async with members_of(tmp_path, broker, registry, prefix, rate=5) as (exchange, members):
            members.variables["K2_GROUP_SESSION"] = "1800s"
            first, other = [await members.start(name) for name in ("a", "b")]
            for member in (first, other):
                await member.until(at_rest(2))
            code, text = await shown(members, "--remove", "b")
            assert (code, "b is at work" in text) == (2, True), text
            code, text = await shown(members, "--remove", "nobody")
            assert (code, "has no member nobody" in text) == (2, True), text
            other.process.kill()
            await other.process.wait()
            await shown(members, "--remove", "b")
            await first.until(at_rest(1))
            await once_each(exchange)
            code, text = await shown(members)
            assert code == 0, text
            await first.stop()

    main()


def test_all_members_read_their_files_again_when_told_so(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    prefix = kafka_topic("l")

    @timed
    async def main() -> None:
        async with members_of(tmp_path, broker, registry, prefix, rate=5) as (exchange, members):
            del members.variables["K2_BINANCE_SYMBOLS"]
            file = tmp_path / "binance.yaml"
            pair = exchange.plan.symbols.default
            run = [await members.start(name) for name in ("a", "b")]
            for member in run:
                await member.until(lambda group: len(group["members"]) == 2 and not group["not_carried"])
            await until(lambda: covered(exchange) == Counter(pair))
            text = file.read_text()
            (said,) = [line for line in text.splitlines() if line.strip().startswith("default: [")]
            file.write_text(text.replace(said, f"  default: [{', '.join(SYMBOLS)}]"))
            await shown(members, "--reload")
            await until(lambda: covered(exchange) == Counter(SYMBOLS))
            for member in run:
                assert "reloaded: the slots have the symbols that the files say now" in member.text
                await member.stop()

    main()


@pytest.mark.parametrize("variables", [{}, {"K2_STATE": "kafka"}], ids=["one runner", "a runner a slot"])
def test_all_symbols_that_a_venue_lists_are_shared_also_those_that_are_listed_later(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path, variables: dict[str, str]
) -> None:
    prefix = kafka_topic("g")
    names = [f"{base}-USD" for base in ("BTC", "ETH", "SOL", "XRP", "ADA", "DOT")]

    @timed
    async def main() -> None:
        venue = ListedVenue(*names)
        async with venue.written() as text:
            file = tmp_path / "venue.yaml"
            file.write_text(text)
            members = Members(tmp_path, {
                "K2_VENUE_SYMBOLS": "all", "K2_VENUE_STREAMS": "trade", "K2_GROUP": "g",
                "K2_KAFKA_TOPIC_PREFIX": f"{prefix}.", "K2_KAFKA_CREATE_TOPICS": "true",
                "K2_GROUP_SLOTS": "8", **variables,
            }, (str(file), "--kafka", broker.bootstrap, "--registry", registry.url))
            try:
                running = [await members.start(name) for name in ("a", "b")]
                for one in running:
                    await one.until(at_rest(2))
                assert venue.subscribed == set(names)
                before = len(venue.heard)
                venue.listed.append("LTC-USD")
                await until(lambda: "LTC-USD" in venue.subscribed)
                await asyncio.sleep(1)  # a moment in which nobody else may subscribe it
                assert sum("LTC-USD" in frame for frame in venue.heard[before:]) == 1
                for one in running:
                    await one.until(at_rest(2))
                for one in running:
                    await one.stop()
            finally:
                await members.end()

    main()


def test_who_cannot_be_a_member_is_refused_by_name_and_disturbs_nobody(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    prefix = kafka_topic("n")

    @timed
    async def main() -> None:
        async with members_of(tmp_path, broker, registry, prefix, rate=5) as (exchange, members):
            first = await members.start("a")
            await first.until(at_rest(1))
            twin = await members.start("a", K2_SPOOL_FOLDER="other")
            assert await twin.ended() == 2, twin.text
            assert f"the instance a is at work in another process (pid {first.process.pid}" in twin.text
            other = own_topics("kraken", tmp_path, "t")
            stranger = await members.start("b", str(other))
            assert await stranger.ended() == 2, stranger.text
            assert "does not take b: other connectors: only it has kraken" in stranger.text
            divided = await members.start("c", K2_GROUP_SLOTS="32")
            assert await divided.ended() == 2, divided.text
            assert f"the topic {prefix}.k2conn.slots has 64 partitions, and K2_GROUP_SLOTS says 32" in divided.text
            group = await first.group()
            assert at_rest(1)(group), group
            assert group["moves"] == 64, "it was never disturbed"
            await once_each(exchange)
            await first.stop()

    main()


def test_a_group_needs_the_kafka_sink_and_names_that_are_words(tmp_path: Path) -> None:
    @timed
    async def main() -> None:
        members = Members(tmp_path, {"K2_GROUP": "g"}, ("binance", "--sink", "file"))
        try:
            alone = await members.start("a")
            assert await alone.ended() == 2
            assert "K2_GROUP shares the symbols through Kafka: it needs the kafka sink" in alone.text
            members.arguments = ("binance", "--kafka", "127.0.0.1:1", "--workers", "2")
            wrong = await members.start("a", "--group", "no word", K2_GROUP_SLOTS="0")
            assert await wrong.ended() == 2
            assert "--group 'no word': a word of letters" in wrong.text
            assert "K2_GROUP_SLOTS=0: a whole number from 1 to 4096 is needed" in wrong.text
            members.arguments = ("binance", "--kafka", "127.0.0.1:1", "--workers", "2")
            crew = await members.start("a")
            assert await crew.ended() == 2
            assert "leave --workers out" in crew.text
        finally:
            await members.end()

    main()
