"""Characters with which a file looks otherwise than it is read: line ends that few editors show, text that turns its
direction, and what nobody sees.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_LINE_ENDS = frozenset("\x85\u2028\u2029")
_BLANKS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""What is drawn as nothing although Unicode calls it a letter or a mark: fillers and selectors of variants."""
_LONE_RETURN = re.compile("\r(?!\n)")


def hidden_characters(text: str) -> Iterator[tuple[int, str]]:
    """(offset, what is wrong) of each, in the order of the text. A byte order mark at the very beginning is none."""
    if text.isascii():
        found = [match.start() for match in _LONE_RETURN.finditer(text)]
    else:
        odd = {one for one in set(text) if _is_hidden(one)}
        found = [at for at, one in enumerate(text) if one in odd or (one == "\r" and text[at + 1 : at + 2] != "\n")]
    for at in found:
        if at or text[0] != "\ufeff":
            yield at, _words(text[at])


def _is_hidden(one: str) -> bool:
    category = unicodedata.category(one)
    return category in ("Cf", "Zl", "Zp") or one in _LINE_ENDS or _BLANKS.match(one) is not None


def _words(one: str) -> str:
    if one == "\r":
        return "a carriage return without a line feed: lines end with LF or CRLF"
    name = unicodedata.name(one, "NEXT LINE (NEL)" if one == "\x85" else "a character without a name")
    shown = f"U+{ord(one):04X} {name}"
    if one in _LINE_ENDS:
        return f"{shown}: lines end with LF or CRLF, this one hides what comes after it"
    return f"{shown}: nobody sees it as it stands; write it as an escape in \"...\", or leave it out"
