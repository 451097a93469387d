"""The attacks of venues that send binary frames: MessagePack (packed or not), protobuf, SBE and a declared layout.

Each `Format` has what a connector file says of it, right frames, and frames that are wrong in the ways of that format;
what is wrong in the same way in all of them (cut, changed, packed a thousandfold) is made of its right ones. A frame
costs its venue little; whatever it says of lengths and counts must cost us no more.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from google.protobuf import descriptor_pb2

from benchmarks.hostile.attacks import Attack, vanish
from benchmarks.hostile.secrets import KEY
from benchmarks.hostile.wire import BINARY, Peer, frame

LIMIT = 8 << 20
"""Bytes of the largest frame."""
_ids = iter(range(1, 1 << 40))


@dataclass(frozen=True)
class Format:
    """One way to write trades in bytes. ``codec`` and ``trade`` are words of a connector file; ``files`` lie beside
    it, by their names.
    """

    codec: str
    trade: str
    right: Callable[[int], bytes]
    """A frame of so many right trades."""
    deep: Callable[[int], bytes]
    """So many things within one another."""
    lying: tuple[Callable[[bytes], bytes], ...]
    """Lengths and counts that say something else than there is, of a right frame."""
    many: tuple[Callable[[], bytes], ...]
    """As much as a frame can hold."""
    files: dict[str, bytes] = field(default_factory=dict)
    packed: bool = False
    """Whether its frames may be compressed."""


def _now() -> int:
    return int(time.time() * 1000)


# -- MessagePack


def _msgpack(value: object) -> bytes:
    """As much of it as trades need."""
    if isinstance(value, str):
        data = value.encode()
        return b"\xd9" + bytes((len(data),)) + data
    if isinstance(value, int):
        return b"\xcf" + value.to_bytes(8, "big")
    if isinstance(value, dict):
        return b"\xde" + struct.pack(">H", len(value)) + b"".join(_msgpack(x) for pair in value.items() for x in pair)
    assert isinstance(value, list)
    return b"\xdc" + struct.pack(">H", len(value)) + b"".join(map(_msgpack, value))


def _trade() -> dict[str, object]:
    return {"s": "BTC-USD", "i": next(_ids), "p": "100.5", "q": "0.25", "t": _now(), "d": "buy"}


def _msgpack_trades(count: int) -> bytes:
    return _msgpack({"ch": "trade", "data": [_trade() for _ in range(count)]})


_JSON_LIKE = """\
    when: {ch: trade}
    each: data
    fields: {symbol: s, trade_id: i, price: p, quantity: q, timestamp: {from: t, unit: ms},
      side: {from: d, map: {buy: BUY, sell: SELL}}}
