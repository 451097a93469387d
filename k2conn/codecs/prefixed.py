"""JSON behind a few characters that say what kind of frame it is, as Socket.IO (``42["trade",{}]``) and SockJS
(``a["{}"]``) have it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from k2conn import exactjson
from k2conn.codecs.component import MessageFormat, Settings, check_text
from k2conn.plan import Json

_LONGEST = 64
_PREFIX = re.compile(rf"([^\[{{\"]{{0,{_LONGEST}}})([\[{{\"].*)?", re.DOTALL)


class Prefixed(MessageFormat):
    """The characters before the first bracket, brace or quotation mark, and the JSON from there on; null where there is
    none.
    """

    description = "JSON behind a prefix (Socket.IO, SockJS): `{prefix: \"42\", body: [...]}`"
    text = True
    shallow = True
    frugal = True

    def decoder(self, settings: Settings) -> Callable[[bytes], Json]:
        """The function from a frame to its prefix and body."""
        return _decoded

    def encoder(self, settings: Settings) -> Callable[[bytes], bytes]:
        """The opposite; any other message as it is."""

        def encode(text: bytes) -> bytes:
            try:
                found = exactjson.decode(text)
            except exactjson.JsonError:
                return text
            if not isinstance(found, Mapping) or not isinstance(found.get("prefix"), str):
                return text
            body = found.get("body")
            return str(found["prefix"]).encode() + (b"" if body is None else exactjson.encode(body))

        return encode


def _decoded(data: bytes) -> Json:
    check_text(data)
    match = _PREFIX.fullmatch(data.decode())
    if match is None:
        raise ValueError(f"no JSON within the first {_LONGEST} characters")
    return {"prefix": match[1], "body": None if match[2] is None else exactjson.decode(match[2])}


CODEC = Prefixed()
