"""Several JSON documents in one frame: one behind the other, or a line each."""

from __future__ import annotations

import re
from collections.abc import Callable

from k2conn import exactjson
from k2conn.codecs.component import MessageFormat, Settings, check_text
from k2conn.plan import Json

_MARKS = re.compile(r'[\[{]|[\]}]|"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)


class Documents(MessageFormat):
    """The documents of a frame as a list, also of one; the connection's `each: "@"` takes them one by one."""

    description = 'JSON objects and arrays, one behind the other or a line each: a list, for `each: "@"`'
    text = True
    shallow = True
    frugal = True

    def decoder(self, settings: Settings) -> Callable[[bytes], Json]:
        """The function from a frame's bytes to the list of its documents."""
        return _decoded

    def encoder(self, settings: Settings) -> Callable[[bytes], bytes]:
        """A list's elements, a line each; anything else as one document."""

        def encode(text: bytes) -> bytes:
            try:
                found = exactjson.decode(text)
            except exactjson.JsonError:
                return text
            return b"\n".join(map(exactjson.encode, found)) if isinstance(found, list) else text

        return encode


def _decoded(data: bytes) -> Json:
    check_text(data)
    text = data.decode()
    found, at, depth = [], 0, 0
    for mark in _MARKS.finditer(text):
        sign = mark[0]
        if sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
            if depth == 0:
                found.append(exactjson.decode(text[at : mark.end()]))
                at = mark.end()
            elif depth < 0:
                break
    if text[at:].strip() or not found:
        raise ValueError(f"no JSON object or array that is whole, at character {at}")
    return found


CODEC = Documents()
