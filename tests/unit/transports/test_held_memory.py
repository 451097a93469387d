"""What a connection had in its largest message is free again when that was handed on, not when the next one comes."""

from __future__ import annotations

import asyncio
import tracemalloc
from contextlib import suppress

import pytest

from k2conn.errors import TransportError
from k2conn.transports import Address
from k2conn.transports.websocket.connection import WebSocket
from tests.unit.transports.test_reader import CONT, FIN, RSV1, TEXT, Venue, deflated, framed

MIB = 1024 * 1024
LARGE = 6 * MIB
WIRE = {
    "compressed": framed(deflated(b"x" * LARGE), TEXT, FIN | RSV1),
    "in fragments": framed(b"x" * LARGE, TEXT, 0) + framed(b"x", CONT),
    "unfolds beyond the bound": framed(deflated(b"x" * (9 * MIB)), TEXT, FIN | RSV1),
}


@pytest.mark.parametrize("kind", WIRE)
def test_a_silent_connection_holds_nothing_of_its_last_message(kind: str) -> None:
    async def main() -> tuple[int, int]:
        venue = Venue([WIRE[kind]], compressed=True, stay=True)
        server = await asyncio.start_server(venue.serve, "127.0.0.1", 0)
        sizes: list[int] = []
        socket = WebSocket(Address(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", max_frame=8 * MIB))

        def take(frames: object) -> bool:
            assert isinstance(frames, list)
            sizes.extend(map(len, frames))
            return False

        running = asyncio.ensure_future(socket.run(lambda: None, take, lambda: asyncio.sleep(0)))
        tracemalloc.start()
        try:
            for _ in range(200):
                await asyncio.sleep(0.01)
                if sizes or venue.heard:
                    break
            await asyncio.sleep(0.1)
            held, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            with suppress(TransportError):
                await socket.close()
                await running
            server.close()
        assert sizes == ([] if "beyond" in kind else [LARGE + (kind == "in fragments")])
        return held, most

    held, most = asyncio.run(main())
    assert most > LARGE
    assert held < 2 * MIB
