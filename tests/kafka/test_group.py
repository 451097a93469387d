"""`k2conn run --group`: real processes that share slots through a real broker, against a mock exchange."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
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
from tests.integration.test_health import get
from tests.integration.test_run import environment
from tests.integration.test_workers import timed
from tests.kafka.test_end_to_end import NameTopic, own_topics
from tests.servers import SharedBroker, SharedRegistry
from tests.servers.process import free_port

pytestmark = pytest.mark.kafka

SYMBOLS = tuple(f"{base}USDT" for base in ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "LTC", "DOT", "LINK", "BCH", "AVAX"))
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

    async def until(self, condition: Callable[[dict[str, Any]], object], within: float = 90) -> dict[str, Any]:
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
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "k2conn", "run", *self.arguments, *more, "--port", str(port), "--daemon",
            cwd=folder, env=environment(**{**self.variables, "K2_GROUP_INSTANCE_ID": instance, **variables}),
            stderr=asyncio.subprocess.PIPE,
        )
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
    folder: Path, broker: SharedBroker, registry: SharedRegistry, prefix: str, **how: Any
) -> AsyncIterator[tuple[MockExchange, Members]]:
    """A mock exchange, and members that are not started."""
    file = own_topics("binance", folder, "t")
    async with MockServer([exchange := MockExchange(load_plan(file), symbols=SYMBOLS, **how)]):
        members = Members(folder, {
            "K2_BINANCE_WEBSOCKET_URL": exchange.url(), "K2_BINANCE_HTTP_URL": exchange.http_url or "", "K2_BACKFILL": "false", "K2_BINANCE_SYMBOLS": ",".join(SYMBOLS),
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


async def once_each(exchange: MockExchange, within: float = 60) -> None:
    """Every symbol is on one connection."""
    end = time.monotonic() + within
    while covered(exchange) != Counter(SYMBOLS):
        assert time.monotonic() < end, covered(exchange)
        await asyncio.sleep(0.05)


def test_three_members_share_the_symbols_and_take_over_from_one_that_is_killed(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
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
            group = await first.until(at_rest(2), within=GIVEN_BACK + 20)
            took = time.monotonic() - began
            await once_each(exchange)
            assert group["without_owner"] == []
            (again,) = [await members.start("b")]
            group = await again.until(at_rest(3))
            await once_each(exchange)
            for member in (first, again, others[1]):
                await member.stop()
            assert took < GIVEN_BACK, f"without an owner for {took:.1f} s"

    main()
