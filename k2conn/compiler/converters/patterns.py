"""Text patterns with named parts, such as ``market.{symbol}.trade.detail``: cut a word out of a channel's text.

Not regular expressions: the text between the parts is looked for from left to right, once, so a part is as short as
what follows it allows, and matching takes bounded time whatever the text. ``{_}`` is a part that is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from k2conn.compiler.language.problems import short

PLACE = re.compile(r"\{([a-z_]+)\}")
_LONGEST = 500
_CACHED = 10_000
_PARTS = 6


def text_pattern(pattern: str, wanted: str) -> Callable[[str], str | None]:
    """A function from text to the wanted part; ValueError where the pattern is not usable."""
    check_places(pattern)
    pieces = PLACE.split(pattern)
    names, between = pieces[1::2], pieces[2::2]
    if names.count(wanted) != 1:
        raise ValueError(f"the pattern '{short(pattern)}' has {{{wanted}}} once, and {{_}} for parts of no interest")
    if "" in between[:-1]:
        raise ValueError(f"two parts of '{short(pattern)}' stand side by side: nothing says where one ends")
    steps = [(wanted if name == wanted else "", text) for name, text in zip(names, between, strict=True)]
    known: dict[str, str | None] = {}

    def cut(text: str) -> str | None:
        if text in known:
            return known[text]
        parts = _cut(text, pieces[0], steps) if len(text) <= _LONGEST else None
        found = parts[wanted] if parts is not None else None
        if len(known) < _CACHED and len(text) <= _LONGEST:
            known[text] = found
        return found

    return cut


def text_parts(pattern: str) -> Callable[[str], dict[str, str] | None]:
    """A function from text to all named parts; ValueError where the pattern is not usable."""
    check_places(pattern)
    pieces = PLACE.split(pattern)
    names, between = pieces[1::2], pieces[2::2]
    wanted = [name for name in names if name != "_"]
    if not wanted or len(set(wanted)) != len(wanted):
        raise ValueError(f"the pattern '{short(pattern)}' has each {{name}} once, and {{_}} for parts of no interest")
    if "" in between[:-1]:
        raise ValueError(f"two parts of '{short(pattern)}' stand side by side: nothing says where one ends")
    steps = [("" if name == "_" else name, text) for name, text in zip(names, between, strict=True)]
    return lambda text: _cut(text, pieces[0], steps) if len(text) <= _LONGEST else None


def _cut(text: str, prefix: str, steps: list[tuple[str, str]]) -> dict[str, str] | None:
    """The named parts of a text: each step is a part (its name, or nothing) and the text that ends it, the last one's
    ends the whole.
    """
    if not text.startswith(prefix):
        return None
    at, found = len(prefix), {}
    end = len(text) - len(steps[-1][1])
    for number, (name, ends) in enumerate(steps):
        start = at + bool(name)
        if number == len(steps) - 1:
            stop = end if start <= end and text.endswith(ends) else -1
        else:
            stop = text.find(ends, start, end)
        if stop < 0:
            return None
        if name:
            found[name] = text[at:stop]
        at = stop + len(ends)
    return found


def check_places(text: str) -> None:
    """Refuses braces that are no ``{name}`` and more parts than any venue's names have; ValueError."""
    rest = PLACE.sub("", text)
    if "{" in rest or "}" in rest:
        raise ValueError(f"'{short(text)}' has a brace that belongs to no {{name}} in small letters")
    if len(PLACE.findall(text)) > _PARTS:
        raise ValueError(f"'{short(text)}' has more than {_PARTS} parts")
