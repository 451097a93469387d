"""JMESPath texts: jmespath parses, `closures` compiles.

Nothing an author wrote is evaluated as Python. An expression's *speed* is shown to the author by `explain`: ``plain``
(paths, literals), ``fast`` (comparisons, and, or, projections) or ``general`` (functions). Names that start with
``$`` are the engine's: ``$message``, ``$state``, ``$received_at``, ``$symbol``, ``$key``,
``$keys``, ``$parent``, ``$file``, ``$row``.

Settled: in a *condition* a function that is given a value of the wrong type is null (``starts_with`` and
``ends_with``: false) instead of an error, because ``starts_with(topic, 'trade')`` is evaluated for every message, also
for those without a topic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from jmespath import exceptions

from k2conn.compat.jmespath import parse
from k2conn.compiler.expressions.closures import ClosureCompiler, ExpressionError, true
from k2conn.compiler.expressions.growth import check_growth
from k2conn.compiler.expressions.interpreter import interpret
from k2conn.compiler.expressions.plain_paths import Name, paths_of
from k2conn.compiler.language.problems import short
from k2conn.plan import Condition, Getter, ValuePath
from k2conn.scope import Scope

MAX_LENGTH = 2000
_THROUGH = ("subexpression", "pipe", "index_expression", "projection", "value_projection", "filter_projection",
            "flatten", "slice")
"""Nodes whose first child is what they read from."""


@dataclass(frozen=True, slots=True)
class Expression:
    """One compiled expression; ``get`` runs it."""

    text: str
    get: Getter
    speed: str
    heads: frozenset[str]
    """Top-level keys of the item that the expression reads as plain fields."""
    variables: frozenset[str]
    """The engine's names in it, without the ``$``."""
    states: frozenset[str]
    """The names that stand behind ``$state.``"""
    tree: Any
    """What jmespath's parser made of the text; None where its interpreter runs it."""
    key: str | None
    """The key, where the expression is one key of the value and nothing else."""
    paths: tuple[ValuePath, ...]
    """The path, where the expression is keys and indexes and nothing else; several between which `||` stands; or none.
    """
    of_symbol: bool = False
    """Whether it reads `$symbol`, and nothing else."""
    there: Getter | None = None
    """True where the path leads to something, even to null, None where it does not; no getter where the expression is
    not a plain path.
    """


_reference: ContextVar[bool] = ContextVar("reference", default=False)


@contextmanager
def reference() -> Iterator[None]:
    """Expressions compiled inside are interpreted by jmespath: the slow reference for tests and benchmarks."""
    token = _reference.set(True)
    try:
        yield
    finally:
        _reference.reset(token)


def compile_expression(text: str, lenient: bool = False) -> Expression:
    """Compiles one JMESPath text; raises ExpressionError. ``lenient``: a function's type error gives null."""
    if not _reference.get():
        return _compile(text, lenient)
    found = _compile(text, lenient)
    return replace(found, get=interpret(_parse(text), lenient), tree=None, key=None, paths=(), of_symbol=False)


@lru_cache(maxsize=4096)
def _compile(text: str, lenient: bool) -> Expression:
    node = _parse(text)
    compiler = ClosureCompiler(lenient)
    try:
        get = compiler.compile(node)
        check_growth(node)
    except ExpressionError as error:
        error.offset = _offset(text, error.name)
        raise
    of_symbol = compiler.variables == {"symbol"} and _of_names(node)
    return Expression(
        text, get, compiler.speed, frozenset(_heads(node)), frozenset(compiler.variables), frozenset(compiler.states),
        node, _key(node), tuple(paths_of(node) or ()), of_symbol, _there(node),
    )


def compile_condition(text: str) -> tuple[Condition, Expression]:
    """Compiles a condition: true where JMESPath's value counts as true."""
    expression = compile_expression(text, True)
    get = expression.get

    def condition(value: Any, scope: Scope) -> bool:
        return true(get(value, scope))

    return condition, expression


def _parse(text: str) -> Any:
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"an expression has at most {MAX_LENGTH} characters, this one has {len(text)}")
    if not text.strip():
        raise ExpressionError("the expression is empty")
    try:
        return parse(text, Name)
    except exceptions.LexerError as error:
        raise _unreadable(text, error.lexer_position or 0, str(error.message)) from None
    except exceptions.ParseError as error:
        if error.token_type == "eof" or error.lex_position is None or error.lex_position >= len(text):
            raise ExpressionError(f"'{short(text)}' ends too early", offset=len(text)) from None
        raise _unreadable(text, error.lex_position, f"unexpected '{error.token_value}'") from None
    except exceptions.JMESPathError as error:
        raise ExpressionError(f"'{short(text)}': {error}") from None
    except RecursionError:
        raise ExpressionError("the expression is nested too deeply") from None


def _unreadable(text: str, at: int, why: str) -> ExpressionError:
    return ExpressionError(f"'{short(text)}' cannot be read at character {at + 1}: {short(why)}", offset=at)


def _offset(text: str, name: str) -> int:
    """Where a name stands in its expression; jmespath's tree keeps no places."""
    if not name:
        return 0
    found = re.search(rf"(?<![\w$]){re.escape(name)}(?!\w)", text)
    return found.start() if found else 0


def _key(node: Any) -> str | None:
    plain = node["type"] == "field" and not isinstance(node["value"], Name)
    return str(node["value"]) if plain else None


def _there(node: Any) -> Getter | None:
    """What says whether a plain path leads to something, be it null."""
    kind = node["type"]
    if kind == "field" and not isinstance(node["value"], Name):
        key = node["value"]
        return lambda value, scope: True if type(value) is dict and key in value else None
    if kind == "index":
        at = node["value"]
        return lambda value, scope: True if type(value) is list and -len(value) <= at < len(value) else None
    if kind in ("identity", "current"):
        return lambda value, scope: True
    if kind not in ("subexpression", "index_expression"):
        return None
    *before, last = node["children"]
    step = _there(last)
    if step is None or not all(_plain_path(one) for one in before):
        return None
    parent = ClosureCompiler(True).compile(before[0] if len(before) == 1 else {**node, "children": before})
    return lambda value, scope: step(parent(value, scope), scope)


def _plain_path(node: Any) -> bool:
    if node["type"] in ("subexpression", "index_expression"):
        return all(_plain_path(child) for child in node["children"])
    return node["type"] in ("field", "index", "identity", "current")


def _of_names(node: Any) -> bool:
    """Whether the tree begins everywhere with one of the engine's names or a constant, never with the value itself."""
    kind = node["type"]
    if kind == "field":
        return isinstance(node["value"], Name)
    if kind in ("identity", "current"):
        return False
    children = [child for child in node.get("children", ()) if isinstance(child, dict)]
    return all(map(_of_names, children[:1] if kind in _THROUGH else children))


def _heads(node: Any) -> set[str]:
    """Which top-level keys the tree reads from the value itself."""
    kind = node["type"]
    if kind == "field":
        return set() if isinstance(node["value"], Name) else {node["value"]}
    children = [child for child in node.get("children", ()) if isinstance(child, dict)]
    if kind in _THROUGH:
        return _heads(children[0]) if children else set()
    return set().union(*map(_heads, children)) if children else set()
