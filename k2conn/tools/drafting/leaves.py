"""Paths into messages and the values at their ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from k2conn import exactjson

Path = tuple[str | int, ...]

DEPTH = 5
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_NUMBER = re.compile(r"[-+]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,3})?\Z")
_WIDEST = 12
"""Positions of an array that are looked at."""


def spelled(path: Path) -> str:
    """A path as JMESPath: ``tick.data``, ``[2][0]``, ``"24h".open``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _NAME.match(part) else exactjson.encode(part).decode()
            text += f".{name}" if text else name
    return text


def at(value: Any, path: Path) -> Any:
    """The value at a path; None where there is none."""
    for part in path:
        if isinstance(part, str):
            value = value.get(part) if isinstance(value, dict) else None
        else:
            value = value[part] if isinstance(value, list) and part < len(value) else None
        if value is None:
            return None
    return value


def walk(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """A value and all within it, except the elements of long lists of objects or rows: of those, the first."""
    yield path, value
    if len(path) >= DEPTH:
        return
    if isinstance(value, dict):
        for key, one in value.items():
            yield from walk(one, (*path, key))
    elif isinstance(value, list):
        listed = bool(path) and bool(value) and all(isinstance(one, (dict, list)) for one in value)
        for number, one in enumerate(value[: 1 if listed else _WIDEST]):
            yield from walk(one, (*path, number))


def scalars(message: Any) -> Iterator[tuple[Path, Any]]:
    """The texts, numbers and truth values of a message that stand outside lists (positions of an array message too)."""
    for path, value in walk(message):
        if isinstance(value, (dict, list)) or value is None or not path:
            continue
        if all(isinstance(part, str) for part in path) or (len(path) == 1 and isinstance(path[0], int)):
            yield path, value


def number(value: Any) -> Decimal | None:
    """A number, or a text that is nothing but one; None else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, Decimal)):
        return Decimal(value)
    if isinstance(value, str) and _NUMBER.match(value):
        return Decimal(value)
    return None


def whole(value: Any) -> int | None:
    """A whole number, or a text of digits; None else."""
    if isinstance(value, str):
        return int(value) if value.isdecimal() and value.isascii() and len(value) <= 40 else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
