"""``when``: a map of paths and the values they must have, or a JMESPath condition; compiled to a Match."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from k2conn import exactjson
from k2conn.compiler.expressions.closures import true
from k2conn.compiler.expressions.condition_paths import truth_leaves, value_leaves
from k2conn.compiler.expressions.expressions import Expression
from k2conn.compiler.expressions.functions import equal
from k2conn.compiler.language.document import Path
from k2conn.compiler.language.problems import known
from k2conn.compiler.sections.context import CompileContext
from k2conn.plan import Condition, ConditionPath, Getter, Match
from k2conn.scope import Scope

_PRESENT, _ABSENT, _MISSING = "$present", "$absent", "$missing"


class _Presence(Enum):
    """What asks for presence instead of a value, once read, so that it cannot be mistaken for text."""

    PRESENT = auto()
    """Something is there, and it is not null."""
    ABSENT = auto()
    """Nothing is there, or null."""
    MISSING = auto()
    """Nothing is there, not even null."""
    NULL = auto()
    """Null is there."""


_WORDS = {_PRESENT: _Presence.PRESENT, _ABSENT: _Presence.ABSENT, _MISSING: _Presence.MISSING}
_EXACT = (_Presence.MISSING, _Presence.NULL)
"""What tells null from nothing."""
_STATE = re.compile(r"\$state\.([a-z][A-Za-z0-9_]*)\Z")


@dataclass(frozen=True, slots=True)
class _Captured:
    """The compiled value of `$state.NAME`: matches what was captured under that name, or any key of that table."""

    name: str

    def holds(self, found: Any, scope: Scope) -> bool:
        kept = scope.state.get(self.name)
        if found is None or kept is None:
            return False
        return exactjson.spell(found) in kept if isinstance(kept, dict) else equal(found, kept)


def compile_match(value: Any, path: Path, note: CompileContext) -> Match | None:
    """Compiles one ``when``; None after noting what is wrong."""
    if not isinstance(value, str):
        return _map(value, path, note) if isinstance(value, dict) else None  # what is neither, the schema has refused
    expression = note.expression(value, path, lenient=True)
    if expression is None:
        return None
    get = expression.get
    return Match(value, lambda message, scope: true(get(message, scope)), paths=truth_leaves(expression.tree))


def compile_matches(value: Any, path: Path, note: CompileContext) -> tuple[Match, ...]:
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

    return Match(" or ".join(match.text for match in matches), condition, paths=_together(matches))


def _together(matches: tuple[Match, ...]) -> tuple[ConditionPath, ...] | None:
    found: list[ConditionPath] = []
    for match in matches:
        if match.paths is None:
            return None
        found += match.paths
    return tuple(found)


def _map(value: dict[str, Any], path: Path, note: CompileContext) -> Match | None:
    tests: list[Condition] = []
    equalities: list[tuple[str, Getter, tuple[Any, ...]]] = []
    leaves: list[ConditionPath] | None = []
    wrong = False
    for text, wanted in value.items():
        place = (*path, text)
        expression = note.expression(text, place, lenient=True, at_key=True)
        values = _wanted(wanted, place, note)
        if expression is None or values is None:
            wrong = True
            continue
        if expression.there is None and any(one in _EXACT for one in values if isinstance(one, _Presence)):
            words = "only a plain path tells null from nothing: say $absent, which is either"
            note(place, "value", words)
            wrong = True
            continue
        tests.append(_test(expression, values))
        if not any(isinstance(one, _Presence | _Captured) for one in values):
            equalities.append((text, expression.get, values))
        leaves = _more(leaves, expression, values)
    if wrong:
        return None
    pure = tuple(equalities) if len(equalities) == len(value) else None
    return Match(_text(value), _all(tuple(tests)), pure, tuple(leaves) if leaves is not None else None)


def _more(
    leaves: list[ConditionPath] | None, expression: Expression, values: tuple[Any, ...]
) -> list[ConditionPath] | None:
    """The leaves so far and those of one more path; None once they do not decide."""
    own = value_leaves(expression.tree) if leaves is not None else None
    if leaves is None or own is None:
        return None
    captured = [one for one in values if isinstance(one, _Captured)]
    plain = frozenset(one for one in values if not isinstance(one, list | dict | _Captured | _Presence))
    if expression.speed == "plain" and not any(isinstance(one, list | dict) for one in values):
        presence = all(isinstance(one, _Presence) for one in values)
        own = tuple(leaf._replace(presence=presence, wanted=plain) for leaf in own)
    found = [*leaves, *own]
    for one in captured:  # whether a value was captured is a leaf of its own: what was captured changes
        head = own[0].head if len(own) == 1 else None
        text = f"{expression.text} in {one.name}"
        found.append(ConditionPath(text, _captured(expression.get, one), head=head, wanted=frozenset(),
                                   captured=expression.get))
    if expression.there is not None and any(one in _EXACT for one in values if isinstance(one, _Presence)):
        # whether something is there is a leaf of its own: a value of null looks like nothing
        found += [
            ConditionPath(f"{leaf.text} is there", expression.there, True, leaf.head, frozenset(), leaf.get)
            for leaf in own
        ]
    return found


def _wanted(wanted: Any, path: Path, note: CompileContext) -> tuple[Any, ...] | None:
    """The values one path may have; None after noting a name that is no value."""
    found = [(one, (*path, at)) for at, one in enumerate(wanted)] if isinstance(wanted, list) else [(wanted, path)]
    values: list[Any] = []
    for one, place in found:
        if one is None:
            values.append(_Presence.NULL)
        elif not isinstance(one, str) or not one.startswith("$"):
            values.append(one)
        elif one.startswith("$$"):
            values.append(one[1:])
        elif one in _WORDS:
            values.append(_WORDS[one])
        elif (state := _STATE.match(one)) is not None:
            note.state(state.group(1), place)
            values.append(_Captured(state.group(1)))
        else:
            names = known(one, (*_WORDS, "$state.NAME"))
            text = f"{one} is no value to compare with{names} A literal $ is written $$"
            note(place, "unknown-name", text)
            return None
    return tuple(values)


def _test(expression: Expression, values: tuple[Any, ...]) -> Condition:
    """Whether one path has one of some values."""
    get = expression.get
    special = [one for one in values if isinstance(one, _Presence | _Captured)]
    plain = tuple(one for one in values if not isinstance(one, _Presence | _Captured))
    tests = [_has_value(get, plain)] if plain else []
    for one in special:
        tests.append(_captured(get, one) if isinstance(one, _Captured) else _has_presence(expression, one))
    return _any(tuple(tests))


def _has_value(get: Getter, values: tuple[Any, ...]) -> Condition:
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


def _captured(get: Getter, captured: _Captured) -> Condition:
    return lambda value, scope: captured.holds(get(value, scope), scope)


def _has_presence(expression: Expression, wanted: _Presence) -> Condition:
    get, there = expression.get, expression.there
    if wanted is _Presence.PRESENT:
        return lambda value, scope: get(value, scope) is not None
    if wanted is _Presence.ABSENT:
        return lambda value, scope: get(value, scope) is None
    assert there is not None
    if wanted is _Presence.MISSING:
        return lambda value, scope: there(value, scope) is None
    return lambda value, scope: get(value, scope) is None and there(value, scope) is not None


def _any(tests: tuple[Condition, ...]) -> Condition:
    if len(tests) == 1:
        return tests[0]
    return lambda value, scope: any(test(value, scope) for test in tests)


def _all(tests: tuple[Condition, ...]) -> Condition:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda value, scope: first(value, scope) and second(value, scope)
    return lambda value, scope: all(test(value, scope) for test in tests)


def _text(value: dict[str, Any]) -> str:
    return ", ".join(f"{path} = {exactjson.spell(wanted)}" for path, wanted in value.items())
