"""What the parts of an instrument's name may consist of: a class of characters, some words, or a known kind of date.

A part has a few *spellings*, each a sequence of steps; a step is one character of a set, or one or more of them. That
is enough for names, and simple enough that two forms can be compared exactly (`form_overlaps`) and that matching takes
bounded time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits
from typing import Any

from k2conn.compiler.language.problems import known, short

FOREIGN = "\uffff"
"""Stands for every letter and digit beyond ASCII, which all forms treat alike."""
_LONGEST_WORD = 20


@dataclass(frozen=True, slots=True)
class Characters:
    """A set of characters: the ones listed, and all letters and digits beyond ASCII where ``FOREIGN`` is among them."""

    listed: frozenset[str]
    pattern: str
    """The same set as a regular expression."""


@dataclass(frozen=True, slots=True)
class PartStep:
    """One character of a set, or with ``many`` one and more."""

    characters: Characters
    many: bool = False


Spelling = tuple[PartStep, ...]


@dataclass(frozen=True, slots=True)
class NamePart:
    """One part of a name: any of its spellings, none of them empty."""

    spellings: tuple[Spelling, ...]

    @property
    def bounded(self) -> bool:
        """Whether its length has a bound, so that it can stand beside an open part with nothing between."""
        return not any(step.many for spelling in self.spellings for step in spelling)

    @property
    def size(self) -> int:
        """How many steps it has."""
        return sum(map(len, self.spellings))

    @property
    def pattern(self) -> str:
        """The part as a regular expression; of several spellings the longest that fits is taken."""
        texts = ["".join(step.characters.pattern + ("+?" if step.many else "") for step in s) for s in self.spellings]
        return texts[0] if len(texts) == 1 else f"(?:{'|'.join(texts)})"


_CLASSES = {
    "alphanumeric": Characters(frozenset({*ascii_letters, *digits, FOREIGN}), r"[^\W_]"),
    "upper": Characters(frozenset({*ascii_uppercase, *digits, FOREIGN}), r"[^\W_a-z]"),
    "lower": Characters(frozenset({*ascii_lowercase, *digits, FOREIGN}), r"[^\W_A-Z]"),
    "digits": Characters(frozenset(digits), "[0-9]"),
}
"""Classes of characters. Letters and digits are those of all scripts, and ``upper`` leaves out small a to z only."""

_DIGIT = PartStep(_CLASSES["digits"])
_DIGITS = PartStep(_CLASSES["digits"], many=True)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@lru_cache(maxsize=1024)
def _one_of(characters: str) -> PartStep:
    return PartStep(Characters(frozenset(characters), f"[{re.escape(characters)}]"))


def literal(text: str) -> NamePart:
    """Exactly this text."""
    return NamePart((tuple(_one_of(one) for one in text),))


def words(texts: Sequence[str]) -> NamePart:
    """One of some words, upper and lower case alike; the longest that fits, whatever their order."""
    rows = dict.fromkeys(
        tuple("".join(sorted({one, *_other_case(one)})) for one in text)
        for text in sorted(texts, key=len, reverse=True)
    )
    return NamePart(tuple(tuple(_one_of(one) for one in row) for row in rows))


def _other_case(one: str) -> str:
    """The same letter in the other case, where that is one letter."""
    return "".join(other for other in (one.upper(), one.lower()) if len(other) == 1)


def _dates(year_digits: int) -> NamePart:
    """A day of one or two digits, the month's name and the year: 5JUN20."""
    rows = product((2, 1), _MONTHS)
    return NamePart(
        tuple((_DIGIT,) * days + literal(month).spellings[0] + (_DIGIT,) * year_digits for days, month in rows)
    )


_KINDS = {
    "yymmdd": NamePart(((_DIGIT,) * 6,)),
    "ddmmmyy": _dates(2),
    "ddmmmyyyy": _dates(4),
    "month_code": NamePart(((_one_of("FGHJKMNQUVXZ"), _DIGIT, _DIGIT),)),
    "number": NamePart(((_DIGITS, _one_of(".d"), _DIGITS), (_DIGITS,))),
}
"""Dates and numbers as exchanges write them."""

OPEN = NamePart(((PartStep(_CLASSES["alphanumeric"], many=True),),))
"""Letters and digits: what a part holds where nothing is said."""


def name_part(said: str | Sequence[str] | Mapping[str, Any]) -> NamePart:
    """A part as an author says it: a class, a kind, a list of words, or a class with further characters or a width;
    ValueError.
    """
    if isinstance(said, str):
        return _named(said)
    if isinstance(said, Mapping):
        return _extended(said.get("characters", "alphanumeric"), str(said.get("also", "")), said.get("width"))
    for word in said:
        _check_characters(word)
        if not 0 < len(word) <= _LONGEST_WORD:
            raise ValueError(f"'{short(word)}' has not 1 to {_LONGEST_WORD} characters")
    return words(said)


def _named(name: str) -> NamePart:
    if name in _CLASSES:
        return NamePart(((PartStep(_CLASSES[name], many=True),),))
    if name in _KINDS:
        return _KINDS[name]
    raise ValueError(f"'{short(name)}' is no kind of part{known(name, (*_CLASSES, *_KINDS))}")


def _extended(name: str, also: str, width: int | None) -> NamePart:
    """The characters of a class, and others beside them; ``width``: just so many of them, None: one and more."""
    _check_characters(also.replace(" ", ""))  # names may be filled up with blanks, as OSI's of options are
    if name not in _CLASSES:
        raise ValueError(f"'{short(name)}' is no class of characters{known(name, _CLASSES)}")
    found = _CLASSES[name]
    if also:
        found = Characters(found.listed | frozenset(also), f"(?:{found.pattern}|[{re.escape(also)}])")
    return NamePart(((PartStep(found, many=True),) if width is None else (PartStep(found),) * width,))


def _check_characters(text: str) -> None:
    if not text.isprintable() or " " in text:
        raise ValueError(f"'{short(text)}' has a character that no name has")
