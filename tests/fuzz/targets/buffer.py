"""The Avro writer in C (`c/buffer.c`): the seeds."""

from __future__ import annotations

from collections.abc import Iterator

WORDS = (
    b"\x00\x08",
    b"\x01\x10",
    b"\x02\x40",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\x80\0\0\0\0\0\0\0",
    b"\xff" * 16,
)


def seeds() -> Iterator[bytes]:
    """Commands: 0 a long, 1 a decimal, 2 a text; each with its size and bytes."""
    for number in (0, 63, 64, -65, 2**31, 2**62, -(2**63), 2**63 - 1):
        yield b"\x00\x08" + number.to_bytes(8, "big", signed=True)
    for number in (0, -1, 127, 128, -128, -129, 2**127 - 1, -(2**127)):
        yield b"\x01\x10" + number.to_bytes(16, "big", signed=True)
    yield (b"\x02\xff" + b"x" * 255) * 5
    yield b"\x02\xf0" + b"y" * 240 + b"\x00\x01\x05" * 300