"""
MESSAGE_PACK = Format(
    "{text: json, binary: auto+msgpack}", _JSON_LIKE, _msgpack_trades,
    lambda depth: b"\x91" * depth + b"\xc0",
    (
        lambda right: right.replace(b"\xdc\x00", b"\xdd\xff\xff\xff\xff\x00", 1),
        lambda right: right.replace(b"\xd9\x05trade", b"\xdb\x7f\xff\xff\xfftrade", 1),
        lambda right: b"\xdf\xff\xff\xff\xff" + right,
        lambda right: b"\xc6\xff\xff\xff\xf0" + right,
        lambda right: b"\xc9\xff\xff\xff\xff\xff" + right,
        lambda right: b"\xc7\x0c\xff" + b"\xff" * 12,
        lambda right: b"\x82" + right + right,
        lambda right: b"\x84" + b"\xa1a\x01" * 4,
        lambda right: b"\x92\xcb\x7f\xf0" + bytes(6) + b"\xca\x7f\xc0\x00\x00",
    ),
    (
        lambda: b"\xdd" + struct.pack(">I", LIMIT - 6) + b"\xc0" * (LIMIT - 6),
        lambda: b"\xdd" + struct.pack(">I", LIMIT - 6) + b"\x80" * (LIMIT - 6),
        lambda: b"\xdc\xff\xff" + b"\x91" * 65535 + b"\xc0" * 65535,
        lambda: b"\xc6" + struct.pack(">I", LIMIT - 6) + bytes(LIMIT - 6),
        lambda: b"\xdf" + struct.pack(">I", 200_000) + b"".join(b"\xa6%06x\x01" % at for at in range(200_000)),
    ),
    packed=True,
)

# -- protobuf


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return out + bytes((number,))


def _part(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _descriptor() -> bytes:
    """Trades in a message, which may have itself within."""
    found = descriptor_pb2.FileDescriptorSet()
    file = found.file.add(name="attacked.proto", package="attacked", syntax="proto3")
    trade = file.message_type.add(name="Trade")
    for number, name in enumerate("sipqtd", 1):
        trade.field.add(name=name, number=number, type=9 if name in "spqd" else 4, label=1)
    push = file.message_type.add(name="Push")
    push.field.add(name="ch", number=1, type=9, label=1)
    push.field.add(name="data", number=2, type=11, label=3, type_name=".attacked.Trade")
    push.field.add(name="inner", number=3, type=11, label=1, type_name=".attacked.Push")
    push.field.add(name="levels", number=4, type=4, label=3)
    return found.SerializeToString()


def _protobuf_trades(count: int) -> bytes:
    trades = b""
    for _ in range(count):
        trades += _part(2, _part(1, b"BTC-USD") + b"\x10" + _varint(next(_ids)) + _part(3, b"100.5") + _part(4, b"0.25")
                        + b"\x28" + _varint(_now()) + _part(6, b"buy"))
    return _part(1, b"trade") + trades


def _protobuf_deep(depth: int) -> bytes:
    """Groups that nobody knows where parts would grow with the square of their depth."""
    if depth > 2000:
        return b"\x5b" * depth + b"\x5c" * depth
    data = b""
    for _ in range(depth):
        data = _part(3, data)
    return data


PROTOBUF = Format(
    "{text: json, binary: protobuf, descriptor: attacked.desc, message: attacked.Push}", _JSON_LIKE, _protobuf_trades,
    _protobuf_deep,
    (
        lambda right: right + b"\x12\xff\xff\xff\xff\x07",
        lambda right: right + b"\x12" + b"\xff" * 9 + b"\x01",
        lambda right: right + b"\xff" * 30,
        lambda right: right + b"\x0f\x00",
        lambda right: right + b"\x2c",
        lambda right: right + b"\x5b",
        lambda right: b"\x0a\x03\xff\xfe\xfd" + right,
        lambda right: right.replace(b"\x0a\x05trade", b"\x08\x05\x0a\x04trad", 1),
    ),
    (
        lambda: b"\x12\x00" * (LIMIT // 2 - 8),
        lambda: b"\x1a\x00" * (LIMIT // 2 - 8),
        lambda: _part(4, b"\x01" * (LIMIT - 16)),
        lambda: b"\x20\x01" * (LIMIT // 2 - 8),
        lambda: b"\xf8\x3f\x01" * (LIMIT // 3 - 8),
        lambda: _part(1, b"x" * (LIMIT - 16)),
    ),
    {"attacked.desc": _descriptor()},
)

# -- SBE

_SCHEMA = b"""<?xml version="1.0"?>
<sbe:messageSchema xmlns:sbe="http://fixprotocol.io/2016/sbe" package="attacked" id="7" version="2"
 byteOrder="littleEndian">
 <types>
  <composite name="messageHeader"><type name="blockLength" primitiveType="uint16"/>
   <type name="templateId" primitiveType="uint16"/><type name="schemaId" primitiveType="uint16"/>
   <type name="version" primitiveType="uint16"/></composite>
  <composite name="groupSizeEncoding"><type name="blockLength" primitiveType="uint16"/>
   <type name="numInGroup" primitiveType="uint32"/></composite>
  <composite name="text8"><type name="length" primitiveType="uint8"/>
   <type name="varData" length="0" primitiveType="uint8" characterEncoding="UTF-8"/></composite>
  <composite name="decimal"><type name="mantissa" primitiveType="int64"/>
   <type name="exponent" primitiveType="int8"/></composite>
  <type name="number" primitiveType="uint64"/>
 </types>
 <sbe:message name="Trades" id="100">
  <field id="1" name="at" type="number"/>
  <group id="2" name="trades" dimensionType="groupSizeEncoding">
   <field id="3" name="i" type="number"/><field id="4" name="p" type="decimal"/><field id="5" name="q" type="decimal"/>
  </group>
  <data id="6" name="s" type="text8"/>
 </sbe:message>
