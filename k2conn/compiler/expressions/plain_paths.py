"""Plain paths: keys and indexes and nothing else, which most expressions are, or several between which `||` stands.

They are known as data, so that C can follow them: where there is the part in C, a plain path is a `native.Getter`,
which gives what the closures of its tree would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from k2conn import native
from k2conn.plan import ROOTS, Getter, RowOther, ValuePath


class Name(str):
    """An identifier written bare with ``$``, as opposed to a quoted key with the same text."""

    __slots__ = ()


def paths_of(node: Any) -> list[ValuePath] | None:
    """The plain paths of which the first counts that leads to something true; None where more than that is said."""
    if node["type"] == "or_expression":
        first, second = map(paths_of, node["children"])
        return first + second if first is not None and second is not None else None
    steps = _steps(node)
    if steps is None:
        return None
    if not steps or not isinstance(steps[0], Name):
        return [ValuePath("item", tuple(steps))]
    return [ValuePath(str(steps[0]), tuple(steps[1:]))] if steps[0] in ROOTS[1:] else None


_BEYOND = 2**31
"""No list has an element there, nor at any index beyond, of which a machine's word would not hold every one."""


def _steps(node: Any) -> list[str | int | RowOther] | None:
    """What a plain path goes through, the engine's name first where it has one."""
    kind = node["type"]
    if kind == "field":
        return [node["value"]]
    if kind == "index":
        return [max(-_BEYOND, min(node["value"], _BEYOND))]
    if kind in ("identity", "current"):
        return []
    if kind == "pipe":
        return _first_other(*node["children"]) if len(node["children"]) == 2 else None
    if kind not in ("subexpression", "index_expression"):
        return None
    found: list[str | int | RowOther] = []
    for at, child in enumerate(node["children"]):
        steps = _steps(child)
        if steps is None or (at > 0 and any(isinstance(step, Name) for step in steps)):
            return None
        found += steps
    return found


def _first_other(rows: Any, first: Any) -> list[str | int | RowOther] | None:
    """The steps of ``b[?[1] != '0'] | [0]`` and what follows."""
    if rows["type"] != "filter_projection":
        return None
    base, each, test = rows["children"]
    if each["type"] != "identity" or test["type"] != "comparator" or test["value"] != "ne":
        return None
    left, right = test["children"]
    before, at, behind = _steps(base), _steps(left), _steps(first)
    if before is None or not behind or behind[0] != 0 or at is None or len(at) != 1:
        return None
    if type(at[0]) is not int or at[0] < 0 or right["type"] != "literal" or not _is_encoded(right["value"]):
        return None
    return [*before, RowOther(at[0], right["value"]), *behind[1:]]


def _is_encoded(value: Any) -> bool:
    return type(value) is str and value.isascii()


def native_getter(node: Any) -> Getter | None:
    """The getter in C of a tree that is a plain path; None where it is none, is too long, or there is no part in C."""
    paths = paths_of(node) if native.Getter is not None else None
    if paths is None or len(paths) > native.most_paths or any(len(steps) > native.most_steps for _, steps in paths):
        return None
    found: Getter = native.Getter(place_of(paths))
    return found


def place_of(paths: Sequence[ValuePath]) -> tuple[tuple[int, tuple[str | int | RowOther, ...]], ...]:
    """Plain paths as C is told of them."""
    return tuple((ROOTS.index(root), steps) for root, steps in paths)
