"""How a connection ends whose peer breaks the protocol, or goes on after the end: soon, and within bounds."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
import uvloop

from k2conn.errors import TransportError
from k2conn.transports import Address
from k2conn.transports.websocket.connection import CLOSE_TIMEOUT, WebSocket
from tests.unit.transports.test_reader import BINARY, CLOSE, CONT, FIN, PING, RSV1, TEXT, Venue, deflated, framed

MIB = 1024 * 1024
BOMB = framed(deflated(b"0" * (15 * MIB)), BINARY, FIN | RSV1)
"""15 KB that are 15 MiB."""


class Stubborn(Venue):
    """It never ends the TCP connection, nor answers a goodbye."""

    async def listen(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(65536):
            pass


def ended(
    wire: bytes, *, close_at: str | None = None, cut_at: str | None = None, relief: float = 0.0, stay: bool = True,
    loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> tuple[list[str | bytes], TransportError | None, float]:
    """What was handed on of what a peer sent at once, why the connection ended, and how many seconds it stood. Our
    side says goodbye when it hears ``close_at``, and finds TCP cut when it hears ``cut_at``; ``relief`` seconds are
    waited after each message.
    """
    frames: list[str | bytes] = []

    async def relieved() -> None:
        await asyncio.sleep(relief)

    async def main() -> TransportError | None:
        server = await asyncio.start_server(Stubborn([wire], compressed=True, stay=stay).serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        transport = WebSocket(Address(f"ws://127.0.0.1:{port}/", ping_every=None))
        closing: list[asyncio.Task[None]] = []

        def hear(came: Sequence[str | bytes]) -> bool:
            frames.extend(one if len(one) < 100 else one[:10] for one in came)
            if close_at is not None and close_at in came and not closing:
                closing.append(asyncio.ensure_future(transport.close("enough")))
            if cut_at is not None and cut_at in came:
                assert transport._socket is not None
                transport._socket.transport.abort()
            return relief > 0

        try:
            async with asyncio.timeout(60):
                await transport.run(lambda: None, hear, relieved)
        except TransportError as error:
            return error
        finally:
            server.close()
            for one in closing:
                with suppress(asyncio.CancelledError):
                    await one
        return None

    began = time.monotonic()
    with asyncio.Runner(loop_factory=loop) as runner:
        error = runner.run(main())
    return frames, error, time.monotonic() - began


@pytest.mark.parametrize(
    ("wire", "cause"),
    [
        (b"\x81\x82abcdzz", "protocol"),  # masked
        (framed(b"{}", TEXT, FIN | 0x20), "protocol"),
        (framed(b"{}", 3), "protocol"),
        (framed(b"{}", 15), "protocol"),
        (framed(b"x" * 126, PING), "protocol"),
        (framed(b"x", PING, 0), "protocol"),
        (framed(b"x", CONT), "protocol"),
        (framed(b"{", TEXT, 0) + framed(b"{}", TEXT), "protocol"),
        (b"\x81\x7f" + (2**63).to_bytes(8, "big"), "frame-too-large"),
        (b"\x81\x7f" + (2**63 - 1).to_bytes(8, "big") + b"x" * 100, "frame-too-large"),
        (b"\x81\x7f" + (16 * MIB + 1).to_bytes(8, "big") + b"x" * 100, "frame-too-large"),
        (framed(b"\xff\xff\xff\xff" * 100, TEXT, FIN | RSV1), "protocol"),
        (framed(deflated(b"0" * (16 * MIB + 1)), TEXT, FIN | RSV1), "frame-too-large"),
        (framed(b"\xff\xfe", TEXT), "no-text"),
        (framed(b"\xff", TEXT, 0) + framed(b"\xfe", CONT), "no-text"),
        (framed(b"x", CLOSE), "protocol"),
        (framed(b"\x03\xed", CLOSE), "protocol"),
        (framed(b"\x03\xe8\xff", CLOSE), "no-text"),
        (framed(b"\x03\xe8bye", CLOSE), "closed"),
        (b"HTTP/1.1 200 OK\r\n\r\n" * 100, "protocol"),
        (framed(b"{", TEXT, 0) + framed(b"", CONT, 0) * 30_000, "fragments"),
    ],
)
def test_who_breaks_the_protocol_is_left_though_tcp_stays_open(wire: bytes, cause: str) -> None:
    frames, error, seconds = ended(framed(b"fine", TEXT) + wire)
    assert frames == ["fine"]
    assert error is not None
    assert error.cause == cause
    assert seconds < CLOSE_TIMEOUT + 3


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize(
    "question", [framed(b"there?", PING), framed(b"\x03\xe8", CLOSE), b"\x81\x82abcdzz", framed(b"\xff", TEXT)]
)
def test_what_is_to_be_answered_when_tcp_is_gone_is_no_bug(
    question: bytes, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    frames, error, _ = ended(framed(b"cut", TEXT) + question, cut_at="cut", relief=0.05, loop=loop)
    assert frames == ["cut"]
    assert error is not None


@pytest.mark.parametrize("first", [framed(b"\xff\xfe", TEXT), b"\x81\x82abcdzz", framed(b"\x03\xe8", CLOSE), b""])
def test_what_comes_behind_the_end_is_never_unfolded_all_at_once(first: bytes) -> None:
    wire = framed(b"enough", TEXT) + (first or framed(b"x" * 70_000, TEXT)) + BOMB * 12
    tracemalloc.start()
    try:
        ended(wire, close_at=None if first else "enough")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 80 * MIB, f"{most / MIB:.0f} MiB, of {12 * 15} in all"


@pytest.mark.parametrize("cut", [False, True])
def test_compressed_messages_that_wait_when_the_connection_ends_are_handed_on(cut: bool) -> None:
    """It ends while they wait for the sink: that is no bug, and costs none of them."""
    wire = b"".join(framed(deflated(b"message %d" % n), TEXT, FIN | RSV1) for n in range(40))
    frames, error, _ = ended(framed(b"first", TEXT) + wire, relief=0.01, stay=cut, cut_at="first" if cut else None)
    assert frames == ["first", *(f"message {n}" for n in range(40))]
    assert error is not None
    assert error.cause == "lost"
