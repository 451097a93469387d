"""Frames to messages: unpack, read, bounded in size.

A decoder is chosen once for a connection; the plain case (JSON in text and binary frames) is one call. Whatever a codec
gives is measured here against the connection's limit, so that none goes beyond it unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable

from k2conn import exactjson
from k2conn.codecs import CODECS, FileFormat, MessageFormat, Packing, RowPosition, RowReader
from k2conn.codecs.bodies import rows_reader
from k2conn.codecs.component import MOST_VALUES, TOO_MANY
from k2conn.codecs.json import read as read_json
from k2conn.errors import RecordError
from k2conn.plan import FrameEncoding, Json

Decode = Callable[[str | bytes], Json]

UNREADABLE = (RecordError, *exactjson.UNREADABLE)

_PLAIN = ("json",)


def decoder(encoding: FrameEncoding) -> Decode:
    """The function from frame to message; raises RecordError (malformed-frame, frame-too-large)."""
    text, binary = _decode(encoding.text, encoding, "text"), _decode(encoding.binary, encoding, "binary")
    if text is binary:
        return text

    def decode(frame: str | bytes) -> Json:
        return text(frame) if type(frame) is str else binary(frame)

    return decode


def row_reader(encoding: FrameEncoding, position: RowPosition) -> RowReader:
    """The reader of one file's rows, for a connection that reads files."""
    found = CODECS.get(encoding.text[-1])
    assert isinstance(found, FileFormat)
    return found.reader(encoding.settings, encoding.limit, position)


def quick(decode: Decode) -> Decode:
    """A decoder without its own errors, for frames below `exactjson.SHORT`, where there is a quicker one: raises
    UNREADABLE for what ``decode`` judges.
    """
    return exactjson.quick if decode is read_json else decode


def unpacker(encoding: FrameEncoding, most: int) -> Callable[[bytes], bytes] | None:
    """What makes JSON text of binary frames that are packed, ``most`` bytes of it at most; it raises ValueError. None
    where binary frames are no packed JSON, or text frames are something else than JSON.
    """
    *names, last = encoding.binary or ("",)
    packings = list(map(CODECS.get, names))
    if not packings or last != "json" or encoding.text != _PLAIN or encoding.table:
        return None
    limit = min(most, encoding.limit)
    steps = [one.decoder(encoding.settings, limit) for one in packings if isinstance(one, Packing)]

    def unpack(frame: bytes) -> bytes:
        for step in steps:
            frame = step(frame)
            if len(frame) > limit:
                raise ValueError(f"unpacks to more than {limit} bytes")
        return frame

    return unpack


def _decode(steps: tuple[str, ...], encoding: FrameEncoding, kind: str) -> Decode:
    """The decoder of one kind of frames: its packings, then its format."""
    if not steps:
        return _refuse(kind)
    if steps == _PLAIN:
        return read_json
    *packings, last = map(CODECS.get, steps)
    assert isinstance(last, MessageFormat)
    limit, read = encoding.limit, last.decoder(encoding.settings)
    if encoding.table and isinstance(last, FileFormat):
        read = rows_reader(last, encoding.settings, limit)
    unpackers = [one.decoder(encoding.settings, limit) for one in packings if isinstance(one, Packing)]
    shallow, frugal = last.shallow, last.frugal

    def decode(frame: str | bytes) -> Json:
        try:
            data = frame if type(frame) is bytes else frame.encode() if isinstance(frame, str) else bytes(frame)
            for unpack in unpackers:
                data = unpack(data)
                if len(data) > limit:
                    raise RecordError("frame", None, None, "frame-too-large", f"unpacks to more than {limit} bytes")
            message = read(data)
            if not shallow and exactjson.deeper(message):
                raise _malformed("nested too deeply")
            if not frugal and exactjson.larger(message, MOST_VALUES):
                raise RecordError("frame", None, None, "frame-too-large", TOO_MANY)
            return message
        except ValueError as error:
            raise _malformed(str(error)) from None

    return decode


def _refuse(kind: str) -> Decode:
    def refuse(frame: str | bytes) -> Json:
        raise _malformed(f"the connector expects no {kind} frames")

    return refuse


def _malformed(detail: str) -> RecordError:
    return RecordError("frame", None, None, "malformed-frame", detail)
