"""JSON, with exact numbers."""

from __future__ import annotations

from collections.abc import Callable

from k2conn import exactjson
from k2conn.codecs.component import MessageFormat, Settings, check_text
from k2conn.errors import RecordError
from k2conn.plan import Json

_WORD = 64
"""Characters a text that is no JSON may have to count as a message."""


class JsonFormat(MessageFormat):
    """JSON text. A short text that is no JSON (`pong`) is also a message, namely that text; the router
    decides whether any rule matches it.
    """

    description = "JSON text"
    text = True
    shallow = True
    frugal = True

    def decoder(self, settings: Settings) -> Callable[[str | bytes], Json]:
        """`read`, for text as for bytes."""
        return read

    def encoder(self, settings: Settings) -> Callable[[bytes], bytes]:
        """JSON text is what it is given."""
        return _same


def read(frame: str | bytes) -> Json:
    """The message of a frame that needs no unpacking; raises RecordError (malformed-frame, frame-too-large)."""
    short = len(frame) < exactjson.SHORT
    if not short:
        check_text(frame)
    try:
        return exactjson.quick(frame) if short else exactjson.decode(frame)
    except (exactjson.JsonError, *exactjson.UNREADABLE):
        return _judged(frame)


def _judged(frame: str | bytes) -> Json:
    """What a frame is that is no JSON."""
    try:
        return exactjson.decode(frame)
    except exactjson.JsonError as error:
        text = frame if isinstance(frame, str) else bytes(frame[:_WORD]).decode("utf-8", "replace")
        if len(frame) < _WORD and text.strip()[:1] not in "{[\"":
            return text.strip()
        raise RecordError("frame", None, None, "malformed-frame", str(error)) from None


def _same(text: bytes) -> bytes:
    return text


CODEC = JsonFormat()
