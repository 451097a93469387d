"""A digest of the beginning of a file, up to a position behind the pieces that were read."""

from __future__ import annotations

import hashlib

_HELD = 4 << 20
"""Bytes behind the position that are held; of a row that is larger, only what the digest becomes behind it."""


class PrefixDigest:
    """SHA-256 of the first ``offset`` bytes. Pieces are added as they are read; the position follows."""

    def __init__(self) -> None:
        self.offset = 0
        self._hash = hashlib.sha256()
        self._held = b""
        self._ahead = self._hash
        self._passed = 0
        """Bytes behind the position that only `_ahead` knows."""

    def add(self, data: bytes) -> None:
        """Another piece was read."""
        self._held += data
        if len(self._held) > _HELD:
            if not self._passed:
                self._ahead = self._hash.copy()
            self._ahead.update(self._held)
            self._passed += len(self._held)
            self._held = b""

    def move(self, offset: int) -> None:
        """Moves the position on, to a place within what was added (and not within what is no longer held)."""
        ahead = offset - self.offset
        if not ahead:
            return
        if self._passed:
            self._hash, ahead, self._passed = self._ahead, ahead - self._passed, 0
        self._hash.update(self._held[:ahead])
        self._held = self._held[ahead:]
        self.offset = offset

    @property
    def digest(self) -> str:
        """In hexadecimal digits."""
        return self._hash.hexdigest()
