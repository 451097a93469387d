"""The bytes of a segment file: entries, each with its length and checksums. Pure.

A file is ``MAGIC`` and four random bytes, its *key*; then entries. An entry begins with the key, its number in the
file, the length and the CRC-32 of its body, and the CRC-32 of these 16 bytes (20 bytes, little-endian); then comes the
body, whose first byte is its kind. A *schema* or a *route* (what the records of one topic, key and account have in
common) is written before the first record that needs it, twice, so that damage in one place costs nothing; so a file
can be read without any other. A *record* is the number of its route, its timestamp and its value.

Where an entry is damaged, reading goes on at the next key. The key is random so that nothing a venue sends can pass for
the beginning of an entry.

Files of version 0.1 (``OLD_MAGIC``) have no keys, entries begin with the length and the CRC-32 of the body, and nothing
is written twice. They are still read.
"""

from __future__ import annotations

import json
import re
import zlib
from struct import Struct
from typing import Any, NamedTuple, Protocol

MAGIC, OLD_MAGIC = b"K2SPOOL2", b"K2SPOOL1"
KEY_BYTES = 4
HEAD_BYTES = len(MAGIC) + KEY_BYTES
SCHEMA, ROUTE, RECORD = 1, 2, 3

MAX_ENTRY = 64 * 1024 * 1024
"""Bytes of one entry's body that are read back."""
TRIES = 100_000
"""Places in one file at which the next entry is looked for after damage; then the rest of the file is given up."""

_FRAME = Struct("<4sIIII")
_CHECKED = _FRAME.size - 4
_SUM = Struct("<I")
_OLD_FRAME = Struct("<II")
_OLD_START = re.compile(b"(?=...[\0-\3]....[\1-\3])", re.DOTALL)
"""A length below MAX_ENTRY, any checksum, and a kind."""
_RECORD = Struct("<BIq")


class Entry(NamedTuple):
    """A whole entry found at ``start``. A record has ``route``, ``stamp`` and ``value``, the others ``text``; one whose
    body is nothing of all this has kind 0. ``number`` counts a file's entries; in an old file it is always 0.
    """

    start: int
    end: int
    kind: int
    route: int = 0
    stamp: int = 0
    value: bytes = b""
    text: Any = None
    number: int = 0


class EntryScan(NamedTuple):
    """What ``scan`` found: whole entries, where to go on, and how many damaged places there were.

    ``stuck``: there is nothing more to be found behind ``end``; ``torn``: it looks like a write that was cut short.
    """

    entries: list[Entry]
    end: int
    damaged: int
    stuck: bool = False
    torn: bool = False


class EntryFormat(Protocol):
    """How one file's entries are written; one for each file, as it counts where it looked for entries."""

    first: int
    """Where entries begin."""

    def scan(self, data: bytes, base: int, whole: bool) -> EntryScan:
        """The entries of ``data``, which stands at ``base`` in its file; ``whole``: nothing comes after it."""

    def needed(self, data: bytes) -> int:
        """How many bytes the first entry of ``data`` takes; 0 where that cannot be told yet."""


class KeyedFormat:
    """The format that is written."""

    first = HEAD_BYTES

    def __init__(self, key: bytes) -> None:
        self.key = key
        self._tries = 0

    @property
    def head(self) -> bytes:
        """What a file begins with."""
        return MAGIC + self.key

    def packed_record(self, number: int, route: int, stamp: int, value: bytes) -> bytes:
        """The entry of one record."""
        body = _RECORD.pack(RECORD, route, stamp)
        return self._frame(number, len(body) + len(value), zlib.crc32(value, zlib.crc32(body))) + body + value

    def packed_text(self, number: int, kind: int, text: object) -> bytes:
        """The entry of a schema or a route."""
        body = bytes((kind,)) + json.dumps(text, separators=(",", ":")).encode()
        return self._frame(number, len(body), zlib.crc32(body)) + body

    def scan(self, data: bytes, base: int, whole: bool) -> EntryScan:
        """See `EntryFormat`."""
        found: list[Entry] = []
        at, damaged, size = 0, 0, len(data)
        while at < size:
            frame = self._read(data, at)
            if frame is None:
                if size - at < _FRAME.size and (not whole or data.startswith(self.key[: size - at], at)):
                    return EntryScan(found, base + at, damaged, whole, whole)
                following = self._next(data, at + 1)
                if following is None:
                    zeros = not data[at:].strip(b"\0")  # a file system's, after a power cut
                    if whole or self._tries > TRIES:
                        return EntryScan(found, base + at, damaged + (not zeros), True, zeros)
                    following = max(at, size - _FRAME.size)  # a key may be cut in two there
                    return EntryScan(found, base + following, damaged + 1)
                at, damaged = following, damaged + 1
                continue
            number, length, total = frame
            end = at + _FRAME.size + length
            if end > size:
                return EntryScan(found, base + at, damaged, whole, whole)
            if zlib.crc32(memoryview(data)[at + _FRAME.size : end]) == total:
                found.append(_entry(data, base, at, at + _FRAME.size, end, number))
            else:
                damaged += 1
            at = end
        return EntryScan(found, base + at, damaged)

    def needed(self, data: bytes) -> int:
        """See `EntryFormat`."""
        frame = self._read(data, 0)
        return 0 if frame is None else _FRAME.size + frame[1]

    def _frame(self, number: int, length: int, total: int) -> bytes:
        checked = _FRAME.pack(self.key, number & 0xFFFFFFFF, length, total, 0)[:_CHECKED]
        return checked + _SUM.pack(zlib.crc32(checked))

    def _read(self, data: bytes, at: int) -> tuple[int, int, int] | None:
        """Number, length and checksum in the frame at ``at``; None where there is no good one."""
        if len(data) - at < _FRAME.size or not data.startswith(self.key, at):
            return None
        _, number, length, total, own = _FRAME.unpack_from(data, at)
        if not 0 < length <= MAX_ENTRY or own != zlib.crc32(memoryview(data)[at : at + _CHECKED]):
            return None
        return int(number), int(length), int(total)

    def _next(self, data: bytes, at: int) -> int | None:
        """Where the next good frame begins."""
        while self._tries <= TRIES:
            at = data.find(self.key, at)
            if at < 0:
                return None
            if self._read(data, at) is not None:
                return at
            self._tries += 1
            at += 1
        return None


