"""What compiled expressions see besides the value they are given.

It changes with every frame, so it is no part of the plan; both the compiler's closures and the engine know its type.
"""

from __future__ import annotations

from typing import Any

from k2conn.symbols import Symbol

Json = Any
"""A decoded JSON value: dict, list, str, int, Decimal (never float), bool or None."""


class Scope:
    """What a mapping sees besides the item: ``$message``, ``$state``, ``$received_at``, ``$symbol``, ``$key``,
    ``$keys``, ``$parent``, ``$file``, ``$row``.

    One scope lives as long as its connection; ``message`` and ``received_at`` change with every frame.
    ``received_at`` is microseconds since the epoch, taken when the frame arrived, before parsing.
    """

    __slots__ = ("around", "epoch", "file", "heard", "key", "keys", "letters", "line", "message", "notes", "parent",
                 "path", "received_at", "rounded", "row", "state", "symbol", "unknown_sides")

    def __init__(self, state: dict[str, Json] | None = None) -> None:
        self.message: Json = None
        self.received_at: int = 0
        self.state: dict[str, Json] = {} if state is None else state
        self.symbol: Symbol | None = None
        self.key: str | None = None
        self.keys: tuple[str, ...] = ()
        """All keys that lead to the item, from outside in; ``key`` is the last of them."""
        self.parent: Json = None
        """What the item was found in, where `each` has several levels."""
        self.around: tuple[Json, ...] = ()
        """All that it was found in, from outside in, the message first; ``parent`` is the last of them."""
        self.notes: dict[str, str] = {}
        """What the converters of one record want said in its vendor_data."""
        self.unknown_sides = 0
        self.rounded: tuple[str, str] | None = None
        """A field of the record that was rounded, and its number as the venue said it."""
        self.epoch = 0
        """Which connection of the connector this is, counted from 1."""
        self.heard: set[str] | None = None
        """Where somebody wants to know: the native names of the symbols in this message."""
        self.file: str | None = None
        """Of a row of a file: the file's name without folder and suffixes; None for messages."""
        self.path = ""
        """... and where the file is, as whoever named it says it."""
        self.row: int | None = None
        """Which row of its file it is, counted from 1."""
        self.line = 0
        """The line that it begins on, counted from 1."""
        self.letters: Any = None
        """The dead letters of this frame (`FrameLetters`), once there is one."""

    def place(self) -> dict[str, Json]:
        """Where a row stands, for its dead letter; empty for messages."""
        return {} if self.file is None else {"file": self.path, "line": self.line, "row": self.row}

    def captured(self) -> dict[str, Json]:
        """What was captured of the venue's messages (`capture:`), for the dead letter of a message that needs it."""
        return {name: value for name, value in self.state.items() if not name.startswith("$")}

    @property
    def oddities(self) -> bool:
        """Whether the converters of an item have left anything: notes for its vendor_data, or something to count."""
        return bool(self.notes) or self.rounded is not None or self.unknown_sides > 0

    def forget_item(self) -> None:
        """An item is done with: what its converters have left is another item's no more."""
        self.notes = {}
        self.unknown_sides = 0
        self.rounded = None
