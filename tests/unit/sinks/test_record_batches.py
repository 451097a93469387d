"""Batches written in C are, byte for byte, those of aiokafka's builder; and a reader that is not ours reads them."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from k2conn import native
from k2conn.avro import load_schema
from k2conn.compat.aiokafka import CODECS, Batch
from k2conn.envelope import Envelope
from k2conn.sinks.kafka.producer import Producer
from k2conn.sinks.kafka.record_batches import SMALL, PackedBatch
from k2conn.sinks.kafka.settings import KafkaSettings

in_c_alone = pytest.mark.skipif(native.packed is None, reason="k2conn/native is not built here (no C compiler)")

TRADE, QUOTE = load_schema("trade"), load_schema("quote")
HEADS: dict[Any, bytes] = {None: b"", TRADE: b"\0\0\0\0\7", QUOTE: b"\0\0\1\0\0"}
LATEST = 1_800_000_000_000
STAMPS = (0, 1, LATEST - 1, LATEST, LATEST + 1, -1, -(2**70), 2**70, 1_700_000_000_000)


def envelopes(seed: int, count: int) -> list[Envelope]:
    chance = random.Random(seed)

    def one() -> Envelope:
        key = None if chance.random() < 0.1 else chance.randbytes(chance.choice((0, 1, 7, 63, 64, 200)))
        value = chance.choice((b"", b"text " * chance.randrange(60), chance.randbytes(chance.randrange(9_000))))
        stamp = chance.choice(STAMPS) if chance.random() < 0.3 else 1_700_000_000_000 + chance.randrange(-9_999, 9_999)
        return Envelope("t", key, value, chance.choice((None, TRADE, QUOTE)), stamp)

    return [one() for _ in range(count)]


def theirs(given: list[Envelope], batch_bytes: int, compression: str, producer: tuple[int, int, int]) -> Any:
    batch, count = Batch(batch_bytes, compression), 0
    for _, key, value, schema, stamp, *_ in given:
        stamp = min(max(stamp, 0), LATEST)
        if batch.append(timestamp=stamp, key=key, value=HEADS[schema] + value) is None:
            break
        count += 1
    batch.close()
    batch._set_producer_state(*producer)
    return count, bytes(batch._build())


@in_c_alone
@pytest.mark.parametrize("compression", CODECS)
@pytest.mark.parametrize("seed", range(12))
def test_c_and_aiokafka_make_the_same_bytes(seed: int, compression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1.0)  # gzip writes down when it was
    chance = random.Random(seed)
    given = envelopes(seed, chance.choice((1, 2, 70, 400)))
    most = chance.choice((100, 5_000, 60_000, 1 << 20))
    producer = chance.choice(((-1, -1, 0), (2**40, 5, 2**31 - 1), (7, 0, -(2**31))))
    made = PackedBatch(given, HEADS, most, compression, LATEST)
    made._set_producer_state(*producer)
    count, expected = theirs(given, most, compression if made.packed else "none", producer)
    assert made.record_count() == count
    assert made._build() == expected
    assert made._build() is made._build()
    assert made.closed()


@in_c_alone
@pytest.mark.parametrize("size", [0, 1, 5, 61, 62, 63, 64, 127, 128, 8191, 8192])
def test_every_bound_of_a_batch_is_aiokafka_s(size: int) -> None:
    given = [Envelope("t", b"k", bytes(size), None, 1)] * 3
    for most in range(2 * size + 60, 2 * size + 110):
        made = PackedBatch(given, HEADS, most, "none", LATEST)
        assert made.record_count() == theirs(given, most, "none", (-1, -1, 0))[0], most


@in_c_alone
@pytest.mark.parametrize(("size", "packed"), [(1, False), (SMALL - 100, False), (SMALL, True), (9000, True)])
def test_a_small_batch_is_not_packed(size: int, packed: bool) -> None:
    given = [Envelope("t", b"k", b"a" * size, None, 1)]
    made = PackedBatch(given, HEADS, 1 << 20, "lz4", LATEST)
    assert made.packed is packed
    batch = MemoryRecords(made._build()).next_batch()
    assert batch.validate_crc()
    assert [record.value for record in batch] == [b"a" * size]
    assert (len(made._build()) < size) is packed
    assert not PackedBatch(given, HEADS, 1 << 20, "none", LATEST).packed


@in_c_alone
def test_a_batch_of_a_transaction_says_so() -> None:
    given = envelopes(1, 5)
    plain, marked = (PackedBatch(given, HEADS, 1 << 20, "lz4", LATEST, said)._build() for said in (False, True))
    first, second = (MemoryRecords(data).next_batch() for data in (plain, marked))
    assert not first.is_transactional
    assert second.is_transactional
    assert second.validate_crc()
    assert [record.value for record in first] == [record.value for record in second]


@in_c_alone
def test_a_reader_finds_what_was_given() -> None:
    given = [Envelope("t", b"BTCUSD", b"a" * 300, TRADE, 5), Envelope("t", None, b"{}", None, 3)]
    batch = MemoryRecords(PackedBatch(given, HEADS, 1 << 20, "zstd", LATEST)._build()).next_batch()
    assert batch.validate_crc()
    found = [(record.key, record.value, record.timestamp) for record in batch]
    assert found == [(b"BTCUSD", b"\0\0\0\0\7" + b"a" * 300, 5), (None, b"{}", 3)]


@in_c_alone
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 15, 16, 63, 1000])
def test_the_checksum_is_castagnoli_s(size: int) -> None:
    from k2conn.native import record_batch

    data = random.Random(size).randbytes(size)
    assert native.crc32c(data) == record_batch.crc32c_by_table(data) == calc_crc32c(data)
    assert native.crc32c(b"123456789") == 0xE3069283


@in_c_alone
@pytest.mark.parametrize(("wrong", "error"), [
    (("t", "key", b"v", None, 1), TypeError), (("t", b"k", "value", None, 1), TypeError),
    (("t", b"k", b"v", None, "1"), TypeError), (("t", b"k", b"v", None), TypeError), ("text", TypeError),
    (("t", b"k", b"v", 5, 1), KeyError),
])
def test_what_is_no_envelope_is_refused(wrong: Any, error: type[Exception]) -> None:
    good = Envelope("t", b"k", b"v", None, 1)
    with pytest.raises(error):
        native.packed([good, wrong], HEADS, 1000, LATEST)
    with pytest.raises(error):
        native.packed([wrong], HEADS, 1000, LATEST)


@in_c_alone
@pytest.mark.parametrize("arguments", [((), HEADS, 1, 1), ([], [], 1, 1), ([], HEADS, 1, -1), ([], HEADS, "", 1)])
def test_what_cannot_be_packed_is_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError)):
        native.packed(*arguments)
    with pytest.raises(TypeError):
        native.crc32c("text")


@in_c_alone
def test_nothing_is_packed_of_nothing() -> None:
    assert native.packed([], HEADS, 1000, LATEST) == (b"", 0, 0, 0)


@pytest.mark.parametrize("in_c", [pytest.param(True, marks=in_c_alone), False])
def test_a_producer_packs_with_what_it_has(in_c: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not in_c:
        monkeypatch.setattr(native, "packed", None)
    producer = object.__new__(Producer)
    producer._settings, producer._transactional = KafkaSettings(compression="none"), False
    batch, count = producer.pack([*envelopes(3, 20)], HEADS)
    assert count == batch.record_count() == 20
    assert isinstance(batch, PackedBatch if in_c else Batch)
