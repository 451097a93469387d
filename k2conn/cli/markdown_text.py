"""What authors of connector files wrote, as Markdown that shows it and does nothing else: no markup, no HTML, no link
of theirs, no line of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from k2conn.printable import visible

_MARKUP = {ord("<"): "&lt;", ord("["): "\\[", ord("]"): "\\]"}
_RUNS = re.compile("`+")
_IN_ADDRESSES = "/:?#@!$&*+,;=%~"


def prose(text: str) -> str:
    """Text among other text, on one line."""
    return visible(" ".join(text.split())).translate(_MARKUP)


def paragraph(text: str) -> Iterator[str]:
    """The lines of a text that has several; none begins a heading, a list, a block of code or the like."""
    for one in text.strip().splitlines():
        line = prose(one)
        yield f"\\{line}" if line.startswith(("#", "```", "~~~", "=", "-", "+", "|")) else line


def cell(text: str) -> str:
    """Text in a table."""
    return prose(text).replace("|", "\\|")


def code(text: str) -> str:
    """Inline code, also for text with backticks or bars in it."""
    text = visible(" ".join(text.split())).replace("|", "\\|")
    fence = "`" * (_longest_run(text) + 1)
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{text}{space}{fence}" if text else ""


def fenced(lines: Iterable[str], language: str = "json") -> Iterator[str]:
    """A block of code."""
    shown = [visible(one) for one in lines]
    fence = "`" * max(3, _longest_run("\n".join(shown)) + 1)
    return iter((f"{fence}{language}", *shown, fence))


def link(text: str, address: str) -> str:
    """A link of ours to an address of theirs."""
    return f"[{text}]({quote(address, safe=_IN_ADDRESSES)})"


def _longest_run(text: str) -> int:
    return max(map(len, _RUNS.findall(text)), default=0)
