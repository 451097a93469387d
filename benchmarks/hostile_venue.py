"""A venue that does everything wrong: what it sends, refuses and breaks is drawn at random from the acts below.

Between its acts it sends right trades too, so that its connector has books to balance. From `refuse` on it lets nobody
in any more: the connector's attempts are used up, and it gives up.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

CONNECTOR = """\
connector: hostile
exchange: HOSTILE
asset_class: crypto
docs: https://docs.example/ws
symbols: {default: [BTC-USD, ETH-USD], form: "{base}-{quote}"}
connection:
  url: wss://venue.example/ws
  steps:
    - name: subscribe
      send: {op: sub, symbols: $symbols, id: $counter}
      for: trade
      expect: {accepted: {op: sub, ok: true}, refused: {op: sub, ok: false}, symbol: s, reason: why, within: 5s}
  heartbeat: {every: 2s, send: {op: ping}, answer: {op: pong}, within: 5s}
  stale_after: 10s
  max_frame: 16 MiB
  reconnect: {base: 200ms, cap: 3s, attempts: 8}
  limits: {connect: 60 per 30s}
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
"""Its connector file. A right one: only the venue is wrong."""

MESSAGE_LIMIT = 16 << 20
"""Bytes; what is larger ends the connection."""


class HostileVenue:
    """Listens on a port of its own; an async context manager. ``done`` counts what it did, by the act's name."""

    def __init__(self, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self.port = 0
        self.refusing = False
        """Whether nobody is let in any more."""
        self._chance = random.Random(seed)
        self._numbers: Counter[str] = Counter()
        """The latest trade's id, by symbol."""
        self._server: Server | None = None
        self._acts: tuple[tuple[int, Callable[[ServerConnection], Any]], ...] = (
            (40, self._right), (6, self._garbage), (6, self._binary), (6, self._deep), (8, self._large_numbers),
            (8, self._unknown), (8, self._absurd_ids), (10, self._wrong_types), (4, self._other_content),
            (4, self._late_refusal), (2, self._huge), (1, self._beyond_the_limit), (1, self._not_utf8),
            (1, self._broken_framing), (2, self._close), (1, self._abort), (1, self._silence),
        )

    async def __aenter__(self) -> HostileVenue:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, process_request=self._admit, compression=None, ping_interval=None,
            close_timeout=1,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where its connector is to connect to."""
        return f"ws://127.0.0.1:{self.port}/ws"

    def refuse(self) -> None:
        """From now on nobody is let in, and who is in is put out."""
        self.refusing = True
        assert self._server is not None
        for connection in self._server.connections:
            connection.transport.abort()

    # -- the handshake

    def _admit(self, connection: ServerConnection, _: Request) -> Response | None:
        if not self.refusing and self._chance.random() < 0.85:
            return None
        status = self._chance.choice([302, 307, 400, 403, 404, 500, 503, *([] if self.refusing else [418, 429])])
        self.done[f"refused with {status}"] += 1
        response = connection.respond(HTTPStatus(status), "no\n")
        if status in (302, 307):
            response.headers["Location"] = self._chance.choice(["ws://127.0.0.1:1/", "http://[", "file:///etc/passwd"])
        if status in (418, 429, 503):  # what cannot be read as seconds keeps its client away for a minute
            response.headers["Retry-After"] = self._chance.choice(["1"] * 6 + ["-5", "soon"])
        return response

    # -- one connection

    async def _serve(self, socket: ServerConnection) -> None:
        with suppress(ConnectionClosed, RuntimeError):  # the latter from a write where the client has closed meanwhile
            said = json.loads(await socket.recv())
            answer = self._chance.choice(["yes"] * 8 + ["no", "half", "none"])
            self.done[f"subscription: {answer}"] += 1
            for symbol in said["symbols"][: 1 if answer == "half" else None]:
                if answer != "none":
                    await socket.send(_text({"op": "sub", "ok": answer != "no", "s": symbol, "why": "x" * 3000}))
            listening = asyncio.create_task(self._listen(socket))
            try:
                await self._misbehave(socket)
            finally:
                listening.cancel()

    async def _listen(self, socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for frame in socket:
                if "ping" in str(frame) and self._chance.random() < 0.95:
                    await socket.send(_text({"op": "pong"}))

    async def _misbehave(self, socket: ServerConnection) -> None:
        weights, acts = zip(*self._acts, strict=True)
        while True:
            act = self._chance.choices(acts, weights)[0]
            self.done[act.__name__.strip("_").replace("_", " ")] += 1
            await act(socket)
            await asyncio.sleep(self._chance.expovariate(10))

    def _trade(self, **changed: Any) -> dict[str, Any]:
        symbol = self._chance.choice(["BTC-USD", "ETH-USD"])
        self._numbers[symbol] += 1
        return {
            "s": symbol, "i": self._numbers[symbol], "p": "100.5", "q": "0.25",
            "t": int(time.time() * 1000), "d": "buy", **changed,
        }

    # -- what it sends

    async def _right(self, socket: ServerConnection) -> None:
        await socket.send(_trades(self._trade(), self._trade()))

    async def _garbage(self, socket: ServerConnection) -> None:
        letters = 'abc{}[]":,0123456789\\\x00\x1b\u202e\U0001f4a9 \n'
        await socket.send("".join(self._chance.choices(letters, k=self._chance.randrange(2000))))

    async def _binary(self, socket: ServerConnection) -> None:
        await socket.send(self._chance.randbytes(self._chance.randrange(2000)))

    async def _deep(self, socket: ServerConnection) -> None:
        depth = self._chance.choice([399, 401, 5_000, 500_000])
        opened = self._chance.choice(["[", '{"ch":'])
        await socket.send(opened * depth + ("1" + "]}"[opened != "["] * depth if self._chance.random() < 0.5 else ""))

    async def _large_numbers(self, socket: ServerConnection) -> None:
        number = self._chance.choice(
            ["9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e400", "-1e-400", "1" + "0" * 5000,
             "0." + "9" * 5000, "NaN", "-Infinity", "1e999999999", '"1e999999999"', '"' + "9" * 100_000 + '"']
        )
        field = self._chance.choice(["i", "p", "q", "t"])
        await socket.send(_trades(self._trade(**{field: "@"}), self._trade()).replace('"@"', number))

    async def _unknown(self, socket: ServerConnection) -> None:
        channel = self._chance.choice(["trades", "", "constructor", "__class__", "[red]x[/]", "\x1b[2J", "x" * 5000])
        await socket.send(_text({"ch": channel, "error": {"code": self._chance.randrange(9), "msg": channel}}))

    async def _absurd_ids(self, socket: ServerConnection) -> None:
        own = self._chance.choice([
            0, -1, 2**62, 2**63 - 1, 2**63, 2**70, "", " ", "\x00", "00000000-0000-0000-0000-000000000000",
            "i" * 70_000, self._numbers["BTC-USD"] + 10**6, self._numbers["BTC-USD"] - 1000, 1.5, True,
        ])
        await socket.send(_trades(self._trade(i=own), self._trade()))

    async def _wrong_types(self, socket: ServerConnection) -> None:
        wrong = self._chance.choice([None, True, [], {}, [1], {"a": 1}, "", "\ud83d\ude00", -1, "0x10", " 1", "1,5"])
        message: Any = {"ch": "trade", "data": [self._trade(**{self._chance.choice("sipqtd"): wrong}), self._trade()]}
        if self._chance.random() < 0.3:
            message = self._chance.choice([wrong, {"ch": wrong, "data": []}, {"ch": "trade", "data": wrong}])
        await socket.send(_text(message))

    async def _other_content(self, socket: ServerConnection) -> None:
        trade = self._trade()
        await socket.send(_trades(trade, trade, {**trade, "p": "100.6"}))

    async def _late_refusal(self, socket: ServerConnection) -> None:
        await socket.send(_text({"op": "sub", "ok": False, "s": self._chance.choice(["BTC-USD", "X", None, 5]),
                                 "why": self._chance.choice(["busy", None, {"a": []}, "y" * 100_000])}))

    async def _huge(self, socket: ServerConnection) -> None:
        await socket.send(_trades(self._trade(x="z" * (3 << 20)), *(self._trade() for _ in range(500))))

    async def _beyond_the_limit(self, socket: ServerConnection) -> None:
        await socket.send("z" * (MESSAGE_LIMIT + 1))

    async def _not_utf8(self, socket: ServerConnection) -> None:
        socket.transport.write(b"\x81\x04\xff\xfe\xfd\xfc")

    async def _broken_framing(self, socket: ServerConnection) -> None:
        socket.transport.write(self._chance.randbytes(200))

    # -- how it ends

    async def _close(self, socket: ServerConnection) -> None:
        await socket.close(self._chance.choice([1000, 1001, 1008, 1011, 1013, 4000, 4999]), "\u202ebye" * 20)

    async def _abort(self, socket: ServerConnection) -> None:
        socket.transport.abort()

    async def _silence(self, _: ServerConnection) -> None:
        await asyncio.sleep(12)


def _trades(*trades: dict[str, Any]) -> str:
    return _text({"ch": "trade", "data": trades})


def _text(message: Any) -> str:
    return json.dumps(message)
