"""Text patterns with named parts, such as ``market.{symbol}.trade.detail``: cut a word out of a channel's text.

Not regular expressions: a part matches as little as the text around it allows, ``{_}`` is a part of no interest, so a
pattern from a stranger cannot run away.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_PLACE = re.compile(r"\{([a-z_]+)\}")


def text_pattern(pattern: str, wanted: str) -> Callable[[str], str | None]:
    """A function from text to the wanted part; ValueError where the pattern has no such part or is not decidable."""
    names = _PLACE.findall(pattern)
    if names.count(wanted) != 1:
        raise ValueError(f"the pattern needs {{{wanted}}} once")
    if re.search(r"\}\{", pattern):
        raise ValueError("two parts need text between them")
    if len(names) > 6:
        raise ValueError("a pattern has at most 6 parts")
    source = ""
    at = 0
    for place in _PLACE.finditer(pattern):
        group = f"(?P<{wanted}>.+?)" if place.group(1) == wanted else ".*?"
        source += re.escape(pattern[at : place.start()]) + group
        at = place.end()
    compiled = re.compile(source + re.escape(pattern[at:]) + r"\Z", re.DOTALL)
    known: dict[str, str | None] = {}

    def cut(text: str) -> str | None:
        if text in known:
            return known[text]
        found = compiled.match(text) if len(text) <= 500 else None
        part = found.group(wanted) if found else None
        if len(known) < 10_000:
            known[text] = part
        return part

    return cut
