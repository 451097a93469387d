"""`k2conn serve` as a process, and what the tests of all its stores share."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import subprocess
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode
from uuid import UUID

from k2conn.envelope import Envelope
from k2conn.sinks import make_sink
from k2conn.sinks.file import FileSettings
from k2conn.sinks.settings import SinkSettings
from tests.integration.test_run import environment
from tests.support import warm_process
from tests.support.databases import CANDLE, candle, numbered
from tests.support.sinks import TRADE, Book

BEGIN = 1_767_323_000_000_000
"""2026-01-02T03:03:20Z, in microseconds."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def ids(self) -> list[str]:
        """The trade ids of a page."""
        return [one["trade_id"] for one in self.json["data"]]


class Serving:
    """A process; ``variables`` are its environment. It is stopped at the end of the block, and must end with 0."""

    def __init__(self, folder: Path, *words: object, **variables: str) -> None:
        given = {"K2_API_REQUESTS_PER_MINUTE": "0", **variables}
        self.said: list[dict[str, Any]] = []
        self.port = 0
        self._process = warm_process.started(
            "serve", "--port", "0", "--daemon", *map(str, words), cwd=folder,
            env=environment(**given), stderr=subprocess.PIPE, text=True,
        )
        self._ready = threading.Event()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            try:
                said = json.loads(line)
            except ValueError:
                said = {"event": line}
            self.said.append(said)
            if said["event"] == "serving":
                self.port = int(said["api"].rpartition(":")[2])
                self._ready.set()
        self._ready.set()

    def __enter__(self) -> Self:
        assert self._ready.wait(60)
        assert self.port, self.said
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        code = self.stop()
        if error is None:
            assert code == 0, self.said

    def stop(self) -> int:
        """Asks it to end; its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._finished(15)

    def ended(self) -> int:
        """Its exit code, once it ends by itself."""
        return self._finished(30)

    def _finished(self, within: float) -> int:
        code = self._process.wait(within)
        self._reading.join(5)
        assert self._process.stderr is not None
        self._process.stderr.close()
        return code

    def get(self, path: str, *, method: str = "GET", body: bytes | None = None,
            headers: Mapping[str, str] | None = None, **words: object) -> Answer:
        """An answer; ``words`` are the query."""
        target = path + (f"?{urlencode(words)}" if words else "")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, target, body, dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())
        finally:
            connection.close()


def written(folder: Path, envelopes: Iterable[Envelope]) -> None:
    """Records by the file sink."""

    async def run() -> None:
        book = Book()
        sink = make_sink(SinkSettings(kind="file", options=FileSettings(folder=folder)), book.settle, book.reject)
        await sink.open()
        for one in envelopes:
            sink.put(one)
        await sink.close()

    asyncio.run(run())


def some_trades(first: int, last: int) -> list[Envelope]:
    """Trades first to last, a second apart, but of each four two at one time; two symbols, sides and exchanges."""
    return [
        numbered(
            number, symbol=("BTCUSD", "ETHEUR")[number % 2], side=("BUY", "SELL")[number // 2 % 2],
            currency=("USD", "EUR")[number % 2], exchange=("X", "Y")[number // 4 % 2],
            timestamp=BEGIN + number // 2 * 2_000_000, price=TRADE["price"] + number,
        )
        for number in range(first, last + 1)
    ]


def some_candles() -> list[Envelope]:
    """Three minutes: the second one twice, its closed state first; and one of another interval."""
    return [
        candle(0), candle(1), candle(1, message_id=str(UUID(int=90)), is_closed=False, close=CANDLE["close"] + 1),
        candle(2),
        candle(2, message_id=str(UUID(int=91)), close=CANDLE["close"] + 5, timestamp=CANDLE["timestamp"] + 9),
        candle(3, message_id=str(UUID(int=92)), interval="5m"),
    ]
