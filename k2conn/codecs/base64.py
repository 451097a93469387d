"""base64."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from k2conn.codecs.component import Packing, Settings


class Base64(Packing):
    """base64 of the standard alphabet: how binary data travel in text frames."""

    description = "base64, for compressed data in text frames"
    text = True
    binary = False

    def decoder(self, settings: Settings, limit: int) -> Callable[[bytes], bytes]:
        """Strict: a character of another alphabet is an error. The result is shorter than what is given."""
        return _decode

    def encoder(self, settings: Settings) -> Callable[[bytes], bytes]:
        """With padding, on one line."""
        return base64.b64encode


def _decode(data: bytes) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from None


CODEC = Base64()
