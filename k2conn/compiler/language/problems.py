"""Problems of a connector file: values with a place, a code and a text; checking and printing are two things."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

_SHOWN = 60
"""Characters of an author's text that a message repeats."""
_COMPARED = 64
_NEAR = 0.65
"""How alike a near match is; below it the known values help more."""
_LISTED = 40


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in one file. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    code: str
    text: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: error[{self.code}]: {self.text}"

    def plain(self) -> dict[str, object]:
        """The problem for machines."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "code": self.code,
            "message": self.text,
            "path": self.path,
        }


def known(value: object, values: Iterable[str]) -> str:
    """The helpful end of a message: a near match, else the known values."""
    names = list(dict.fromkeys(values))
    text = str(value)
    near = get_close_matches(text, names, n=1, cutoff=_NEAR) if len(text) <= _COMPARED else []
    if near:
        return f"; did you mean '{near[0]}'?"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"; known: {', '.join(names[:_LISTED])}{more}" if names else ""


def short(text: str) -> str:
    """An author's text on one line, cut where it is long."""
    line = "".join(one if one.isprintable() else repr(one)[1:-1] for one in text[: _SHOWN + 1])
    return line if len(text) <= _SHOWN else f"{line[:_SHOWN]}..."
