"""Deterministic identity: the same trade seen twice has the same message_id.

A message_id is the UUIDv5 (RFC 9562, SHA-1) of exchange, stream, symbol and the venue's own id. Where the venue gives
no id, declared fields tell rows apart and equal rows are numbered in the order in which one connection delivered them.
"""

from __future__ import annotations

import hashlib
import uuid

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/k2conn/k2conn/message_id")
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The digit of a UUID that says its variant, by the hash's own."""


class MessageIds:
    """Makes the message ids of one exchange, stream and symbol."""

    __slots__ = ("seed", "state")

    def __init__(self, exchange: str, stream: str, symbol: str) -> None:
        self.seed = NAMESPACE.bytes + f"{exchange}|{stream}|{symbol}|".encode()
        """What all these ids are hashed from; the venue's own id comes behind it."""
        self.state = hashlib.sha1(self.seed, usedforsecurity=False)

    def make(self, identity: str) -> str:
        """The UUIDv5 text; equal to ``uuid.uuid5(NAMESPACE, "EXCHANGE|stream|SYMBOL|identity")``."""
        state = self.state.copy()
        state.update(identity.encode() if identity.isascii() else identity.encode("utf-8", "surrogatepass"))
        return uuid_text(state.hexdigest())


def uuid_text(d: str) -> str:
    """The text of a UUID of version 5, by the hexadecimal digits of its hash."""
    return f"{d[:8]}-{d[8:12]}-5{d[13:16]}-{_VARIANT[d[16]]}{d[17:20]}-{d[20:32]}"


class Ordinals:
    """Numbers equal rows of one connection: 0 for the first, 1 for the next equal one.

    Bounded: the latest ``limit`` different rows are remembered, and at most as many more. Equal rows carry equal times,
    so they come close together; a new connection starts anew, so a snapshot that repeats them gives the same numbers.
    """

    def __init__(self, limit: int = 4096) -> None:
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}
        self._limit = limit

    def number(self, row: str) -> int:
        """How many equal rows came before."""
        young = self._young
        count = young.get(row)
        if count is None:
            count = self._old.get(row, -1)
            if len(young) >= self._limit:
                self._old, self._young = young, {}
                young = self._young
        young[row] = count + 1
        return count + 1

    def forget(self, prefix: str) -> None:
        """Rows that begin with this are numbered anew."""
        for rows in (self._young, self._old):
            for row in [row for row in rows if row.startswith(prefix)]:
                del rows[row]
