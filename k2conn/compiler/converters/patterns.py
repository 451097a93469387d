"""Text patterns with named parts, such as ``market.{symbol}.trade.detail``: cut a word out of a channel's text.

Not regular expressions: the text between the parts is looked for from left to right, once, so a part is as short as
what follows it allows, and matching takes bounded time whatever the text. ``{_}`` is a part that is ignored, and
``{year:4}`` one of just so many characters, behind which the next may begin at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from k2conn.compiler.language.problems import short

PLACE = re.compile(r"\{([a-z_]+)(?::[1-9][0-9]?)?\}")
_WIDTH = re.compile(r"\{[a-z_]+(?::([1-9][0-9]?))?\}")
_LONGEST = 500
_CACHED = 10_000
_PARTS = 6


class _Step(NamedTuple):
    """A part (its name; empty where it is of no interest), its width (0: any), and the text that ends it."""

    name: str
    width: int
    ends: str


def text_pattern(pattern: str, wanted: str) -> Callable[[str], str | None]:
    """A function from text to the wanted part; ValueError where the pattern is not usable."""
    check_places(pattern)
    pieces = PLACE.split(pattern)
    if pieces[1::2].count(wanted) != 1:
        raise ValueError(f"the pattern '{short(pattern)}' has {{{wanted}}} once, and {{_}} for parts of no interest")
    steps = [step if step.name == wanted else step._replace(name="") for step in _steps(pattern)]
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
    wanted = [name for name in pieces[1::2] if name != "_"]
    if not wanted or len(set(wanted)) != len(wanted):
        raise ValueError(f"the pattern '{short(pattern)}' has each {{name}} once, and {{_}} for parts of no interest")
    steps = [step._replace(name="") if step.name == "_" else step for step in _steps(pattern)]
    return lambda text: _cut(text, pieces[0], steps) if len(text) <= _LONGEST else None


def _steps(pattern: str) -> list[_Step]:
    pieces = PLACE.split(pattern)
    widths = [int(width or 0) for width in _WIDTH.findall(pattern)]
    steps = [_Step(*one) for one in zip(pieces[1::2], widths, pieces[2::2], strict=True)]
    if any(not step.ends and not step.width for step in steps[:-1]):
        raise ValueError(f"two parts of '{short(pattern)}' stand side by side: nothing says where one ends, such as the"
                         " width in {year:4}")
    return steps


def _cut(text: str, prefix: str, steps: list[_Step]) -> dict[str, str] | None:
    """The named parts of a text; the text that ends the last one ends the whole."""
    if not text.startswith(prefix):
        return None
    at, found = len(prefix), {}
    end = len(text) - len(steps[-1].ends)
    for number, (name, width, ends) in enumerate(steps):
        start = at + bool(name)
        if number == len(steps) - 1:
            stop = end if start <= end and text.endswith(ends) and width in (0, end - at) else -1
        elif width:
            stop = at + width if at + width <= end and text.startswith(ends, at + width) else -1
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
