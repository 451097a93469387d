"""Conditions that distinguish some messages from all others: equality, prefix or suffix of a channel's text, presence
of a key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from k2conn import exactjson
from k2conn.tools.drafting.guesses import Guess
from k2conn.tools.drafting.kinds import SYMBOL, MessageKind
from k2conn.tools.drafting.leaves import Path, at, scalars, spelled, walk
from k2conn.tools.drafting.words import ALL_WORDS, names_kind, words

_VALUES = 4
_CANDIDATES = 24
_TELLING = 3
"""The weight of a condition on a text that identifies the kind of message, rather than on a key it happens to have."""


class CandidateCondition(NamedTuple):
    """One possible condition. ``key`` and ``value`` are its map form, ``text`` its expression."""

    weight: int
    key: str
    value: Any
    text: str
    holds: Callable[[Any], bool]


def distinguishing_condition(groups: Sequence[MessageKind], others: Sequence[MessageKind]) -> Guess:
    """The condition that holds for some groups' messages and for none of the others."""
    wanted = [message for group in groups for message in group.messages]
    rest = [message for group in others for message in group.messages]
    tests = sorted(_tests(groups, wanted), key=lambda one: -one.weight)[:_CANDIDATES]
    tests = [test for test in tests if all(test.holds(message) for message in wanted)]
    found: list[tuple[tuple[int, ...], int, tuple[CandidateCondition, ...]]] = []
    for size in (1, 2, 3):
        for some in combinations(tests, size):
            wrong = sum(all(test.holds(message) for test in some) for message in rest)
            telling = max(test.weight for test in some) >= _TELLING
            found.append(((wrong, not telling, size, -sum(test.weight for test in some)), wrong, some))
        if size > 1 and any(not wrong for _, wrong, _ in found):
            break
    if not found:
        return Guess("`true`", "nothing tells these messages apart", False, "what only these messages have")
    _, wrong, some = min(found, key=lambda one: one[0])
    why = f"holds for {len(wanted)} of {len(wanted)} such frames and {wrong} of {len(rest)} others"
    return Guess(_condition(some), why, not wrong and some[0].weight > 2, "what tells them apart" if wrong else "")


def _condition(tests: Sequence[CandidateCondition]) -> Any:
    if all(test.key for test in tests):
        return {test.key: test.value for test in tests}
    return " && ".join(test.text for test in tests)


def _tests(groups: Sequence[MessageKind], wanted: Sequence[Any]) -> list[CandidateCondition]:
    first = wanted[0]
    if isinstance(first, str):
        values = sorted({str(message) for message in wanted})
        return [
            CandidateCondition(
                9, "@", values[0] if len(values) == 1 else values, f"@ == '{values[0]}'", lambda m: m in values
            )
        ]
    tests: list[CandidateCondition] = []
    for path, value in scalars(first):
        if isinstance(value, str) or (isinstance(value, bool) and len(path) == 1):
            tests += _texts(path, groups, wanted)
    for path, _ in walk(first):
        if path and (all(isinstance(part, str) for part in path) or isinstance(first, list)) and len(path) <= 3:
            tests.append(_present(path, wanted))
            if isinstance(path[-1], int) and path[:-1]:
                tests.append(_absent((*path[:-1], path[-1] + 1)))
    return tests


def _texts(path: Path, groups: Sequence[MessageKind], wanted: Sequence[Any]) -> list[CandidateCondition]:
    """Equality, or the text around the instrument's name."""
    values = {at(message, path) for message in wanted if not isinstance(at(message, path), (dict, list))}
    templates = {text for group in groups for place, text in group.texts if place == path}
    told = words(text.replace(SYMBOL, " ") for text in templates) & ALL_WORDS
    named = names_kind(path[-1])
    weight = 3 * bool(told) + named + (len(path) == 1)
    key = spelled(path)
    if templates and any(SYMBOL in text for text in templates):
        around = [text.split(SYMBOL, 1) for text in templates]
        if not all(len(pair) == 2 for pair in around):
            return []
        befores, afters = {pair[0] for pair in around}, {pair[1] for pair in around}
        before = befores.pop() if len(befores) == 1 else ""
        return [_ends(path, before, afters.pop() if len(afters) == 1 else "", weight)]
    if not (named or told) or len(values) > _VALUES or None in values:
        return []
    listed = sorted(values, key=str)
    listed_values = listed[0] if len(listed) == 1 else listed
    text = " || ".join(f"{key} == {_literal(value)}" for value in listed)
    return [
        CandidateCondition(
            weight + 1, key, listed_values, f"({text})" if len(listed) > 1 else text, lambda m: at(m, path) in listed
        )
    ]


def _ends(path: Path, before: str, after: str, weight: int) -> CandidateCondition:
    key = spelled(path)
    calls = [f"starts_with({key}, {_literal(before)})"] if before else []
    calls += [f"ends_with({key}, {_literal(after)})"] if after else []

    def holds(message: Any) -> bool:
        value = at(message, path)
        return isinstance(value, str) and value.startswith(before) and value.endswith(after)

    return CandidateCondition(weight if calls else -9, "", None, " && ".join(calls) or key, holds)


def _present(path: Path, wanted: Sequence[Any]) -> CandidateCondition:
    key = spelled(path)
    container = isinstance(at(wanted[0], path), (dict, list))
    return CandidateCondition(1 + container - len(path), key, "$present", key, lambda m: at(m, path) is not None)


def _absent(path: Path) -> CandidateCondition:
    key = spelled(path)
    return CandidateCondition(-3, key, "$absent", f"{key} == null", lambda m: at(m, path) is None)


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return "'" + re.sub(r"(['\\])", r"\\\1", value) + "'"
    return f"`{exactjson.spell(value)}`"
