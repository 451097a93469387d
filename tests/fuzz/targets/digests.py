"""SHA-1 and content hashes in C (`c/digests.c`): the seeds."""

from __future__ import annotations

from collections.abc import Iterator

WORDS = (b"\x80", b"\xff" * 8, b"\0" * 64)


def seeds() -> Iterator[bytes]:
    """The size of the pieces less one, bytes: around the ends of SHA-1's blocks."""
    for size in (0, 1, 54, 55, 56, 63, 64, 65, 119, 120, 128, 300):
        yield b"\x06" + b"k" * size
        yield b"\x3f" + bytes(range(256))[:size]
