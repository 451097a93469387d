"""What a container file may make a reader hold in memory."""

from __future__ import annotations

import io
import zlib

import pytest

from k2conn.avro import blocks
from k2conn.avro.blocks import MalformedContainer, inflated, read_head
from k2conn.avro.container import MAGIC
from k2conn.avro.varint import long_bytes


def packed(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(bytes(size)) + packer.flush()


def test_a_block_that_is_packed_a_thousandfold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LARGEST", 100_000)
    assert len(inflated(packed(100_000))) == 100_000
    with pytest.raises(MalformedContainer, match="more than 100000 bytes"):
        inflated(packed(50_000_000))


def test_a_head_of_very_many_entries_or_very_large_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_LARGEST_HEAD", 3000)
    many = MAGIC + long_bytes(1 << 40) + (long_bytes(1) + b"x" + long_bytes(0)) * 2000
    large = MAGIC + long_bytes(1) + long_bytes(1 << 40)
    for head in (many, large):
        with pytest.raises(MalformedContainer, match="head is damaged"):
            read_head(io.BytesIO(head))
