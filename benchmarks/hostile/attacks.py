"""The attacks of a venue on a connection, one function a kind. ``ATTACKS`` names them all.

Each sends for a second or two at most; some end the connection. Between them right trades are sent.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import time
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from benchmarks.hostile.secrets import KEY, spellings
from benchmarks.hostile.wire import BINARY, CLOSE, PING, PONG, Peer, deflated, frame

Attack = Callable[[Peer, random.Random], Awaitable[None]]
LIMIT = 8 << 20
"""Bytes of the largest frame, unless a connector file says another."""
FORGED = 'x\n2026-01-01T00:00:00Z [info     ] all is well\r{"event":"forged"}\x1b[2J\u202e\x00'
_ids = iter(range(1, 1 << 40))


def trade(**changed: Any) -> dict[str, Any]:
    """A right trade, but for what is changed."""
    return {
        "s": "BTC-USD",
        "i": next(_ids),
        "p": "100.5",
        "q": "0.25",
        "t": int(time.time() * 1000),
        "d": "buy",
        **changed,
    }


def trades(*many: Any) -> dict[str, Any]:
    """They in a message."""
    return {"ch": "trade", "data": many}


async def nesting(peer: Peer, chance: random.Random) -> None:
    """Too deep to be read, just readable, and readable but hard to write again; echoed and captured, too."""
    for depth in chance.sample([300, 395, 399, 401, 500, 900, 970, 985, 995, 1000, 5_000, 200_000], 5):
        inner = chance.choice(["[", '{"a":']) * depth
        whole = inner + "1" + ("]" if inner[0] == "[" else "}") * depth
        wrap = chance.choice(
            [
                "%s",
                '{"ch":"trade","data":[%s]}',
                '{"op":"ping","t":%s}',
                '{"op":"table","id":%s,"pair":1}',
                '{"ch":"trade","data":[{"s":"BTC-USD","i":1,"p":%s}]}',
            ]
        )
        await peer.text(wrap % (whole if chance.random() < 0.8 else inner))


async def numbers(peer: Peer, chance: random.Random) -> None:
    """Numbers beyond 64 bits, of thousands of digits, in every field."""
    for number in chance.sample(
        [
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551616",
            "-1",
            "-0",
            "1e400",
            "1" + "0" * 5000,
            "1" + "0" * 300_000,
            '"' + "9" * 100_000 + '"',
            "NaN",
            "1e9999999999",
        ],
        6,
    ):
        for name in "iqt":
            await peer.text(json.dumps(trades(trade(**{name: "@"}), trade())).replace('"@"', number))


async def prices(peer: Peer, chance: random.Random) -> None:
    """Extreme exponents and digits, as number and as text."""
    for price in [
        "1e-1000500",
        "1e-999999999",
        "1e999999999",
        "0." + "9" * 5000,
        "64000.1" + "0" * 400 + "1",
        "9999999999.99999999",
        "-0",
        "00001",
        "1_000",
        "\u0661",
        "1e5",
        ".5",
        "5.",
        "0x1F",
        " 1 ",
    ]:
        for text in (price, json.dumps(price)):
            await peer.text(json.dumps(trades(trade(p="@"))).replace('"@"', text))


async def times(peer: Peer, chance: random.Random) -> None:
    """Odd texts of times, and honest ones of the same second behind them."""
    for at in [
        "2026-01-02T03:04:05.12345 Z",
        "2026-01-02T03:04:60Z",
        "2026-02-30T00:00:00Z",
        "+02026-01-02T03:04:05Z",
        "2026-01-02T03:04:05+99:99",
        "2026-01-02T03:04:05.\u0661Z",
        "9" * 50,
        "-1",
        "0",
        "9999-12-31T23:59:59.9999999Z",
        "2026-01-02T03:04:05Z\n",
        "2026-01-02 03:04:05",
        "",
        "Z",
    ]:
        await peer.message(
            {"ch": "quote", "s": "BTC-USD", "i": next(_ids), "t": at, "b": "1", "B": "1", "a": "2", "A": "1"}
        )
        await peer.message(
            {
                "ch": "quote",
                "s": "BTC-USD",
                "i": next(_ids),
                "t": "2026-01-02T03:04:05.5Z",
                "b": "1",
                "B": "1",
                "a": "2",
                "A": "1",
            }
        )
        await peer.message(trades(trade(t=at)))


async def symbols(peer: Peer, chance: random.Random) -> None:
    """Ever new symbols, some of them very long."""
    start = chance.randrange(1 << 40)
    for block in range(10):
        await peer.message(trades(*(trade(s=f"S{start + block * 500 + n}-USD") for n in range(500))))
    for size in (100, 1000, 1_000_000):
        await peer.message(trades(trade(s="x" * size), trade(s=f"{start}".ljust(size, "Z") + "-USD")))


async def captures(peer: Peer, chance: random.Random) -> None:
    """Ever new entries for what the connector remembers of a connection, some of them large."""
    start = chance.randrange(1 << 40)
    for n in range(5000):
        await peer.raw(frame(b'{"op":"table","id":%d,"pair":"%s"}' % (start + n, b"P" * chance.choice([3, 300]))))
    await peer.message({"op": "table", "id": "k" * 1_000_000, "pair": "P" * 1_000_000})


async def errors(peer: Peer, chance: random.Random) -> None:
    """Floods of what is worth a log line: errors, refusals, unknown messages, each in words of its own."""
    for n in range(3000):
        words = "".join(chance.choices("abcdefghij", k=12)) if n % 2 else FORGED
        await peer.message(
            chance.choice(
                [
                    {"op": "error", "why": words},
                    {"op": "sub", "ok": False, "s": "BTC-USD", "why": words},
                    {"nobody": words},
                    {"op": "sub", "ok": False, "s": words, "why": words},
                    trades(trade(d=words)),
                ]
            )
        )
    await peer.message({"op": "error", "why": "e" * 2_000_000})


async def gaps(peer: Peer, chance: random.Random) -> None:
    """Every second number is missing; then jumps and returns."""
    first = next(_ids) * 1_000_000
    for block in range(10):
        await peer.message(trades(*(trade(i=first + 2 * (block * 100 + n)) for n in range(100))))
    for number in (2**63 - 1, 0, 5, 2**62, first, first + 10**8, 2**63):
        await peer.message(trades(trade(i=number)))


async def bad_items(peer: Peer, chance: random.Random) -> None:
    """One small frame, and each of its items a dead letter."""
    items = chance.choice([20_000, 100_000])
    await _packed(peer, b'{"ch":"trade","data":[' + b",".join([b"0"] * items) + b"]}")
    await _packed(peer, b'{"ch":"trade","data":[' + b",".join([b'{"s":"\\u0001\\u0002"}'] * 5000) + b"]}")


async def bombs(peer: Peer, chance: random.Random) -> None:
    """A few kilobytes that unfold beyond the limit, or up to it."""
    await peer.raw(frame(await asyncio.to_thread(_bomb, chance.choice(["zeros", "text", "nested"])), op=BINARY))
    if peer.deflate:
        await peer.raw(frame(deflated(b'"' + b" " * (LIMIT - 2) + b'"'), rsv=4))
        await peer.raw(frame(deflated(b"0" * (LIMIT + 1)), rsv=4))


async def much_work(peer: Peer, chance: random.Random) -> None:
    """Little on the wire, millions of values to read."""
    inner = chance.choice([b"[],", b"{},", b'{"a":1},', b"1,"])
    await _packed(peer, b'{"ch":"trade","data":[' + inner * (3_000_000 // len(inner)) + b"0]}")


async def invalid_utf8(peer: Peer, chance: random.Random) -> None:
    """No text, alone and behind right trades of the same write."""
    bad = chance.choice([b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"])
    right = frame(json.dumps(trades(trade(), trade())).encode())
    await peer.raw(right + frame(b'{"ch":"trade","x":"' + bad + b'"}') + right)


async def pings(peer: Peer, chance: random.Random) -> None:
    """Floods of pings, of the protocol and of the venue's own, and answers that nobody asked for."""
    for _ in range(50):
        await peer.raw(frame(b"x" * 125, op=PING) * 200 + frame(b"x" * 100, op=PONG) * 200)
    for _ in range(50):
        await peer.raw(frame(b'{"op":"ping","t":"%s"}' % (b"t" * 1000)) * 20)


async def never_reading(peer: Peer, chance: random.Random) -> None:
    """Asks for answers and reads none of them."""
    peer.reading.clear()
    try:
        ask = frame(b'{"op":"ping","t":"%s"}' % (b"t" * 20_000)) * 10 + frame(b"x" * 125, op=PING) * 100
        for _ in range(200):
            await peer.raw(ask)
            await asyncio.sleep(0.005)
    finally:
        peer.reading.set()


async def malformed(peer: Peer, chance: random.Random) -> None:
    """Frames that break the protocol."""
    await peer.raw(
        chance.choice(
            [
                frame(b"{}", mask=True),
                frame(b"{}", rsv=4),
                frame(b"{}", rsv=2),
                frame(b"{}", op=3),
                frame(b"{}", op=15),
                frame(b"x" * 126, op=PING),
                frame(b"x", op=PING, fin=False),
                frame(b"x", op=0),
                frame(b"{", fin=False) + frame(b"{}"),
                frame(b"x", length=2**63),
                frame(b"x", length=2**63 - 1),
                frame(b"x", length=LIMIT + 1),
                b"\x81\x7f" + b"\0" * 7 + b"\x02{}",
                b"HTTP/1.1 200 OK\r\n\r\n" * 100,
                chance.randbytes(5000),
            ]
        )
    )
    await asyncio.sleep(0.1)


