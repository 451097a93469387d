"""A venue whose trades go on while nobody listens: what a restart misses is really missed.

Trade n of a symbol happens n / rate seconds after the venue began, whoever is there; its numbers have no hole. A new
connection first gets the last `REPEATED` trades again. Where the venue has history, HTTP gives it.

It is a process of its own (`main`), which prints its port, and ends when its input does. For each line of that it
prints which numbers of each symbol it has written to some connection: what anybody could have.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from k2conn.clock import wall_ms

REPEATED = 20
PAGE = 500
AT_ONCE = 10
"""Trades of one message."""
EVERY = 0.02

FILE = """
connector: %(name)s
exchange: TAPE
asset_class: crypto
docs: https://docs.example/ws
symbols: {default: [BTC-USD, ETH-USD], form: "{base}-{quote}"}
connection:
  url: ws://127.0.0.1:%(port)d/ws
  steps:
    - send: {op: sub, symbols: $symbols, id: $counter}
      for: trade
      expect: {accepted: {op: sub, ok: true}, symbol: s, within: 5s}
  reconnect: {base: 50ms, cap: 100ms}
streams:
  trade:
    when: {ch: trade}
    each: data
    sequence: {from: i, rule: contiguous, per: symbol}
%(backfill)s
    fields:
      symbol: s
      trade_id: i
      price: p
      quantity: q
      timestamp: {from: t, unit: ms}
      side: {from: d, map: {buy: BUY, sell: SELL}}
      source_sequence: i
"""
BACKFILL = """    backfill:
      http: "GET http://127.0.0.1:%(port)d/trades?symbol={$symbol}&from={$first}&count={$count}"
      limit: 50 per 1s
      page: {size: 500, by: first}
"""


class TapeVenue:
    """The venue. ``rate``: trades a second of each symbol."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.began = wall_ms() / 1000
        self.sent: dict[str, list[list[int]]] = {}
        """By symbol the first and last numbers of what was sent without a hole between."""

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Server]:
        """Listens."""
        async with serve(self._talk, "127.0.0.1", 0, process_request=self._answer, compression=None) as server:
            yield server

    @property
    def last(self) -> int:
        """The number of each symbol's latest trade."""
        return int((wall_ms() / 1000 - self.began) * self.rate)

    def trade(self, symbol: str, number: int) -> str:
        """Trade ``number`` as JSON, always the same."""
        stamp = int((self.began + number / self.rate) * 1000)
        side = "buy" if number % 2 else "sell"
        return f'{{"s":"{symbol}","i":{number},"p":"{100 + number % 50}.5","q":"0.25","t":{stamp},"d":"{side}"}}'

    async def _talk(self, socket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):  # clients come and go here as they like
            asked = json.loads(await socket.recv())
            await socket.send(json.dumps({"op": "sub", "ok": True, "s": asked["symbols"], "id": asked["id"]}))
            await self._send(socket, asked["symbols"])

    async def _send(self, socket: ServerConnection, symbols: list[str]) -> None:
        sent = max(0, self.last - REPEATED)
        while True:
            until = self.last
            for first in range(sent + 1, until + 1, AT_ONCE):
                numbers = range(first, min(first + AT_ONCE, until + 1))
                for symbol in symbols:
                    data = ",".join([self.trade(symbol, number) for number in numbers])
                    await socket.send(f'{{"ch":"trade","data":[{data}]}}')
                    self._note(symbol, numbers)
            sent = until
            await asyncio.sleep(EVERY)

    def _note(self, symbol: str, numbers: range) -> None:
        ranges = self.sent.setdefault(symbol, [])
        if ranges and ranges[-1][0] <= numbers[0] <= ranges[-1][1] + 1:
            ranges[-1][1] = max(ranges[-1][1], numbers[-1])
        else:
            ranges.append([numbers[0], numbers[-1]])

    def _answer(self, socket: ServerConnection, request: Request) -> Response | None:
        address = urlsplit(request.path)
        if address.path == "/last":
            return socket.respond(HTTPStatus.OK, str(self.last))
        if address.path != "/trades":
            return None
        asked = {name: values[0] for name, values in parse_qs(address.query).items()}
        first, count = int(asked["from"]), min(int(asked["count"]), PAGE)
        numbers = range(max(first, 1), min(first + count, self.last + 1))
        return socket.respond(HTTPStatus.OK, f'[{",".join([self.trade(asked["symbol"], one) for one in numbers])}]')


def connector_file(folder: Path, port: int, history: bool, name: str = "tape") -> Path:
    """A connector file for it."""
    path = folder / f"{name}.yaml"
    backfill = BACKFILL % {"port": port} if history else ""
    path.write_text(FILE % {"port": port, "backfill": backfill, "name": name})
    return path


def main() -> None:
    """The process. Its argument is the rate."""

    async def serve_until_the_end() -> None:
        venue = TapeVenue(float(sys.argv[1]))
        async with venue.open() as server:
            print(server.sockets[0].getsockname()[1], flush=True)
            while await asyncio.to_thread(sys.stdin.readline):
                print(json.dumps(venue.sent), flush=True)

    asyncio.run(serve_until_the_end())
