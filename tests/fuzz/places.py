"""Where a value can be changed, and how."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from tests.fuzz.draws import Draws


def places(value: Any) -> list[tuple[Any, Any]]:
    """All (container, key) of a JSON value, each container before what it holds."""
    found: list[tuple[Any, Any]] = []
    _add(value, found)
    return found


def change(value: Any, draws: Draws, most: int) -> None:
    """Up to three changes within a JSON value, each at one of its first ``most`` places: what is there goes, or becomes
    something of another place, or has another name, or is any value.
    """
    for _ in range(draws.below(4)):
        spots = places(value)
        if not spots:
            break
        container, key = spots[draws.below(most) % len(spots)]
        how = draws.below(5)
        if how == 0:
            del container[key]
        elif how == 1:
            other, there = spots[draws.below(most) % len(spots)]
            container[key] = deepcopy(other[there])
        elif how == 2 and isinstance(container, dict):
            container[draws.text(20)] = container[key]
        else:
            container[key] = draws.value()


def _add(value: Any, found: list[tuple[Any, Any]]) -> None:
    kind = type(value)
    for key, one in value.items() if kind is dict else enumerate(value) if kind is list else ():
        found.append((value, key))
        if type(one) in (dict, list):
            _add(one, found)
