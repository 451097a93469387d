"""Text patterns with named parts, such as ``market.{symbol}.trade.detail``: cut a word out of a channel's text.

Not regular expressions: a part matches as little as the text around it allows, ``{_}`` is a part of no interest, so a
pattern from a stranger cannot run away.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from k2conn.spec.problems import short

PLACE = re.compile(r"\{([a-z_]+)\}")
_LONGEST = 500
_CACHED = 10_000
_PARTS = 6


def text_pattern(pattern: str, wanted: str) -> Callable[[str], str | None]:
    """A function from text to the wanted part; ValueError where the pattern is not usable."""
    check_places(pattern)
    names = PLACE.findall(pattern)
    if names.count(wanted) != 1:
        raise ValueError(f"the pattern '{short(pattern)}' has {{{wanted}}} once, and {{_}} for parts of no interest")
    if "}{" in pattern:
        raise ValueError(f"two parts of '{short(pattern)}' stand side by side: nothing says where one ends")
    source = ""
    at = 0
    for place in PLACE.finditer(pattern):
        group = f"(?P<{wanted}>.+?)" if place.group(1) == wanted else ".*?"
        source += re.escape(pattern[at : place.start()]) + group
        at = place.end()
    compiled = re.compile(source + re.escape(pattern[at:]) + r"\Z", re.DOTALL)
    known: dict[str, str | None] = {}

    def cut(text: str) -> str | None:
        if text in known:
            return known[text]
        found = compiled.match(text) if len(text) <= _LONGEST else None
        part = found.group(wanted) if found else None
        if len(known) < _CACHED:
            known[text] = part
        return part

    return cut


def check_places(text: str) -> None:
    """Refuses braces that are no ``{name}`` and more parts than any venue's names have; ValueError."""
    rest = PLACE.sub("", text)
    if "{" in rest or "}" in rest:
        raise ValueError(f"'{short(text)}' has a brace that belongs to no {{name}} in small letters")
    if len(PLACE.findall(text)) > _PARTS:
        raise ValueError(f"'{short(text)}' has more than {_PARTS} parts")
