"""Where frames begin and end in a stream of bytes (TCP, an HTTP answer that goes on, a program's output): pure.

A `Framing` says it, a `Cutter` cuts what was received, `framed` makes the bytes of a frame that is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from k2conn import exactjson

Kind = Literal["lines", "events", "named-events", "delimiter", "length"]
LONGEST_RETRY = 15 * 60.0
"""Seconds for which a server of events can keep us away, at most."""


@dataclass(frozen=True, slots=True)
class Framing:
    """``lines`` (of JSON; empty ones are no frames), ``events`` (server-sent events; a frame is an event's data) or
    ``named-events`` (the same; a frame is JSON with ``event``, ``id`` and ``data``), ``delimiter`` (what stands behind
    each frame), ``length`` (an unsigned number of ``size`` bytes before each frame; ``inclusive``: it counts itself).
    """

    kind: Kind
    delimiter: bytes = b"\n"
    size: int = 4
    big_endian: bool = True
    inclusive: bool = False

    @property
    def text(self) -> str:
        """In words, for people."""
        if self.kind == "delimiter":
            return f"frames that end in {self.delimiter!r}"
        if self.kind == "length":
            order = "big" if self.big_endian else "little"
            counted = ", itself included" if self.inclusive else ""
            return f"frames behind their length in {self.size} bytes ({order}-endian{counted})"
        return {"lines": "a frame a line", "events": "server-sent events"}.get(self.kind, "named server-sent events")


LINES = Framing("lines")


class FrameTooLarge(ValueError):
    """A frame has more bytes than it may have, or a length that cannot be."""


class Cutter(Protocol):
    """Cuts one stream of bytes."""

    @property
    def pending(self) -> bool:
        """Whether the beginning of a frame came whose end did not."""

    @property
    def retry(self) -> float:
        """Seconds that the other side wants to pass before the next connection; 0: it did not say."""

    def feed(self, data: bytes) -> list[str | bytes]:
        """The frames that end in what was received, in order. FrameTooLarge for one that is too large."""


def cutter(framing: Framing, most: int) -> Cutter:
    """A cutter for frames of at most ``most`` bytes."""
    if framing.kind == "length":
        return _LengthCutter(framing, most)
    if framing.kind in ("events", "named-events"):
        return _EventCutter(most, framing.kind == "named-events")
    return _DelimiterCutter(framing.delimiter if framing.kind == "delimiter" else b"\n", most, framing.kind == "lines")


def framed(frame: str | bytes, framing: Framing) -> bytes:
    """The bytes of a frame that is sent. FrameTooLarge where no length can say how long it is."""
    body = frame.encode() if isinstance(frame, str) else frame
    if framing.kind != "length":
        return body + (framing.delimiter if framing.kind == "delimiter" else b"\n")
    length = len(body) + (framing.size if framing.inclusive else 0)
    if length >= 1 << (8 * framing.size):
        raise FrameTooLarge(f"a frame of {len(body)} bytes, whose length does not fit in {framing.size} bytes")
    return length.to_bytes(framing.size, "big" if framing.big_endian else "little") + body


def _text(body: bytes) -> str | bytes:
    """Text where it is UTF-8; else the bytes, which the codec judges."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


class _Pieces:
    """What came of a frame whose end did not: joined once, however many pieces it comes in."""

    retry = 0.0

    def __init__(self, most: int) -> None:
        self._most = most
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def pending(self) -> bool:
        return self._size > 0

    def _keep(self, data: bytes) -> None:
        if not data:
            return
        self._pieces.append(data)
        self._size += len(data)

    def _joined(self, data: bytes) -> bytes:
        if not self._pieces:
            return data
        whole = b"".join((*self._pieces, data))
        self._pieces.clear()
        self._size = 0
        return whole

    def _check(self, size: int) -> None:
        if size > self._most:
            raise FrameTooLarge(f"a frame of more than {self._most} bytes")


class _DelimiterCutter(_Pieces):
    """``lines``: empty frames are none, and a carriage return before the delimiter is none of a frame's."""

    def __init__(self, delimiter: bytes, most: int, lines: bool) -> None:
        super().__init__(most)
        self._delimiter = delimiter
        self._lines = lines
        self._tail = b""
        """The latest bytes, in which a delimiter may have begun."""

    def feed(self, data: bytes) -> list[str | bytes]:
        """See `Cutter.feed`."""
        overlap = len(self._delimiter) - 1
        looked_at = self._tail + data
        self._tail = looked_at[-overlap:] if overlap else b""
        if self._delimiter not in looked_at:
            self._keep(data)
            self._check(self._size - overlap)
            return []
        *whole, rest = self._joined(data).split(self._delimiter)
        found: list[str | bytes] = []
        for body in whole:
            self._check(len(body))
            if self._lines:
                body = body.removesuffix(b"\r")
                if not body or body.isspace():
                    continue
            found.append(_text(body))
        self._keep(rest)
        self._tail = rest[-overlap:] if overlap else b""
        self._check(self._size - overlap)
        return found


class _LengthCutter(_Pieces):
    def __init__(self, framing: Framing, most: int) -> None:
        super().__init__(most)
        self._framing = framing
        self._needed = framing.size
        """Bytes without which nothing can be cut."""

    def feed(self, data: bytes) -> list[str | bytes]:
        """See `Cutter.feed`."""
        self._keep(data)
        if self._size < self._needed:
            return []
        whole, framing = self._joined(b""), self._framing
        size, order = framing.size, "big" if framing.big_endian else "little"
        found: list[str | bytes] = []
        at = 0
        self._needed = size
        while at + size <= len(whole):
            length = int.from_bytes(whole[at : at + size], order)  # type: ignore[arg-type]  # one of the two
            body = length - size if framing.inclusive else length
            if body < 0:
                raise FrameTooLarge(f"a length of {length} that counts itself, which takes {size} bytes")
            self._check(body)
            start = at + size
            if start + body > len(whole):
                self._needed = size + body
                break
            if body:  # an empty one keeps the connection alive
                found.append(whole[start : start + body])
            at = start + body
        self._keep(whole[at:])
        return found


class _EventCutter(_Pieces):
    """As the HTML standard reads an event stream: fields by line, an event ends at an empty line, comments are none."""

    def __init__(self, most: int, named: bool) -> None:
        super().__init__(most)
        self.retry = 0.0
        self._named = named
        self._data: list[bytes] = []
        self._data_size = 0
        self._event, self._id = b"", b""
        self._begun = False

    @property
    def pending(self) -> bool:
        """See `Cutter.pending`."""
        return self._size > 0 or bool(self._data)

    def feed(self, data: bytes) -> list[str | bytes]:
        """See `Cutter.feed`."""
        if b"\n" not in data and b"\r" not in data:
            self._keep(data)
            self._check(self._size)
            return []
        whole = self._joined(data)
        held = b""
        if whole.endswith(b"\r"):  # the line end may have another half
            whole, held = whole[:-1], b"\r"
        if not self._begun:
            self._begun, whole = True, whole.removeprefix(b"\xef\xbb\xbf")
        *lines, rest = whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        found: list[str | bytes] = []
        for line in lines:
            self._line(line, found)
        self._keep(rest + held)
        self._check(self._size)
        return found

    def _line(self, line: bytes, found: list[str | bytes]) -> None:
        if not line:
            if self._data:
                found.append(self._frame())
            self._data, self._data_size, self._event = [], 0, b""
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_size += len(value) + 1
            self._check(self._data_size - 1)
        elif name == b"event":
            self._event = value
        elif name == b"id" and b"\0" not in value:
            self._id = value
        elif name == b"retry" and value.isdigit():
            self.retry = min(LONGEST_RETRY, int(value[:9]) / 1000)

    def _frame(self) -> str | bytes:
        body = b"\n".join(self._data)
        if not self._named:
            return _text(body)
        event = exactjson.encode((self._event or b"message").decode("utf-8", "replace"))
        ident = exactjson.encode(self._id.decode("utf-8", "replace"))
        return _text(b'{"event":%b,"id":%b,"data":%b}' % (event, ident, body or b"null"))
