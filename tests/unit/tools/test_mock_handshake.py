"""The mock takes the handshake and the frames that its file speaks of, and refuses all others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from k2conn.errors import TransportError
from k2conn.plan import Plan
from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.request_recognition import RequestRecognizer, VenueSymbols
from k2conn.transports import Address
from k2conn.transports.websocket.connection import WebSocket
from tests.support.plans import STREAMS, plan_of
from tests.support.venues import CONNECTION
from tests.unit.transports.test_transports import relief


def plan(*words: str) -> Plan:
    more = "".join(f"  {word}\n" for word in words)
    return plan_of((CONNECTION % 1).replace("  steps:", f"{more}  steps:", 1), STREAMS)


def ended(venue: Plan, client: Plan, frame: str | bytes | None = None) -> tuple[bool, str, list[str], list[Any]]:
    """Whether the client's connection came to stand, why it ended, what the mock says, and what it took."""

    async def main() -> tuple[bool, str, list[str], list[Any]]:
        stood: list[bool] = []
        connection = client.connections[0]
        async with MockExchange(venue, rate=0) as exchange:
            offered = () if not connection.subprotocol_text else tuple(connection.subprotocol_text.split(", "))
            address = Address(exchange.url(), compression=connection.compression, subprotocols=offered)
            socket = WebSocket(address)

            def opened() -> None:
                stood.append(True)
                if frame is not None:
                    socket.send(frame)
                else:
                    asyncio.get_running_loop().call_soon(lambda: leaving.append(asyncio.ensure_future(socket.close())))

            leaving: list[asyncio.Future[None]] = []
            try:
                async with asyncio.timeout(10):
                    await socket.run(opened, lambda frames: bool(leaving.append(asyncio.ensure_future(socket.close()))),
                                     relief)
                detail = ""
            except TransportError as error:
                detail = error.detail
            await asyncio.gather(*leaving)
            return bool(stood), detail, exchange.warnings, list(exchange.received)

    return asyncio.run(main())


@pytest.mark.parametrize(
    "words",
    [
        ("subprotocol: tr_json2",), ("subprotocol: [one, two]",), ("compression: false",),
        ("compression: {client_max_window_bits: 10, client_no_context_takeover: true}",), (),
    ],
)
def test_it_takes_what_the_file_says(words: tuple[str, ...]) -> None:
    assert ended(plan(*words), plan(*words))[:3] == (True, "", [])


@pytest.mark.parametrize(
    ("venue", "client", "why"),
    [
        ("subprotocol: tr_json2", "", "speaks the sub-protocol tr_json2"),
        ("subprotocol: tr_json2", "subprotocol: [other, another]", "speaks the sub-protocol tr_json2"),
        ("compression: false", "", "takes no compression"),
        ("compression: {server_max_window_bits: 12}", "", "wants server_max_window_bits"),
        ("compression: {server_max_window_bits: 12}", "compression: {server_max_window_bits: 13}",
         "wants server_max_window_bits"),
        ("compression: {client_no_context_takeover: true}", "compression: false", "wants client_no_context_takeover"),
    ],
)
def test_it_refuses_another_handshake(venue: str, client: str, why: str) -> None:
    stood, detail, said, _ = ended(plan(venue), plan(client))
    assert (stood, detail) == (False, "the server answered HTTP 400")
    assert why in said[0]


def test_a_venue_without_sub_protocols_picks_none() -> None:
    stood, detail, said, _ = ended(plan(), plan("subprotocol: tr_json2"))
    assert (stood, detail, said) == (False, "the server speaks none of the sub-protocols that were offered", [])


FRAME = '{"op": "sub", "symbols": ["BTC-USD"], "id": 1}'


@pytest.mark.parametrize(("words", "frame"), [("", FRAME), ("send_as: binary", FRAME.encode())])
def test_it_takes_frames_of_the_kind_that_the_file_says(words: str, frame: str | bytes) -> None:
    said, received = ended(plan(words), plan(words), frame)[2:]
    assert [one["op"] for one in received] == ["sub"]
    assert not any("this venue takes" in text for text in said)


@pytest.mark.parametrize(
    ("words", "frame", "why"),
    [("", FRAME.encode(), "text frames, this one is binary"),
     ("send_as: binary", FRAME, "binary frames, this one is text")],
)
def test_it_closes_on_frames_of_another_kind(words: str, frame: str | bytes, why: str) -> None:
    _, detail, said, _ = ended(plan(words), plan(words), frame)
    assert detail == f"closed by the server: 1003 this venue takes {why}"
    assert said == [f"this venue takes {why}"]


def test_a_frame_that_is_a_number_is_understood() -> None:
    text = (CONNECTION % 1).replace("  steps:", '  heartbeat: {every: 9s, send: "3"}\n  steps:\n    - {send: "40"}', 1)
    whole = plan_of(text, STREAMS)
    recognizer = RequestRecognizer(whole, whole.connections[0], VenueSymbols(whole))
    assert [recognizer.recognize(one).kind for one in ("40", "3", "41")] == ["step", "ping", "unknown"]
