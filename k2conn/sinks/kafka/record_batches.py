"""Batches of records (Kafka's version 2) whose records are written in C; without that, aiokafka's builder does the same
(`k2conn.compat.aiokafka.Batch`), but for small batches, which it packs, too.

A batch is what aiokafka takes for one of its own builders: it is closed from the start, is told the producer's id and
the number of its first record, and then makes its bytes, once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from struct import Struct

from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode  # type: ignore[import-untyped]

from k2conn import native
from k2conn.avro import RecordSchema
from k2conn.compat.aiokafka import CODECS, LZ4_LEVEL
from k2conn.envelope import Envelope

_COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip_encode, "snappy": snappy_encode, "lz4": partial(lz4_encode, level=LZ4_LEVEL), "zstd": zstd_encode,
}
_FRONT = Struct(">qiibI")
"""First offset (the broker's to say), bytes behind this number, the leader's epoch (unknown), version, checksum."""
_REST = Struct(">hiqqqhii")
"""Attributes, number of the last record, times of the first and the latest, the producer's id and epoch, the first
record's number in the partition, number of records.
"""
_VERSION = 2
_BEHIND_LENGTH = 9
"""Bytes of the front behind the length."""
_TRANSACTIONAL = 0x10
SMALL = 512
"""Bytes of records below which they are not packed: that saves hardly anything, and takes as long as all else."""


class PackedBatch:
    """A batch of the first of some envelopes, as many as fit."""

    __slots__ = ("_built", "_codec", "_compression", "_count", "_first", "_latest", "_producer", "_records")

    def __init__(
        self, envelopes: Sequence[Envelope], heads: Mapping[RecordSchema | None, bytes], batch_bytes: int,
        compression: str, latest: int, transactional: bool = False,
    ) -> None:
        """``heads``: what goes before a value, by its schema. ``latest``: no record has a later time, in milliseconds
        since 1970; one that has gets this one.
        """
        listed = envelopes if type(envelopes) is list else list(envelopes)
        self._records: bytes
        self._count: int
        self._records, self._count, self._first, self._latest = native.packed(listed, heads, batch_bytes, latest)
        self._compression = compression if len(self._records) >= SMALL else "none"
        self._codec = _TRANSACTIONAL if transactional else 0
        self._producer = (-1, -1, 0)
        self._built: bytes | None = None

    def record_count(self) -> int:
        """How many records it has."""
        return self._count

    @property
    def packed(self) -> bool:
        """Whether its records are packed."""
        return self._compression != "none"

    def closed(self) -> bool:
        """Whether nothing more can be added."""
        return True

    def _set_producer_state(self, producer_id: int, epoch: int, sequence: int) -> None:
        """Whose batch it is, and the number of its first record."""
        self._producer = (producer_id, epoch, sequence)

    def _build(self) -> bytes:
        """Its bytes, always the same ones."""
        if self._built is None:
            data, codec = self._records, self._codec
            if self.packed:
                data, codec = _COMPRESSED[self._compression](data), codec | CODECS[self._compression]
            rest = _REST.pack(codec, self._count - 1, self._first, self._latest, *self._producer, self._count) + data
            front = _FRONT.pack(0, _BEHIND_LENGTH + len(rest), -1, _VERSION, native.crc32c(rest))
            self._built, self._records = front + rest, b""
        return self._built
