"""A connection's bytes, through the reader (in C where it is built, in Python, and cut into pieces) against the library
websockets alone: the same messages in the same order, up to the same end.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, cast

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from k2conn import native
from k2conn.transports.websocket.reader import Reader
from tests.fuzz.draws import Draws

LIMIT = 1 << 12
TRACED = ("k2conn.transports.websocket", "websockets")
WORDS = (
    b"\x81\x02hi",
    b"\x82\x01x",
    b"\x01\x01a",
    b"\x80\x01b",
    b"\x00\x01c",
    b"\x89\x00",
    b"\x8a\x00",
    b"\x88\x02\x03\xe8",
    b"\xc1\x04",
    b"\x81\x7e\x00\x80",
    b"\x81\x7f\0\0\0\0\0\0\x10\x01",
    b"\x81\x81",
    b"\xff",
    b"\xc3\xa9",
    b"\x91\x00",
)
_QUIET = logging.getLogger("fuzz.websocket")
_QUIET.disabled = True
_URI = parse_uri("ws://localhost/")


def deflated(payload: bytes) -> bytes:
    """As permessage-deflate packs a message."""
    machine = zlib.compressobj(wbits=-15)
    return (machine.compress(payload) + machine.flush(zlib.Z_SYNC_FLUSH))[:-4]


def framed(first: int, payload: bytes) -> bytes:
    """A server's frame."""
    size = len(payload)
    head = bytes((first, size)) if size < 126 else bytes((first, 126)) + size.to_bytes(2, "big")
    return head + payload


def seeds() -> Iterator[bytes]:
    """How the bytes come (one byte), the bytes."""
    for cut in (0, 1, 3, 30):
        head = bytes((cut,))
        yield head + framed(0x81, b"one") + framed(0x82, b"\xff") + framed(0x89, b"?") + framed(0x81, b"x" * 200)
        yield (
            head + framed(0x01, b"a") + framed(0x89, b"") + framed(0x00, b"b") + framed(0x80, b"c") + framed(0x81, b"d")
        )
        yield (
            head
            + framed(0xC1, deflated(b"text" * 100))
            + framed(0x81, b"d")
            + framed(0x88, b"\x03\xe8bye")
            + b"\x81\x01x"
        )
        yield head + framed(0x81, b"d") + framed(0x81, b"x" * (LIMIT + 1))
        yield head + framed(0x81, b"d") + b"\x81\x81abcdx" + framed(0x81, b"\xff")


class Wire:
    """What a transport of asyncio must be able to do here: nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: False


def protocol() -> ClientProtocol:
    """An open connection's, with compression."""
    found = ClientProtocol(_URI, max_size=LIMIT, state=OPEN, logger=_QUIET)
    found.extensions = [PerMessageDeflate(True, True, 15, 15)]
    return found


async def read(pieces: Sequence[bytes]) -> tuple[list[str | bytes], bool]:
    """What our reader hands on, and whether it has seen the connection's end (or waits for the rest of a frame, for it
    takes whole ones only).
    """
    found: list[str | bytes] = []

    def hear(frames: Sequence[str | bytes]) -> bool:
        found.extend(frames)
        return False

    async def relief() -> None:
        """Never needed."""

    one = Reader(protocol(), ping_interval=None, close_timeout=None)
    one.connection_made(cast(Any, Wire()))
    one.response = Response(101, "", cast(Any, None))
    one.begin(hear, relief, LIMIT)
    for piece in pieces:
        one.data_received(piece)
        await one.finish()
    assert one.bug is None, one.bug
    return found, one.protocol.state is not OPEN or bool(one.discarded)


def judged(pieces: Sequence[bytes]) -> tuple[list[str | bytes], bool]:
    """The same by the library alone."""
    judge = protocol()
    found: list[str | bytes] = []
    parts, kind = b"", Opcode.TEXT
    for piece in pieces:
        judge.receive_data(piece)
        for event in judge.events_received():
            if not isinstance(event, Frame) or event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                continue
            if event.opcode is not Opcode.CONT:
                parts, kind = b"", event.opcode
            parts += event.data
            if not event.fin:
                continue
            if kind is Opcode.BINARY:
                found.append(parts)
                continue
            try:
                found.append(parts.decode())
            except UnicodeDecodeError:
                return found, True
    return found, judge.state is not OPEN


def target(data: bytes) -> None:
    """One stream of bytes."""
    draws = Draws(data)
    size = draws.byte()
    wire = draws.rest()[: 40 * size or 20_000]
    pieces = [wire[at : at + size] for at in range(0, len(wire), size)] if size else [wire]
    wanted = judged(pieces)
    loop = _loop()
    in_c = native.cut
    for cut in {in_c, None}:
        native.cut = cut
        try:
            found = loop.run_until_complete(read(pieces))
        finally:
            native.cut = in_c
        assert found[0] == wanted[0], "other messages"
        assert found[1] or not wanted[1], "the end was not seen"


_LOOPS: list[asyncio.AbstractEventLoop] = []


def _loop() -> asyncio.AbstractEventLoop:
    """One for all inputs."""
    if not _LOOPS:
        _LOOPS.append(asyncio.new_event_loop())
    return _LOOPS[0]
