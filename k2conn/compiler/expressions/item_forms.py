"""Where the items of a message are, and the messages of a frame, as data: the forms that the value of `each` may have,
and which one a message has.

A form is something whose items can be walked without making the list first: what a plain path leads to, the elements of
lists within lists (``events[].trades[]``), a list that is written down (``[@]``). Between forms an expression chooses
(``trades || [@]``), by values that `condition_paths` knows, so that the choice can be remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from k2conn.compiler.expressions.closures import ClosureCompiler, true
from k2conn.compiler.expressions.condition_paths import truth_leaves
from k2conn.compiler.expressions.plain_paths import paths_of
from k2conn.plan import MOST_FORMS, ConditionPath, ItemForm, ItemForms, Json, SplitPath, ValuePath
from k2conn.scope import Scope

_ITSELF = ValuePath("item", ())
_Choice = Callable[[Json, Scope], int | None]


def item_forms(tree: Any) -> ItemForms | None:
    """The forms of an expression's value; None where it is, or may be, something else."""
    collected = _Forms()
    choose = collected.choice(tree) if tree is not None else None
    if choose is None or len(collected.forms) > MOST_FORMS:
        return None
    return ItemForms(tuple(collected.forms), choose, tuple(collected.leaves))


def split_path(tree: Any) -> SplitPath | None:
    """Where the messages of a frame are, by an expression of a connection; None where it says more than a path does."""
    if tree is None:
        return None
    form = _form(tree)
    if form is not None:
        return SplitPath(form.paths, False) if form.kind == "path" else None
    if tree["type"] != "or_expression":
        return None
    first, second = map(_form, tree["children"])
    whole = second == ItemForm("listed", (_ITSELF,))
    return SplitPath(first.paths, True) if whole and first is not None and first.kind == "path" else None


class _Forms:
    """Collects the forms of one expression, and the leaves that decide between them."""

    def __init__(self) -> None:
        self.forms: list[ItemForm] = []
        self.leaves: list[ConditionPath] = []

    def choice(self, node: Any) -> _Choice | None:
        """What gives the number of the form that a node's value has, or None where it has none."""
        form = _form(node)
        if form is not None:
            number = len(self.forms)
            self.forms.append(form)
            return lambda message, scope: number
        if node["type"] in ("or_expression", "and_expression"):
            first, second = node["children"]
            return self._either(first, second, node["type"] == "or_expression")
        if node["type"] == "function_expression" and node["value"] == "not_null":
            return self._not_null(node["children"])
        return None

    def _either(self, first: Any, second: Any, alternative: bool) -> _Choice | None:
        """`first || second`, or else `first && second`."""
        leaves = _truth(first)
        chosen = self.choice(first) if alternative else _nothing
        other = self.choice(second)
        if leaves is None or chosen is None or other is None:
            return None
        self.leaves += leaves
        get = ClosureCompiler(False).compile(first)
        when_true, when_false = (chosen, other) if alternative else (other, _nothing)
        return lambda message, scope: (when_true if true(get(message, scope)) else when_false)(message, scope)

    def _not_null(self, nodes: list[Any]) -> _Choice | None:
        options = []
        for node in nodes:
            form = _form(node)
            if form is None:
                return None
            get = ClosureCompiler(False).compile(node)
            if form.kind == "rows" or (form.kind == "path" and len(form.paths) > 1):
                return None
            if form.kind == "path":
                self.leaves.append(ConditionPath(repr(node), get, presence=True))
            options.append((get, len(self.forms)))
            self.forms.append(form)

        def choose(message: Json, scope: Scope) -> int | None:
            return next((number for get, number in options if get(message, scope) is not None), None)

        return choose


def _nothing(message: Json, scope: Scope) -> None:
    """The value is one without items."""


def _truth(node: Any) -> list[ConditionPath] | None:
    """The leaves that decide whether JMESPath calls a value true that a message has; None where more does."""
    if node["type"] == "multi_select_list":
        return []
    if node["type"] in ("or_expression", "and_expression"):
        both = [_truth(child) for child in node["children"]]
        return None if None in both else [leaf for one in both if one is not None for leaf in one]
    found = truth_leaves(node)
    return None if found is None else list(found)


def _form(node: Any) -> ItemForm | None:
    """A value that is of one form."""
    paths = paths_of(node)
    if paths is not None:
        return ItemForm("path", tuple(paths))
    if node["type"] == "literal" and node["value"] == []:
        return ItemForm("listed", ())
    if node["type"] == "multi_select_list":
        listed = [paths_of(child) for child in node["children"]]
        plain = [one[0] for one in listed if one is not None and len(one) == 1]
        return ItemForm("listed", tuple(plain)) if len(plain) == len(listed) else None
    rows = _rows(node)
    if rows is None and _is_itself(node):
        return ItemForm("path", (_ITSELF,))
    return ItemForm("rows", tuple(rows)) if rows is not None else None


def _is_itself(node: Any) -> bool:
    """Whether a value is the message's elements where that is a list, and else the message: ``[@][]``."""
    if node["type"] != "projection" or node["children"][0]["type"] != "flatten":
        return False
    base, each = node["children"][0]["children"][0], node["children"][1]
    alone = base["type"] == "multi_select_list" and len(base["children"]) == 1
    return each["type"] == "identity" and alone and paths_of(base["children"][0]) == [_ITSELF]


def _rows(node: Any) -> list[ValuePath] | None:
    """The paths between which lists are walked through: ``a[].b[]`` has two; None where that is not all."""
    if node["type"] != "projection" or node["children"][0]["type"] != "flatten":
        return None
    base, each = node["children"][0]["children"][0], node["children"][1]
    if each["type"] != "identity":
        return None
    return _lists(base)


def _lists(node: Any) -> list[ValuePath] | None:
    """The paths to what one more list is flattened of."""
    paths = paths_of(node)
    if paths is not None:
        return paths if len(paths) == 1 else None
    if node["type"] != "projection" or node["children"][0]["type"] != "flatten":
        return None
    outer, inner = _lists(node["children"][0]["children"][0]), paths_of(node["children"][1])
    plain = inner is not None and len(inner) == 1 and inner[0].root == "item" and bool(inner[0].steps)
    return [*outer, *inner] if outer is not None and inner is not None and plain else None
