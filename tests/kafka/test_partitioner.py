"""The partition of a key is the one Kafka's Java client chooses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn.sinks.kafka.partitioner import murmur2, partition_of

# From Kafka's own UtilsTest.testMurmur2: signed 32-bit hashes.
PUBLISHED = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "signed"), PUBLISHED.items())
def test_the_hash_is_kafkas(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed & 0xFFFFFFFF


def test_the_sign_is_cut_off_not_negated() -> None:
    assert partition_of(b"21", 40) == (-973932308 & 0x7FFFFFFF) % 40


@given(st.binary(max_size=40), st.integers(1, 200))
def test_every_key_has_a_partition(key: bytes, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions
