"""The bodies of HTTP answers to JSON values: unpacked, read, bounded in size. A format of rows gives a list."""

from __future__ import annotations

from collections.abc import Callable

from k2conn import exactjson
from k2conn.codecs import CODECS, FileFormat, MessageFormat, Packing, RowPosition, Settings
from k2conn.codecs.component import MOST_VALUES
from k2conn.errors import RecordError
from k2conn.plan import FrameEncoding, Json

ReadBody = Callable[[bytes], Json]


def body_reader(encoding: FrameEncoding, most: int = MOST_VALUES) -> ReadBody:
    """The function from a body to its value, by the codecs of ``binary``; raises RecordError (malformed-frame,
    frame-too-large), the latter also for more than ``most`` values.
    """
    *packings, last = map(CODECS.get, encoding.binary)
    assert isinstance(last, MessageFormat)
    limit, settings = encoding.limit, encoding.settings
    unpackers = [one.decoder(settings, limit) for one in packings if isinstance(one, Packing)]
    read = rows_reader(last, settings, limit) if isinstance(last, FileFormat) else last.decoder(settings)
    if encoding.binary[-1] == "json":
        read = exactjson.decode  # whose text is measured here, and is a document in any case

    def decode(body: bytes) -> Json:
        try:
            for unpack in unpackers:
                body = unpack(body)
                if len(body) > limit:
                    raise RecordError("body", None, None, "frame-too-large", f"unpacks to more than {limit} bytes")
            if len(body) > most and exactjson.values(body) > most:
                raise RecordError("body", None, None, "frame-too-large", f"it has more than {most} values")
            if exactjson.wide(body):
                detail = f"more than {exactjson.WIDE_UP_TO} bytes, with letters beyond ASCII"
                raise RecordError("body", None, None, "frame-too-large", detail)
            found = read(body)
        except (ValueError, exactjson.JsonError) as error:
            raise _malformed(str(error)) from None
        if exactjson.deeper(found):
            raise _malformed("nested too deeply")
        if exactjson.larger(found, most):
            raise RecordError("body", None, None, "frame-too-large", f"it has more than {most} values")
        return found

    return decode


def body_writer(encoding: FrameEncoding) -> Callable[[bytes], bytes]:
    """The function from a value as JSON text, a list of rows where the format is one of rows, to a body that
    `body_reader` reads.
    """
    *packings, last = map(CODECS.get, encoding.binary)
    assert isinstance(last, MessageFormat)
    settings = encoding.settings
    write = rows_writer(last, settings) if isinstance(last, FileFormat) else last.encoder(settings)
    packers = [one.encoder(settings) for one in reversed(packings) if isinstance(one, Packing)]

    def encode(text: bytes) -> bytes:
        body = write(text) or b""
        for pack in packers:
            body = pack(body)
        return body

    return encode


def rows_reader(last: FileFormat, settings: Settings, limit: int) -> ReadBody:
    """The function from all rows of a body to a list; ValueError for one that cannot be read."""

    def read(body: bytes) -> Json:
        found: list[Json] = []
        for line, _, message in last.reader(settings, limit, RowPosition()).feed(body, True):
            if isinstance(message, RecordError):
                raise ValueError(f"line {line}: {message.detail}")
            found.append(message)
        return found

    return read


def rows_writer(last: FileFormat, settings: Settings) -> Callable[[bytes], bytes | None]:
    """Rows, each encoded by itself; of what stands before the row itself, such as a header line, the first one's. None
    for what is no list of rows.
    """
    encode = last.encoder(settings)

    def write(text: bytes) -> bytes | None:
        lines: list[bytes] = []
        try:
            rows = exactjson.decode(text)
        except exactjson.JsonError:
            return None
        for row in rows if isinstance(rows, list) else ():
            *head, line = (encode(exactjson.encode(row)) or b"").split(b"\n")
            lines += [*head, line] if not lines else [line]
        return b"\n".join(lines) + b"\n"

    return write


def _malformed(detail: str) -> RecordError:
    return RecordError("body", None, None, "malformed-frame", detail)
