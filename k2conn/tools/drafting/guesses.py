"""A guess: what the file would say, and why."""

from __future__ import annotations

from typing import Any, NamedTuple


class Guess(NamedTuple):
    """``value`` is what stands in the file, ``why`` its reason; not ``sure``: the author must look."""

    value: Any
    why: str
    sure: bool = True
    gap: str = ""
    """What the author must find out, where frames cannot tell."""

    @property
    def comment(self) -> str:
        """The comment beside it."""
        text = f"{'sure' if self.sure else 'guess'}: {self.why}"
        return f"{text}; GAP: {self.gap}" if self.gap else text
