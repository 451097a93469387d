"""What a mock exchange takes for read by a client that asks again and again: nothing that it may not have got."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any

from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.sent_frames import ClientSession, SentFrames
from tests.support.plans import STREAMS, plan_of

PLAN = plan_of("""
connection:
  url: https://venue.example/trades?after={$state.after}
  poll: 200ms
  initial: {after: 0}
  capture: [{when: {data: $present}, into: after, value: "data[-1].i", keep: true}]
""", STREAMS + """
tests:
  - name: a trade
    received: {ch: trade, data: [{s: BTC-USD, i: 7, p: "1.5", q: "2", t: 1767323040000, d: buy}]}
    records: [{trade_id: VENUE-7}]
""")


async def ask(exchange: MockExchange, after: int = 0, tag: str = "", reads: bool = True) -> tuple[str, str]:
    """The id of the trade in an answer (empty where it has none), and its ETag; ``reads``: the client waits for it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
    known = f"If-None-Match: {tag}\r\n" if tag else ""
    writer.write(f"GET /venue?after={after} HTTP/1.1\r\nHost: venue\r\n{known}\r\n".encode())
    await writer.drain()
    if not reads:
        await asyncio.sleep(0.01)
        writer.transport.abort()
        return "", ""
    said = (await reader.read()).decode()
    writer.close()
    found, etag = re.search(r'"i":\s*(\d+)', said), re.search(r'ETag: (\S+)', said)
    return found[1] if found else "", etag[1] if etag else ""


def sessions(talk: Callable[[MockExchange], Coroutine[Any, Any, None]]) -> list[ClientSession]:
    """What was noted of the clients while ``talk`` asked."""
    sent = SentFrames()

    async def main() -> None:
        async with MockExchange(PLAN, rate=0, symbols=["BTC-USD"], sent_frames=sent) as exchange:
            await ask(exchange)  # subscribes
            await talk(exchange)
            await asyncio.sleep(0.05)

    asyncio.run(main())
    return sent.client_sessions


def ids(session: ClientSession) -> tuple[list[str], list[str]]:
    """The trades that the client has certainly read, and those that it may have."""
    sure, doubtful = session.confirmed_frames(), session.unconfirmed_frames()
    return [one.ids[0] for one in sure], [one.ids[0] for one in doubtful]


def test_what_the_next_request_knows_of_was_read() -> None:
    async def talk(exchange: MockExchange) -> None:
        _, tag = await ask(exchange)
        await exchange.play("trade", "BTC-USD", 2)
        first, tag = await ask(exchange, tag=tag)
        second, tag = await ask(exchange, after=int(first))  # another address: it knows no ETag of that
        assert (await ask(exchange, after=int(second))) != ("", "")

    assert ids(sessions(talk)[-1]) == (["7", "8"], [])


def test_an_answer_that_its_client_gave_up_is_in_doubt() -> None:
    async def talk(exchange: MockExchange) -> None:
        _, tag = await ask(exchange)
        await exchange.play("trade", "BTC-USD")
        first, tag = await ask(exchange, tag=tag)
        await ask(exchange, after=int(first))
        await exchange.play("trade", "BTC-USD")
        await ask(exchange, after=int(first) + 1, reads=False)
        for _ in range(2):
            await ask(exchange, after=int(first) + 1)

    everybody = [ids(one) for one in sessions(talk)]
    assert (["7"], ["8"]) in everybody
    assert "8" not in [one for sure, _ in everybody for one in sure]


def test_what_was_for_another_proves_nothing_of_what_is_its_own() -> None:
    async def talk(exchange: MockExchange) -> None:
        _, tag = await ask(exchange)
        await exchange.play("trade", "BTC-USD", 2)
        _, tag = await ask(exchange)  # another client, which gets the first of what was for the one before
        await exchange.play("trade", "BTC-USD")
        await ask(exchange, tag=tag)

    assert ids(sessions(talk)[-1]) == ([], ["9"])


def test_all_so_far_is_read_when_it_is_and_what_comes_later_does_not_matter() -> None:
    said: list[bool] = []

    async def talk(exchange: MockExchange) -> None:
        _, tag = await ask(exchange)
        await exchange.play("trade", "BTC-USD", 2)
        assert exchange.sent_frames is not None
        read = exchange.sent_frames.all_so_far()
        for _ in range(3):
            _, tag = await ask(exchange, tag=tag)
            await asyncio.sleep(0.05)
            said.append(read())
        await exchange.play("trade", "BTC-USD")
        said.append(read())

    sessions(talk)
    assert said == [False, False, True, True]


def test_what_a_client_did_not_ask_for_is_for_the_one_that_comes_after_it() -> None:
    found: list[str] = []

    async def talk(exchange: MockExchange) -> None:
        await exchange.play("trade", "BTC-USD", 3)
        found.extend([(await ask(exchange))[0] for _ in range(3)])  # it knows no ETags at all

    sessions(talk)
    assert found == ["7", "8", "9"]
