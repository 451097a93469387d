"""WebSocket frame cutting in C (`c/frames.c`): the seeds."""

from __future__ import annotations

from collections.abc import Iterator

WORDS = (
    b"\x81",
    b"\x82",
    b"\x81\x7e",
    b"\x82\x7f",
    b"\x81\x7e\x00\x80",
    b"\x81\x7f\0\0\0\0\0\0\0\x01",
    b"\x89\x00",
    b"\x88\x02\x03\xe8",
    b"\xc1",
    b"\x01",
    b"\x00",
    b"\xff" * 8,
    b"\xc3\xa9",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
)


def seeds() -> Iterator[bytes]:
    """Limit (two bytes), `until` (one, in units of eight bytes), wire."""
    wire = b"\x81\x02hi\x82\x01x\x81\x7e\x00\x03abc\x82\x7f\0\0\0\0\0\0\0\x02yz"
    for head in (b"\xff\xff\xff", b"\x00\x02\xff", b"\x00\x00\x01"):
        yield head + wire
        yield head + b"\x81\x7e\x00\x90" + b"x" * 144 + wire
        yield head + b"\x81\x02\xc3\xa9\x81\x01\xff" + wire
