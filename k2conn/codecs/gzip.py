"""gzip."""

from __future__ import annotations

from k2conn.codecs.inflating import Deflated


class Gzip(Deflated):
    """gzip: deflate with a header and a checksum."""

    description = "compressed with gzip"
    window = 31


CODEC = Gzip()
