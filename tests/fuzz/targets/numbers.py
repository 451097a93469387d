"""Numbers and times in text, in C (`c/numbers.c`): the seeds."""

from __future__ import annotations

from collections.abc import Iterator

from tests.fuzz.draws import TEXTS

WORDS = (
    b".",
    b"0000000000",
    b"99999999999999999999",
    b"Z",
    b"T",
    b"-02-29T",
    b"2100-02-29T",
    b"2000",
    b"1970-01-01T00:00:00",
    b":59:60",
    b"9223372036854775807",
    b"170141183460469231731687303715884105727",
)


def seeds() -> Iterator[bytes]:
    """Scale, digits of the limit, text."""
    for head in (b"\x08\x12", b"\x12\x26", b"\x00\x00"):
        for text in TEXTS:
            yield head + text.encode("utf-8", "surrogatepass")
    for day in ("2000-02-29", "2100-02-28", "2100-02-29", "2096-02-29", "2026-04-31", "2026-12-31", "1970-01-01"):
        yield f"\x00\x00{day}T23:59:59.999999999Z".encode()
    for number in (2**63, -(2**63), 2**127 - 1, -(2**127), 2**64):
        yield b"\x00\x26" + number.to_bytes(17, "little", signed=True)
