"""WebSocket frames by hand: what no library would send."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import struct
import zlib
from typing import Any

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
PATIENCE = 5.0
"""Seconds in which the client must have read what was written."""


def frame(payload: bytes, op: int = TEXT, fin: bool = True, rsv: int = 0, length: int | None = None,
          mask: bool = False) -> bytes:
    """One frame; ``length`` is what its head says."""
    said, head = len(payload) if length is None else length, bytes([(0x80 if fin else 0) | rsv << 4 | op])
    if said < 126:
        head += bytes([said | (0x80 if mask else 0)])
    else:
        head += b"\x7e" + struct.pack("!H", said) if said < 65536 else b"\x7f" + struct.pack("!Q", said)
    return head + (b"\0\0\0\0" if mask else b"") + payload


def deflated(data: bytes) -> bytes:
    """A compressed message, as permessage-deflate sends it (with rsv=4)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def accepted(head: bytes, more: bytes = b"") -> bytes:
    """The answer to a handshake."""
    (key,) = (line.split(b":", 1)[1].strip() for line in head.split(b"\r\n")
              if line.lower().startswith(b"sec-websocket-key:"))
    digest = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    return (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + digest + b"\r\n" + more + b"\r\n")


class Peer:
    """One client, after its handshake. ``deflate``: permessage-deflate was agreed; ``packed``: so does its codec."""

    def __init__(self, writer: asyncio.StreamWriter, deflate: bool) -> None:
        self.writer = writer
        self.deflate = deflate
        self.reading = asyncio.Event()
        self.reading.set()

    async def raw(self, data: bytes) -> None:
        """Writes bytes; ConnectionError where they are not read in time."""
        self.writer.write(data)
        try:
            async with asyncio.timeout(PATIENCE):
                await self.writer.drain()
        except TimeoutError:
            raise ConnectionError("the client does not read") from None

    async def text(self, data: str | bytes) -> None:
        """A text frame, compressed where that was agreed and pays."""
        payload = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        if self.deflate and len(payload) > 1000:
            await self.raw(frame(await asyncio.to_thread(deflated, payload), rsv=4))
        else:
            await self.raw(frame(payload))

    async def message(self, message: Any) -> None:
        """A message as JSON."""
        await self.text(json.dumps(message))
