"""One JMESPath tree to one closure ``(value, scope) -> value``.

A plain path costs one or two dictionary look-ups instead of an interpreter's walk. The tree is jmespath's own, each
method here is named by the node it compiles. Names that start with ``$`` are the engine's.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from k2conn.compiler.expressions import functions
from k2conn.compiler.expressions.functions import equal
from k2conn.compiler.expressions.plain_paths import Name, native_getter
from k2conn.compiler.language.problems import known
from k2conn.errors import RecordError
from k2conn.plan import Getter
from k2conn.scope import Scope

VARIABLES = ("message", "state", "received_at", "symbol", "key", "keys", "parent", "file", "row")
MAX_DEPTH = 100
"""How deep a tree may be: a path has fewer parts, and a closure calls the next inner one."""
_SPEEDS = ("plain", "fast", "general")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt,
    "gt": operator.gt,
    "lte": operator.le,
    "gte": operator.ge,
}


class ExpressionError(ValueError):
    """Text that is not a usable expression; ``offset`` counts characters from 0, ``code`` is a problem code."""

    def __init__(self, text: str, code: str = "expression", offset: int = 0, name: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.offset = offset
        self.name = name


_TAKERS = " or ".join(f"{name}()" for name in functions.NAMES if functions.takes_expression(name) is not None)


class ClosureCompiler:
    """Compiles one expression's tree to a closure; the names it uses are in the attributes."""

    def __init__(self, lenient: bool) -> None:
        self.lenient = lenient
        self.speed = "plain"
        self.variables: set[str] = set()
        self.states: set[str] = set()
        """The names behind ``$state.``"""
        self._depth = 0

    def compile(self, node: Any) -> Getter:
        """The closure of one node."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError("the expression is nested too deeply")
        method: Callable[[Any], Getter] = getattr(self, f"_{node['type']}")
        found = method(node)
        self._depth -= 1
        return native_getter(node) or found

    def _slower(self, speed: str) -> None:
        self.speed = max(self.speed, speed, key=_SPEEDS.index)

    def _children(self, node: Any) -> list[Getter]:
        return [self.compile(child) for child in node["children"]]

    # -- paths

    def _field(self, node: Any) -> Getter:
        key = node["value"]
        if isinstance(key, Name):
            return self._variable(str(key))

        def field(value: Any, scope: Scope) -> Any:
            return value.get(key) if type(value) is dict else None

        return field

    def _variable(self, name: str) -> Getter:
        if name not in VARIABLES:
            names = known(f"${name}", [f"${one}" for one in VARIABLES])
            raise ExpressionError(f"unknown name ${name}{names}", "unknown-name", 0, f"${name}")
        self.variables.add(name)
        if name == "message":
            return lambda value, scope: scope.message
        if name == "state":
            return lambda value, scope: scope.state
        if name == "received_at":
            return lambda value, scope: scope.received_at
        if name == "key":
            return lambda value, scope: scope.key
        if name == "keys":
            return lambda value, scope: list(scope.keys)
        if name == "parent":
            return lambda value, scope: scope.parent
        if name == "file":
            return lambda value, scope: scope.file
        if name == "row":
            return lambda value, scope: scope.row
        return lambda value, scope: scope.symbol.described() if scope.symbol else None

    def _subexpression(self, node: Any) -> Getter:
        children = node["children"]
        if len(children) > MAX_DEPTH:
            raise ExpressionError(f"a path has at most {MAX_DEPTH} parts")
        if _is_name(children[0], "state"):
            self.states.update(_first_key(children[1]))
        found = self.compile(children[0])
        for child in children[1:]:
            found = _member(found, child["value"]) if _is_key(child) else _then(found, self.compile(child))
        return found

    def _chain(self, node: Any) -> Getter:
        links = self._children(node)
        found = links[0]
        for link in links[1:]:
            found = _then(found, link)
        return found

    _pipe = _chain

    def _index_expression(self, node: Any) -> Getter:
        children = node["children"]
        if len(children) == 2 and children[0]["type"] == "identity":
            return self.compile(children[1])
        return self._chain(node)

    def _index(self, node: Any) -> Getter:
        at = node["value"]

        def index(value: Any, scope: Scope) -> Any:
            if type(value) is list and -len(value) <= at < len(value):
                return value[at]
            return None

        return index

    def _slice(self, node: Any) -> Getter:
        bounds = slice(*node["children"])
        if bounds.step == 0:
            raise ExpressionError("a slice's step is not 0")
        return lambda value, scope: value[bounds] if isinstance(value, list) else None

    def _identity(self, node: Any) -> Getter:
        return lambda value, scope: value

    _current = _identity

    def _literal(self, node: Any) -> Getter:
        found = node["value"]
        return lambda value, scope: found

    # -- comparisons and logic

    def _comparator(self, node: Any) -> Getter:
        self._slower("fast")
        left, right = self._children(node)
        kind = node["value"]
        literal = node["children"][1]
        if kind == "eq" and literal["type"] == "literal" and isinstance(literal["value"], str):
            text = literal["value"]
            return lambda value, scope: left(value, scope) == text
        if kind in ("eq", "ne") and literal["type"] == "literal" and type(literal["value"]) is not bool:
            return _equals(left, literal["value"], kind == "eq")
        if kind == "eq":
            return lambda value, scope: equal(left(value, scope), right(value, scope))
        if kind == "ne":
            return lambda value, scope: not equal(left(value, scope), right(value, scope))
        return self._ordered(kind, left, right)

    def _ordered(self, kind: str, left: Getter, right: Getter) -> Getter:
        compare, lenient = _COMPARE[kind], self.lenient

        def ordered(value: Any, scope: Scope) -> Any:
            one, other = left(value, scope), right(value, scope)
            if (type(one) is int or type(one) is Decimal) and (type(other) is int or type(other) is Decimal):
                return compare(one, other)
            if _is_number(one):
                if _is_number(other):
                    return compare(one, other)
                mixed = isinstance(other, str)
            elif isinstance(one, str):
                if isinstance(other, str):
                    return compare(one, other)
                mixed = _is_number(other)
            else:
                return None
            if mixed and not lenient:
                detail = f"'{kind}' compares text with a number: say to_number(...)"
                raise RecordError(None, None, None, "bad-type", detail)
            return None

        return ordered

    def _or_expression(self, node: Any) -> Getter:
        self._slower("fast")
        first, second = self._children(node)

        def either(value: Any, scope: Scope) -> Any:
            found = first(value, scope)
            return found if true(found) else second(value, scope)

        return either

    def _and_expression(self, node: Any) -> Getter:
        self._slower("fast")
        first, second = self._children(node)

        def both(value: Any, scope: Scope) -> Any:
            found = first(value, scope)
            return second(value, scope) if true(found) else found

        return both

    def _not_expression(self, node: Any) -> Getter:
        self._slower("fast")
        (inner,) = self._children(node)
        return lambda value, scope: not true(inner(value, scope))

    # -- projections

    def _projection(self, node: Any) -> Getter:
        self._slower("fast")
        base, each = self._children(node)
        if node["children"][1]["type"] == "identity":
            return _elements(base)

        def projection(value: Any, scope: Scope) -> Any:
            rows = base(value, scope)
            return _present([each(row, scope) for row in rows]) if isinstance(rows, list) else None

        return projection

    def _value_projection(self, node: Any) -> Getter:
        self._slower("fast")
        base, each = self._children(node)

        def projection(value: Any, scope: Scope) -> Any:
            rows = base(value, scope)
            return _present([each(row, scope) for row in rows.values()]) if isinstance(rows, dict) else None

        return projection

    def _filter_projection(self, node: Any) -> Getter:
        self._slower("fast")
        base, each, test = self._children(node)
        _, as_they_are, condition = (child["type"] for child in node["children"])
        if as_they_are == "identity" and condition == "comparator":
            return _those(base, test)

        def projection(value: Any, scope: Scope) -> Any:
            rows = base(value, scope)
            if not isinstance(rows, list):
                return None
            return _present([each(row, scope) for row in rows if true(test(row, scope))])

        return projection

    def _flatten(self, node: Any) -> Getter:
        self._slower("fast")
        (base,) = self._children(node)

        def flatten(value: Any, scope: Scope) -> Any:
            rows = base(value, scope)
            if not isinstance(rows, list):
                return None
            merged: list[Any] = []
            for row in rows:
                merged.extend(row) if isinstance(row, list) else merged.append(row)
            return merged

        return flatten

    def _multi_select_list(self, node: Any) -> Getter:
        self._slower("fast")
        getters = self._children(node)
        return lambda value, scope: None if value is None else [get(value, scope) for get in getters]

    def _multi_select_dict(self, node: Any) -> Getter:
        self._slower("fast")
        pairs = [(_plain_key(child["value"]), self.compile(child["children"][0])) for child in node["children"]]
        return lambda value, scope: None if value is None else {key: get(value, scope) for key, get in pairs}

    # -- functions

    def _expref(self, node: Any) -> Getter:
        raise ExpressionError(f"'&' stands only before the expression that {_TAKERS} is given")

    def _argument(self, node: Any, expected: bool) -> Getter:
        """An argument of a function; ``expected``: the function takes an expression there, not a value."""
        if node["type"] != "expref" or not expected:
            return self.compile(node)
        inner = self.compile(node["children"][0])
        return lambda value, scope: _Expression(inner, scope)

    def _function_expression(self, node: Any) -> Getter:
        name = _plain_key(node["value"])
        if name not in functions.NAMES:
            text = f"unknown function {name}(){known(name, functions.NAMES)}"
            raise ExpressionError(text, "unknown-function", 0, name)
        _check_arguments(name, node["children"])
        taken = functions.takes_expression(name)
        arguments = [self._argument(child, at == taken) for at, child in enumerate(node["children"])]
        if self.lenient and name in ("starts_with", "ends_with"):
            return self._affix(name, arguments)
        self._slower("general")
        found = functions.caller(name, arguments, self.lenient)
        if taken != 1 or node["children"][1]["type"] != "expref":
            return found
        return functions.chooser(name, arguments[0], self.compile(node["children"][1]["children"][0]), found)

    def _affix(self, name: str, arguments: list[Getter]) -> Getter:
        self._slower("fast")
        subject, affix = arguments
        test = str.startswith if name == "starts_with" else str.endswith

        def affixed(value: Any, scope: Scope) -> Any:
            text, end = subject(value, scope), affix(value, scope)
            return isinstance(text, str) and isinstance(end, str) and test(text, end)

        return affixed


class _Expression:
    """The value of ``&expression`` for jmespath's functions, which check the name of this class."""

    def __init__(self, inner: Getter, scope: Scope) -> None:
        self.expression = inner
        self.scope = scope

    def visit(self, node: Getter, value: Any) -> Any:
        return node(value, self.scope)


