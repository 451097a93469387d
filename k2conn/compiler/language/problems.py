"""Problems of a connector file: values with a place, a code and a text; checking and printing are separate."""

from __future__ import annotations

from dataclasses import dataclass

from k2conn.errors import known
from k2conn.printable import visible

__all__ = ["Problem", "known", "short"]

_SHOWN = 60
"""Characters of an author's text that a message quotes."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem of one file. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    code: str
    text: str
    path: str = ""
    level: str = "error"
    """``warning`` where the file can be used all the same."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.level}[{self.code}]: {self.text}"

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


def short(text: str) -> str:
    """An author's text on one line, cut where it is long."""
    line = visible(text[: _SHOWN + 1])
    return line if len(text) <= _SHOWN else f"{line[:_SHOWN]}..."
