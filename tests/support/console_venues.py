"""Venues for the console, in a process of their own: one with holes in its numbers, one that means harm, one whose
connector file is wrong, one that has a history to fill its holes from. They print the variables that lead to them.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from contextlib import AsyncExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection

from tests.support.plans import HEAD, trades
from tests.support.rest import Answer, Asked, rest
from tests.support.venues import CONNECTION, Venue

STREAMS = """
streams:
  trade:
    when: {ch: trade}
    each: data
    sequence: {from: i, rule: contiguous, per: symbol}
    fields:
      symbol: s
      trade_id: i
      price: p
      quantity: q
      timestamp: {from: t, unit: ms}
      side: {from: d, map: {buy: BUY, sell: SELL}}
"""
FETCHED = STREAMS.replace("    fields:\n", """\
    backfill:
      http: "GET https://v.example/trades?symbol={$symbol}&from={$first}"
      limit: 20 per 1s
      page: {size: 3, by: first}
    fields:
""", 1)
HISTORY = "history"
"""The connector whose venue has a history of what it left out: of BTC, and none of ETH."""
FOR_A_WHILE = 6
"""Seconds that history takes to answer: a gap is seen before it is filled."""
BIDI = "\u202egnp.exe\u202c"
MARKUP = "<img src=x onerror=\"document.title='owned'\"><a href=\"https://evil.example/\">here</a>"
ESCAPES = "\u001b[31mred\u001b]8;;https://evil.example\u0007link"
HOSTILE = (f"{MARKUP}-USD", f"{BIDI}-USD", f"{ESCAPES}-USD", "javascript:alert(1)-USD")
WRONG_FIELD = "q_u_a_n"


def spec(name: str, streams: str = STREAMS, symbols: str = "BTC-USD, ETH-USD") -> str:
    """A connector file whose address comes from the environment."""
    head = HEAD.replace("connector: venue", f"connector: {name}").replace("BTC-USD, ETH-USD", symbols)
    return head + CONNECTION.replace("%d", "1") + streams


def write_specs(folder: Path) -> list[str]:
    """The connector files; the names of those that run together, which are all but the one with a history."""
    specs = {
        "steady": spec("steady"),
        "wrong": spec("wrong", STREAMS.replace("quantity: q", f"quantity: {WRONG_FIELD}")),
        "hostile": spec("hostile"),
        "away": spec("away"),
    }
    for name, text in specs.items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / f"{HISTORY}.yaml").write_text(spec(HISTORY, FETCHED))
    return [f"{name}.yaml" for name in specs]


def _trade(symbol: str, number: int, price: float, **fields: Any) -> dict[str, Any]:
    return {"s": symbol, "i": number, "p": f"{price:.2f}", "q": f"{random.uniform(0.01, 2):.4f}",
            "t": int(time.time() * 1000), "d": random.choice(["buy", "sell"])} | fields


async def steady(socket: ServerConnection) -> None:
    """Prices that walk; now and then some numbers are left out, and some of these come late."""
    prices = {"BTC-USD": 64_000.0, "ETH-USD": 3_100.0}
    numbers = dict.fromkeys(prices, 1)
    for at in count(1):
        for symbol in prices:
            prices[symbol] *= 1 + random.gauss(0, 0.0004)
            if at % 120 == 60 and symbol == "BTC-USD":
                held = [_trade(symbol, numbers[symbol] + n, prices[symbol]) for n in range(4)]
                numbers[symbol] += 4
                if at % 240 == 60:
                    asyncio.get_running_loop().call_later(
                        5, lambda late=held: asyncio.ensure_future(socket.send(trades(*late)))
                    )
            await socket.send(trades(_trade(symbol, numbers[symbol], prices[symbol])))
            numbers[symbol] += 1
        await asyncio.sleep(0.05)


async def hostile(socket: ServerConnection) -> None:
    """Names, values, errors and frames that want to be more than text."""
    for at in count(1):
        for name in HOSTILE:
            await socket.send(trades(_trade(name, at, 1.0)))
            await socket.send(trades(_trade("BTC-USD", at, 1.0, d=name)))
        await socket.send(trades(_trade("BTC-USD", at, 1.0, p=MARKUP)))
        await socket.send('{"ch": "nobody", "text": "' + MARKUP.replace('"', "'") + '"}')
        await socket.send(f"</script><script>document.title='owned'</script>{MARKUP}")
        await asyncio.sleep(0.3)


async def with_holes(left_out: dict[int, dict[str, Any]], socket: ServerConnection) -> None:
    """Three numbers are left out of each forty: of BTC for the history to keep, of ETH for good."""
    for number in count(1):
        for symbol in ("BTC-USD", "ETH-USD"):
            trade = _trade(symbol, number, 64_000.0)
            if number % 40 not in (20, 21, 22):
                await socket.send(trades(trade))
            elif symbol == "BTC-USD":
                left_out[number] = trade
        await asyncio.sleep(0.05)


def history(left_out: dict[int, dict[str, Any]], asked: Asked) -> Answer:
    """What was left out from a number on, after a while."""
    if asked.query["symbol"] != "BTC-USD":
        return Answer({"error": "no such market"}, 404)
    time.sleep(FOR_A_WHILE)
    first = int(asked.query["from"])
    return Answer([left_out[number] for number in range(first, first + 3) if number in left_out])


async def main() -> None:
    """Serves until it is ended."""
    async with AsyncExitStack() as stack:
        for name, act in (("STEADY", steady), ("WRONG", steady), ("HOSTILE", hostile)):
            venue = await stack.enter_async_context(Venue(act).open())
            print(f"K2_{name}_WEBSOCKET_URL={venue.url}", flush=True)
        left_out: dict[int, dict[str, Any]] = {}
        venue = await stack.enter_async_context(Venue(partial(with_holes, left_out)).open())
        api = stack.enter_context(rest(partial(history, left_out)))
        print(f"K2_HISTORY_WEBSOCKET_URL={venue.url}\nK2_HISTORY_HTTP_URL={api.url}", flush=True)
        print("K2_AWAY_WEBSOCKET_URL=ws://127.0.0.1:1/ws", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    random.seed(sys.argv[1] if len(sys.argv) > 1 else 7)
    asyncio.run(main())