def true(value: Any) -> bool:
    """JMESPath's truth: all but null, false and what is empty."""
    if value is True:
        return True
    if value is None or value is False:
        return False
    return not (value == "" or value == [] or value == {})


def _check_arguments(name: str, given: list[Any]) -> None:
    wanted, more = functions.arity(name)
    if len(given) == wanted or (more and len(given) > wanted):
        return
    least = "at least " if more else ""
    text = f"{name}() takes {least}{wanted} argument{'' if wanted == 1 else 's'}, not {len(given)}"
    raise ExpressionError(text, "function-arguments", 0, name)


def _is_name(node: Any, name: str) -> bool:
    return node["type"] == "field" and isinstance(node["value"], Name) and node["value"] == name


def _is_key(node: Any) -> bool:
    return node["type"] == "field" and not isinstance(node["value"], Name)


def _first_key(node: Any) -> list[str]:
    """The key that the right side of ``$state.`` begins with."""
    while not _is_key(node):
        if node["type"] not in ("subexpression", "index_expression", "projection", "flatten", "value_projection"):
            return []
        node = node["children"][0]
    return [node["value"]]


def _plain_key(key: str) -> str:
    if isinstance(key, Name):
        raise ExpressionError(f"${key} cannot stand here: it is a value, not a name", "unknown-name", 0, f"${key}")
    return key


