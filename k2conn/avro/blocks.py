"""What Avro container files are made of: a head, and blocks of records behind each other.

For readers that take a file block by block, so that one of any size takes the memory of one block; whatever is read may
also be a pipe, which gives less than it was asked for.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple, Protocol

from k2conn.avro.container import CODECS, MAGIC

LARGEST = 64 * 1024 * 1024
"""Bytes of a block, packed or not; writers make some tens of thousands."""
SYNC_SIZE = 16
_LARGEST_HEAD = 16 * 1024 * 1024


class MalformedContainer(ValueError):
    """What is there is no container file, or has a block that is none."""


class NotWhole(Exception):
    """The file ends within what is read: it may go on later."""


class ByteStream(Protocol):
    """What is read: a file, a pipe."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""


class Head(NamedTuple):
    """What stands before the blocks. ``sync`` ends each block."""

    schema_text: str
    deflate: bool
    sync: bytes


def read_head(stream: ByteStream) -> Head:
    """The head; the stream stands behind it then. MalformedContainer for what is none, NotWhole where it is not all
    there.
    """
    magic = _up_to(stream, len(MAGIC))
    if magic != MAGIC:
        if MAGIC.startswith(magic):
            raise NotWhole
        raise MalformedContainer("no Avro container")
    entries: dict[str, bytes] = {}
    left = _LARGEST_HEAD
    while count := read_long(stream):
        if count < 0:
            count, _ = -count, read_long(stream)
        for _ in range(count):
            name, value = _sized(stream, left), _sized(stream, left)
            left -= len(name) + len(value) + 2
            entries[name.decode("utf-8", "replace")] = value
    codec = entries.get("avro.codec", b"null").decode("utf-8", "replace")
    if codec not in CODECS:
        raise MalformedContainer(f"its blocks are packed with {codec[:20]!r}, and only deflate is read here")
    schema = entries.get("avro.schema", b"").decode("utf-8", "replace")
    return Head(schema, codec == "deflate", take(stream, SYNC_SIZE))


def read_long(stream: ByteStream, first: bytes = b"") -> int:
    """A number; ``first``: its first byte, where that was read before. NotWhole where the stream ends within it."""
    found = shift = 0
    byte = first or take(stream, 1)
    while True:
        found |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return (found >> 1) ^ -(found & 1)
        shift += 7
        if shift > 63:
            raise MalformedContainer("a number of more than 64 bits")
        byte = take(stream, 1)


def take(stream: ByteStream, size: int) -> bytes:
    """So many bytes. NotWhole where there are fewer."""
    found = _up_to(stream, size)
    if len(found) < size:
        raise NotWhole
    return found


def inflated(data: bytes) -> bytes:
    """What deflate has packed. MalformedContainer for what it has not, or for more than `LARGEST` bytes."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = unpacker.decompress(data, LARGEST)
    except zlib.error as error:
        raise MalformedContainer(str(error)) from None
    if unpacker.unconsumed_tail:
        raise MalformedContainer(f"a block of more than {LARGEST} bytes")
    return found


def _sized(stream: ByteStream, most: int) -> bytes:
    size = read_long(stream)
    if not 0 <= size <= most:
        raise MalformedContainer("its head is damaged")
    return take(stream, size)


def _up_to(stream: ByteStream, size: int) -> bytes:
    """So many bytes, or all there are."""
    parts, left = [], size
    while left and (more := stream.read(left)):
        parts.append(more)
        left -= len(more)
    return b"".join(parts)
