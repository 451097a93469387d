"""A guess: a value for the connector file, and its reason."""

from __future__ import annotations

from typing import Any, NamedTuple


class Guess(NamedTuple):
    """``value`` is written to the file, ``why`` is its reason; not ``sure``: the author must check it.

    Sure is only what playing the draft on its sample shows (see ``playing``).
    """

    value: Any
    why: str
    sure: bool = True
    gap: str = ""
    """What the author must find out, where frames do not show it."""

    @property
    def comment(self) -> str:
        """The comment beside it."""
        text = f"{'sure' if self.sure else 'guess'}: {self.why}"
        return f"{text}; GAP: {self.gap}" if self.gap else text