class OldFormat:
    """That of version 0.1: the length is not checked by itself, and nothing marks where an entry begins."""

    first = len(OLD_MAGIC)

    def __init__(self) -> None:
        self._tries = 0

    def scan(self, data: bytes, base: int, whole: bool) -> EntryScan:
        """See `EntryFormat`. What looks like a torn end may be a damaged length: it counts as damaged."""
        found: list[Entry] = []
        at, damaged, size = 0, 0, len(data)
        while at < size:
            end = _old_end(data, at)
            if (end is None or end >= size) and not whole and not _old_good(data, at, end):
                break  # what follows decides
            if end is not None and _old_good(data, at, end):
                found.append(_entry(data, base, at, at + _OLD_FRAME.size, end, 0))
                at = end
                continue
            following = self._next(data, at + 1)
            if following is None:
                if not whole and self._tries <= TRIES:
                    break
                zeros = not data[at:].strip(b"\0")
                return EntryScan(found, base + at, damaged + (not zeros), True, zeros or size - at < _OLD_FRAME.size)
            at, damaged = following, damaged + 1
        return EntryScan(found, base + at, damaged)

    def needed(self, data: bytes) -> int:
        """See `EntryFormat`."""
        return min(_old_end(data, 0) or 0, MAX_ENTRY + _OLD_FRAME.size)

    def _next(self, data: bytes, at: int) -> int | None:
        for place in _OLD_START.finditer(data, at):
            start = place.start()
            end = _old_end(data, start)
            if end is not None and end <= len(data):
                self._tries += 1 + (end - start) // 1024
                if _old_good(data, start, end):
                    return start
            if self._tries > TRIES:
                return None
        return None


def recognised(data: bytes) -> EntryFormat | None:
    """The format of a file that begins with ``data``, also where its head is damaged; None where it has none."""
    if len(data) < HEAD_BYTES and (MAGIC.startswith(data[: len(MAGIC)]) or OLD_MAGIC.startswith(data)):
        return KeyedFormat(b"\0" * KEY_BYTES)  # torn before its first entry
    for at in (HEAD_BYTES, len(MAGIC)):  # each entry repeats the key
        keyed = KeyedFormat(data[at : at + KEY_BYTES])
        good = len(keyed.key) == KEY_BYTES and (keyed.needed(data[HEAD_BYTES:]) or at == len(MAGIC))
        if good and (data.startswith(MAGIC) or keyed.scan(data[HEAD_BYTES:], 0, False).entries):
            return keyed
    old = OldFormat()
    start = data[len(OLD_MAGIC) :]
    if data.startswith(OLD_MAGIC) or _old_good(start, 0, _old_end(start, 0)):
        return old
    return None


def _old_end(data: bytes, at: int) -> int | None:
    if len(data) - at < _OLD_FRAME.size:
        return None
    return at + _OLD_FRAME.size + int(_OLD_FRAME.unpack_from(data, at)[0])


def _old_good(data: bytes, at: int, end: int | None) -> bool:
    # Zeros would pass for an empty entry.
    if end is None or end > len(data) or not 0 < end - at - _OLD_FRAME.size <= MAX_ENTRY:
        return False
    return zlib.crc32(memoryview(data)[at + _OLD_FRAME.size : end]) == int(_OLD_FRAME.unpack_from(data, at)[1])


def _entry(data: bytes, base: int, at: int, body: int, end: int, number: int) -> Entry:
    kind, start = data[body], base + at
    if kind == RECORD and end - body >= _RECORD.size:
        _, route, stamp = _RECORD.unpack_from(data, body)
        return Entry(start, base + end, RECORD, route, stamp, data[body + _RECORD.size : end], number=number)
    if kind in (SCHEMA, ROUTE):
        try:
            return Entry(start, base + end, kind, text=json.loads(data[body + 1 : end]), number=number)
        except (ValueError, RecursionError):
            pass
    return Entry(start, base + end, 0, number=number)
