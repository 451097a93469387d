"""gzip, zlib or neither, by the first bytes of each frame."""

from __future__ import annotations

from collections.abc import Callable

from k2conn.codecs import gzip, zlib
from k2conn.codecs.component import Packing, Settings

_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""How zlib's data begin, by the level of compression."""


class Auto(Packing):
    """Unpacks what is compressed and leaves the rest as it is; packs with gzip."""

    description = "gzip, zlib or plain, by the first bytes"
    expands = True

    def decoder(self, settings: Settings, limit: int) -> Callable[[bytes], bytes]:
        """By the first bytes."""
        gunzip, unzlib = gzip.CODEC.decoder(settings, limit), zlib.CODEC.decoder(settings, limit)

        def decode(data: bytes) -> bytes:
            if data[:2] == b"\x1f\x8b":
                return gunzip(data)
            return unzlib(data) if data[:2] in _ZLIB else data

        return decode

    def encoder(self, settings: Settings) -> Callable[[bytes], bytes]:
        """As gzip."""
        return gzip.CODEC.encoder(settings)


CODEC = Auto()
