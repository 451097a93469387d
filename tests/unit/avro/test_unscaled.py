"""Records without Decimals, and container files block by block: equal to fastavro's own reading, and never a crash."""

from __future__ import annotations

import io
import json
import random
from contextlib import suppress
from typing import Any

import fastavro
import pytest

from k2conn.avro import ContainerWriter, load_schema
from k2conn.avro.unscaled import DamagedFile, UnscaledContainer, UnscaledReader
from k2conn.errors import SettingsError

SCHEMA = load_schema("trade")


def row(number: int) -> dict[str, Any]:
    return {
        "message_id": f"m{number}", "trade_id": "X-1", "symbol": "S", "exchange": "X", "asset_class": "crypto",
        "timestamp": number, "price": -number * 10**9, "quantity": number, "currency": "USD", "side": "BUY",
        "trade_conditions": ["a"], "source_sequence": None, "ingestion_timestamp": 5, "platform_sequence": None,
        "vendor_data": {"k": "v"},
    }


def container(count: int, codec: str = "deflate") -> bytes:
    stream = io.BytesIO()
    writer = ContainerWriter(stream, SCHEMA, codec, block_bytes=1000)
    for number in range(count):
        found = row(number)
        writer.append(SCHEMA.encode([found[field.name] for field in SCHEMA.fields]))
    writer.flush()
    return stream.getvalue()


@pytest.mark.parametrize("codec", ["deflate", "null"])
def test_all_blocks_are_read(codec: str) -> None:
    reader = UnscaledContainer(io.BytesIO(container(100, codec)))
    blocks = list(reader.blocks())
    assert len(blocks) > 3
    assert [one for block in blocks for one in block] == [row(number) for number in range(100)]
    assert reader.schema.full_name == SCHEMA.full_name
    assert reader.schema.unscaled == ("price", "quantity")


def test_files_of_fastavro_are_read_too() -> None:
    stream = io.BytesIO()
    fastavro.writer(stream, json.loads(SCHEMA.text), fastavro.reader(io.BytesIO(container(7))), codec="deflate")
    reader = UnscaledContainer(io.BytesIO(stream.getvalue()[4:]), begun=stream.getvalue()[:4])
    assert [one for block in reader.blocks() for one in block] == [row(number) for number in range(7)]


def test_one_record_is_whole_or_none() -> None:
    reader = UnscaledReader(SCHEMA.text)
    found = row(3)
    body = SCHEMA.encode([found[field.name] for field in SCHEMA.fields])
    assert reader.record(body) == found
    for damaged in (body + b"\0", body[:-1], b"", b"\xff" * 40):
        with pytest.raises(ValueError, match=r"not a com\.k2\.marketdata\.TradeV2 record"):
            reader.record(damaged)


def test_a_torn_file_gives_its_whole_blocks() -> None:
    whole = container(100)
    blocks = UnscaledContainer(io.BytesIO(whole[:-20])).blocks()
    count = sum(len(next(blocks)) for _ in range(4))
    assert 70 < count < 100
    with pytest.raises(DamagedFile, match="it ends in the middle"):
        next(blocks)


def test_what_is_no_container_is_refused() -> None:
    with pytest.raises(SettingsError, match="no Avro container"):
        UnscaledContainer(io.BytesIO(b"PAR1 and more"))
    with pytest.raises(SettingsError, match="packed with 'snappyy'"):
        UnscaledContainer(io.BytesIO(container(1).replace(b"\x0edeflate", b"\x0esnappyy")))
    with pytest.raises(SettingsError, match="schema field x: type"):
        UnscaledReader('{"type": "record", "name": "A", "fields": [{"name": "x", "type": "double"}]}')


def test_damaged_bytes_never_raise_anything_else() -> None:
    chance, whole = random.Random(3), container(30)
    for _ in range(3000):
        damaged = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        with suppress(DamagedFile, SettingsError):
            list(UnscaledContainer(io.BytesIO(bytes(damaged))).blocks())
