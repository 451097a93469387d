"""The structure of a message: the paths that lead to its values, and of what kind each value is.

A path is a tuple of steps: a key, a place in an array (a number), or `EACH` for all elements of an array that is a list
of like things. ``{"data": [{"p": "1.5"}]}`` has the paths ``()``, ``("data",)``, ``("data", EACH)`` and
``("data", EACH, "p")``; a price level ``["1.5", "2"]`` has the paths ``(0,)`` and ``(1,)``.
"""

from __future__ import annotations

import re
from collections.abc import Container
from decimal import Decimal
from typing import Any, Final

EACH: Final = -1
"""All elements of an array."""
ANY_KEY: Final = "*"
"""All members of an object whose keys are names of things, such as symbols."""

Step = str | int
Path = tuple[Step, ...]
Structure = dict[Path, set[str]]
"""Of each path the kinds of its values: null, bool, number, digits (a text that is a number), text, empty (a text),
object, array."""

DEEPEST = 8
"""Steps of a path that are followed."""
MOST_MEMBERS = 64
"""Members of an object beyond which its keys are names of things."""
ELEMENTS = 8
"""Elements of a list of like things that are looked at: its first ones."""
LONGEST_PLACE = 16
"""Places of an array that are told apart."""
MOST = 400
"""Paths of one message."""
LONGEST_KEY = 100

_DIGITS = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?\Z")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def structure(message: Any, names: Container[str] = ()) -> Structure:
    """That of a decoded message. ``names`` are those of symbols: a key that is one stands for any."""
    found: Structure = {}
    _walk(message, (), found, names)
    return found


def kind_of(value: Any) -> str:
    """The kind of a value."""
    if value is None:
        return "null"
    if type(value) is bool:
        return "bool"
    if isinstance(value, str):
        return "empty" if not value else "digits" if len(value) <= 80 and _DIGITS.match(value) else "text"
    if isinstance(value, (int, Decimal)):
        return "number"
    return "object" if isinstance(value, dict) else "array"


def spelled(path: Path) -> str:
    """A path as JMESPath writes it: ``data[].p``, ``[2][0]``; ``@`` for the message itself."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += "[]" if step == EACH else f"[{step}]"
        else:
            plain = _PLAIN.match(step) or step == ANY_KEY
            key = step if plain else '"' + step.replace("\\", "\\\\").replace('"', '\\"') + '"'
            text += f".{key}" if text else key
    return text or "@"


def values_at(message: Any, path: Path) -> list[Any]:
    """What a message has at a path."""
    found = [message]
    for step in path:
        if step == EACH:
            found = [one for array in found if isinstance(array, list) for one in array[:ELEMENTS]]
        elif isinstance(step, int):
            found = [array[step] for array in found if isinstance(array, list) and step < len(array)]
        elif step == ANY_KEY:
            found = [one for table in found if isinstance(table, dict) for one in _looked_at(table)]
        else:
            found = [table[step] for table in found if isinstance(table, dict) and step in table]
    return found


def _walk(value: Any, path: Path, found: Structure, names: Container[str]) -> None:
    if len(found) >= MOST and path not in found:
        return
    found.setdefault(path, set()).add(kind_of(value))
    if len(path) >= DEEPEST:
        return
    if isinstance(value, dict):
        dynamic = len(value) > MOST_MEMBERS
        for key, one in zip(value, _looked_at(value), strict=False):
            named = dynamic or key in names or len(key) > LONGEST_KEY
            _walk(one, (*path, ANY_KEY if named else key), found, names)
    elif isinstance(value, list):
        if _alike(value):
            for one in value[:ELEMENTS]:
                _walk(one, (*path, EACH), found, names)
        else:
            for at, one in enumerate(value[:LONGEST_PLACE]):
                _walk(one, (*path, at), found, names)


def _looked_at(table: dict[str, Any]) -> list[Any]:
    """The members of an object that are looked at: of very many the first ones."""
    members = list(table.values())
    return members[:ELEMENTS] if len(members) > MOST_MEMBERS else members


def _alike(array: list[Any]) -> bool:
    """Whether an array is a list of like things, and no record whose places have each their meaning: it holds nothing
    but objects, or nothing but arrays.
    """
    return bool(array) and (all(isinstance(one, dict) for one in array) or all(isinstance(one, list) for one in array))
