"""Decisions out of bytes, for targets that build a value rather than read one: small changes of the bytes are small
changes of the value, and every byte string is some value.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, TypeVar

Choice = TypeVar("Choice")

NUMBERS: tuple[Any, ...] = (
    0,
    1,
    -1,
    7,
    2**31,
    2**53,
    2**63 - 1,
    2**63,
    -(2**63),
    2**64,
    2**127,
    10**18,
    10**38 - 1,
    10**38,
    10**400,
    1767323045678,
    1767323045678901,
    253402300800000,
    Decimal("0.1"),
    Decimal("64000.10"),
    Decimal("-0.0"),
    Decimal("1E-8"),
    Decimal("1E+20"),
    Decimal("1e400"),
    Decimal("1E-400"),
    Decimal("0.123456789012345678"),
)
TEXTS: tuple[str, ...] = (
    "",
    "0",
    "-0",
    "1.",
    ".5",
    "64000.10",
    "0.00000001",
    "1e5",
    "1e400",
    "1e-1000500",
    "9" * 18,
    "9" * 19,
    "9" * 38,
    "9" * 41,
    "0" * 41,
    "NaN",
    "Infinity",
    "+1",
    "1_0",
    " 1",
    "\u0663",
    "1..2",
    "buy",
    "SELL",
    "true",
    "null",
    "\0",
    "2026-01-02T03:04:05.678901Z",
    "2026-01-02T03:04:05Z",
    "1969-12-31T23:59:59Z",
    "2026-02-30T00:00:00Z",
    "2026-01-02T03:04:60.000001Z",
    " 2026-01-02T03:04:05.12345Z",
    "9999-12-31T23:59:59.999999999999Z",
    "BTC-USD",
    "BTCUSDT",
    "\u00e9" * 40,
    "x" * 63,
    "x" * 64,
    "x" * 200,
    "\U0001f600",
    "\u2028",
)


class Draws:
    """Bytes, read from the front; when they are used up, everything drawn is the first choice."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes that were not drawn yet."""
        return max(len(self._data) - self._at, 0)

    def byte(self) -> int:
        """One byte; 0 at the end."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def below(self, limit: int) -> int:
        """A number from 0 to before ``limit``."""
        number = self.byte()
        return (number if limit <= 256 else number << 8 | self.byte()) % limit

    def of(self, choices: Sequence[Choice]) -> Choice:
        """One of the choices."""
        return choices[self.below(len(choices))]

    def piece(self, most: int = 255) -> bytes:
        """Some bytes, after one that says how many."""
        size = min(self.byte(), most)
        self._at += size
        return self._data[self._at - size : self._at]

    def rest(self) -> bytes:
        """All that is left."""
        found, self._at = self._data[self._at :], len(self._data)
        return found

    def text(self, most: int = 255) -> str:
        """A text as JSON can hold it: half of a surrogate pair is none."""
        return self.piece(most).decode("utf-8", "replace")

    def digits(self) -> str:
        """What looks like a number."""
        return "".join("0123456789.-+eE 0"[byte % 17] for byte in self.piece(45))

    def value(self, depth: int = 3) -> Any:
        """A JSON value, as the decoder gives it."""
        kind = self.below(12 if depth else 9)
        if kind == 0:
            return self.of((None, True, False))
        if kind in (1, 2):
            return self.of(NUMBERS)
        if kind == 3:
            return int.from_bytes(self.piece(17), "big", signed=True)
        if kind in (4, 5):
            return self.of(TEXTS)
        if kind == 6:
            return self.digits()
        if kind == 7:
            return self.text()
        if kind == 8:
            return Decimal(self.below(1 << 16)).scaleb(self.below(64) - 40)
        if kind == 9:
            return [self.value(depth - 1) for _ in range(self.below(4))]
        return {self.key(): self.value(depth - 1) for _ in range(self.below(4))}

    def key(self) -> str:
        """A member's name."""
        return self.of(("a", "b", "c", "", "s", "p", "q")) if self.below(2) else self.text(12)
