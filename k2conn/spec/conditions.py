"""``when``: a map of paths and the values they must have, or a JMESPath condition; compiled to a Match."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from k2conn import exactjson
from k2conn.plan import Condition, Getter, Match, Scope
from k2conn.spec.document import Path
from k2conn.spec.expressions import ExpressionError, compile_condition, compile_expression, equal

_PRESENT, _ABSENT = "$present", "$absent"

Note = Callable[[Path, str, str], None]
"""Where problems go: (path, code, text)."""


def compile_match(value: Any, path: Path, note: Note) -> Match | None:
    """Compiles one ``when``; None after noting what is wrong."""
    if isinstance(value, str):
        try:
            condition, _ = compile_condition(value)
        except ExpressionError as error:
            note(path, error.code, str(error))
            return None
        return Match(value, condition)
    return _map(value, path, note)


def compile_matches(value: Any, path: Path, note: Note) -> tuple[Match, ...]:
    """Compiles one ``when`` or a list of them."""
    if not isinstance(value, list):
        value, paths = [value], [path]
    else:
        paths = [(*path, at) for at in range(len(value))]
    found = [compile_match(item, place, note) for item, place in zip(value, paths, strict=True)]
    return tuple(match for match in found if match)


def any_of(matches: tuple[Match, ...]) -> Match | None:
    """One match for many; None for none."""
    if len(matches) < 2:
        return matches[0] if matches else None
    conditions = tuple(match.condition for match in matches)

    def condition(value: Any, scope: Scope) -> bool:
        return any(test(value, scope) for test in conditions)

    return Match(" or ".join(match.text for match in matches), condition)


def _map(value: dict[str, Any], path: Path, note: Note) -> Match | None:
    tests: list[Condition] = []
    equalities: list[tuple[str, Getter, tuple[Any, ...]]] = []
    wrong = False
    for text, wanted in value.items():
        try:
            get = compile_expression(text, True).get
        except ExpressionError as error:
            note((*path, text), error.code, str(error))
            wrong = True
            continue
        values = tuple(wanted) if isinstance(wanted, list) else (wanted,)
        tests.append(_test(get, values))
        if not {_PRESENT, _ABSENT} & {one for one in values if isinstance(one, str)}:
            equalities.append((text, get, values))
    if wrong:
        return None
    pure = tuple(equalities) if len(equalities) == len(value) else None
    return Match(_text(value), _all(tuple(tests)), pure)


def _test(get: Getter, values: tuple[Any, ...]) -> Condition:
    if values == (_PRESENT,):
        return lambda value, scope: get(value, scope) is not None
    if values == (_ABSENT,):
        return lambda value, scope: get(value, scope) is None
    if len(values) == 1 and isinstance(values[0], str):
        wanted = values[0]
        return lambda value, scope: get(value, scope) == wanted
    if all(isinstance(one, str) for one in values):
        texts = frozenset(values)

        def one_of(value: Any, scope: Scope) -> bool:
            found = get(value, scope)
            return type(found) is str and found in texts

        return one_of

    def among(value: Any, scope: Scope) -> bool:
        found = get(value, scope)
        return any(equal(found, one) for one in values)

    return among


def _all(tests: tuple[Condition, ...]) -> Condition:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda value, scope: first(value, scope) and second(value, scope)
    return lambda value, scope: all(test(value, scope) for test in tests)


def _text(value: dict[str, Any]) -> str:
    return ", ".join(f"{path} = {exactjson.spell(wanted)}" for path, wanted in value.items())
