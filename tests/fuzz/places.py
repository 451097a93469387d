"""Where a value can be changed."""

from __future__ import annotations

from typing import Any


def places(value: Any) -> list[tuple[Any, Any]]:
    """All (container, key) of a JSON value, each container before what it holds."""
    found: list[tuple[Any, Any]] = []
    _add(value, found)
    return found


def _add(value: Any, found: list[tuple[Any, Any]]) -> None:
    kind = type(value)
    for key, one in value.items() if kind is dict else enumerate(value) if kind is list else ():
        found.append((value, key))
        if type(one) in (dict, list):
            _add(one, found)
