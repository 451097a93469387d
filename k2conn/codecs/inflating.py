"""What gzip, zlib and deflate have in common."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import ClassVar

from k2conn.codecs.component import Packing, Settings


class Deflated(Packing):
    """Deflate in one of its wrappings, which ``window`` says in zlib's way."""

    expands: ClassVar[bool] = True
    window: ClassVar[int]
    ends: ClassVar[bool] = True
    """Whether the end of the data is marked, so that a cut frame is noticed."""

    def decoder(self, settings: Settings, limit: int) -> Callable[[bytes], bytes]:
        """Inflates at most one byte more than ``limit``."""
        window, ends, most, new = self.window, self.ends, limit + 1, zlib.decompressobj

        def inflate(data: bytes) -> bytes:
            machine = new(window)
            try:
                found = machine.decompress(data, most)
            except zlib.error as error:
                raise ValueError(f"cannot be inflated: {error}") from None
            if len(found) < most:
                if machine.unused_data:
                    raise ValueError(f"{len(machine.unused_data)} bytes after the end of the compressed data")
                if ends and not machine.eof:
                    raise ValueError("the compressed data ends too early")
            return found

        return inflate

    def encoder(self, settings: Settings) -> Callable[[bytes], bytes]:
        """Deflates, quickly rather than well."""
        window = self.window

        def deflate(data: bytes) -> bytes:
            machine = zlib.compressobj(1, zlib.DEFLATED, window)
            return machine.compress(data) + machine.flush()

        return deflate
