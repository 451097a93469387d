"""How the frames of a connection become messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SettingValue = str | bytes | tuple[str, ...]
"""A setting of a codec: text, the contents of a file, or several texts."""


@dataclass(frozen=True, slots=True)
class FrameEncoding:
    """The key `codec`: for text and for binary frames the names of the codecs they pass, outermost first.

    The last is a format (``json``, ``protobuf``), those before it are packings (``gzip``, ``base64``); an empty tuple
    refuses such frames.
    """

    text: tuple[str, ...] = ("json",)
    binary: tuple[str, ...] = ("json",)
    limit: int = 8 * 1024 * 1024
    """Bytes a frame may have after each step of unpacking."""
    settings: Mapping[str, SettingValue] = field(default_factory=dict)
    """The settings of those codecs, by their keys."""
    table: bool = False
    """Whether a frame is a whole answer, of which a format of rows makes a list."""
