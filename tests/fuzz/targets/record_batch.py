"""Kafka's batches of records: of any envelopes, C makes what aiokafka's builder makes, byte for byte; aiokafka's reader
finds in it what was given, checksum and compression included. What is no envelope is refused.

Run by libFuzzer, what is written in C is instrumented (`c/python_host.c`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

from aiokafka.record.default_records import _DefaultRecordBatchPy  # type: ignore[import-untyped]
from aiokafka.record.util import calc_crc32c  # type: ignore[import-untyped]

from k2conn import native
from k2conn.avro import RecordSchema, load_schema
from k2conn.compat.aiokafka import CODECS, Batch
from k2conn.envelope import Envelope
from k2conn.sinks.kafka.record_batches import PackedBatch
from tests.fuzz.draws import Draws

TRADE, QUOTE = load_schema("trade"), load_schema("quote")
HEADS: dict[RecordSchema | None, bytes] = {None: b"", TRADE: b"\0\0\0\0\7", QUOTE: b"\0\0\1\0\0"}
SCHEMAS = (TRADE, QUOTE, None)
LATEST = 1_800_000_000_000
STAMPS = (1_700_000_000_000, 0, 1, LATEST, LATEST + 1, -1, -(2**63), 2**63, 2**70, -(2**70))
PRODUCERS = ((-1, -1, 0), (2**40, 5, 2**31 - 1), (7, 0, -(2**31)))
SIZES = (1 << 20, 62, 100, 200, 1_000, 5_000, 0)
ODD: tuple[Any, ...] = (
    "text", (), ("t", b"k", b"v", None), ("t", "key", b"v", None, 1), ("t", b"k", "value", None, 1),
    ("t", b"k", b"v", None, "1"), ("t", b"k", b"v", None, 1.5), ("t", b"k", b"v", 5, 1), ("t", b"k", None, None, 1),
    ("t", b"k", b"v", [], 1), ["t", b"k", b"v", None, 1],
)
COMPRESSIONS = tuple(CODECS)
WORDS = (b"\x00", b"\x40", b"\x80", b"\xff\xff")


def seeds() -> Iterator[bytes]:
    """Compression, size, producer, mark; then envelopes: how, schema, key, value, time."""
    for at, _ in enumerate(COMPRESSIONS):
        for size, _ in enumerate(SIZES):
            head = bytes((at, size, at % 3, size % 2, 1))
            yield head + bytes((0, 0, 3, 9, 0, 0, 7, 2, 0, 1, 200, 70, 1, 9, 0, 0) * 6)
    for at, _ in enumerate(STAMPS):
        yield bytes((0, 0, 1, 0, 1, 0, 2, 0, 0, 1, at, 0, 1, 1, 255, 1, at))
    for at, _ in enumerate(ODD):
        yield bytes((0, 0, 0, 0, 1, 0, 0, 3, 3, 0, 1, 9, at))


def envelopes(draws: Draws) -> list[Any]:
    """Some envelopes, now and then something else."""
    found: list[Any] = []
    while draws.left and len(found) < 200:
        how = draws.below(10)
        if how == 9:
            found.append(draws.of(ODD))
            continue
        schema, key, length = draws.of(SCHEMAS), draws.below(256), draws.below(256) << (3 * (how % 3))
        stamp = draws.of(STAMPS) if draws.below(2) else STAMPS[0] + draws.below(65536) - 30_000
        fill = bytes((draws.below(256),))
        found.append(Envelope("t", None if key == 255 else fill * key, fill * length, schema, stamp))
    return found


def target(data: bytes) -> None:
    """One batch."""
    draws = Draws(data)
    compression, most, producer = draws.of(COMPRESSIONS), draws.of(SIZES), draws.of(PRODUCERS)
    transactional = bool(draws.below(2))
    given = envelopes(draws)
    if native.packed is None:
        return
    check_crc(data)
    with mock.patch.object(time, "time", return_value=1.0):  # gzip writes down when it was
        try:
            batch = PackedBatch(given, HEADS, most, compression, LATEST, transactional)
        except (TypeError, KeyError):
            assert any(not isinstance(one, Envelope) for one in given)
            return
        if not batch.record_count():
            assert not given
            return
        batch._set_producer_state(*producer)
        compression = compression if batch.packed else "none"
        made = batch._build()
        taken = given[: batch.record_count()]
        assert all(isinstance(one, Envelope) for one in taken)
        if not transactional:
            assert made == theirs(taken, given, most, compression, producer)
    read_back(made, taken, producer, transactional)


def check_crc(data: bytes) -> None:
    """The checksum by the processor and by the table is the library's."""
    from k2conn.native import record_batch

    assert native.crc32c(data) == record_batch.crc32c_by_table(data) == calc_crc32c(data)


def theirs(
    taken: list[Envelope], given: list[Any], most: int, compression: str, producer: tuple[int, int, int]
) -> bytes:
    """The same batch by aiokafka's builder; what does not fit with us does not fit there."""
    batch = Batch(most, compression)
    for one in taken:
        assert added(batch, one), "it has room for fewer"
    if len(taken) < len(given) and isinstance(given[len(taken)], Envelope):
        assert not added(batch, given[len(taken)]), "it has room for more"
    batch.close()
    batch._set_producer_state(*producer)
    return bytes(batch._build())


def added(batch: Any, one: Envelope) -> bool:
    """Whether there was room for it."""
    value = HEADS[one.schema] + one.value
    return batch.append(timestamp=clamped(one.timestamp_ms), key=one.key, value=value) is not None


def clamped(stamp: int) -> int:
    """A time within what a batch can say."""
    return min(max(stamp, 0), LATEST)


def read_back(made: bytes, taken: list[Envelope], producer: tuple[int, int, int], transactional: bool) -> None:
    """By aiokafka's reader in Python: checksum, producer, times, keys and values."""
    batch = _DefaultRecordBatchPy(made)
    assert batch.validate_crc()
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == producer
    assert batch.is_transactional == transactional
    stamps = [clamped(one.timestamp_ms) for one in taken]
    assert (batch.first_timestamp, batch.max_timestamp) == (stamps[0], max(stamps))
    found = [(one.offset, one.timestamp, one.key, one.value, one.headers) for one in batch]
    assert found == [
        (at, stamp, one.key, HEADS[one.schema] + one.value, [])
        for at, (stamp, one) in enumerate(zip(stamps, taken, strict=True))
    ]
