"""Where in a frame the value stands that a dead letter is about: within its item, and behind its key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from k2conn import exactjson


def place_in(raw: str, said: Mapping[str, Any]) -> tuple[int, int]:
    """Begin and length, as far as they are found; (-1, 0) where nothing is. ``said``: the members of the letter."""
    start, end = _item(raw, said.get("item"))
    return _find(raw, start, end, said.get("value"), _last_key(said.get("expression")))


def _item(raw: str, item: Any) -> tuple[int, int]:
    """Where the item stands: by its text as it was sent, where that is compact or has blanks behind its marks."""
    if isinstance(item, str) and item:
        for text in (item, item.replace('":', '": ').replace(',"', ', "')):
            at = raw.find(text)
            if at >= 0:
                return at, at + len(text)
    return 0, len(raw)


def _find(raw: str, start: int, end: int, value: Any, key: str) -> tuple[int, int]:
    if key:
        at = raw.find(f'"{key}"', start, end)
        if at >= 0:
            behind = at + len(key) + 2
            if isinstance(value, str) and value:
                for text in (exactjson.encode(value).decode(), value):
                    place = raw.find(text, behind, min(end, behind + len(text) + 16))
                    if place >= 0:
                        return place, len(text)
            return at, len(key) + 2
    if isinstance(value, str) and value:
        for text in (exactjson.encode(value).decode(), value):
            at = raw.find(text, start, end)
            if at >= 0:
                return at, len(text)
    return (start, end - start) if (start, end) != (0, len(raw)) else (-1, 0)


def _last_key(expression: Any) -> str:
    """The last name of a plain path; empty for anything else."""
    if not isinstance(expression, str):
        return ""
    name = expression.rpartition(".")[2].strip('"')
    return name if name.replace("_", "").replace("-", "").isalnum() else ""