async def fragments(peer: Peer, chance: random.Random) -> None:
    """A message without an end, in pieces of nothing and of a little."""
    await peer.raw(frame(b'{"a":"', fin=False))
    for size in (0, 1, 1000):
        for _ in range(100):
            await peer.raw(frame(b"x" * size, op=0, fin=False) * 20)
    await peer.raw(frame(b'"}', op=0))


async def closes(peer: Peer, chance: random.Random) -> None:
    """Goodbyes that are none, with data behind them."""
    code = chance.choice([999, 1000, 1005, 1008, 1013, 1015, 4000, 65535]).to_bytes(2, "big")
    reason = chance.choice([b"", b"\xff", FORGED.encode()[:100], KEY.encode(), b"x" * 123])
    await peer.raw(
        frame(chance.choice([b"x", code + reason]), op=CLOSE) + frame(json.dumps(trades(trade())).encode()) * 3
    )
    await asyncio.sleep(0.2)


async def echoes(peer: Peer, chance: random.Random) -> None:
    """Our own key, repeated to us in every spelling, wherever something may be told of it."""
    for said in spellings(KEY).values():
        request = f'bad request {{"key":"{said}"}} '
        for message in (
            {"unknown": request},
            {"op": "error", "why": request},
            {"op": "sub", "ok": False, "s": "BTC-USD", "why": request},
            {"op": "sub", "ok": False, "s": said, "why": said},
            trades(trade(p=said)),
            trades(trade(s=said)),
            trades(said),
            trades(trade(i={said: said})),
            {"op": "table", "id": said, "pair": said},
            {said: 1},
        ):
            await peer.message(message)
        for pad in range(3):
            await peer.raw(frame(b"\x00" * pad + b"no json " + said.encode(), op=BINARY))
        await peer.raw(frame(b"{broken " + said.encode()))
    await peer.message(trades(*([0] * 200), KEY))


async def reconnect_notices(peer: Peer, chance: random.Random) -> None:
    """Is told to connect again, in words that forge lines."""
    await peer.message({"op": "bye", "why": chance.choice([FORGED, KEY, "b" * 100_000])})
    await asyncio.sleep(0.2)


async def vanish(peer: Peer, chance: random.Random) -> None:
    """Cuts the connection within a frame."""
    await peer.raw(frame(json.dumps(trades(trade())).encode())[:-5])
    peer.writer.transport.abort()


async def _packed(peer: Peer, data: bytes) -> None:
    """Compressed by the protocol where that was agreed, else for the connector's own codec."""
    if peer.deflate:
        await peer.raw(frame(await asyncio.to_thread(deflated, data), rsv=4))
    else:
        await peer.raw(frame(await asyncio.to_thread(gzip.compress, data), op=BINARY))


@cache
def _bomb(kind: str) -> bytes:
    data = {"zeros": b"0" * (64 << 20), "text": b'"' + b"a" * (LIMIT + 5) + b'"', "nested": b"[" * (64 << 20)}[kind]
    packed = gzip.compress(data)
    return gzip.compress(packed) if kind == "nested" else packed


ATTACKS: dict[str, Attack] = {
    one.__name__: one
    for one in (
        nesting,
        numbers,
        prices,
        times,
        symbols,
        captures,
        errors,
        gaps,
        bad_items,
        bombs,
        much_work,
        invalid_utf8,
        pings,
        never_reading,
        malformed,
        fragments,
        closes,
        echoes,
        reconnect_notices,
        vanish,
    )
}
