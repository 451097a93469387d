"""The interface of codecs: one step between the bytes of a frame and its message, in both directions.

A `Packing` goes from bytes to bytes (gzip, base64), a `MessageFormat` from bytes to a message (json, protobuf); a
`FileFormat` is one whose messages also are the rows of files (csv, jsonlines). The
frames of a connection pass any number of packings and one format. A codec's file has everything about it: how frames
are decoded, how the mock exchange encodes them, its settings in a connector file, and what documentation says of it.

Codecs are pure: no network, no files, no clock, nothing remembered from one frame to the next. Their input is
untrusted, so they work within bounds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from k2conn import exactjson
from k2conn.errors import RecordError
from k2conn.plan import Json, SettingValue

MOST_VALUES = 250_000
"""Values of one message, members of objects and arrays counted: what a frame of a few kilobytes may unpack to is
otherwise as much work as a venue likes.
"""
TOO_MANY = f"it has more than {MOST_VALUES} values"



def check_text(text: str | bytes) -> None:
    """Refuses JSON text that would make too many values, or strings that take several times its bytes, before any is
    made. RecordError (frame-too-large).
    """
    if len(text) > MOST_VALUES and exactjson.values(text) > MOST_VALUES:
        raise RecordError("frame", None, None, "frame-too-large", TOO_MANY)
    if exactjson.wide(text):
        detail = f"more than {exactjson.WIDE_UP_TO} bytes, with letters beyond ASCII"
        raise RecordError("frame", None, None, "frame-too-large", detail)


Settings = Mapping[str, SettingValue]
"""A codec's settings by name: text, the contents of a file, or several texts."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key that a codec has in the map of `codec:`. ``description`` completes "`name:` is ...".

    ``file``: the connector file names a file beside it (at most 1 MiB), whose bytes the codec is given.
    """

    name: str
    description: str
    file: bool = False
    required: bool = True


class Codec:
    """What all codecs have in common. One is made as a `Packing` or a `MessageFormat`."""

    description: ClassVar[str]
    """What it is, in a few words, for documentation."""
    text: ClassVar[bool] = False
    """Whether it can read text frames (and makes UTF-8 text when it encodes)."""
    binary: ClassVar[bool] = True
    """Whether it can read binary frames, and what a packing before it gives."""
    expands: ClassVar[bool] = False
    """Whether a small frame can hold a large message."""
    settings: ClassVar[tuple[Setting, ...]] = ()

    def check(self, settings: Settings) -> None:
        """Raises ValueError, saying why, where settings cannot be used. Called when a connector file is compiled."""


class Packing(Codec, ABC):
    """A codec from bytes to bytes."""

    @abstractmethod
    def decoder(self, settings: Settings, limit: int) -> Callable[[bytes], bytes]:
        """The function that unpacks one frame; it raises ValueError, saying why, for what it cannot unpack.

        It should stop at ``limit`` bytes and one more, which is enough to show that there are too many: the caller
        compares, and refuses the frame.
        """

    @abstractmethod
    def encoder(self, settings: Settings) -> Callable[[bytes], bytes]:
        """The function that packs, so that ``decoder`` gives the same bytes back."""


class MessageFormat(Codec, ABC):
    """A codec from bytes to messages."""

    shallow: ClassVar[bool] = False
    """Whether it bounds by itself how deep a message is nested, well below `k2conn.exactjson.MAX_DEPTH`; the messages
    of any other format are looked at.
    """

    frugal: ClassVar[bool] = False
    """Whether it refuses by itself, before it makes them, messages of more values than `MOST_VALUES`; those of any
    other format are counted.
    """

    @abstractmethod
    def decoder(self, settings: Settings) -> Callable[[bytes], Json]:
        """The function from a frame's (unpacked) bytes to its message: dict, list, str, int, Decimal, bool or None,
        never a binary float. It raises ValueError, saying why, for what is no message, and the memory that it needs
        grows with the bytes that it is given, not with what they say of themselves.
        """

    @abstractmethod
    def encoder(self, settings: Settings) -> Callable[[bytes], bytes | None]:
        """The function from a message as JSON text (or a word, such as ``pong``) to bytes; None for what the format
        cannot say, which is then sent as a text frame.
        """


Row = tuple[int, str | bytes, Json | RecordError]
"""(line, raw, message): the line a row begins on, counted from 1; its own text, or bytes where they are no text; its
message, or why it is none.
"""


@dataclass(frozen=True, slots=True)
class RowPosition:
    """Where the rows of a file go on: ``offset`` bytes, ``line`` lines and ``row`` rows were read.

    ``columns``: what a header line has named. ``unended``: the last row had no end of line: what is written behind it
    later does not belong to a row of its own.
    """

    offset: int = 0
    line: int = 0
    row: int = 0
    columns: tuple[str, ...] | None = None
    unended: bool = False


class RowReader(ABC):
    """Reads the rows of one file, which come in pieces of any size. It holds no more than one row and one piece."""

    position: RowPosition
    """Behind the last row that was given."""

    @abstractmethod
    def feed(self, data: bytes, last: bool) -> list[Row]:
        """The rows that end in this piece; with ``last``, those too that the end of the file ends. ValueError, saying
        why, where the whole file cannot be read.
        """


class FileFormat(MessageFormat, ABC):
    """A format whose messages can be the rows of a file; as a frame, one row."""

    @abstractmethod
    def reader(self, settings: Settings, limit: int, position: RowPosition) -> RowReader:
        """Reads a file from a position on. Rows of more than ``limit`` bytes are RecordErrors (frame-too-large)."""
