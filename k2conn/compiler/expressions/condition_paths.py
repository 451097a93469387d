"""What a condition depends on: the plain paths it reads, so that its result can be cached by their values.

A leaf is a longest chain of keys and indices from the message itself. Where a condition reads something else (what is
inside a list it walks, the connection's state), leaves do not determine its value.
"""

from __future__ import annotations

from typing import Any

from k2conn.compiler.expressions.closures import ClosureCompiler, Name
from k2conn.plan import ConditionPath

_CHAINS = ("field", "subexpression", "index_expression", "index", "identity", "current")
_BRANCHES = ("comparator", "or_expression", "and_expression", "not_expression", "function_expression")


def leaves(node: Any) -> tuple[ConditionPath, ...] | None:
    """The leaves of one expression's tree; None where they do not decide its value."""
    found: dict[str, Any] = {}
    if not _collect(node, found):
        return None
    return tuple(
        ConditionPath(text, ClosureCompiler(True).compile(leaf), head=_head(leaf)) for text, leaf in found.items()
    )


def _collect(node: Any, found: dict[str, Any]) -> bool:
    kind = node["type"]
    if kind == "literal":
        return True
    if kind in _BRANCHES:
        return all(_collect(child, found) for child in node["children"])
    text = _chain(node)
    if text is None:
        return False
    found[text] = node
    return True


def _head(node: Any) -> str | None:
    """The key that a chain begins with."""
    while node["type"] in ("subexpression", "index_expression"):
        node = node["children"][0]
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
