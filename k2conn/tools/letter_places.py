"""Where a connector file says what an item did not fit: the line, the expression, and the keys that there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from k2conn import exactjson
from k2conn.plan import Plan
from k2conn.printable import visible

_KEYS = 30
"""Keys that are listed."""
_SHOWN = 40
"""Characters of each."""
_EXPRESSION = 200


def letter_place(plan: Plan, letter: Mapping[str, Any]) -> str:
    """One line for people about a dead letter of a mapping: ``venue.yaml:24: price: `p` finds nothing; the item has
    s, i, q``. Empty where the letter is not of a mapping, such as one of a frame that cannot be read.
    """
    name, field, expression = letter.get("stream"), letter.get("field"), letter.get("expression")
    stream = next((one for one in plan.streams if one.name == name), None)
    line = stream.lines.get(str(field)) if stream is not None else None
    if line is None or not isinstance(expression, str):
        return ""
    said = visible(expression[:_EXPRESSION])
    what = "finds nothing" if letter.get("reason") == "missing-field" else f"does not fit: {letter.get('detail')}"
    there = _there(letter.get("frame"), "message") if field == "each" else _there(letter.get("item"), "item")
    if "$message" in expression:
        there += _there(letter.get("frame"), "message")
    return f"{plan.path}:{line}: {field}: `{said}` {visible(what)}{there}"


def _there(text: Any, what: str) -> str:
    """What an item (or message) has, by its JSON; nothing where that was cut or is no JSON."""
    if not isinstance(text, str):
        return ""
    try:
        value = exactjson.decode(text)
    except exactjson.JsonError:
        return ""
    if isinstance(value, dict):
        keys = [visible(key[:_SHOWN]) for key in list(value)[:_KEYS]]
        more = f" and {len(value) - _KEYS} more" if len(value) > _KEYS else ""
        return f"; the {what} has {', '.join(keys) or 'no keys'}{more}"
    if isinstance(value, list):
        return f"; the {what} is a list of {len(value)}, whose values are [0], [1] and so on"
    return f"; the {what} is {visible(exactjson.spell(value)[:_SHOWN])}"