def _member(first: Getter, key: str) -> Getter:
    def member(value: Any, scope: Scope) -> Any:
        inner = first(value, scope)
        return inner.get(key) if type(inner) is dict else None

    return member


def _then(first: Getter, second: Getter) -> Getter:
    return lambda value, scope: second(first(value, scope), scope)


def _elements(base: Getter) -> Getter:
    def elements(value: Any, scope: Scope) -> Any:
        rows = base(value, scope)
        return [row for row in rows if row is not None] if isinstance(rows, list) else None

    return elements


def _those(base: Getter, test: Getter) -> Getter:
    """The elements for which a comparison holds."""

    def those(value: Any, scope: Scope) -> Any:
        rows = base(value, scope)
        if isinstance(rows, list):
            return [row for row in rows if test(row, scope) and row is not None] if rows else rows
        return None

    return those


def _equals(left: Getter, literal: Any, wanted: bool) -> Getter:
    """Whether a value is equal to a literal that is no truth value, or is not."""

    def equals(value: Any, scope: Scope) -> bool:
        found = left(value, scope)
        return bool(found == literal) and type(found) is not bool

    def differs(value: Any, scope: Scope) -> bool:
        found = left(value, scope)
        return bool(found != literal) or type(found) is bool

    return equals if wanted else differs


def _present(rows: list[Any]) -> list[Any]:
    return [row for row in rows if row is not None]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)
