"""JMESPath: our closures against the interpreter of the package jmespath, over the same tree, and against the package
as it is where no number has a fraction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from k2conn import exactjson
from k2conn.compiler.expressions.closures import ExpressionError
from k2conn.compiler.expressions.expressions import compile_condition, compile_expression, reference
from k2conn.errors import RecordError
from k2conn.scope import Scope
from k2conn.symbols import Symbol

TRACED = ("jmespath", "k2conn.compiler.expressions")
WORDS = (
    b"[*]",
    b"[]",
    b"[?",
    b"]",
    b"[0]",
    b"[-1]",
    b"[::2]",
    b".*",
    b"`1`",
    b"`0.1`",
    b"'x'",
    b"==",
    b"!=",
    b"<=",
    b"||",
    b"&&",
    b"!",
    b"&",
    b"@",
    b"|",
    b"length(",
    b"sum(",
    b"sort_by(",
    b"max_by(",
    b"to_string(",
    b"to_number(",
    b"not_null(",
    b"merge(",
    b"contains(",
    b"join(",
    b"keys(",
    b"values(",
    b"reverse(",
    b"map(",
    b"type(",
    b"starts_with(",
    b"$message",
    b"$state.x",
    b"$symbol.base",
    b"$received_at",
    b"$key",
    b"{a: b}",
    b"[a, b]",
    b"\0{",
)
DOCUMENTS = (
    b'{"a":1,"b":[1,2,{"c":"x"}],"c":{"d":null,"e":true}}',
    b'{"data":[{"p":"1.5","q":2,"s":"A"},{"p":"0.5","q":-3,"s":"B"}],"ch":"trade.BTC"}',
    b"[[1,2],[3],[],[[4]]]",
    b'{"a":[0.1,2e3,-7],"b":"text","c":[],"d":{}}',
)
EXPRESSIONS = (
    "a",
    "b[0]",
    "b[*].c",
    "data[?q > `0`].s",
    "data[].[p, q]",
    "data[*].{price: p, size: q}",
    "length(data)",
    "a || b",
    "a && !c",
    "sort_by(data, &q)[0]",
    "sum(a)",
    "max(a)",
    "[0][1]",
    "[]",
    "[][]",
    "c.*",
    "data[::-1]",
    "to_string(c)",
    "to_number(b)",
    "not_null(x, a)",
    "starts_with(ch, 'trade')",
    "@",
    "merge(c, d)",
    "join('-', data[*].s)",
    "keys(c)",
    "values(c)",
    "reverse(b)",
    "map(&q, data)",
    "type(a)",
    "$message.ch",
    "$symbol.base",
    "contains(ch, 'BTC')",
    "data[?s == 'A' || q < `0`] | [0]",
    "abs(a)",
    "ceil(a[0])",
    "avg(a)",
    "a == `1`",
    "max_by(data, &q).s",
    "floor(a[0])",
    "b[1:]",
    "to_array(a)",
    "min(data[*].p)",
    "ends_with(ch, 'C')",
    '`{"a": 0.5}`',
    '"a"',
)


def seeds() -> Iterator[bytes]:
    """Expression, a zero byte, document."""
    for at, text in enumerate(EXPRESSIONS):
        yield text.encode() + b"\0" + DOCUMENTS[at % len(DOCUMENTS)]
        yield text.encode() + b"\0" + DOCUMENTS[1]


def scope_of(message: Any) -> Scope:
    """A scope as a connection has it."""
    scope = Scope({"x": [1, {"y": "z"}]})
    scope.message, scope.received_at, scope.key = message, 1_767_323_045_000_000, "K"
    scope.symbol = Symbol("BTC/USD", "BTCUSD", "BTC", "USD")
    return scope


def target(data: bytes) -> None:
    """One expression over one document."""
    text, _, document = data.partition(b"\0")
    try:
        expression, message = text.decode(), exactjson.decode(document or DOCUMENTS[0])
    except ValueError:
        return
    before = exactjson.encode(message)
    for lenient in (False, True):
        check(expression, message, lenient)
    try:
        condition, _ = compile_condition(expression)
    except ExpressionError:
        pass
    else:
        assert condition(message, scope_of(message)) in (True, False)
    assert exactjson.encode(message) == before, "the message was changed"


def check(text: str, message: Any, lenient: bool) -> None:
    """The closure and the interpreter."""
    try:
        ours = compile_expression(text, lenient)
        with reference():
            judge = compile_expression(text, lenient)
    except ExpressionError as error:
        assert 0 <= error.offset <= len(text)
        return
    found, wanted = (result(one.get, message) for one in (ours, judge))
    assert same(found, wanted), (found, wanted)
    if not lenient:
        check_package(text, message, found)


def result(get: Any, message: Any) -> Any:
    """The value, or the error's class."""
    try:
        return get(message, scope_of(message))
    except RecordError as error:
        assert error.reason == "bad-type"
        return RecordError


def check_package(text: str, message: Any, found: Any) -> None:
    """The package as it is; only where every number is an int of a size that it treats as we do."""
    spelled = exactjson.encode(message).decode()
    if "$" in text or any(letter in spelled + text for letter in ".eE") or '"' in text or "`" in text:
        return
    if any(word in text for word in ("avg", "to_number", "to_string", "contains", "(")):
        return
    try:
        wanted = jmespath.search(text, json.loads(spelled))
    except (JMESPathError, TypeError):
        return
    assert same(found, wanted), (found, wanted)


def same(one: Any, other: Any) -> bool:
    """Equality that tells true from 1, and finds every float."""
    assert not isinstance(one, float)
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)
