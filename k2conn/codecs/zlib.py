"""zlib."""

from __future__ import annotations

from k2conn.codecs.inflating import Deflated


class Zlib(Deflated):
    """zlib: deflate with a short header and a checksum."""

    description = "compressed with zlib"
    window = 15


CODEC = Zlib()
