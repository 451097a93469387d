"""The reader hands on what was sent, in order, however the bytes come and whatever stands between the messages."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import zlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2conn.errors import TransportError
from k2conn.transports import Address
from k2conn.transports.websocket.connection import WebSocket
from tests.support.in_c import both_ways

TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
FIN, RSV1 = 0x80, 0x40
END = "the end"

in_c = both_ways("cut")



def framed(payload: bytes, opcode: int, flags: int = FIN) -> bytes:
    """A server's frame; the length in its shortest form."""
    size = len(payload)
    if size < 126:
        return bytes((flags | opcode, size)) + payload
    if size < 65536:
        return bytes((flags | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((flags | opcode, 127)) + size.to_bytes(8, "big") + payload


def deflated(payload: bytes) -> bytes:
    machine = zlib.compressobj(wbits=-15)
    return (machine.compress(payload) + machine.flush(zlib.Z_SYNC_FLUSH))[:-4]


class Venue:
    """A server on a real socket that sends prepared bytes in prepared pieces."""

    def __init__(
        self, pieces: Sequence[bytes], compressed: bool = False, early: bytes = b"", stay: bool = False
    ) -> None:
        """``early`` bytes come with the handshake; one that stays waits for the client's goodbye."""
        self.pieces = pieces
        self.compressed = compressed
        self.early = early
        self.stay = stay
        self.heard: list[tuple[int, bytes]] = []
        self.sent = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = head.split("Sec-WebSocket-Key: ")[1].split("\r\n")[0]
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        extension = b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            + accept + b"\r\n" + (extension if self.compressed else b"") + b"\r\n" + self.early
        )
        listening = asyncio.ensure_future(self.listen(reader))
        for piece in self.pieces:
            writer.write(piece)
            await writer.drain()
            self.sent += len(piece)
            await asyncio.sleep(0)
        if self.stay:
            await listening
        listening.cancel()
        writer.close()

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Until the client's goodbye. Its frames are small and masked."""
        with suppress(asyncio.IncompleteReadError):
            while not self.heard or self.heard[-1][0] != CLOSE:
                first, size = await reader.readexactly(2)
                mask = await reader.readexactly(4)
                body = await reader.readexactly(size & 127)
                self.heard.append((first & 15, bytes(one ^ mask[at % 4] for at, one in enumerate(body))))


def cut(data: bytes, lengths: Sequence[int]) -> list[bytes]:
    """The bytes in pieces of these lengths, over and over."""
    pieces, at, turn = [], 0, 0
    while at < len(data):
        size = lengths[turn % len(lengths)]
        pieces.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return pieces


def received(
    venue: Venue,
    hold: Callable[[int], bool] = lambda number: False,
    relief: Callable[[], Awaitable[None]] | None = None,
    address: dict[str, int] | None = None,
) -> tuple[list[str | bytes], TransportError]:
    """What the transport handed on until the connection ended, and why it did."""
    frames: list[str | bytes] = []

    async def relieved() -> None:
        await asyncio.sleep(0)

    async def main() -> TransportError:
        server = await asyncio.start_server(venue.serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]

            def hear(came: Sequence[str | bytes]) -> bool:
                frames.extend(came)
                return any(map(hold, range(len(frames) - len(came) + 1, len(frames) + 1)))

            transport = WebSocket(Address(f"ws://127.0.0.1:{port}/", **(address or {})))
            with pytest.raises(TransportError) as caught:
                async with asyncio.timeout(60):
                    await transport.run(lambda: None, hear, relief or relieved)
            return caught.value

    return frames, asyncio.run(main())


MESSAGES = st.lists(
    st.one_of(
        st.tuples(st.just("text"), st.text(max_size=300).map(str.encode)),
        st.tuples(st.just("binary"), st.binary(max_size=300)),
        st.tuples(st.just("long"), st.integers(126, 70_000).map(lambda size: b"x" * size)),
        st.tuples(st.just("parts"), st.text(max_size=300).map(str.encode)),
        st.tuples(st.just("deflated"), st.text(max_size=300).map(str.encode)),
        st.tuples(st.just("ping"), st.binary(max_size=20)),
        st.tuples(st.just("pong"), st.binary(max_size=20)),
    ),
    max_size=12,
)


def on_the_wire(kind: str, body: bytes) -> bytes:
    if kind == "parts":
        third = len(body) // 3
        inside = framed(b"?", PING)  # control frames may stand between the parts of a message
        return (
            framed(body[:third], TEXT, 0) + inside + framed(body[third : 2 * third], CONT, 0)
            + framed(body[2 * third :], CONT)
        )
    if kind == "deflated":
        return framed(deflated(body), TEXT, FIN | RSV1)
    return framed(body, {"binary": BINARY, "ping": PING, "pong": PONG}.get(kind, TEXT))


@given(
    messages=MESSAGES, lengths=st.lists(st.integers(1, 100_000), min_size=1, max_size=5), held=st.integers(0, 3),
    early=st.booleans(),
)
@settings(max_examples=75, deadline=None)
def test_all_messages_in_order(
    messages: list[tuple[str, bytes]], lengths: list[int], held: int, early: bool
) -> None:
    wire = b"".join([on_the_wire(kind, body) for kind, body in messages])
    goodbye = framed(b"\x03\xe8bye", CLOSE)
    pieces = cut(wire + goodbye, [max(length, len(wire) // 200) for length in lengths])
    first = pieces.pop(0) if early else b""
    frames, error = received(
        Venue(pieces, compressed=True, early=first, stay=True), lambda number: bool(held) and number % held == 0
    )
    expected = [
        body if kind == "binary" else body.decode()
        for kind, body in messages if kind not in ("ping", "pong")
    ]
    assert frames == expected
    assert (error.cause, error.detail) == ("closed", "closed by the server: 1000 bye")


def test_a_large_message_in_small_pieces() -> None:
    body = b"x" * 3_000_000
    frames, _ = received(Venue(cut(framed(body, TEXT) + framed(END.encode(), TEXT), [4096])))
    assert frames == [body.decode(), END]


def test_pings_are_answered() -> None:
    venue = Venue([framed(b"one", TEXT) + framed(b"are you there", PING) + framed(b"two", TEXT) + framed(b"", CLOSE)],
                  stay=True)
    frames, _ = received(venue)
    assert frames == ["one", "two"]
    assert venue.heard[0] == (PONG, b"are you there")


def test_nothing_is_read_while_held() -> None:
    venue = Venue([framed(b"x" * 50_000, TEXT) for _ in range(2000)])
    most: list[int] = []

    async def relief() -> None:
        await asyncio.sleep(0.3)  # time enough for a server that is not held
        most.append(venue.sent)

    frames, _ = received(venue, lambda number: number == 1, relief)
    assert len(frames) == 2000
    assert most[0] < 50_000 * 1000  # what fits into the sockets' buffers, and not all


def test_a_message_that_is_no_text() -> None:
    for body in (framed(b"\xff\xfe", TEXT), framed(b"\xff", TEXT, 0) + framed(b"\xfe", CONT)):
        frames, error = received(Venue([framed(b"fine", TEXT) + body + framed(b"late", TEXT)], stay=True))
        assert frames == ["fine"]
        assert error.cause == "no-text"


def test_a_message_beyond_the_limit() -> None:
    for size in (101, 300, 70_000):
        frames, error = received(
            Venue([framed(b"x" * 100, TEXT), framed(b"x" * size, TEXT)], stay=True), address={"max_frame": 100}
        )
        assert frames == ["x" * 100]
        assert error.cause == "frame-too-large"


def test_a_masked_frame_is_an_error() -> None:
    frames, error = received(Venue([framed(b"fine", TEXT) + b"\x81\x82abcdzz" + framed(b"late", TEXT)], stay=True))
    assert frames == ["fine"]
    assert error.cause == "protocol"


def test_a_message_within_a_fragmented_one_is_an_error() -> None:
    frames, error = received(Venue([framed(b"a", TEXT, 0) + framed(b"b", TEXT) + framed(b"c", CONT)], stay=True))
    assert frames == []
    assert error.cause == "protocol"


def test_what_comes_after_the_goodbye_is_ignored() -> None:
    wire = framed(b"one", TEXT) + framed(b"\x03\xe8", CLOSE) + framed(b"two", TEXT)
    frames, error = received(Venue([wire], stay=True))
    assert frames == ["one"]
    assert error.cause == "closed"


def test_a_bug_of_ours_ends_the_run() -> None:
    class Bug(Exception):
        pass

    async def main(fail_in_relief: bool) -> None:
        venue = Venue([framed(b"one", TEXT) * 3], stay=True)
        server = await asyncio.start_server(venue.serve, "127.0.0.1", 0)

        def hear(came: Sequence[str | bytes]) -> bool:
            if not fail_in_relief:
                raise Bug
            return True

        async def relief() -> None:
            raise Bug

        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(Bug):
                await WebSocket(Address(f"ws://127.0.0.1:{port}/")).run(lambda: None, hear, relief)

    for fail_in_relief in (False, True):
        asyncio.run(main(fail_in_relief))
