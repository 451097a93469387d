"""Records as they come: as events and on a WebSocket, to those who read and those who do not."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.api import Serving, some_trades, written
from tests.support.databases import numbered

KEY = "0123456789abcdef-key"


def now_micros() -> int:
    return time.time_ns() // 1000


class Events:
    """A listener by server-sent events: what it has got so far."""

    def __init__(self, serving: Serving, query: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=30)
        self._connection.request("GET", f"/v1/stream?{query}")
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200
        assert self._answer.headers["content-type"].startswith("text/event-stream")
        self.events: list[dict[str, str]] = []
        self.ended = threading.Event()
        assert self._answer.readline() == b": listening\n"
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        one: dict[str, str] = {}
        try:
            while line := self._answer.readline().decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name:
                    one[name] = value
                elif one:
                    self.events.append(one)
                    one = {}
        except (OSError, http.client.HTTPException, AttributeError, ValueError):
            pass
        self.ended.set()

    def close(self) -> None:
        if self._connection.sock is not None:
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        self.ended.wait(60)
        self._answer.close()


def until(condition: Any, within: float = 60) -> None:
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def news(first: int, last: int) -> list[Any]:
    return [numbered(one, symbol=("BTCUSD", "ETHEUR")[one % 2], timestamp=now_micros()) for one in range(first, last)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written(tmp_path / "data", some_trades(0, 9))
    return tmp_path


@pytest.fixture
def serving(folder: Path) -> Iterator[Serving]:
    with Serving(folder, K2_API_LISTENERS="3") as running:
        yield running


def test_what_comes_into_the_store_is_heard_once_by_events_and_by_websocket(serving: Serving, folder: Path) -> None:
    every, some = Events(serving, "kind=trades"), Events(serving, "symbol=ETHEUR&side=sell")
    time.sleep(1.5)  # what is there already is looked at, and is no news
    heard: list[dict[str, Any]] = []

    async def listen() -> None:
        async with connect(f"ws://127.0.0.1:{serving.port}/v1/stream?kind=trades&symbol=BTCUSD") as one:
            with pytest.raises(InvalidStatus) as full:
                await connect(f"ws://127.0.0.1:{serving.port}/v1/stream").__aenter__()
            assert full.value.response.status_code == 503
            await asyncio.to_thread(written, folder / "data", news(100, 110))
            for _ in range(5):
                heard.append(json.loads(await asyncio.wait_for(one.recv(), 60)))

    asyncio.run(listen())
    until(lambda: len(every.events) >= 10 and len(some.events) >= 5)
    time.sleep(1.2)
    assert sorted(one["id"] for one in every.events) == [str(UUID(int=number)) for number in range(100, 110)]
    assert {one["event"] for one in every.events} == {"trades"}
    assert [json.loads(one["data"])["symbol"] for one in some.events] == ["ETHEUR"] * 5
    assert {one["kind"] for one in heard} == {"trades"}
    record = next(one["record"] for one in heard if one["record"]["trade_id"] == "X-100")
    assert record == json.loads(next(one["data"] for one in every.events if one["id"] == str(UUID(int=100))))
    assert record in serving.get("/v1/trades", symbol="BTCUSD").json["data"]
    every.close()
    some.close()
    until(lambda: serving.get("/v1/stats").json["listeners"] == 0)


def test_a_stop_ends_streams_in_good_order(folder: Path) -> None:
    with Serving(folder) as serving:
        events = Events(serving, "kind=trades")

        async def listen() -> int | None:
            async with connect(f"ws://127.0.0.1:{serving.port}/v1/stream") as one:
                began = time.monotonic()
                stopping = asyncio.create_task(asyncio.to_thread(serving.stop))
                with pytest.raises(ConnectionClosed) as closed:
                    await asyncio.wait_for(one.recv(), 60)
                assert await stopping == 0
                assert time.monotonic() - began < 20
                return closed.value.rcvd.code if closed.value.rcvd else None

        assert asyncio.run(listen()) in (1001, 1012)
        assert events.ended.wait(60)
        events.close()


def test_one_that_does_not_read_is_sent_away_and_costs_the_others_nothing(folder: Path) -> None:
    with Serving(folder, K2_API_LISTENER_RECORDS="100") as serving:
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", serving.port))
        slow.sendall(b"GET /v1/stream?kind=trades HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: serving.get("/v1/stats").json["listeners"] == 1)
        time.sleep(1.5)
        padding = {"x": "y" * 3000}
        quick = Events(serving, "kind=trades")
        for part in range(30):
            written(folder / "data", [
                numbered(1000 + part * 80 + one, timestamp=now_micros(), vendor_data=padding) for one in range(80)
            ])
            until(lambda wanted=(part + 1) * 80: len(quick.events) >= wanted, 60)
        until(lambda: serving.get("/v1/stats").json["listeners_dropped"] == 1)
        until(lambda: serving.get("/v1/stats").json["listeners"] == 1, 60)
        assert len(quick.events) == 2400
        quick.close()
        slow.close()


def test_who_may_not_listen(folder: Path) -> None:
    async def status(port: int, query: str = "", **headers: str) -> int:
        try:
            async with connect(f"ws://127.0.0.1:{port}/v1/stream{query}",
                               additional_headers={name.replace("_", "-"): text for name, text in headers.items()}):
                return 101
        except InvalidStatus as refused:
            told = refused.response
            return told.status_code if told.headers["content-type"] == "application/problem+json" else 0

    with Serving(folder, K2_API_KEY=KEY) as serving:
        assert asyncio.run(status(serving.port)) == 401
        assert asyncio.run(status(serving.port, X_API_Key=KEY)) == 101
        assert asyncio.run(status(serving.port, X_API_Key=KEY, Origin="https://evil.example.com")) == 403
        assert asyncio.run(status(serving.port, X_API_Key=KEY, Origin=f"http://127.0.0.1:{serving.port}")) == 101
        for query in ("?kind=nothing", "?colour=red", "?interval=1m", "?symbol=A&symbol=B", "?side=up"):
            assert asyncio.run(status(serving.port, query, X_API_Key=KEY)) == 422, query
            assert serving.get(f"/v1/stream{query}", headers={"X-API-Key": KEY}).status == 422, query

        async def talks() -> int | None:
            address = f"ws://127.0.0.1:{serving.port}/v1/stream"
            async with connect(address, additional_headers={"X-API-Key": KEY}) as one:
                for _ in range(20):
                    await one.send("hello")
                with pytest.raises(ConnectionClosed) as closed:
                    await asyncio.wait_for(one.recv(), 60)
                return closed.value.rcvd.code if closed.value.rcvd else None

        assert asyncio.run(talks()) == 1008
