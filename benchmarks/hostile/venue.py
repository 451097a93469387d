"""The hostile venue, a process of its own: some connectors' WebSockets and the HTTP calls of one of them, on one port.

Each connector meets every kind of attack once, in random order, then again and again. The kinds are those of `attacks`
(on a connection; of `binary` where frames are), `HANDSHAKES` (instead of one) and `CALLS` (what HTTP is answered with).
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress

from benchmarks.hostile import binary
from benchmarks.hostile.attacks import ATTACKS, FORGED, trade, trades
from benchmarks.hostile.secrets import KEY
from benchmarks.hostile.wire import PING, Peer, accepted, frame

CONNECTOR = """\
connector: {name}
exchange: {exchange}
asset_class: crypto
docs: https://docs.example/ws
symbols: {{default: [BTC-USD, ETH-USD], form: "{{base}}-{{quote}}"}}
connection:
{before}
  headers: {{X-Key: $env.{key}}}
  codec: auto
  steps:
    - name: subscribe
      send: {{op: sub, symbols: $symbols, id: $counter, key: $env.{key}}}
      for: [trade, quote]
      expect: {{accepted: {{op: sub, ok: true}}, refused: {{op: sub, ok: false}}, symbol: s, reason: why, within: 5s}}
  capture:
    - {{when: {{op: table}}, into: table, key: id, value: pair}}
  answer: [{{when: {{op: ping}}, send: {{op: pong, t: $message.t}}}}]
  errors: {{when: {{op: error}}, reason: why}}
  reconnect: {{when: {{op: bye}}, reason: why, base: 50ms, cap: 200ms}}
  limits: {{connect: 600 per 30s}}
streams:
  trade:
    when: {{ch: trade}}
    each: data
    sequence: {{from: i, rule: contiguous, per: symbol}}
    fields:
      symbol: s
      trade_id: i
      price: p
      quantity: q
      timestamp: {{from: t, unit: ms}}
      side: {{from: d, map: {{buy: BUY, sell: SELL}}}}
  quote:
    when: {{ch: quote}}
    fields:
      symbol: s
      quote_id: i
      timestamp: {{from: t, unit: iso8601}}
      bid_price: b
      bid_quantity: B
      ask_price: a
      ask_quantity: A
"""
_URL = "  url: wss://venue.example/ws"
_BEFORE = """\
  before:
    - http: "GET https://venue.example/{name}/token?key={{$env.{key}}}"
      headers: {{X-Key: $env.{key}}}
      within: 2s
      capture: {{endpoint: endpoint}}
  url: "{{$state.endpoint}}\""""
CALLER = "attacked-calls"
"""The connector that calls before it connects, and goes where the answer says."""
NAMES = ("attacked-a", "attacked-b", CALLER, *binary.FORMATS)


def key_of(name: str) -> str:
    """The variable that holds a connector's key: one of its own."""
    return f"K2_{name.upper().replace('-', '_')}_KEY"


def connector(name: str) -> str:
    """Its file: a right one, only the venue is wrong."""
    if name in binary.FORMATS:
        return binary.connector(name, key_of(name))
    before = _BEFORE.format(name=name, key=key_of(name)) if name == CALLER else _URL
    exchange = name.upper().replace("-", "")
    return CONNECTOR.format(name=name, exchange=exchange, before=before, key=key_of(name))


def beside(name: str) -> dict[str, bytes]:
    """The files that lie beside it."""
    return binary.FORMATS[name].files if name in binary.FORMATS else {}


Handshake = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]


async def _says(writer: asyncio.StreamWriter, data: bytes, times: int = 1) -> None:
    for _ in range(times):
        writer.write(data)
        async with asyncio.timeout(5):
            await writer.drain()


async def _drips(writer: asyncio.StreamWriter, data: bytes, every: float = 0.1) -> None:
    for n in range(len(data)):
        await _says(writer, data[n : n + 1])
        await asyncio.sleep(every)


