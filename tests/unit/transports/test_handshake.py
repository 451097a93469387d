"""The WebSocket handshake: sub-protocols are offered, and nonsense about compression is no reason to stay away."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping

import pytest

from k2conn.compression import PLAIN, Compression
from k2conn.errors import TransportError
from k2conn.transports import Address
from k2conn.transports.websocket.connection import WebSocket
from tests.support.plans import STREAMS, plan_of
from tests.support.venues import CONNECTION
from tests.unit.transports.test_transports import relief

NONSENSE = "permessage-deflate; server_max_window_bits"
"""A parameter that takes a value, without one."""


class Server:
    """Answers handshakes by hand; keeps what it was asked."""

    def __init__(self, protocol: str = "", extensions: str = "") -> None:
        self.asked: list[dict[str, str]] = []
        self._protocol, self._extensions = protocol, extensions

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[1:]
        found = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines) if text}
        self.asked.append(found)
        key = found["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        answer = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
                  f"Sec-WebSocket-Accept: {base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()}"]
        if self._protocol:
            answer.append(f"Sec-WebSocket-Protocol: {self._protocol}")
        if self._extensions and "sec-websocket-extensions" in found:
            answer.append(f"Sec-WebSocket-Extensions: {self._extensions}")
        writer.write(("\r\n".join(answer) + "\r\n\r\n").encode())
        await writer.drain()
        writer.close()


def opened(
    server: Server, headers: Mapping[str, str] | None = None, compression: Compression | None = PLAIN,
    subprotocols: tuple[str, ...] = (),
) -> tuple[bool, str]:
    """Whether the connection came to stand, and why it ended."""

    async def main() -> tuple[bool, str]:
        stood: list[bool] = []
        async with await asyncio.start_server(server.talk, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            address = Address(
                f"ws://127.0.0.1:{port}/", headers=headers or {}, compression=compression, subprotocols=subprotocols
            )
            with pytest.raises(TransportError) as ended:
                await WebSocket(address).run(lambda: stood.append(True), bool, relief)
        return bool(stood), str(ended.value.cause)

    return asyncio.run(main())


def test_sub_protocols_are_offered_beside_headers() -> None:
    server = Server(protocol="graphql-transport-ws")
    assert opened(server, {"X-Own": "1"}, subprotocols=("graphql-ws", "graphql-transport-ws"))[0]
    assert server.asked[0]["sec-websocket-protocol"] == "graphql-ws, graphql-transport-ws"
    assert server.asked[0]["x-own"] == "1"


@pytest.mark.parametrize("offered", [(), ("tr_json2",)])
def test_a_sub_protocol_that_was_not_offered_is_refused_at_once(offered: tuple[str, ...]) -> None:
    server = Server(protocol="mqtt")
    assert opened(server, subprotocols=offered) == (False, "handshake")
    assert len(server.asked) == 1


def test_a_server_that_picks_no_sub_protocol_is_refused() -> None:
    server = Server()
    assert opened(server, subprotocols=("tr_json2",)) == (False, "handshake")
    assert len(server.asked) == 1


def test_nonsense_about_compression_is_answered_by_doing_without() -> None:
    server = Server(extensions=NONSENSE)
    assert opened(server)[0]
    assert ["sec-websocket-extensions" in one for one in server.asked] == [True, False]


def test_compression_may_be_left_out() -> None:
    server = Server(extensions=NONSENSE)
    assert opened(server, compression=None)[0]
    assert ["sec-websocket-extensions" in one for one in server.asked] == [False]


def test_its_parameters_are_offered() -> None:
    server = Server()
    assert opened(server, compression=Compression(True, True, 12, 10))[0]
    assert server.asked[0]["sec-websocket-extensions"] == (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; "
        "client_max_window_bits=10"
    )


def test_a_server_that_does_not_keep_to_them_is_asked_again_without() -> None:
    server = Server(extensions="permessage-deflate; server_max_window_bits=15")
    assert opened(server, compression=Compression(server_max_window_bits=12))[0]
    assert ["sec-websocket-extensions" in one for one in server.asked] == [True, False]


@pytest.mark.parametrize(
    ("said", "compression"),
    [("true", PLAIN), ("false", None), ("{server_max_window_bits: 12}", Compression(server_max_window_bits=12))],
)
def test_a_file_says_so(said: str, compression: Compression | None) -> None:
    text = (CONNECTION % 1).replace("  steps:", f"  compression: {said}\n  subprotocol: [one, two]\n  steps:", 1)
    connection = plan_of(text, STREAMS).connections[0]
    assert (connection.compression, connection.subprotocol_text) == (compression, "one, two")
