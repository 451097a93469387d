"""The quick look at a document's shape, with jsonschema as its judge."""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from k2conn.compiler.language.document import read_document
from k2conn.compiler.language.fit import fits
from k2conn.compiler.language.shape import _schema, _validator
from k2conn.resources import connectors_folder

BAD = Path(__file__).parent / "bad_specs"
TEXTS = ["", "x", "30s", "$received_at", "first-data"]
OTHERS = [*TEXTS, None, True, 0, -1, 7, Decimal("0.5"), [], ["x"], {}, {"from": "x"}]
CHANGES = 6
"""For each shipped file: enough that every keyword is broken many times over all of them."""


def document(path: Path) -> Any:
    return read_document(str(path), path.read_text()).value


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def changed(value: Any, chance: random.Random) -> Any:
    """The value with one place set to something else, removed, or given a further key or item."""
    copy = deepcopy(value)
    path = chance.choice([path for path in places(value) if path])
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    kind, other = chance.randrange(4), deepcopy(chance.choice(OTHERS))
    if kind == 0:
        del holder[path[-1]]
    elif kind == 1 and isinstance(holder, dict):
        holder[chance.choice(["from", "unit", "http", "nosuch", "No such"])] = other
    else:
        holder[path[-1]] = other
    return copy


@pytest.mark.parametrize("path", sorted(connectors_folder().glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_file_fits_and_a_changed_one_never_wrongly(path: Path) -> None:
    good = document(path)
    assert fits(good, _schema())
    chance = random.Random(path.stem)
    for _ in range(CHANGES):
        value = changed(good, chance)
        assert fits(value, _schema()) == _validator(_schema()).is_valid(value)


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_broken_file_fits_only_where_the_judge_agrees(path: Path) -> None:
    value = document(path)
    assert fits(value, _schema()) == _validator(_schema()).is_valid(value)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, 1, True),
        ({"type": "number"}, Decimal("1.0"), True),
        ({"type": ["string", "null"]}, None, 0),
        ({"enum": ["a", "b"]}, "b", "c"),
        ({"const": "a"}, "a", "b"),
        ({"enum": [1, 2]}, 2, 3),
        ({"const": 1}, 1, True),
        ({"not": {"const": "a"}}, "b", "a"),
        ({"pattern": "b"}, "abc", "ac"),
        ({"minLength": 2}, "ab", "a"),
        ({"maxLength": 1}, "a", "ab"),
        ({"minItems": 1}, [1], []),
        ({"maxItems": 1}, [1], [1, 2]),
        ({"minProperties": 1}, {"a": 1}, {}),
        ({"maxProperties": 0}, {}, {"a": 1}),
        ({"minimum": 1}, 1, 0),
        ({"exclusiveMinimum": 1}, Decimal("1.1"), 1),
        ({"maximum": 1}, 1, 2),
        ({"required": ["a"]}, {"a": None}, {"b": 1}),
        ({"properties": {"a": {"type": "string"}}}, {"a": "", "b": 1}, {"a": 1}),
        ({"properties": {"a": True}, "additionalProperties": False}, {"a": 1}, {"b": 1}),
        ({"additionalProperties": {"type": "null"}}, {"a": None}, {"a": 1}),
        ({"propertyNames": {"pattern": "^a"}}, {"ab": 1}, {"b": 1}),
        ({"items": {"type": "string"}}, ["a"], ["a", 1]),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, None, 1),
        ({"$defs": {"n": {"type": "null"}}, "$ref": "#/$defs/n"}, None, 1),
        ({"$defs": {"n": {"type": "null"}}, "items": {"$ref": "#/$defs/n"}}, [None], [1]),
        ({"minLength": 2, "minItems": 2, "minimum": 2, "pattern": "x", "required": ["x"]}, None, 1),
    ],
)
def test_each_keyword(schema: Any, good: Any, bad: Any) -> None:
    judge = type(_validator(_schema()))(schema)
    assert (judge.is_valid(good), judge.is_valid(bad)) == (True, False)
    assert (fits(good, schema), fits(bad, schema)) == (True, False)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"oneOf": [{"type": "null"}]}, None),
        ({"if": {"type": "null"}}, None),
        ({"patternProperties": {"a": {}}}, {}),
        ({"format": "date"}, "2026-01-02"),
        ({"$ref": "#/a"}, None),
        ({"$ref": "#/$defs/nosuch"}, None),
        ({"type": "nosuch"}, None),
        ({"const": 1}, Decimal("1.0")),
        ({"enum": [1]}, Decimal("1.0")),
        ({"not": {"type": "string"}}, None),
        ({"uniqueItems": True}, [[]]),
        ({"items": {"contains": {}}}, [[1]]),
        ({"properties": {"a": {"multipleOf": 1}}}, {"a": 1}),
    ],
    ids=str,
)
def test_what_it_does_not_know_is_for_the_judge(schema: Any, value: Any) -> None:
    assert not fits(value, schema)