</sbe:messageSchema>
"""
_HEAD = struct.Struct("<HHHHQ")


def _sbe_trades(count: int) -> bytes:
    trades = b"".join(struct.pack("<Qqbqb", next(_ids), 1005, -1, 25, -2) for _ in range(count))
    return _HEAD.pack(8, 100, 7, 2, _now()) + struct.pack("<HI", 26, count) + trades + b"\x07BTC-USD"


def _sbe(block: int = 8, template: int = 100, version: int = 2, group: int = 26, count: int = 0) -> bytes:
    return _HEAD.pack(block, template, 7, version, 1) + struct.pack("<HI", group, count)


SBE = Format(
    "{text: json, binary: sbe, schema: attacked.xml}",
    """\
    when: {message: Trades}
    each: body.trades
    fields: {symbol: $message.body.s, trade_id: i, price: p, quantity: q,
      timestamp: {from: $message.body.at, unit: ms}, side: {value: UNKNOWN}}
""",
    _sbe_trades, lambda depth: _sbe(count=depth) * min(depth, 1000),
    (
        lambda right: b"\xff\xff" + right[2:],
        lambda right: b"\x00\x00" + right[2:],
        lambda right: right[:2] + b"\xff\xff" + right[4:],
        lambda right: right[:6] + b"\x00\x00" + right[8:],
        lambda right: right[:6] + b"\xff\xff" + right[8:],
        lambda right: _sbe(count=0xFFFFFFFF) + right,
        lambda right: _sbe(group=0, count=0xFFFFFFFF) + right,
        lambda right: _sbe(group=1, count=len(right)) + right,
        lambda right: right[:-8] + b"\xff" + right[-7:],
        lambda right: _sbe(count=1) + struct.pack("<Qqbqb", 1, 2**63 - 1, 127, -(2**63), -128) + b"\x01A",
    ),
    (
        lambda: _sbe(count=(LIMIT - 64) // 26) + bytes((LIMIT - 64) // 26 * 26) + b"\x07BTC-USD",
        lambda: _sbe(group=0, count=0xFFFFFFFF) + bytes(LIMIT - 64),
        lambda: _sbe(group=1, count=LIMIT - 64) + bytes(LIMIT - 64),
        lambda: _sbe(template=9) + bytes(LIMIT - 64),
    ),
    {"attacked.xml": _SCHEMA},
)

# -- a declared layout


def _layout_trades(count: int) -> bytes:
    trades = b"".join(struct.pack(">HQqqQ8s", 40, next(_ids), 1005, 25, _now(), b"BTC-USD") for _ in range(count))
    return b"\x01" + struct.pack(">H", count) + trades


LAYOUT = Format(
    """
    text: json
    binary: layout
    layout:
      byte_order: big
      frame: {kind_number: u8, body: message}
      message: {by: length, of: {1: beat}, else: trades}
      beat: {data: skip 1}
      trades: {trades: {count: u16, length: u16, of: trade}}
      trade: {i: u64, p: {type: i64, exponent: -1}, q: {type: i64, exponent: -2}, t: u64, s: text 8, rest: bytes}""",
    """\
    when: {kind_number: 1}
    each: body.trades
    fields: {symbol: s, trade_id: i, price: p, quantity: q, timestamp: {from: t, unit: ms}, side: {value: UNKNOWN}}
""",
    _layout_trades, lambda depth: b"\x01" + b"\x00\x01" * depth,
    (
        lambda right: right[:1] + b"\xff\xff" + right[3:],
        lambda right: right[:1] + b"\x00\x00" + right[3:],
        lambda right: right[:3] + b"\xff\xff" + right[5:],
        lambda right: right[:3] + b"\x00\x00" + right[5:],
        lambda right: b"\x02" + right[1:],
        lambda right: right + b"\xff" * 100,
        lambda right: right.replace(b"BTC-USD\0", b"\xff" * 8),
        lambda right: right[:5] + b"\xff" * 32 + right[37:],
    ),
    (
        lambda: b"\x01\xff\xff" + (b"\x00\x2a" + bytes(42)) * 65535,
        lambda: b"\x01\xff\xff" + b"\x00\x00" * 65535,
        lambda: b"\x01\x00\x80" + (b"\xff\xff" + bytes(65535)) * 127,
    ),
)

FORMATS: dict[str, Format] = {
    "attacked-msgpack": MESSAGE_PACK, "attacked-protobuf": PROTOBUF, "attacked-sbe": SBE, "attacked-layout": LAYOUT,
}
"""By the name of the connector."""
CONNECTOR = """\
connector: {name}
exchange: {exchange}
asset_class: crypto
docs: https://docs.example/ws
symbols: {{default: [BTC-USD], form: "{{base}}-{{quote}}"}}
connection:
  url: wss://venue.example/ws
  headers: {{X-Key: $env.{key}}}
  codec: {codec}
  steps:
    - name: subscribe
      send: {{op: sub, symbols: $symbols}}
      for: trade
      expect: {{accepted: {{op: sub, ok: true}}, refused: {{op: sub, ok: false}}, symbol: s, reason: why, within: 5s}}
  reconnect: {{base: 50ms, cap: 200ms}}
  limits: {{connect: 600 per 30s}}
