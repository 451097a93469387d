"""How much larger than a message the values of an expression can become, decided before it ever runs.

JMESPath has no loops, and yet ``[@, @] | [@, @] | ...`` doubles with each step. Each node of a tree is measured in
*copies*: how often what it reads can stand in its value (``value``), or in any value on the way there (``peak``). Where
rows are walked and something is made of each, both multiply; side by side they add up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from k2conn.compiler.expressions.closures import ExpressionError
from k2conn.compiler.expressions.plain_paths import Name

MAX_COPIES = 200
_WIDE = ("message", "parent", "state")
"""Names behind which there may be as much as a frame holds, whatever row is looked at."""
_CHARACTERS = 16
"""Of a literal text that count as one copy."""
_OF_ALL = (
    "from_json", "items", "keys", "map", "max_by", "merge", "min_by", "not_null", "reverse", "rows", "sort", "sort_by",
    "to_array", "values",
)
"""Functions that give their arguments, or parts of them, back; all others give a number, a truth value or a word."""


class _Copies(NamedTuple):
    value: int
    peak: int


def check_growth(node: Any) -> None:
    """Raises ExpressionError where an expression can multiply what it reads beyond all use."""
    _measured(node, False)


def _measured(node: Any, of_each: bool) -> _Copies:
    """``of_each``: the node is evaluated for each of some rows."""
    found = _KINDS.get(node["type"], _side_by_side)(node, of_each)
    if found.peak > MAX_COPIES:
        raise ExpressionError(f"its value could hold what it reads more than {MAX_COPIES} times: say less at once")
    return found


def _children(node: Any, of_each: bool) -> list[_Copies]:
    return [_measured(child, of_each) for child in node["children"] if isinstance(child, dict)]


def _leaf(node: Any, of_each: bool) -> _Copies:
    name = node.get("value")
    if of_each and isinstance(name, Name) and name in _WIDE:
        text = f"${name} inside a projection is read again for each row: compare with it, or read it outside"
        raise ExpressionError(text, "expression", 0, f"${name}")
    return _Copies(1, 1)


def _literal(node: Any, of_each: bool) -> _Copies:
    size = _size(node["value"])
    return _Copies(size, size)


def _size(value: Any) -> int:
    if isinstance(value, (list, dict)):
        return 1 + sum(map(_size, value.values() if isinstance(value, dict) else value))
    return 1 + len(value) // _CHARACTERS if isinstance(value, str) else 1


def _one_of(node: Any, of_each: bool) -> _Copies:
    """The value is one of the children's."""
    parts = _children(node, of_each)
    return _Copies(max(one.value for one in parts), sum(one.peak for one in parts))


def _side_by_side(node: Any, of_each: bool) -> _Copies:
    """The value holds those of all children."""
    parts = _children(node, of_each)
    return _Copies(sum(one.value for one in parts) or 1, sum(one.peak for one in parts) or 1)


def _truth(node: Any, of_each: bool) -> _Copies:
    """A value somewhere in the message may be compared with each row: that walks and copies nothing."""
    parts = [_measured(child, of_each and not _is_path(child)) for child in node["children"]]
    return _Copies(1, sum(one.peak for one in parts))


def _is_path(node: Any) -> bool:
    inner = node["type"] in ("subexpression", "index_expression")
    return all(map(_is_path, node["children"])) if inner else node["type"] in ("field", "index")


def _chain(node: Any, of_each: bool) -> _Copies:
    """Each child reads what the one before it gave."""
    value = peak = 1
    for child in node["children"]:
        inner = _measured(child, of_each)
        value, peak = value * inner.value, max(peak, value * inner.peak)
    return _Copies(value, peak)


def _projection(node: Any, of_each: bool) -> _Copies:
    base, *each = node["children"]
    rows = _measured(base, of_each)
    parts = [_measured(one, True) for one in each]
    return _Copies(rows.value * parts[0].value, max(rows.peak, rows.value * sum(one.peak for one in parts)))


def _function(node: Any, of_each: bool) -> _Copies:
    name, parts = node["value"], [_measured(child, of_each or child["type"] == "expref") for child in node["children"]]
    peak, value = sum(one.peak for one in parts) or 1, 1
    if name in ("map", "join") or name.endswith("_by"):  # something for each row
        value = peak = _product(one.peak for one in parts)
        peak = max(peak, *(one.peak for one in parts)) if parts else 1
    elif name == "to_string":  # a text within a text is escaped
        value = 2 * sum(one.value for one in parts)
    elif name in _OF_ALL:
        value = sum(one.value for one in parts)
    return _Copies(value, max(peak, value))


def _product(numbers: Any) -> int:
    found = 1
    for one in numbers:
        found *= one
    return found


_KINDS: dict[str, Callable[[Any, bool], _Copies]] = {
    "field": _leaf,
    "identity": _leaf,
    "current": _leaf,
    "index": _leaf,
    "slice": _leaf,
    "literal": _literal,
    "or_expression": _one_of,
    "and_expression": _one_of,
    "comparator": _truth,
    "not_expression": _truth,
    "subexpression": _chain,
    "pipe": _chain,
    "index_expression": _chain,
    "projection": _projection,
    "value_projection": _projection,
    "filter_projection": _projection,
    "function_expression": _function,
}
"""How each kind of node is measured; all others hold what their children give."""
