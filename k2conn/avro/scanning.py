"""Container files read block by block, also while they grow: a file's end may be a block that is not whole yet."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from k2conn.avro.container import CODECS, MAGIC
from k2conn.avro.schema import RecordSchema
from k2conn.errors import SettingsError

LARGEST = 64 * 1024 * 1024
"""Bytes of a block, packed or not."""
_LONGEST_HEAD = 1024 * 1024


class MalformedContainer(ValueError):
    """What is there is no container file, or has a block that is none."""


class NotWhole(Exception):
    """The file ends within what is read: it may go on later."""


@dataclass(frozen=True, slots=True)
class Block:
    """Where a block is: its bytes begin at ``start``, the next block at ``end``."""

    start: int
    size: int
    end: int
    count: int


class GrowingContainer:
    """One file. MalformedContainer where it is none; NotWhole where its head is not all there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self.schema_text, self._deflate, self._sync, self.first = _head(file)

    def blocks(self, start: int) -> Iterator[Block]:
        """The whole blocks from a block's beginning on. MalformedContainer where one is none."""
        with self.path.open("rb") as file:
            length = file.seek(0, 2)
            at = start
            while at < length:
                file.seek(at)
                try:
                    count, size = _long(file), _long(file)
                except NotWhole:
                    return
                if count < 0 or not 0 <= size <= LARGEST:
                    raise MalformedContainer(f"{self.path}: no block at {at}")
                begin = file.tell()
                end = begin + size + len(self._sync)
                if end > length:
                    return
                file.seek(begin + size)
                if file.read(len(self._sync)) != self._sync:
                    raise MalformedContainer(f"{self.path}: no block at {at}")
                yield Block(begin, size, end, count)
                at = end

    def read(self, schema: RecordSchema, block: Block) -> list[dict[str, Any]]:
        """A block's records, as `RecordSchema.decode` has them. MalformedContainer where they are none."""
        with self.path.open("rb") as file:
            file.seek(block.start)
            data = file.read(block.size)
        try:
            return schema.decode_all(_inflated(data) if self._deflate else data, block.count)
        except ValueError as error:
            raise MalformedContainer(f"{self.path}: block at {block.start}: {error}") from None


def _head(file: BinaryIO) -> tuple[str, bool, bytes, int]:
    if (magic := file.read(4)) != MAGIC:
        if MAGIC.startswith(magic):
            raise NotWhole
        raise MalformedContainer("no Avro container file")
    found: dict[str, bytes] = {}
    while count := _long(file):
        if count < 0:
            _long(file)
        for _ in range(min(abs(count), 1000)):
            name = _bytes(file).decode("utf-8", "replace")
            found[name] = _bytes(file)
    sync = file.read(16)
    if len(sync) < 16:
        raise NotWhole
    codec = found.get("avro.codec", b"null").decode("ascii", "replace")
    if codec not in CODECS:
        raise MalformedContainer(f"the codec {codec[:20]!r} is not read here")
    return found.get("avro.schema", b"").decode("utf-8", "replace"), codec == "deflate", sync, file.tell()


def _long(file: BinaryIO) -> int:
    found = shift = 0
    while shift < 64:
        one = file.read(1)
        if not one:
            raise NotWhole
        found |= (one[0] & 0x7F) << shift
        if one[0] < 0x80:
            return (found >> 1) ^ -(found & 1)
        shift += 7
    raise MalformedContainer("no number")


def _bytes(file: BinaryIO) -> bytes:
    size = _long(file)
    if not 0 <= size <= _LONGEST_HEAD:
        raise MalformedContainer("no head of a container file")
    found = file.read(size)
    if len(found) < size:
        raise NotWhole
    return found


def _inflated(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = unpacker.decompress(data, LARGEST)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if unpacker.unconsumed_tail:
        raise ValueError(f"more than {LARGEST} bytes")
    return found


def full_name(schema_text: str) -> str:
    """A schema's name with its namespace; empty where the text is no schema."""
    try:
        found = json.loads(schema_text)
        return ".".join(filter(None, (found.get("namespace"), found["name"])))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def schema_of(name: str, text: str) -> RecordSchema:
    """The schema that a file was written with. MalformedContainer for what is none of ours."""
    try:
        return RecordSchema(name, text)
    except SettingsError as error:
        raise MalformedContainer(str(error)) from None

