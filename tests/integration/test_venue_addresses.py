"""Where a whole connector goes when a venue, or its file, names an address."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from k2conn import exactjson
from k2conn.errors import SettingsError
from k2conn.runner import Overrides
from tests.support.plans import STREAMS, plan_of, trade, trades
from tests.support.venues import Run, Venue, says

CONNECTION = """
connection:
  before:
    - {http: GET http://127.0.0.1:%d/token, capture: {endpoint: endpoint}}
  url: "{$state.endpoint}/ws"
  steps:
    - send: {op: sub, symbols: $symbols, id: $counter}
      for: trade
      expect: {accepted: {op: sub, ok: true}, symbol: s}
  reconnect: {base: 50ms, cap: 100ms}
"""


PARTS = CONNECTION.replace('url: "{$state.endpoint}/ws"', """url: ws://%s/ws
  allow_insecure: true
  hosts: ["*.venue.example"]""").replace("endpoint: endpoint", "host: host, port: port, endpoint: host")
"""The venue says host and port one by one."""


def ended(
    endpoint: str, wanted: str = "", said: dict[str, Any] | None = None, address: str = "", **overrides: Any
) -> dict[str, int]:
    """Why connections to an address that the venue names ended; ``wanted``: the cause that is waited for, else data.
    ``address``: host and port with what the venue said of them, beside its own port.
    """

    async def main() -> dict[str, int]:
        async with Venue(says(trades(trade(1)))).open() as venue:
            answered = {"port": venue.port, **said} if said is not None else {"endpoint": endpoint % venue.port}
            body = exactjson.encode(answered)

            async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
                writer.close()

            server = await asyncio.start_server(answer, "127.0.0.1", 0)
            async with server:
                port = server.sockets[0].getsockname()[1]
                plan = plan_of(PARTS % (port, address) if said is not None else CONNECTION % port, STREAMS)
                async with Run(plan, overrides=Overrides(**overrides)) as run:
                    ledger = run.runner.connectors[0].connector_state.ledger
                    await run.until(lambda: ledger.reconnects.get(wanted) if wanted else run.sink.taken)
                    if wanted:
                        assert not venue.connects
                    return dict(ledger.reconnects)

    return asyncio.run(main())


def test_a_host_of_the_file() -> None:
    assert ended("ws://127.0.0.1:%d") == {}


@pytest.mark.parametrize("endpoint", ["ws://localhost:%d", "ws://127.0.0.2:%d", "ws://[::1]:%d", "wss://127.1:%d"])
def test_a_host_that_nobody_named(endpoint: str) -> None:
    assert set(ended(endpoint, "forbidden-host")) == {"forbidden-host"}


def test_a_host_that_the_operator_named() -> None:
    assert ended("ws://localhost:%d", failover=("ws://localhost:9",)) == {}


@pytest.mark.parametrize("address", ["{$state.host}:{$state.port}", "127.0.0.{$state.host}:{$state.port}"])
def test_a_host_and_a_port_that_the_venue_names_one_by_one(address: str) -> None:
    host = "1" if address.startswith("127") else "127.0.0.1"
    assert ended("", said={"host": host}, address=address, allow_private_hosts=True) == {}


@pytest.mark.parametrize("said", [{"host": "localhost"}, {"host": "127.0.0.2"}, {"host": "stranger.example"}])
def test_a_host_of_parts_that_nobody_named(said: dict[str, Any]) -> None:
    wanted = "forbidden-host"
    assert set(ended("", wanted, said, "{$state.host}:{$state.port}", allow_private_hosts=True)) == {wanted}


@pytest.mark.parametrize(
    "said", [{"host": "127.0.0.1/a?"}, {"host": "u@127.0.0.1"}, {"host": "127.0.0.1", "port": "1/x"}, {"host": "[::1]"}]
)
def test_a_part_of_an_address_is_nothing_more(said: dict[str, Any]) -> None:
    wanted = "handshake"
    assert set(ended("", wanted, said, "{$state.host}:{$state.port}", allow_private_hosts=True)) == {wanted}


STRANGER = """
connection:
  before:
    - {http: %s, capture: {loot: to_string(@)}}
  url: %s
  steps:
    - send: {op: sub, symbols: $symbols, id: $counter, loot: $state.loot}
      for: trade
      expect: {accepted: {op: sub, ok: true}, symbol: s}
  reconnect: {base: 50ms, cap: 100ms}
"""


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("POST http://127.0.0.1:%d/admin", "wss://stranger.example/"),
        ("POST http://127.0.0.1:%d/admin", "wss://10.0.0.9/"),
        ("POST http://127.0.0.1:%d/admin", "[ws://127.0.0.1:9/, wss://stranger.example/]"),
        ("GET https://10.1.2.3/admin", "wss://stranger.example/"),
        ("GET https://10.1.2.3/admin", "ws://127.0.0.1:9/"),
        ("GET https://10.1.2.3/admin", "wss://10.1.2.3/"),
        ("GET https://169.254.169.254/latest/meta-data", "ws://127.0.0.1:9/"),
        ("GET https://[fd00:ec2::254]/latest/meta-data", "wss://stranger.example/"),
    ],
)
def test_a_file_cannot_carry_out_what_it_finds_inside(asked: str, told: str) -> None:
    async def main() -> list[str]:
        heard = []

        async def inside(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append((await reader.readline()).decode())
            writer.close()

        async with await asyncio.start_server(inside, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            first, _, more = told.strip("[]").partition(", ") if told.startswith("[") else (told, "", "")
            text = STRANGER % (repr(asked % port if "%d" in asked else asked), first)
            text += f"  failover: [{more}]\n" if more else ""
            plan = plan_of(text, STREAMS)
            with pytest.raises(SettingsError, match="is not public"):
                async with Run(plan) as run:
                    await run.until(lambda: run.runner.connectors[0].connector_state.ledger.reconnects)
            return heard

    assert asyncio.run(main()) == []


def test_a_file_that_names_this_machine_and_others_needs_a_word_of_the_operator() -> None:
    text = CONNECTION % 9 + "  failover: [wss://stranger.example/]\n"

    async def main(**overrides: Any) -> None:
        async with Run(plan_of(text, STREAMS), overrides=Overrides(**overrides)) as run:
            await run.until(lambda: run.runner.connectors[0].connector_state.ledger.reconnects)

    with pytest.raises(SettingsError, match=r"127\.0\.0\.1 is not public"):
        asyncio.run(main())
    asyncio.run(main(allow_private_hosts=True))
