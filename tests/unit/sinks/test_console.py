"""The console sink prints records as JSON lines."""

from __future__ import annotations

import asyncio
import io
import json

import pytest

from k2conn.errors import SinkError
from k2conn.sinks.console import ConsoleSink
from k2conn.sinks.settings import SinkSettings
from tests.support.sinks import TRADE, Book, dead, trade


def test_records_go_to_one_stream_and_dead_letters_to_the_other() -> None:
    out, err, book = io.StringIO(), io.StringIO(), Book()

    async def run() -> int:
        sink = ConsoleSink(SinkSettings(kind="console"), book.settle, out, err)
        await sink.open()
        sink.put(trade(1, "t"))
        sink.put(dead(2, "t.dlq"))
        assert not book.settled
        await asyncio.sleep(0.1)
        assert len(book.settled) == 2
        sink.put(trade(3, "t"))
        return await sink.flush(1)

    assert asyncio.run(run()) == 0
    first, second = map(json.loads, out.getvalue().splitlines())
    record = TRADE | {"trade_id": "X-1", "source_sequence": 1, "price": "64000.1", "quantity": "0.25"}
    assert first == {"topic": "t", "type": "trade", "record": record}
    assert second["record"]["trade_id"] == "X-3"
    assert json.loads(err.getvalue())["number"] == 2
    assert len(book.settled) == 3


def test_a_closed_output_is_reported_and_settles_nothing() -> None:
    out, book = io.StringIO(), Book()
    out.close()

    async def run() -> None:
        sink = ConsoleSink(SinkSettings(kind="console"), book.settle, out, out)
        sink.put(trade(1, "t"))
        assert await sink.flush(1) == 1
        assert sink.crowded
        with pytest.raises(SinkError, match="output was closed"):
            await sink.drain()
        assert sink.status()["reachable"] is False

    asyncio.run(run())
    assert not book.settled
