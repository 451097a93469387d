"""JMESPath compiled to closures: the public compliance cases and our own, over exact numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn import exactjson
from k2conn.compiler.expressions.closures import ExpressionError
from k2conn.compiler.expressions.expressions import MAX_LENGTH, compile_condition, compile_expression
from k2conn.compiler.expressions.functions import NAMES
from k2conn.errors import RecordError
from k2conn.plan import Symbol
from k2conn.scope import Scope

COMPLIANCE = Path(__file__).parent / "data" / "jmespath-compliance"
OWN = exactjson.decode((Path(__file__).parent / "data" / "expressions.json").read_bytes())


def scope() -> Scope:
    found = Scope({"pair_of": {"7": "BTC/USD"}})
    found.message = {"channel": "trades", "rows": [{"n": 5}], "want": "b", "$odd": 1}
    found.received_at = 1_767_323_045_000_000
    found.symbol = Symbol("BTC/USD", "BTCUSD", "BTC", "USD")
    found.key = "XXBTZUSD"
    return found


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


def compliance() -> Iterator[Any]:
    for file in sorted(COMPLIANCE.glob("*.json")):
        for group in exactjson.decode(file.read_bytes()):
            for at, case in enumerate(group["cases"]):
                if "bench" not in case:
                    yield pytest.param(group["given"], case, id=f"{file.stem}-{at}-{case['expression'][:40]}")


def test_public_compliance_cases() -> None:
    cases = list(compliance())
    assert len(cases) > 800
    wrong = []
    for case in cases:
        value, told = case.values
        try:
            found = compile_expression(told["expression"]).get(value, Scope())
        except (ExpressionError, RecordError):
            if "error" not in told:
                wrong.append(f"{case.id}: refused")
            continue
        if "error" in told or not same(found, told["result"]):
            wrong.append(f"{case.id}: {found!r}")
    assert wrong == []


def own() -> list[Any]:
    return [pytest.param(group["given"], case, id=case["expression"]) for group in OWN for case in group["cases"]]


@pytest.mark.parametrize(("value", "case"), own())
def test_own_cases(value: Any, case: dict[str, Any]) -> None:
    if case.get("error"):
        with pytest.raises((ExpressionError, RecordError)):
            compile_expression(case["expression"]).get(value, scope())
    else:
        expression = compile_expression(case["expression"])
        assert same(expression.get(value, scope()), value if case.get("same") else case["result"])
        assert expression.speed == case.get("speed", expression.speed)
    if "lenient" in case:
        assert same(compile_expression(case["expression"], True).get(value, scope()), case["lenient"])


def test_own_cases_agree_with_the_package() -> None:
    """Over text and whole numbers; where numbers have fractions the package has binary floats and we do not."""
    compared = 0
    for group in OWN:
        plain = json.loads(exactjson.encode(group["given"]))
        for case in group["cases"]:
            ours = "$" in case["expression"] or case.get("package") is False or "result" not in case
            if not ours and "." not in exactjson.spell(case["result"]):
                found = jmespath.search(case["expression"], plain)
                assert found == json.loads(exactjson.encode(case["result"])), case["expression"]
                compared += 1
    assert compared > 40


@pytest.mark.parametrize(
    ("text", "code", "offset", "words"),
    [
        ("", "expression", 0, "empty"),
        ("   ", "expression", 0, "empty"),
        ("a.", "expression", 2, "ends too early"),
        ("a[", "expression", 2, "ends too early"),
        ("a b", "expression", 2, "character 3"),
        ("a == 'x", "expression", 5, "character 6"),
        ("a = 'x'", "expression", 2, "character 3"),
        ("a[::0]", "expression", 0, "step is not 0"),
        ("nothing(a)", "unknown-function", 0, "unknown function nothing()"),
        ("b || sumup(a)", "unknown-function", 5, "unknown function sumup()"),
        ("lenght(a)", "unknown-function", 0, "did you mean 'length'?"),
        ("length()", "function-arguments", 0, "length() takes 1 argument, not 0"),
        ("b && join('-')", "function-arguments", 5, "join() takes 2 arguments, not 1"),
        ("not_null()", "function-arguments", 0, "at least 1 argument, not 0"),
        ("$mesage.x", "unknown-name", 0, "did you mean '$message'?"),
        ("a || $nobody", "unknown-name", 5, "known: $message, $state, $received_at, $symbol, $key"),
        ("$", "unknown-name", 0, "unknown name $"),
        ("$length(a)", "unknown-name", 0, "$length cannot stand here"),
        ("&a", "expression", 0, "sort_by() is given"),
        ("[a, &b]", "expression", 0, "sort_by() is given"),
        ("to_string(&a)", "expression", 0, "sort_by() is given"),
        ("sort_by(&a, &b)", "expression", 0, "sort_by() is given"),
        ("map(&(&a), b)", "expression", 0, "sort_by() is given"),
        ("{$key: a}", "unknown-name", 1, "$key cannot stand here"),
        ("[" * 500 + "]" * 500, "expression", 0, "nested too deeply"),
        ("!" * 150 + "a", "expression", 0, "nested too deeply"),
        ("(" * 900 + "a", "expression", 0, "nested too deeply"),
        (".".join(["a"] * 200), "expression", 0, "at most 100 parts"),
        ("a" * (MAX_LENGTH + 1), "expression", 0, f"at most {MAX_LENGTH} characters"),
    ],
)
def test_unusable_text_says_why_and_where(text: str, code: str, offset: int, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert (caught.value.code, caught.value.offset) == (code, offset)
    assert words in str(caught.value)


def test_longest_and_deepest_usable_text_runs() -> None:
    value: Any = 7
    for _ in range(90):
        value = {"a": value}
    assert compile_expression(".".join(["a"] * 90)).get(value, Scope()) == 7
    assert compile_expression("!" * 90 + "a").get({"a": 1}, Scope()) is True
    assert compile_expression(" " * (MAX_LENGTH - 1) + "a").get({"a": 1}, Scope()) == 1


def test_condition_is_false_where_a_function_gets_the_wrong_type() -> None:
    condition, expression = compile_condition("starts_with(topic, 'trade') && length(data) > `0`")
    assert expression.speed == "general"
    for message in ({}, {"topic": 1}, {"topic": "trade"}, {"topic": "trade", "data": 5}, [], "text", None, 7):
        assert condition(message, Scope()) is False
    assert condition({"topic": "trade.x", "data": [1]}, Scope()) is True


def test_names_in_an_expression_are_known() -> None:
    expression = compile_expression("$message.a || $state.pair_of || $state.other[0] || data.x")
    assert expression.variables == {"message", "state"}
    assert expression.states == {"pair_of", "other"}
    assert expression.heads == {"data"}


@pytest.mark.parametrize(
    ("text", "message", "value"),
    [
        ("from_json(d).p", {"d": '{"p":64000.10}'}, Decimal("64000.10")),
        ("map(&from_json(@), body)[].p", {"body": ['{"p":1}', '{"p":2}']}, [1, 2]),
        ("rows({t: t, p: b.p})", {"t": [1, 2], "b": {"p": ["a", None]}}, [{"t": 1, "p": "a"}, {"t": 2, "p": None}]),
        ("rows({t: t, p: p})[*].t", {"t": [1, 2]}, [1, 2]),
        ("rows({t: t})", {"t": []}, []),
        ("rows({t: t, p: p})", {"x": []}, None),
        ("items(@)[*].[[0], [1].p]", {"BTC": {"p": 1}, "ETH": {"p": 2}}, [["BTC", 1], ["ETH", 2]]),
    ],
)
def test_functions_beyond_the_standard(text: str, message: Any, value: Any) -> None:
    assert same(compile_expression(text).get(message, scope()), value)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"t": [1, 2], "p": ["a"]}, "columns have as many values as each other: 't' has 2, 'p' 1"),
        ({"t": [1], "p": "a"}, "the column 'p' is no array"),
        ({"t": {"a": 1}, "p": ["a"]}, "the column 't' is no array"),
    ],
)
def test_columns_that_make_no_rows(message: Any, told: str) -> None:
    with pytest.raises(RecordError) as raised:
        compile_expression("rows({t: t, p: p})").get(message, scope())
    assert told in raised.value.detail
    condition, _ = compile_condition("rows({t: t, p: p})")
    assert condition(message, Scope()) is False


def test_every_function_of_the_standard_is_there() -> None:
    assert {
        "abs",
        "avg",
        "contains",
        "ends_with",
        "join",
        "length",
        "map",
        "max_by",
        "merge",
        "not_null",
        "reverse",
        "sort_by",
        "starts_with",
        "sum",
        "to_array",
        "to_number",
        "to_string",
        "type",
        "values",
    } <= set(NAMES)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=8,
)
pieces = st.sampled_from(
    [
        "a",
        "b",
        "c",
        ".",
        "[0]",
        "[*]",
        "[]",
        "*",
        "[?",
        "]",
        "[",
        "`1`",
        "`0.1`",
        "'x'",
        "==",
        "<",
        ">",
        "||",
        "&&",
        "!",
        "(",
        ")",
        ",",
        "&",
        "@",
        "|",
        "length",
        "sum",
        "sort_by",
        "to_string",
        "max",
        "$message",
        "$state",
        "$",
        "{",
        "}",
        ":",
        "-1",
        '"',
        "`",
        "\\",
        "\0",
        "é",
    ]
)


@given(st.lists(pieces, max_size=12).map("".join), json_values)
def test_any_text_compiles_or_is_refused_and_runs_or_is_a_record_error(text: str, value: Any) -> None:
    offset, reason = 0, "bad-type"
    try:
        expression = compile_expression(text)
        compile_expression(text, True).get(value, scope())
        assert not isinstance(expression.get(value, scope()), float)
    except ExpressionError as error:
        offset = error.offset
    except RecordError as error:
        reason = error.reason
    assert 0 <= offset <= len(text)
    assert reason == "bad-type"


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=8, max_value=10**10, min_value=-(10**10))))
def test_sum_is_exact(numbers: list[Decimal]) -> None:
    found = compile_expression("sum(@)").get(numbers, Scope())
    assert found * 10**8 == sum(int(number * 10**8) for number in numbers)
