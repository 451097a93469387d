"""FIX Simple Binary Encoding, by the venue's own schema file."""

from __future__ import annotations

from collections.abc import Callable

from k2conn import exactjson
from k2conn.binary.sbe_schema import Schema, schema
from k2conn.codecs.component import MOST_VALUES, MessageFormat, Setting, Settings
from k2conn.plan import Json


class SimpleBinaryEncoding(MessageFormat):
    """One message with its header a frame: ``{"message": NAME, "body": {...}}``."""

    description = "Simple Binary Encoding, by its schema: `{message: NAME, body: {...}}`"
    shallow = True
    frugal = True
    settings = (Setting("schema", "the file of an SBE schema (XML) beside this file", file=True),)

    def check(self, settings: Settings) -> None:
        """Whether the schema can be read."""
        _schema(settings)

    def decoder(self, settings: Settings) -> Callable[[bytes], Json]:
        """The function from a frame to its message."""
        found = _schema(settings)
        return lambda data: found.read(data, MOST_VALUES)

    def encoder(self, settings: Settings) -> Callable[[bytes], bytes | None]:
        """The function from JSON text to a frame; None for what the schema has no message for."""
        found = _schema(settings)

        def encode(text: bytes) -> bytes | None:
            try:
                value = exactjson.decode(text)
                if not isinstance(value, dict) or not isinstance(value.get("message"), str):
                    return None
                return found.write(value["message"], value.get("body"))
            except ValueError:
                return None

        return encode


def _schema(settings: Settings) -> Schema:
    data = settings["schema"]
    assert isinstance(data, bytes)
    return schema(data)


CODEC = SimpleBinaryEncoding()
