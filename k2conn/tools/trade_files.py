"""Trades from files of the file sink, and from standard input: Avro container files, or the console sink's lines."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, cast

from k2conn import exactjson
from k2conn.avro import SchemaField
from k2conn.avro.container import MAGIC
from k2conn.avro.unscaled import DamagedFile, UnscaledContainer, UnscaledReader
from k2conn.candles.source import TradeBatch, UnreadRecord
from k2conn.candles.trades import Trade, TradeReading, common_fields, counts, trade_of_plain, trade_record
from k2conn.errors import SettingsError

STDIN = "-"
BATCH = 2000
"""Trades that are looked at together."""
AHEAD = 8
"""Batches that are read ahead."""
CHUNK = 256 * 1024
LONGEST_LINE = 1024 * 1024
_SHOWN = 2000


class TradeFiles:
    """The trades of files, one after the other: those of folders by name, as the file sink numbers them."""

    def __init__(self, paths: Sequence[str]) -> None:
        """SettingsError, with all that is wrong, where one is not there or holds something else."""
        self.in_order = list(paths) == [STDIN]
        self._paths = _files(paths)

    async def batches(self) -> AsyncIterator[TradeBatch]:
        """See `TradeSource`. What is read is read in a thread of its own, some batches ahead."""
        loop, room = asyncio.get_running_loop(), threading.Semaphore(AHEAD)
        came: asyncio.Queue[TradeBatch | BaseException | None] = asyncio.Queue()

        def read() -> None:
            last: BaseException | None = None
            try:
                for batch in self.read():
                    room.acquire()
                    loop.call_soon_threadsafe(came.put_nowait, batch)
            except BaseException as error:  # it is raised where the batches are awaited
                last = error
            loop.call_soon_threadsafe(came.put_nowait, last)

        # A thread that waits for standard input does not keep the process from ending.
        threading.Thread(target=read, name="trades", daemon=True).start()
        while (batch := await came.get()) is not None:
            if isinstance(batch, BaseException):
                raise batch
            room.release()
            yield batch

    def read(self) -> Iterator[TradeBatch]:
        """The same without an event loop."""
        for path in self._paths:
            if path is None:
                yield from _stdin()
            else:
                with path.open("rb") as stream:
                    yield from _container(str(path), UnscaledContainer(stream))


def _files(paths: Sequence[str]) -> list[Path | None]:
    """The container files of trades that these paths name; None for standard input."""
    problems: list[str] = []
    found: list[Path | None] = []
    for text in paths:
        path = Path(text)
        if text == STDIN:
            found.append(None)
        elif path.is_dir():
            inside = sorted(path.rglob("*.avro"), key=lambda one: (one.parent, one.name))
            own = [one for one in inside if _holds_trades(one)]
            found += own
            if not own:
                problems.append(f"{path}: there is no Avro file of trades in this folder")
        else:
            problems += _problem(path)
            found.append(path)
    if found.count(None) > 1:
        problems.append("standard input is named twice")
    if problems:
        raise SettingsError(*problems)
    return list(dict.fromkeys(found))


def _holds_trades(path: Path) -> bool:
    """Whether a file of a folder is one of trades; one that is torn in its header holds nothing."""
    try:
        with path.open("rb") as stream:
            return UnscaledContainer(stream).schema.full_name == trade_record().schema.full_name
    except (DamagedFile, SettingsError):
        return False


def _problem(path: Path) -> list[str]:
    try:
        with path.open("rb") as stream:
            _reading(UnscaledContainer(stream).schema)
    except OSError as error:
        return [f"{path}: {error.strerror}"]
    except (DamagedFile, SettingsError) as error:
        return [f"{path}: {error}"]
    return []


def _reading(schema: UnscaledReader) -> TradeReading:
    own = trade_record().schema
    if schema.full_name != own.full_name:
        raise SettingsError(f"it holds {schema.full_name}, not {own.full_name}")
    wrong = [
        field.name for field in common_fields()
        if field.name not in schema.fields or not _alike(schema.fields[field.name], field)
    ]
    if wrong:
        raise SettingsError(f"its trades are of another shape: {', '.join(wrong)}")
    return TradeReading(schema.fields["price"].scale, schema.fields["quantity"].scale)


def _alike(one: SchemaField, own: SchemaField) -> bool:
    return one.kind == own.kind and one.nullable == own.nullable and set(one.symbols) <= set(own.symbols)


def _container(place: str, container: UnscaledContainer) -> Iterator[TradeBatch]:
    try:
        make = _reading(container.schema).trade
    except SettingsError as error:
        raise SettingsError(f"{place}: {error}") from None
    try:
        for records in container.blocks():
            for first in range(0, len(records), BATCH):
                some = records[first : first + BATCH]
                trades = [make(record) for record in some if counts(record)]
                yield TradeBatch(trades, [], len(some) - len(trades))
    except DamagedFile as error:
        yield TradeBatch([], [UnreadRecord(place, f"the rest of the file cannot be read: {error}", b"")])


def _stdin() -> Iterator[TradeBatch]:
    stream = FileIO(sys.stdin.fileno(), closefd=False)  # without a buffer: what there is is taken, and not waited for
    begin = stream.read(len(MAGIC)) or b""
    if MAGIC.startswith(begin) and begin:
        try:
            container = UnscaledContainer(cast(BinaryIO, stream), begin)
        except (DamagedFile, SettingsError) as error:
            raise SettingsError(f"standard input: {error}") from None
        yield from _container("standard input", container)
    else:
        yield from _lines(stream, begin)


def _lines(stream: FileIO, begin: bytes) -> Iterator[TradeBatch]:
    """Lines as the console sink prints them, or bare records; those of other record types are left out."""
    before, rest = 0, begin
    while True:
        chunk = stream.read(CHUNK) or b""
        *lines, rest = (rest + chunk).split(b"\n")
        if not chunk:
            lines.append(rest)
        trades: list[Trade] = []
        unread: list[UnreadRecord] = []
        amendments = 0
        if len(rest) > LONGEST_LINE and chunk:
            rest = rest[:_SHOWN]  # it is no record, whatever comes: what is kept of it is no JSON
        for number, line in enumerate(lines, before + 1):
            try:
                record = _record(line)
                if record is not None and counts(record):
                    trades.append(trade_of_plain(record))
                elif record is not None:
                    amendments += 1
            except ValueError as error:
                unread.append(UnreadRecord(f"line {number}", str(error), line[:_SHOWN]))
        before += len(lines)
        yield TradeBatch(trades, unread, amendments)
        if not chunk:
            return


def _record(line: bytes) -> dict[str, Any] | None:
    if not line.strip():
        return None
    try:
        value = exactjson.decode(line)
    except exactjson.JsonError as error:
        raise ValueError(str(error)) from None
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    if isinstance(value.get("record"), dict):
        return value["record"] if value.get("type") == trade_record().name else None
    return value
