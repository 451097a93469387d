"""What a condition depends on, so that its result can be cached: the paths it reads, and what of their values counts.

A leaf is a longest chain of keys and indices from the message itself. Of some leaves any value may make a difference;
of those that are only compared with constants, or asked whether JMESPath calls them true or how they begin or end, only
that does. A comparison of anything else is a leaf of its own, and so is what walks through a list where only its truth
counts. Where a condition reads something else (the connection's state), leaves do not determine its value.
"""

from __future__ import annotations

from typing import Any

from k2conn.compiler.expressions.closures import ClosureCompiler
from k2conn.compiler.expressions.plain_paths import Name
from k2conn.plan import Affix, ConditionPath, Getter

_CHAINS = ("field", "subexpression", "index_expression", "index", "identity", "current")
_WALKS = ("projection", "value_projection", "filter_projection", "flatten")
"""What gives nothing where its first child is nothing."""
_AFFIXED = ("starts_with", "ends_with")
_ANY = None
"""Of a leaf: every value may make a difference."""


def value_leaves(tree: Any) -> tuple[ConditionPath, ...] | None:
    """The leaves that decide an expression's value; None where more does."""
    return _Leaves().of(tree, truth=False)


def truth_leaves(tree: Any) -> tuple[ConditionPath, ...] | None:
    """The leaves that decide whether an expression's value counts as true; None where more does."""
    return _Leaves().of(tree, truth=True)


class _Leaves:
    """Collects the leaves of one tree."""

    def __init__(self) -> None:
        self._nodes: dict[str, Any] = {}
        self._wanted: dict[str, frozenset[Any] | None] = {}
        self._affixes: dict[str, frozenset[Affix] | None] = {}
        self._kinds: dict[str, Getter] = {}

    def of(self, tree: Any, truth: bool) -> tuple[ConditionPath, ...] | None:
        if tree is None or not self._collect(tree, truth):
            return None
        return tuple(
            ConditionPath(text, ClosureCompiler(True).compile(leaf), head=_head(leaf), wanted=self._wanted[text],
                          affixes=self._affixes[text], kind=self._kinds.get(text))
            for text, leaf in self._nodes.items()
        )

    def _collect(self, node: Any, truth: bool) -> bool:
        """Takes in a node, of which only the truth counts, or the value; False where leaves do not decide it."""
        kind = node["type"]
        if kind == "literal":
            return True
        if kind == "comparator" and self._compares(node):
            return True
        if kind == "comparator" and _pure(node):
            self._add(repr(node), node, frozenset())  # it is true, false or null
            asked = _kind_asked(node)
            if asked is not None:
                self._kinds[repr(node)] = ClosureCompiler(True).compile(asked)
            return True
        if kind == "function_expression" and self._begins_or_ends(node):
            return True
        if kind == "not_expression":
            return self._collect(node["children"][0], True)
        if kind in ("or_expression", "and_expression", "function_expression"):
            truth = truth and kind != "function_expression"
            return all(self._collect(child, truth) for child in node["children"])
        text = _chain(node)
        if text is None and truth and kind in _WALKS and _pure(node):
            text = repr(node)
        if text is None:
            return False
        self._add(text, node, frozenset() if truth else _ANY)
        return True

    def _compares(self, node: Any) -> bool:
        """Takes in a plain path that is equal to a constant, or is not."""
        left, right = node["children"]
        text, constant = _chain(left), right.get("value")
        plain = right["type"] == "literal" and text is not None and not isinstance(constant, list | dict)
        if plain and node["value"] in ("eq", "ne"):
            self._add(str(text), left, frozenset() if constant is None else frozenset({constant}))
            return True
        return False

    def _begins_or_ends(self, node: Any) -> bool:
        """Takes in a plain path whose text is asked whether it begins, or ends, with a constant."""
        if node["value"] not in _AFFIXED or len(node["children"]) != 2:
            return False
        path, constant = node["children"]
        text = _chain(path)
        if text is None or constant["type"] != "literal" or not _is_text(constant["value"]):
            return False
        self._add(text, path, _ANY, Affix(constant["value"], node["value"] == "ends_with"))
        return True

    def _add(self, text: str, node: Any, wanted: frozenset[Any] | None, affix: Affix | None = None) -> None:
        known, affixes = self._wanted.get(text, frozenset()), self._affixes.get(text, frozenset())
        self._nodes[text] = node
        self._wanted[text] = _ANY if known is None or wanted is None else known | wanted
        self._affixes[text] = None if affixes is None or affix is None else affixes | {affix}


def _kind_asked(node: Any) -> Any:
    """The plain path of whose value a comparison asks nothing but its kind (`type(@) == 'array'`), or whether it is an
    empty list or object; None where it asks more.
    """
    left, right = node["children"]
    if node["value"] not in ("eq", "ne") or right["type"] != "literal":
        return None
    if left["type"] == "function_expression" and left["value"] == "type" and len(left["children"]) == 1:
        (left,) = left["children"]
    elif right["value"] not in ([], {}):
        return None
    return left if _chain(left) is not None else None


def _is_text(value: Any) -> bool:
    """Whether a constant is text, as bytes can say it: half a surrogate pair is none."""
    return type(value) is str and value.encode("utf-8", "replace").decode() == value


def _pure(node: Any) -> bool:
    """Whether none of the engine's names stands in a tree."""
    return not isinstance(node.get("value"), Name) and all(map(_pure, _inner(node)))


def _inner(node: Any) -> list[Any]:
    return [child for child in node.get("children", ()) if isinstance(child, dict)]


def _head(node: Any) -> str | None:
    """The key that all of a leaf hangs on."""
    while node["type"] in ("subexpression", "index_expression", "comparator", "function_expression", *_WALKS):
        read = node["children"][:1]
        if node["type"] in ("comparator", "function_expression"):
            read = [one for one in node["children"] if one["type"] != "literal"]
        if len(read) != 1:
            return None
        (node,) = read
    return str(node["value"]) if node["type"] == "field" else None


def _chain(node: Any) -> str | None:
    """The text of a plain path; None where the tree is something else."""
    kind = node["type"]
    if kind not in _CHAINS:
        return None
    if kind == "field":
        return None if isinstance(node["value"], Name) else repr(node["value"])
    if kind == "index":
        return f"[{node['value']}]"
    if kind in ("identity", "current"):
        return "@"
    parts = [_chain(child) for child in node["children"]]
    return None if None in parts else ".".join(filter(None, parts))
