"""Spool files: any bytes are read to their end in bounded time, the same however they are cut into windows; a record
comes out only with the checksum it was written with, and with a route that this process could have written.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from k2conn import exactjson
from k2conn.avro import load_schema
from k2conn.spool.entries import HEAD_BYTES, MAGIC, OLD_MAGIC, RECORD, ROUTE, SCHEMA, Entry, KeyedFormat, recognised
from k2conn.spool.names import TOPIC
from k2conn.spool.segment import SpoolSegment
from tests.fuzz.bounds import check_time
from tests.fuzz.draws import Draws

KEY = b"\x9e\x3a\x51\xc7"
RAW, BUILT = 0, 1
TOPICS = ("market.crypto.trades.x", "..", "a/b", "", "x" * 250, 5, None)
TRACED = ("k2conn.spool.entries", "k2conn.spool.segment", "k2conn.spool.stored_text")
WORDS = (
    MAGIC,
    OLD_MAGIC,
    KEY,
    MAGIC + KEY,
    b'{"id":0,"topic":"t","key":null,"schema":null,"stream":"s","symbol":"S"}',
    b'{"id":0,"name":"trade","text":"',
    b"\x01",
    b"\x02",
    b"\x03",
    b"\xff\xff\xff\xff",
    b"\0" * 20,
)


def route(number: Any = 0, **other: Any) -> dict[str, Any]:
    """A route's text."""
    return {"id": number, "topic": TOPICS[0], "key": "00ff", "schema": None, "stream": "trade", "symbol": "X"} | other


def whole() -> bytes:
    """A file as a process leaves it."""
    one = KeyedFormat(KEY)
    schema = load_schema("trade")
    entries = [
        one.packed_text(0, SCHEMA, {"id": 0, "name": schema.name, "text": '{"type":"record","name":"R","fields":[]}'}),
        one.packed_text(1, ROUTE, route()),
        one.packed_text(2, ROUTE, route()),
        *(one.packed_record(3 + number, 0, number, b"value %d" % number) for number in range(5)),
    ]
    return one.head + b"".join(entries)


def old() -> bytes:
    """A file of version 0.1."""
    bodies = [
        bytes((ROUTE,)) + b'{"id":0,"topic":"t","key":null,"schema":null,"stream":"s","symbol":"S"}',
        struct.pack("<BIq", RECORD, 0, 1) + b"value",
    ]
    return OLD_MAGIC + b"".join(struct.pack("<II", len(one), zlib.crc32(one)) + one for one in bodies)


def seeds() -> Iterator[bytes]:
    """How the file is made (one byte), how it is cut (one), then its bytes, or what it is built of."""
    for cut in (0, 7, 40):
        yield bytes((RAW, cut)) + whole()
        yield bytes((RAW, cut)) + whole()[:HEAD_BYTES] + b"\x01" + whole()[HEAD_BYTES:]
        yield bytes((RAW, cut)) + old()
        yield bytes((RAW, cut)) + MAGIC + bytes(30)
    for at in range(8):
        yield bytes((BUILT, 0, 6)) + bytes(range(at, at + 40)) * 3


def target(data: bytes) -> None:
    """One file."""
    draws = Draws(data)
    kind, cut = draws.below(2), draws.byte()
    file = draws.rest() if kind == RAW else built(draws)
    check_time(2, lambda: check(file, cut))


def built(draws: Draws) -> bytes:
    """A file whose checksums are right, whatever its entries say."""
    one = KeyedFormat(KEY)
    found = [one.head, one.packed_text(0, ROUTE, route())]
    for number in range(draws.below(12)):
        how = draws.below(8)
        if how < 2:
            found.append(one.packed_record(draws.byte(), draws.below(3), number, draws.piece(40)))
        elif how == 2:
            found.append(text_entry(one, number, ROUTE, draws.value()))
        elif how == 3:
            changed = {
                name: draws.value(1) for name in ("id", "topic", "key", "schema", "stream", "symbol") if draws.below(2)
            }
            found.append(text_entry(one, number, ROUTE, route(draws.below(3), topic=draws.of(TOPICS)) | changed))
        elif how == 4:
            text = draws.of((draws.text(80), '{"type":"record","name":"R","fields":[{"name":"a","type":"long"}]}', 7))
            found.append(one.packed_text(number, SCHEMA, {"id": draws.below(3), "name": "trade", "text": text}))
        elif how == 5:
            body = draws.piece(60)
            found.append(one._frame(number, len(body), zlib.crc32(body)) + body)
        elif how == 6:
            found.append(draws.piece(60))
        else:
            found.append(one.packed_text(number, draws.below(8), draws.text()))
    return b"".join(found)


def text_entry(one: KeyedFormat, number: int, kind: int, text: Any) -> bytes:
    """An entry of a schema or a route, with numbers that the spool would not write, too."""
    body = bytes((kind,)) + exactjson.encode(text)
    return one._frame(number, len(body), zlib.crc32(body)) + body


def check(file: bytes, cut: int) -> None:
    """All entries, twice: the file as one, and in windows; then what they say."""
    known = recognised(file)
    if known is None:
        return
    entries, damaged = scanned(file, 0)
    assert damaged >= 0
    if isinstance(known, KeyedFormat):
        assert scanned(file, 20 + cut)[0] == entries, "windows show"
    end = 0
    for entry in entries:
        assert end <= entry.start < entry.end <= len(file)
        end = entry.end
        if entry.kind == RECORD:
            assert file[entry.end - len(entry.value) : entry.end] == entry.value
    learnt(entries)


def scanned(file: bytes, window: int) -> tuple[list[Entry], int]:
    """The entries, and how many places are damaged, with windows that grow where nothing is found (0: the whole)."""
    known = recognised(file)
    assert known is not None
    found: list[Entry] = []
    at, damaged, size = known.first, 0, window or len(file)
    while at < len(file):
        data = file[at : at + size]
        scan = known.scan(data, at, at + len(data) >= len(file))
        assert scan.end >= at
        found += scan.entries
        damaged += scan.damaged
        if scan.stuck:
            break
        size = max(2 * size, known.needed(data)) if scan.end == at else window or len(file)
        at = scan.end
    return found, damaged


def learnt(entries: list[Entry]) -> None:
    """Schemas, routes and envelopes."""
    segment = SpoolSegment(Path("/nowhere"), 1)
    for entry in entries:
        if entry.kind == RECORD:
            envelope = segment.envelope(entry)
            assert envelope is None or TOPIC.fullmatch(envelope.topic)
        else:
            segment.learn(entry, lambda stream, symbol: SimpleNamespace(stream=stream, symbol=symbol))