streams:
  trade:
{trade}"""


def connector(name: str, key: str) -> str:
    """The file of one of them."""
    known = FORMATS[name]
    return CONNECTOR.format(name=name, exchange=name.upper().replace("-", ""), key=key, codec=known.codec,
                            trade=known.trade)


async def send(peer: Peer, data: bytes) -> None:
    """A binary frame."""
    await peer.raw(frame(data, op=BINARY))


def attacks(known: Format) -> dict[str, Attack]:
    """The attacks on one format, by kind."""

    async def deep(peer: Peer, chance: random.Random) -> None:
        for depth in chance.sample([50, 99, 100, 101, 399, 401, 1000, 2000, 200_000], 5):
            await send(peer, known.deep(depth))

    async def lying(peer: Peer, chance: random.Random) -> None:
        for lie in chance.sample(known.lying, len(known.lying)):
            await send(peer, lie(known.right(2)))

    async def many(peer: Peer, chance: random.Random) -> None:
        for make in chance.sample(known.many, 2):
            await send(peer, await asyncio.to_thread(_made, make))
        await send(peer, known.right(1000))

    async def cut(peer: Peer, chance: random.Random) -> None:
        right = known.right(3)
        for end in chance.sample(range(len(right)), min(60, len(right))):
            await send(peer, right[:end])
            await send(peer, right + right[:end])

    async def changed(peer: Peer, chance: random.Random) -> None:
        for _ in range(200):
            data = bytearray(known.right(2))
            for _ in range(chance.choice([1, 1, 2, 8])):
                data[chance.randrange(len(data))] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
            await send(peer, bytes(data))

    async def others(peer: Peer, chance: random.Random) -> None:
        frames = [one.right(2) for one in FORMATS.values()] + [json.dumps({"key": KEY}).encode(), KEY.encode(), b""]
        for data in chance.sample(frames, len(frames)) + [chance.randbytes(size) for size in (1, 30, 3000, 300_000)]:
            await send(peer, data)

    async def bombs(peer: Peer, chance: random.Random) -> None:
        for data in chance.sample(_bombs(), 3):
            await send(peer, data)
        packed = gzip.compress(known.right(50))
        for data in (packed, packed[:-9], packed + packed, packed[:20] + b"\xff\xff" + packed[22:],
                     zlib.compress(known.right(5))[:-4]):
            await send(peer, data)

    kinds = {"deep": deep, "lying lengths": lying, "huge counts": many, "cut": cut, "changed": changed,
             "other formats": others, "bombs": bombs, "vanish": vanish}
    return {f"binary {kind}": attack for kind, attack in kinds.items()}


@cache
def _made(make: Callable[[], bytes]) -> bytes:
    return make()


@cache
def _bombs() -> tuple[bytes, ...]:
    zeros = bytes(64 << 20)
    nested = b"\xdd" + struct.pack(">I", 64 << 20) + b"\x90" * (64 << 20)
    return (gzip.compress(zeros), zlib.compress(zeros), gzip.compress(gzip.compress(zeros)), gzip.compress(nested),
            gzip.compress(MESSAGE_PACK.many[0]()), gzip.compress(b"\x91" * (1 << 20)))


ATTACKS: dict[str, dict[str, Attack]] = {name: attacks(known) for name, known in FORMATS.items()}
"""By connector and kind."""
KINDS = [*ATTACKS["attacked-msgpack"]]
