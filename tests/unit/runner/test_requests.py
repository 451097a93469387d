"""Requests and handshakes that cannot be made: who is told, in which words, and that no secret is among them."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from k2conn.compiler.expressions.templates import compile_template
from k2conn.engine.conversation.session import Session, SessionContext
from k2conn.errors import SettingsError, TransportError
from k2conn.net.http import Call, NoAnswer, exchange
from k2conn.plan import HttpRequest, SendScope
from k2conn.runner import Overrides
from k2conn.runner.http_requests import http_call, sendable
from tests.support.plans import plan_of
from tests.support.venues import CONNECTION, Run, Venue

SECRET = "sekrit"


def scope(state: dict[str, Any] | None = None, **environment: str) -> SendScope:
    return SendScope(lambda: 0, lambda: "", 0, state or {}, environment)


@pytest.mark.parametrize("around", ["\n", "\r\n", " ", "\t\n"])
def test_white_space_around_a_key_is_no_part_of_it(around: str) -> None:
    render = compile_template({"X-KEY": "$env.K2_VENUE_ODD_KEY"}, headers=True).render
    assert render(scope(K2_VENUE_ODD_KEY=f"{around}{SECRET}{around}")) == {"X-KEY": SECRET}


@pytest.mark.parametrize("end", ["\nX: y", "\0", "\x7f", "\u20ac", "\udc80"])
def test_a_key_that_no_header_can_carry_is_refused_at_start_by_its_name(end: str) -> None:
    connection = CONNECTION % 1 + "  headers: {X-KEY: $env.K2_VENUE_ODD_KEY}\n"
    with pytest.raises(SettingsError, match=r"^K2_VENUE_ODD_KEY ") as refused:
        Run(plan_of(connection, name="venue"), environment={"K2_VENUE_ODD_KEY": SECRET + end})
    assert SECRET not in str(refused.value)


def test_a_value_of_the_venues_that_no_header_can_carry_is_its_connections_trouble() -> None:
    with pytest.raises(TransportError, match="the header X-TOKEN") as trouble:
        sendable({"X-TOKEN": f"{SECRET}\r\nHost: elsewhere"})
    assert SECRET not in str(trouble.value)


@pytest.mark.parametrize("url", [
    "http://[::1", "http://127.0.0.1:99999/", "http://127.0.0.1:port/", "http://" + "a" * 70 + ".example/", "http://a..b/",
    "http://\x00/", "https://",
])
def test_an_address_that_cannot_be_is_no_answer(url: str) -> None:
    with pytest.raises(NoAnswer):
        exchange(Call("GET", url, within=2))


@pytest.mark.parametrize("url", ["ws://[::1", "ws://127.0.0.1:99999/", "ws://127.0.0.1:0/", "wss:///x", "ws://h:port/"])
def test_an_address_of_the_venues_that_cannot_be_is_its_connections_trouble(url: str) -> None:
    connection = (CONNECTION % 1).replace("ws://127.0.0.1:1/ws", f'"{{$state.place}}?{SECRET}"').replace(
        "  steps:", "  capture: [{when: {place: $present}, value: place, into: place}]\n  steps:")
    plan = plan_of(connection, name="venue")
    session = Session(plan.connections[0], plan.streams, (), SessionContext(lambda: "", {}))
    session.scope.state["place"] = url
    with pytest.raises(TransportError) as trouble:
        session.url(0, 0)
    assert SECRET not in str(trouble.value)


def test_letters_that_an_address_cannot_hold_are_percent_encoded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        heard: list[bytes] = []

        def answer() -> None:
            client, _ = server.accept()
            with client:
                heard.append(client.recv(4096).split(b"\r\n")[0])
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        thread = threading.Thread(target=answer)
        thread.start()
        port = server.getsockname()[1]
        request = HttpRequest("GET", lambda _: "https://venue.example/t/\u5e01 x?symbol=\u5e01USDT&a=%2F|b", "")
        call = http_call(request, scope(), Overrides(http_url=f"http://127.0.0.1:{port}"))
        assert exchange(call).status == 200
        thread.join()
    assert heard == [b"GET /t/%E5%B8%81%20x?symbol=%E5%B8%81USDT&a=%2F|b HTTP/1.1"]


def test_a_connector_goes_on_trying_where_the_venue_names_nonsense() -> None:
    """A whole run: the address comes out of an answer of the venue's."""

    async def main() -> None:
        async with Venue().open() as venue:
            connection = CONNECTION % venue.port
            connection = connection.replace(f"ws://127.0.0.1:{venue.port}/ws", "ws://127.0.0.1:1/ws")
            async with Run(venue.plan(connection=connection), overrides=Overrides(urls=("ws://a..b:70000/",))) as run:
                await run.until(lambda: sum(run.ledger.reconnects.values()) > 1)
                assert run.ledger.crashes == 0
                assert (await run.end()).exit_code == 69, "no connection ever stood"

    asyncio.run(main())
