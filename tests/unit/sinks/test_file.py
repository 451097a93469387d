"""The file sink writes container files that anybody can read, and loses nothing to a full disk."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Awaitable, Callable
from decimal import Decimal
from io import FileIO
from pathlib import Path
from typing import Any

import fastavro
import pytest

from k2conn.avro import load_schema
from k2conn.engine.accounting.ledger import Account
from k2conn.envelope import Envelope
from k2conn.errors import SinkError, Unreachable
from k2conn.sinks import file as file_module
from k2conn.sinks.file import FileSettings, FileSink
from k2conn.sinks.settings import SinkSettings
from tests.support.sinks import Book, dead, trade

TOPIC = "market.crypto.trades.x"


def drive(folder: Path, book: Book, work: Callable[[FileSink], Awaitable[None]], **settings: Any) -> None:
    """Run ``work`` on an open file sink."""

    async def run() -> None:
        bounds = {name: settings.pop(name) for name in ("buffer_bytes",) if name in settings}
        options = FileSettings(folder=folder, **settings)
        sink = FileSink(SinkSettings(kind="file", options=options, **bounds), book.settle)
        await sink.open()
        await work(sink)
        await sink.close()

    asyncio.run(run())


def records(folder: Path) -> list[dict[str, Any]]:
    """Every record of every file of a topic, in order."""
    found: list[dict[str, Any]] = []
    for path in sorted(
        folder.glob("*.avro"), key=lambda path: (path.stem.split("-")[0], int(path.stem.split("-")[1]))
    ):
        with path.open("rb") as stream:
            found += fastavro.reader(stream)  # type: ignore[arg-type]
    return found


def test_records_read_back_and_are_settled_once_written(tmp_path: Path) -> None:
    book = Book()

    async def work(sink: FileSink) -> None:
        for number in range(1000):
            sink.put(trade(number, TOPIC))
        assert not book.settled
        assert await sink.flush(1) == 0
        assert len(book.settled) == 1000

    drive(tmp_path, book, work)
    read = records(tmp_path / TOPIC)
    assert [record["source_sequence"] for record in read] == list(range(1000))
    assert read[0]["price"] == Decimal("64000.1")
    assert read[0]["vendor_data"] == {"ord_type": "limit", "b": "ü"}
    assert [envelope.value for envelope in book.settled] == [
        trade(number, TOPIC).value for number in range(1000)
    ]


def test_a_quiet_stream_is_on_disk_within_a_second(tmp_path: Path) -> None:
    book = Book()

    async def work(sink: FileSink) -> None:
        sink.put(trade(1, TOPIC))
        await asyncio.sleep(0.9)
        assert len(book.settled) == 1
        assert len(records(tmp_path / TOPIC)) == 1

    drive(tmp_path, book, work)


def test_a_full_block_does_not_wait_for_the_second(tmp_path: Path) -> None:
    book = Book()

    async def work(sink: FileSink) -> None:
        for number in range(1000):
            sink.put(trade(number, TOPIC))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(book.settled) == 1000

    drive(tmp_path, book, work)


def test_dead_letters_are_lines_of_json(tmp_path: Path) -> None:
    book = Book()

    async def work(sink: FileSink) -> None:
        for number in range(3):
            sink.put(dead(number, f"{TOPIC}.dlq"))

    drive(tmp_path, book, work)
    (path,) = (tmp_path / f"{TOPIC}.dlq").glob("*.jsonl")
    assert [json.loads(line)["number"] for line in path.read_text().splitlines()] == [0, 1, 2]
    assert len(book.settled) == 3


def test_a_file_that_has_grown_is_followed_by_a_new_one(tmp_path: Path) -> None:
    book = Book()

    async def work(sink: FileSink) -> None:
        for number in range(2000):
            sink.put(trade(number, TOPIC))
            if number % 200 == 199:
                await sink.flush(1)

    drive(tmp_path, book, work, rotation_bytes=2000)
    assert len(list((tmp_path / TOPIC).glob("*.avro"))) > 2
    assert [record["source_sequence"] for record in records(tmp_path / TOPIC)] == list(range(2000))


def test_a_second_run_touches_no_old_file(tmp_path: Path) -> None:
    async def work(sink: FileSink) -> None:
        sink.put(trade(1, TOPIC))

    drive(tmp_path, Book(), work)
    (first,) = (tmp_path / TOPIC).iterdir()
    before = first.read_bytes()
    drive(tmp_path, Book(), work)
    assert len(list((tmp_path / TOPIC).iterdir())) == 2
    assert first.read_bytes() == before


def test_two_record_types_share_a_topic_in_separate_files(tmp_path: Path) -> None:
    quote = load_schema("quote")
    body = quote.encode(["m", "q", "S", "X", "crypto", 1, 1, 1, 1, 1, "USD", None, 1, None, None])

    async def work(sink: FileSink) -> None:
        sink.put(trade(1, TOPIC))
        sink.put(Envelope(TOPIC, b"S", body, quote, 1))
        sink.put(trade(2, TOPIC))

    drive(tmp_path, Book(), work)
    read = records(tmp_path / TOPIC)
    assert [record.get("source_sequence") for record in read] == [1, None, 2]


class SmallDisk(FileIO):
    """A file on a disk that has no room while ``full`` is true: it takes half of a block, then fails."""

    full = False

    def write(self, data: Any) -> int:
        if self.full and len(data) > 100:
            return super().write(data[:100])
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_a_full_disk_loses_nothing_and_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(file_module, "FileIO", SmallDisk)
    monkeypatch.setattr(file_module, "FLUSH_EVERY", 0.01)
    book = Book()

    async def work(sink: FileSink) -> None:
        sink.put(trade(0, TOPIC))
        await sink.flush(1)
        SmallDisk.full = True
        for number in range(1, 1500):
            sink.put(trade(number, TOPIC))
        assert await sink.flush(0.1) == 1499
        assert sink.crowded
        assert sink.status()["reachable"] is False
        assert "No space left" in str(sink.status()["last_error"])
        SmallDisk.full = False
        await sink.drain()
        assert await sink.flush(1) == 0
        assert sink.status()["reachable"] is True

    drive(tmp_path, book, work, buffer_bytes=50_000)
    assert [record["source_sequence"] for record in records(tmp_path / TOPIC)] == list(range(1500))
    assert len(book.settled) == 1500
    assert [(record.levelname, "No space left" in record.getMessage()) for record in caplog.records] == [
        ("ERROR", True), ("WARNING", False)
    ]
    assert len(list((tmp_path / TOPIC).iterdir())) == 2


def test_a_full_disk_is_said_and_what_it_cost_is_in_the_accounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("k2conn.sinks.file.FileIO", SmallDisk)
    monkeypatch.setattr("k2conn.sinks.file.FLUSH_EVERY", 0.02)
    caplog.set_level("WARNING", "k2conn.sinks.file")
    account = Account("trade", "BTCUSD")

    async def work(sink: FileSink) -> None:
        for full in (True, False, True):
            SmallDisk.full = full
            for topic in (TOPIC, f"{TOPIC}2"):
                for number in range(10):
                    sink.put(trade(number, topic)._replace(account=account))
            assert await sink.flush(0.3) == (20 if full else 0)

    try:
        drive(tmp_path, Book(), work)
    finally:
        SmallDisk.full = False
    said = [record.getMessage() for record in caplog.records]
    assert ["cannot write" in one for one in said] == [True, False, True, False]
    assert "takes records again" in said[1]
    assert "20 records are lost" in said[3]
    assert account.lost == 20


def test_the_probe_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / f".k2conn-probe-{os.getpid()}").symlink_to(tmp_path / "elsewhere")

    async def work(sink: FileSink) -> None:
        assert not (tmp_path / "elsewhere").exists()

    drive(tmp_path, Book(), work)


def test_a_folder_that_cannot_be_written_is_unreachable(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    sink = FileSink(SinkSettings(kind="file", options=FileSettings(folder=blocked / "data")), Book().settle)
    with pytest.raises(Unreachable, match=str(blocked)):
        asyncio.run(sink.open())


@pytest.mark.parametrize("name", ["../trades", "..", "", "a/b", ".hidden"])
def test_a_topic_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    sink = FileSink(SinkSettings(kind="file", options=FileSettings(folder=tmp_path)), Book().settle)
    with pytest.raises(SinkError, match="cannot be a topic"):
        sink.put(trade(1, name))
