"""The bytes of a segment file: entries, each with its length and checksum. Pure.

A file is ``MAGIC``, then entries: length and CRC-32 of the body (8 bytes, little-endian), then the body, whose first
byte is its kind. A *schema* or a *route* (what the records of one topic, key and account have in common) is written
once, with its number, before the first record that needs it, so a file can be read without any other. A *record* is
the number of its route, its timestamp and its value.
"""

from __future__ import annotations

import json
import zlib
from struct import Struct
from typing import Any, NamedTuple

MAGIC = b"K2SPOOL1"
SCHEMA, ROUTE, RECORD = 1, 2, 3

_FRAME = Struct("<II")
_RECORD = Struct("<BIq")
FRAME_BYTES = _FRAME.size
RECORD_BYTES = FRAME_BYTES + _RECORD.size
"""What a record's entry takes beside its value."""


class Entry(NamedTuple):
    """A whole entry found at ``start``. A record has ``route``, ``stamp`` and ``value``, the others ``text``."""

    start: int
    end: int
    kind: int
    route: int = 0
    stamp: int = 0
    value: bytes = b""
    text: Any = None


class EntryScan(NamedTuple):
    """What ``scan`` found: whole entries, where the next one begins, and how many between were damaged.

    ``stuck``: what begins at ``end`` is no entry and nothing says where the next one is.
    """

    entries: list[Entry]
    end: int
    damaged: int
    stuck: bool


def packed_record(route: int, stamp: int, value: bytes) -> bytes:
    """The entry of one record."""
    head = _RECORD.pack(RECORD, route, stamp)
    return _FRAME.pack(len(head) + len(value), zlib.crc32(value, zlib.crc32(head))) + head + value


def packed_text(kind: int, text: object) -> bytes:
    """The entry of a schema or a route."""
    body = bytes((kind,)) + json.dumps(text, separators=(",", ":")).encode()
    return _FRAME.pack(len(body), zlib.crc32(body)) + body


def scan(data: bytes, base: int, whole: bool) -> EntryScan:
    """The entries of ``data``, which stands at ``base`` in its file; ``whole``: nothing comes after it.

    An entry whose checksum is wrong is left out where a good one follows it; else the walk is stuck there. An entry
    that is not all there is waited for, or (in a ``whole``) the walk is stuck: a torn tail.
    """
    found: list[Entry] = []
    at, damaged, size = 0, 0, len(data)
    while at < size:
        end = _end(data, at)
        if end is None or end > size:
            return EntryScan(found, base + at, damaged, whole)
        if _good(data, at, end):
            found.append(_entry(data, base, at, end))
        elif end == size and not whole:
            break  # what follows decides
        elif end == size or not _good(data, end, _end(data, end)):
            return EntryScan(found, base + at, damaged, True)
        else:
            damaged += 1
        at = end
    return EntryScan(found, base + at, damaged, False)


def needed(data: bytes) -> int:
    """How many bytes the first entry of ``data`` takes; 0 where that cannot be told yet."""
    return _end(data, 0) or 0


def _end(data: bytes, at: int) -> int | None:
    if len(data) - at < FRAME_BYTES:
        return None
    return at + FRAME_BYTES + int(_FRAME.unpack_from(data, at)[0])


def _good(data: bytes, at: int, end: int | None) -> bool:
    if end is None or end > len(data) or end == at + FRAME_BYTES:  # zeros would pass for an empty entry
        return False
    return zlib.crc32(memoryview(data)[at + FRAME_BYTES : end]) == int(_FRAME.unpack_from(data, at)[1])


def _entry(data: bytes, base: int, at: int, end: int) -> Entry:
    body = at + FRAME_BYTES
    if data[body] == RECORD:
        _, route, stamp = _RECORD.unpack_from(data, body)
        return Entry(base + at, base + end, RECORD, route, stamp, data[at + RECORD_BYTES : end])
    return Entry(base + at, base + end, data[body], text=json.loads(data[body + 1 : end]))
