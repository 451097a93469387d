"""Frames to messages: inflate, decode JSON without floats, bounded in size.

A decoder is chosen once for a connection; the plain case (JSON in text frames) is one call. A short text that is no
JSON (`pong`) is a message too, namely that text: whether anyone knows it is for the router to say.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Callable

from k2conn import exactjson
from k2conn.errors import RecordError
from k2conn.plan import Codec, Json

Decode = Callable[[str | bytes], Json]

UNREADABLE = (RecordError, *exactjson.UNREADABLE)

_WORD = 64
"""Characters a text that is no JSON may have to count as a message."""
_WINDOW = {"gzip": 31, "zlib": 15, "deflate": -15}


def decoder(codec: Codec) -> Decode:
    """The function from frame to message; raises RecordError (malformed-frame, frame-too-large)."""
    if codec.text == codec.binary == ("json",):
        return _json
    text = _pipeline(codec.text, codec, "text")
    binary = _pipeline(codec.binary, codec, "binary")

    def decode(frame: str | bytes) -> Json:
        return text(frame) if type(frame) is str else binary(frame)

    return decode


def quick(decode: Decode) -> Decode:
    """A decoder without its own errors, where there is a quicker one: raises UNREADABLE for what ``decode`` judges."""
    return exactjson.quick if decode is _json else decode


def _pipeline(steps: tuple[str, ...], codec: Codec, kind: str) -> Decode:
    if not steps:
        return _refuse(kind)
    if steps == ("json",):
        return _json
    stages = [_stage(step, codec) for step in steps]

    def run(frame: str | bytes) -> Json:
        value: Json = frame
        for stage in stages:
            value = stage(value)
        return value

    return run


def _refuse(kind: str) -> Decode:
    def refuse(frame: str | bytes) -> Json:
        raise _malformed(f"the connector expects no {kind} frames")

    return refuse


def _stage(step: str, codec: Codec) -> Decode:
    if step == "json":
        return _json
    if step == "base64":
        return _base64
    if step == "protobuf":
        from k2conn.engine.protobuf import protobuf_decoder

        return protobuf_decoder(codec)
    if step == "auto":
        return _auto(codec.limit)
    return _inflate(_WINDOW[step], codec.limit)


def _json(frame: str | bytes) -> Json:
    try:
        return exactjson.quick(frame)
    except exactjson.UNREADABLE:
        return _judged(frame)


def _judged(frame: str | bytes) -> Json:
    """What a frame is that is no JSON."""
    try:
        return exactjson.decode(frame)
    except exactjson.JsonError as error:
        text = frame if type(frame) is str else bytes(frame[:_WORD]).decode("utf-8", "replace")  # type: ignore[arg-type]
        if len(frame) < _WORD and text.strip()[:1] not in "{[\"":
            return text.strip()
        raise _malformed(str(error)) from None


def _inflate(window: int, limit: int) -> Decode:
    def inflate(frame: str | bytes) -> bytes:
        data = frame.encode() if isinstance(frame, str) else frame
        machine = zlib.decompressobj(window)
        try:
            found = machine.decompress(data, limit + 1)
        except zlib.error as error:
            raise _malformed(f"cannot be inflated: {error}") from None
        if len(found) > limit:
            raise RecordError("frame", None, None, "frame-too-large", f"inflates to more than {limit} bytes")
        if machine.unused_data:
            raise _malformed(f"{len(machine.unused_data)} bytes after the end of the compressed data")
        if not machine.eof and window != _WINDOW["deflate"]:
            raise _malformed("the compressed data ends too early")
        return found

    return inflate


def _auto(limit: int) -> Decode:
    gunzip, unzlib = _inflate(_WINDOW["gzip"], limit), _inflate(_WINDOW["zlib"], limit)

    def auto(frame: str | bytes) -> Json:
        if isinstance(frame, bytes):
            if frame[:2] == b"\x1f\x8b":
                return gunzip(frame)
            if frame[:1] == b"\x78" and frame[1:2] in (b"\x01", b"\x5e", b"\x9c", b"\xda"):
                return unzlib(frame)
        return frame

    return auto


def _base64(frame: str | bytes) -> bytes:
    try:
        return base64.b64decode(frame, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _malformed(f"no base64: {error}") from None


def _malformed(detail: str) -> RecordError:
    return RecordError("frame", None, None, "malformed-frame", detail)
