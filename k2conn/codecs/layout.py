"""Frames of a binary layout that the connector file declares."""

from __future__ import annotations

from collections.abc import Callable

from k2conn import exactjson
from k2conn.binary.declared import layout
from k2conn.binary.structures import Cursor, Part
from k2conn.codecs.component import MOST_VALUES, MessageFormat, Setting, Settings
from k2conn.plan import Json


class Layout(MessageFormat):
    """One outermost structure a frame, to its last byte."""

    description = "a binary layout, declared under `layout`"
    shallow = True
    frugal = True
    settings = (Setting("layout", "the structures of a frame, [member by member](#binary-layouts)"),)

    def check(self, settings: Settings) -> None:
        """Whether the declaration makes sense."""
        _declared(settings)

    def decoder(self, settings: Settings) -> Callable[[bytes], Json]:
        """The function from a frame to its outermost structure as an object."""
        part = _declared(settings)

        def decode(data: bytes) -> Json:
            cursor = Cursor(data, MOST_VALUES)
            found = part.read(cursor, {})
            cursor.finish()
            return found

        return decode

    def encoder(self, settings: Settings) -> Callable[[bytes], bytes | None]:
        """The function from JSON text to a frame; None for what is no such structure."""
        part = _declared(settings)

        def encode(text: bytes) -> bytes | None:
            out = bytearray()
            try:
                part.write(exactjson.decode(text), out, {})
            except ValueError:
                return None
            return bytes(out)

        return encode


def _declared(settings: Settings) -> Part:
    said = settings["layout"]
    assert isinstance(said, str)
    try:
        return layout(exactjson.decode(said))
    except exactjson.JsonError:
        raise ValueError("`layout` is a map of structures") from None


CODEC = Layout()
