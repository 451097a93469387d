"""``when``: a map of paths and values, or a condition."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from k2conn.compiler.language.document import Document
from k2conn.compiler.sections.conditions import any_of, compile_match, compile_matches
from k2conn.compiler.sections.context import CompileContext
from k2conn.plan import Match
from k2conn.scope import Scope

CASES: list[tuple[Any, Any, bool]] = [
    ({"channel": "trade"}, {"channel": "trade"}, True),
    ({"channel": "trade"}, {"channel": "trades"}, False),
    ({"channel": "trade"}, {}, False),
    ({"channel": "trade"}, [], False),
    ({"channel": "trade"}, "trade", False),
    ({"channel": "trade"}, None, False),
    ({"channel": "trade", "type": "update"}, {"channel": "trade", "type": "update"}, True),
    ({"channel": "trade", "type": "update"}, {"channel": "trade"}, False),
    ({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2, "c": 3}, True),
    ({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2, "c": 4}, False),
    ({"e": ["trade", "aggTrade"]}, {"e": "aggTrade"}, True),
    ({"e": ["trade", "aggTrade"]}, {"e": ["trade"]}, False),
    ({"e": ["trade", 1, None]}, {"e": 1}, True),
    ({"e": ["trade", 1, None]}, {"e": None}, True),
    ({"e": ["trade", 1, None]}, {}, False),
    ({"e": ["trade", "$missing"]}, {}, True),
    ({"e": ["trade", "$missing"]}, {"e": None}, False),
    ({"e": ["trade", 1, None]}, {"e": 2}, False),
    ({"success": True}, {"success": True}, True),
    ({"success": True}, {"success": 1}, False),
    ({"success": 1}, {"success": True}, False),
    ({"n": 1}, {"n": Decimal("1.0")}, True),
    ({"n": Decimal("0.10")}, {"n": Decimal("0.1")}, True),
    ({"n": 1}, {"n": "1"}, False),
    ({"result": None}, {"result": None}, True),
    ({"result": None}, {}, False),
    ({"result": None}, [], False),
    ({"result": None}, {"result": 0}, False),
    ({"a.b": None}, {"a": {"b": None}}, True),
    ({"a.b": None}, {"a": {}}, False),
    ({"a.b": None}, {"a": None}, False),
    ({"a[1].b": None}, {"a": [0, {"b": None}]}, True),
    ({"a[1].b": None}, {"a": [0]}, False),
    ({"[1]": None}, [0, None], True),
    ({"[1]": None}, [0], False),
    ({"@": None}, None, True),
    ({"result": "$missing"}, {}, True),
    ({"result": "$missing"}, {"result": None}, False),
    ({"result": "$missing"}, {"result": 0}, False),
    ({"a.b": "$missing"}, {"a": None}, True),
    ({"error": "$absent"}, {"error": None}, True),
    ({"ping": "$present"}, {"ping": 0}, True),
    ({"ping": "$present"}, {"ping": None}, False),
    ({"ping": "$present"}, {}, False),
    ({"error": "$absent"}, {}, True),
    ({"error": "$absent"}, {"error": "x"}, False),
    ({"error": ["$absent", "none"]}, {}, True),
    ({"error": ["$absent", "none"]}, {"error": "none"}, True),
    ({"error": ["$absent", "none"]}, {"error": "x"}, False),
    ({"a": ["$present", "$absent"]}, {}, True),
    ({"price": "$$5"}, {"price": "$5"}, True),
    ({"arg.channel": "trades"}, {"arg": {"channel": "trades"}}, True),
    ({"[1]": "te"}, [0, "te"], True),
    ({"@": "pong"}, "pong", True),
    ({'data."a.b"': 1}, {"data": {"a.b": 1}}, True),
    ("starts_with(topic, 'trade.')", {"topic": "trade.x"}, True),
    ("starts_with(topic, 'trade.')", {"topic": 5}, False),
    ("`[1]`[]", {}, True),
    ("length(`[1]`[]) == `1`", {}, True),
    ("`[1]`[?@ > `1`]", {"data": 1}, False),
    ("type(data) == 'array'", {"data": []}, True),
    ("type(data) == 'array'", {}, False),
    ("data", {"data": []}, False),
    ("data", {"data": [0]}, True),
    ("!data", {}, True),
    ("price > `1.5`", {"price": Decimal("1.6")}, True),
    ("price > `1.5`", {"price": "1.6"}, False),
]


def compiled(when: Any) -> tuple[Match | None, Document]:
    document = Document("x.yaml")
    return compile_match(when, ("when",), CompileContext(document)), document


@pytest.mark.parametrize(("when", "message", "wanted"), CASES)
def test_a_condition_is_true_or_false_of_every_message(when: Any, message: Any, wanted: bool) -> None:
    match, document = compiled(when)
    assert match is not None
    assert document.problems == []
    assert bool(match.condition(message, Scope())) is wanted


@pytest.mark.parametrize(("when", "message", "wanted"), CASES)
def test_the_look_up_form_says_the_same(when: Any, message: Any, wanted: bool) -> None:
    match, _ = compiled(when)
    assert match is not None
    if match.equalities is None:
        return
    found = [
        any(type(get(message, Scope())) is type(one) and get(message, Scope()) == one for one in values)
        for _, get, values in match.equalities
    ]
    if not any(isinstance(one, (int, Decimal)) for _, _, values in match.equalities for one in values):
        assert all(found) is wanted


def test_presence_and_conditions_have_no_look_up_form() -> None:
    for when in ({"ping": "$present"}, {"e": ["x", "$absent"]}, "a == 'b'"):
        match, _ = compiled(when)
        assert match is not None
        assert match.equalities is None


@pytest.mark.parametrize(
    ("when", "code", "words"),
    [
        ({"a(": 1}, "expression", "ends too early"),
        ({"a": "$presnt"}, "unknown-name", "did you mean '$present'?"),
        ({"a": ["$counter"]}, "unknown-name", "$counter is no value to compare with"),
        ("a == ", "expression", "ends too early"),
        ("foo(a)", "unknown-function", "unknown function foo()"),
        ("$nobody", "unknown-name", "known: $message"),
    ],
)
def test_an_unusable_condition_is_noted(when: Any, code: str, words: str) -> None:
    match, document = compiled(when)
    assert match is None
    assert [problem.code for problem in document.problems] == [code]
    assert words in document.problems[0].text


def test_any_of_several_matches() -> None:
    document = Document("x.yaml")
    several = compile_matches([{"e": "a"}, "f == 'b'"], ("ignore",), CompileContext(document))
    match = any_of(several)
    assert match is not None
    assert match.text == "e = a or f == 'b'"
    assert match.condition({"e": "a"}, Scope())
    assert match.condition({"f": "b"}, Scope())
    assert not match.condition({}, Scope())
    assert any_of(()) is None
    assert any_of(several[:1]) is several[0]


@pytest.mark.parametrize("wanted", [None, "$missing", ["x", None]])
@pytest.mark.parametrize("path", ["length(a)", "a[?b]", "a || b", "$received_at"])
def test_only_a_plain_path_tells_null_from_nothing(path: str, wanted: Any) -> None:
    match, document = compiled({path: wanted})
    assert match is None
    assert "$absent" in document.problems[0].text
