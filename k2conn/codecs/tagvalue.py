"""Pairs of a tag and its value in one line of text, as FIX has them: ``35=W|55=EUR/USD|270=1.0842``."""

from __future__ import annotations

from collections.abc import Callable

from k2conn import exactjson
from k2conn.codecs.component import MessageFormat, Setting, Settings, check_text
from k2conn.plan import Json

_DEFAULT = "\x01"
"""What FIX has between two pairs."""


class TagValue(MessageFormat):
    """An object of the tags, each value a text, an empty one null. A tag that comes again (a repeating group) has the
    list of its values.
    """

    description = "pairs such as `55=EUR/USD` (FIX): an object; a tag that comes again has a list"
    text = True
    shallow = True
    settings = (
        Setting("separator", "the character between two pairs; that of FIX, U+0001, where not said", required=False),
    )

    def check(self, settings: Settings) -> None:
        """Whether the separator can stand between pairs."""
        found = _separator(settings)
        if len(found) != 1 or found in "=\r\n\0":
            raise ValueError("`separator` is one character, and neither = nor an end of line")

    def decoder(self, settings: Settings) -> Callable[[bytes], Json]:
        """The function from a frame to its object."""
        separator = _separator(settings)

        def decode(data: bytes) -> Json:
            check_text(data)
            found: dict[str, Json] = {}
            for pair in data.decode().rstrip("\r\n").removesuffix(separator).split(separator):
                tag, equals, text = pair.partition("=")
                if not equals or not tag:
                    raise ValueError(f"no tag and value: {exactjson.excerpt(pair, 60)}")
                _put(found, tag, text or None)
            return found

        return decode

    def encoder(self, settings: Settings) -> Callable[[bytes], bytes | None]:
        """An object's members as pairs, a list's elements under the same tag; None for what pairs cannot say."""
        separator = _separator(settings)

        def encode(text: bytes) -> bytes | None:
            try:
                said = exactjson.decode(text)
            except exactjson.JsonError:
                return None
            if not isinstance(said, dict) or not said:
                return None
            pairs = []
            for tag, value in said.items():
                for one in value if isinstance(value, list) else [value]:
                    cell = "" if one is None else one if isinstance(one, str) else exactjson.spell(one)
                    if isinstance(one, (dict, list)) or not tag or "=" in tag or any(
                        mark in tag + cell for mark in (separator, "\r", "\n")
                    ):
                        return None
                    pairs.append(f"{tag}={cell}{separator}")
            return "".join(pairs).encode()

        return encode


def _put(found: dict[str, Json], tag: str, text: str | None) -> None:
    if tag not in found:
        found[tag] = text
        return
    before = found[tag]
    if isinstance(before, list):
        before.append(text)
    else:
        found[tag] = [before, text]


def _separator(settings: Settings) -> str:
    found = settings.get("separator")
    return found if isinstance(found, str) else _DEFAULT


CODEC = TagValue()
