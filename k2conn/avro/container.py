"""Avro object container files: records of one schema in blocks, readable by any Avro library."""

from __future__ import annotations

import os
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any, BinaryIO

from k2conn.avro.schema import RecordSchema
from k2conn.avro.varint import long_bytes
from k2conn.errors import SettingsError

MAGIC = b"Obj\x01"
CODECS = ("deflate", "null")
BLOCK_BYTES = 64 * 1024
"""Enough for the codec to find the repetitions, little enough to lose nothing much of a torn file."""

FASTEST = 1
"""The deflate level: market data shrinks to about a third at any level, and the event loop waits
meanwhile.
"""


class ContainerWriter:
    """Writes one container file onto ``stream``, from encoded bodies.

    Bodies collect until a block holds ``block_bytes`` or ``flush`` is called; a block goes out in one write.
    A write that raises OSError leaves the block's bodies waiting: cut the stream back to ``written`` bytes,
    then flush again.
    """

    def __init__(
        self, stream: BinaryIO, schema: RecordSchema, codec: str = "deflate", block_bytes: int = BLOCK_BYTES
    ) -> None:
        if codec not in CODECS:
            raise SettingsError(f"codec {codec!r} is not one of {', '.join(CODECS)}")
        self._stream = stream
        self._deflate = codec == "deflate"
        self._bound = block_bytes
        self._bodies: list[bytes] = []
        self._waiting = 0
        self._sync = os.urandom(16)
        self._head = _header(schema, codec, self._sync)
        self.written = 0
        """Bytes of whole blocks (and the header) that are on the stream."""

    @property
    def waiting(self) -> int:
        """Records appended but not yet written."""
        return len(self._bodies)

    def append(self, body: bytes) -> bool:
        """Take one encoded record; True where this filled a block and wrote it out."""
        self._bodies.append(body)
        self._waiting += len(body)
        if self._waiting < self._bound:
            return False
        self.flush()
        return True

    def append_all(self, bodies: Sequence[bytes]) -> Iterator[int]:
        """Take many encoded records. Each time that a block was filled and written out, how many of them are in this
        block or before.
        """
        ends = list(accumulate(map(len, bodies), initial=self._waiting))
        begin = base = 0
        while (end := bisect_left(ends, base + self._bound, lo=begin + 1)) < len(ends):
            self._bodies += bodies[begin:end]
            self.flush()
            begin, base = end, ends[end]
            yield end
        self._bodies += bodies[begin:]
        self._waiting = ends[-1] - base

    def flush(self) -> None:
        """Write what waits (the header first, if the file is new) and flush the stream."""
        data = self._head + self._block()
        if data:
            write_all(self._stream, data)
            self._stream.flush()
        self.written += len(data)
        self._head = b""
        self._bodies.clear()
        self._waiting = 0

    def close(self) -> None:
        """Flush and close the stream."""
        self.flush()
        self._stream.close()

    def _block(self) -> bytes:
        if not self._bodies:
            return b""
        body = b"".join(self._bodies)
        if self._deflate:
            body = _raw_deflate(body)
        return b"".join((long_bytes(len(self._bodies)), long_bytes(len(body)), body, self._sync))


def write_all(stream: BinaryIO, data: bytes) -> None:
    """Write every byte: a stream without a buffer may take fewer at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[stream.write(rest) :]


def _header(schema: RecordSchema, codec: str, sync: bytes) -> bytes:
    entries = {"avro.schema": schema.text.encode(), "avro.codec": codec.encode()}
    parts = [MAGIC, long_bytes(len(entries))]
    for key, value in entries.items():
        parts += (long_bytes(len(key)), key.encode(), long_bytes(len(value)), value)
    return b"".join([*parts, b"\x00", sync])


def _packer_maker() -> Callable[[int, int, int], Any]:
    """What makes a packer for deflate: ISA-L's, which takes a quarter of the time, where it is installed."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.compressobj
    found: Callable[[int, int, int], Any] = isal_zlib.compressobj
    return found


_new_packer = _packer_maker()


def _raw_deflate(body: bytes) -> bytes:
    # Avro's deflate is the bare stream, without zlib's header and checksum.
    packer = _new_packer(FASTEST, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed: bytes = packer.compress(body) + packer.flush()
    return packed
