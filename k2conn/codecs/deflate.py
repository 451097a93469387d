"""Raw deflate."""

from __future__ import annotations

from k2conn.codecs.inflating import Deflated


class RawDeflate(Deflated):
    """Deflate without header and checksum. Some venues flush their streams without ending them."""

    description = "compressed with raw deflate"
    window = -15
    ends = False


CODEC = RawDeflate()
