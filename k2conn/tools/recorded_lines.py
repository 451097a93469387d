"""The lines of a recording, as editors and shells save them."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator

from k2conn.errors import SettingsError

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def recorded_lines(lines: Iterable[bytes], name: str) -> Iterator[bytes]:
    """The lines of UTF-8 text without the mark that some programs put before the first one, and files that were put
    together have in the middle, too. SettingsError for UTF-16; ``name`` is the recording's, for that.
    """
    for number, line in enumerate(lines):
        if not number and line.startswith(_WIDE):
            raise SettingsError(f"{name} is UTF-16 text, and UTF-8 is read: save it again as UTF-8")
        yield line.removeprefix(codecs.BOM_UTF8)
