"""Container files block by block: while they grow, torn, and with noise in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn.avro import ContainerWriter, load_schema
from k2conn.avro.blocks import MalformedContainer, NotWhole
from k2conn.avro.scanning import GrowingContainer, full_name
from tests.support.sinks import trade

SCHEMA = load_schema("trade")


def filled(path: Path, blocks: int, codec: str = "deflate") -> list[int]:
    """Where each block ends."""
    ends = []
    with path.open("wb") as file:
        writer = ContainerWriter(file, SCHEMA, codec)
        for number in range(blocks):
            for one in range(5):
                writer.append(trade(number * 5 + one, "t").value)
            writer.flush()
            ends.append(file.tell())
    return ends


@pytest.mark.parametrize("codec", ["deflate", "null"])
def test_whole_blocks_are_read_from_wherever_one_begins(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "a.avro"
    ends = filled(path, 3, codec)
    reader = GrowingContainer(path)
    assert full_name(reader.schema_text) == SCHEMA.full_name
    blocks = list(reader.blocks(reader.first))
    assert [one.end for one in blocks] == ends
    assert [row["source_sequence"] for row in reader.read(SCHEMA, blocks[2])] == [10, 11, 12, 13, 14]
    assert [one.count for one in reader.blocks(ends[0])] == [5, 5]


def test_a_file_that_ends_anywhere_has_the_blocks_before(tmp_path: Path) -> None:
    path, cut = tmp_path / "a.avro", tmp_path / "b.avro"
    ends = filled(path, 2)
    data = path.read_bytes()
    for size in range(0, len(data) + 1, 7):
        cut.write_bytes(data[:size])
        try:
            reader = GrowingContainer(cut)
        except NotWhole:
            assert size < ends[0]
            continue
        assert [one.end for one in reader.blocks(reader.first)] == [end for end in ends if end <= size]


@given(st.binary(max_size=200), st.integers(0, 2000))
def test_noise_is_refused_and_nothing_else(noise: bytes, at: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.avro"
        filled(path, 2)
        data = path.read_bytes()
        path.write_bytes(data[:at] + noise + data[at + len(noise):])
        try:
            reader = GrowingContainer(path)
            for block in reader.blocks(reader.first):
                reader.read(SCHEMA, block)
        except (MalformedContainer, NotWhole):
            pass