_LOCATIONS = [
    "ws://127.0.0.1:1/",
    "http://[",
    "file:///etc/passwd",
    f"wss://elsewhere.example/?{KEY}",
    "//\r\nX: y",
    "",
]
HANDSHAKES: dict[str, Callable[[asyncio.StreamWriter, bytes, random.Random], Awaitable[None]]] = {
    "redirect": lambda out, head, chance: _says(
        out,
        f"HTTP/1.1 {chance.choice([301, 302, 307, 308])} Go\r\nLocation: {chance.choice(_LOCATIONS)}\r\n"
        "Content-Length: 0\r\n\r\n".encode(),
    ),
    "endless headers": lambda out, head, chance: _says(
        out, accepted(head)[:-2] + b"X-A: " + b"b" * 1000 + b"\r\n", 2000
    ),
    "one large header": lambda out, head, chance: _says(out, b"HTTP/1.1 101 X\r\nX: " + b"a" * (2 << 20)),
    "refusal with a large body": lambda out, head, chance: _says(
        out, b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n" + b"100000\r\n" + b"a" * (1 << 20) + b"\r\n", 8
    ),
    "refusal that echoes": lambda out, head, chance: _says(
        out, f"HTTP/1.1 401 {KEY}\r\nContent-Length: {len(KEY)}\r\nX: {KEY}\r\n\r\n{KEY}".encode()
    ),
    "retry after": lambda out, head, chance: _says(
        out,
        f"HTTP/1.1 503 Busy\r\nRetry-After: {chance.choice(['-5', 'soon', '1e9', '0.1'])}\r\n"
        "Content-Length: 0\r\n\r\n".encode(),
    ),
    "no status line": lambda out, head, chance: _says(out, b"\x00\xff\x1b[31m\r\n\r\n"),
    "wrong accept": lambda out, head, chance: _says(out, accepted(head).replace(b"Accept: ", b"Accept: A")),
    "odd extension": lambda out, head, chance: _says(
        out, accepted(head, b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99\r\n")
    ),
    "unasked sub-protocol": lambda out, head, chance: _says(out, accepted(head, b"Sec-WebSocket-Protocol: evil\r\n")),
    "drip": lambda out, head, chance: _drips(out, accepted(head)[:30]),
}
_ADDRESSES = [
    "http://[",
    "ws://[::1",
    "wss://\u0661:1/",
    "ws://127.0.0.1:99999/",
    "ws://x y/",
    "javascript:1",
    "file:///etc/passwd",
    "ws://" + "a" * 70_000,
    "wss://user:pass@127.0.0.1:1/",
    "ws://169.254.169.254/latest",
    "ws://10.0.0.1:1/",
    "\x00",
    "",
    f"wss://127.0.0.1:1/?{KEY}",
    5,
    None,
    {"a": KEY},
    "wss://%zz/",
]
CALLS: dict[str, Callable[[asyncio.StreamWriter, random.Random], Awaitable[None]]] = {
    "odd address": lambda out, chance: _answer(out, {"endpoint": chance.choice(_ADDRESSES)}),
    "http drip": lambda out, chance: _drips(out, b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n" + b" " * 60),
    "http headers drip": lambda out, chance: _drips(out, b"HTTP/1.1 200 OK\r\nX: " + b"a" * 50),
    "http redirect": lambda out, chance: _says(
        out, f"HTTP/1.1 302 Go\r\nLocation: {chance.choice(_LOCATIONS)}\r\nContent-Length: 0\r\n\r\n".encode()
    ),
    "http large": lambda out, chance: _says(out, b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * (1 << 20), 40),
    "http nested": lambda out, chance: _says(
        out, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b'{"endpoint":' * 990 + b"1" + b"}" * 990
    ),
    "http no json": lambda out, chance: _says(
        out, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html>" + KEY.encode()
    ),
    "http echo": lambda out, chance: _says(
        out, f"HTTP/1.1 400 {KEY}\r\nConnection: close\r\n\r\n{json.dumps({'key': KEY, 'why': FORGED})}".encode()
    ),
    "http retry after": lambda out, chance: _says(
        out, b"HTTP/1.1 503 Busy\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n"
    ),
    "http garbage": lambda out, chance: _says(out, chance.randbytes(3000)),
}


async def _answer(writer: asyncio.StreamWriter, body: object) -> None:
    await _says(writer, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + json.dumps(body).encode())


class HostileVenue:
    """Listens on a port of its own. ``done`` counts what was played, by kind."""

    def __init__(self, seed: int, only: str | None = None) -> None:
        self.done: Counter[str] = Counter()
        self.port = 0
        self._only = only
        self._chance = random.Random(seed)
        self._waiting: dict[tuple[str, str], list[str]] = defaultdict(list)
        """By connector and table, the kinds that it has not met in this round."""

    async def start(self) -> None:
        """Listens."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

    def _next(self, name: str, table: str, kinds: list[str]) -> str | None:
        """The next kind of a table; None where only one of another table is to be played."""
        if self._only is not None:
            kinds = [one for one in kinds if one == self._only]
        waiting = self._waiting[name, table]
        if not waiting:
            waiting += self._chance.sample(kinds, len(kinds))
        kind = waiting.pop() if waiting else None
        self.done += Counter([kind] if kind is not None else [])
        return kind

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, IndexError):
            head = await reader.readuntil(b"\r\n\r\n")
            name = head.split(b" ", 2)[1].decode("latin-1").strip("/").split("/")[0]
            if b"upgrade: websocket" not in head.lower():
                await self._called(name, writer)
            elif self._chance.random() < 0.25 and (kind := self._next(name, "handshake", [*HANDSHAKES])) is not None:
                await HANDSHAKES[kind](writer, head, self._chance)
            else:
                await self._connected(name, head, reader, writer)
        writer.close()

    async def _called(self, name: str, writer: asyncio.StreamWriter) -> None:
        kind = self._next(name, "call", [*CALLS]) if self._chance.random() < 0.5 else None
        if kind is None:
            await _answer(writer, {"endpoint": f"ws://127.0.0.1:{self.port}/{name}/ws"})
        else:
            await CALLS[kind](writer, self._chance)

    async def _connected(
        self, name: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        deflate = b"permessage-deflate" in head and self._chance.random() < 0.5
        more = b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n" if deflate else b""
        writer.write(accepted(head, more))
        await reader.read(65536)  # it subscribes
        peer = Peer(writer, deflate)
        reading = asyncio.create_task(_drain(reader, peer))
        try:
            for symbol in ("BTC-USD", "ETH-USD"):
                await peer.message({"op": "sub", "ok": True, "s": symbol})
            while not writer.is_closing() and not reading.done():
                if name in binary.FORMATS:
                    await binary.send(peer, binary.FORMATS[name].right(2))
                else:
                    await peer.message(trades(trade(), trade()))
                await peer.raw(frame(b"", op=PING))
                attacks = binary.ATTACKS.get(name, ATTACKS)
                kind = self._next(name, "attack", [*attacks])
                if kind is None:  # what is to be played is played when it connects again
                    await asyncio.sleep(0.3)
                    break
                await attacks[kind](peer, self._chance)
                await asyncio.sleep(self._chance.uniform(0, 0.3))
        finally:
            reading.cancel()
            writer.transport.abort()


async def _drain(reader: asyncio.StreamReader, peer: Peer) -> None:
    """Reads what the client says, but while it is not to be read."""
    while True:
        await peer.reading.wait()
        if not await reader.read(65536):
            return


async def main(seed: int, only: str | None) -> None:
    """Says its port; then, whenever a line comes, what it has done."""
    venue = HostileVenue(seed, only)
    await venue.start()
    print("port", venue.port, flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print("done", json.dumps(dict(sorted(venue.done.items()))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 and sys.argv[2] else None))
