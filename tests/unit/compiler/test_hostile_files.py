"""What a file may not hold, and what none may cost: hidden text, expressions that grow, quantities beyond all use,
forms that would be tried in many ways.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn.compiler.compiler import check_text
from k2conn.compiler.converters.name_parts import NamePart, name_part, words
from k2conn.compiler.expressions.closures import ExpressionError
from k2conn.compiler.expressions.expressions import compile_expression
from k2conn.compiler.language.document import read_document
from k2conn.compiler.language.durations import out_of_bounds
from k2conn.compiler.language.problems import Problem
from k2conn.compiler.sections.form_checks import overlaps
from k2conn.compiler.sections.symbols import Form, form
from k2conn.scope import Scope
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE
from tests.support.tries import tried

TEXT = HEAD + SUBSCRIBE + STREAMS


def problems(text: str) -> list[Problem]:
    return check_text("venue.yaml", text, Path())[1]


# -- hidden text


@pytest.mark.parametrize("one", [
    "\r", "\x85", "\u2028", "\u2029", "\u200b", "\u200d", "\u200e", "\u202a", "\u202e", "\u2060", "\u2066", "\u2069",
    "\ufeff", "\u00ad", "\u3164", "\ufe0f", "\U000e0041",
], ids=lambda one: f"U+{ord(one):04X}")
@pytest.mark.parametrize("text", ["a: b # c{}x\nd: e\n", "a: b{}c\n", "{}a: b\n", 'a: "b{}"\n'])
def test_text_that_hides_is_refused_where_it_stands(one: str, text: str) -> None:
    whole = "first: 1\n" + text.format(one)
    document = read_document("x.yaml", whole)
    assert document.value is None
    (problem,) = document.problems
    at = whole.index(one)
    assert (problem.line, problem.column) == (2, at - whole.index("\n"))
    assert problem.code == "yaml"
    assert problem.text.isprintable()


def test_line_feeds_with_and_without_returns_and_a_first_mark_are_fine() -> None:
    assert read_document("x.yaml", "\ufeffa: 1\r\nb: é\n").value == {"a": 1, "b": "é"}


def test_an_escape_shows_what_it_is() -> None:
    assert read_document("x.yaml", 'a: "\\u202e"\n').value == {"a": "\u202e"}


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=50))
def test_no_value_has_what_the_text_hides(text: str) -> None:
    document = read_document("x.yaml", f"a: '{text}'\n")
    hidden = "\x85\u2028\u2029\u200b\u200e\u202e\u2066"
    assert document.problems or not any(one in str(document.value) for one in hidden)


# -- expressions that grow

DOUBLING = ["[@, @]", "[@, @][]", "{a: @, b: @}", "[@, @] | [*]", "to_string(@) | join('', [@, @])", "to_string([@])",
            "[[@, @], @]", "map(&[@, @], @)", "merge({a: @}, {b: @}) | values(@)"]


@pytest.mark.parametrize("step", DOUBLING)
def test_an_expression_that_doubles_with_each_step_is_refused(step: str) -> None:
    compile_expression(step)
    with pytest.raises(ExpressionError, match="more than 200 times"):
        compile_expression(" | ".join([step] * 40))


@pytest.mark.parametrize("text", [
    "a[*].[$message.a[*].b]", "a[?length($message.a) > `1`]", "sort_by(a, &length($message.b))", "map(&$state.x, a)",
    "`[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]`[*].[`[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]`[*].[@, @]]",
])
def test_an_expression_that_walks_all_for_each_row_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(text)


def test_rows_may_be_compared_with_a_place_in_the_message() -> None:
    scope = Scope()
    scope.message = {"want": 2}
    assert compile_expression("[?a == $message.want].b | [0]").get([{"a": 1, "b": 1}, {"a": 2, "b": 3}], scope) == 3


def test_the_place_of_what_grows_is_told() -> None:
    price = " | ".join(["[@, @]"] * 20)
    (problem,) = problems(TEXT.replace("price: p\n", f'price: "{price}"\n', 1))
    assert problem.code == "expression"
    assert problem.path == "streams.trade.fields.price"


def test_all_expressions_together_are_bounded() -> None:
    many = ", ".join(f'"a{at}.{"b" * 1_900}"' for at in range(80))
    found = problems(TEXT.replace("connection:\n", f"connection:\n  ignore: [{many}]\n", 1))
    assert [one.code for one in found] == ["too-large"]


# -- quantities


@pytest.mark.parametrize(("kind", "good", "bad"), [
    ("duration", ["0", "0s", "1ms", "30s", "7d"], ["1us", "0.5ms", "8d", "999999999999d", "0.000000000001us"]),
    ("size", ["1 B", "16 MiB", "256 MiB"], ["0 B", "257 MiB", "999999999999 GiB"]),
    ("rate", ["5 per 1s", "1 per 7d", "1000000 per 1ms"], ["1 per 0.1ms", "1000001 per 1s", "1 per 8d"]),
])
def test_quantities_have_bounds(kind: str, good: list[str], bad: list[str]) -> None:
    assert [out_of_bounds(kind, text) for text in good] == [""] * len(good)
    assert all(out_of_bounds(kind, text) for text in bad)


@pytest.mark.parametrize(("line", "place"), [
    ("heartbeat: {every: 1us, send: ping}", "connection.heartbeat.every"),
    ("heartbeat: {every: 30s, send: ping, answer: {a: b}, within: 99d}", "connection.heartbeat.within"),
    ("stale_after: 900000d", "connection.stale_after"),
    ('stale_after: "5s\\n"', "connection.stale_after"),
    ("max_frame: 999999999999 GiB", "connection.max_frame"),
    ("limits: {connect: 999999999 per 0.000000000001us}", "connection.limits.connect"),
    ("limits: {symbols: 99999999999999999999}", "connection.limits.symbols"),
    ("reconnect: {factor: 1e399}", "connection.reconnect.factor"),
    ("reconnect: {base: 0.001us}", "connection.reconnect.base"),
    ("before: [{http: GET https://a.example/, within: 8d, capture: {a: b}}]", "connection.before[0].within"),
])
def test_a_quantity_beyond_all_use_has_a_place(line: str, place: str) -> None:
    found = problems(TEXT.replace("connection:\n", f"connection:\n  {line}\n", 1))
    assert [one.path for one in found] == [place]


@pytest.mark.parametrize("number", ["1e9999", "1e-9999", "1e400", "1e399", "1e-399", ".nan", ".inf", "9" * 401, "-1"])
def test_an_odd_number_is_a_problem_with_its_place(number: str) -> None:
    found = problems(TEXT.replace("price: p\n", f"price: {{from: p, scale: {number}}}\n", 1))
    assert found
    assert {one.line for one in found} == {1 + TEXT[: TEXT.index("price: p\n")].count("\n")}


@pytest.mark.parametrize("address", ["wss://[", "wss://a.example:99999/", "wss://a.example:0/", "wss://[fe80::1%25lo]/",
                                     "wss://[::1", "http://[", "wss://", "wss:///a", "://", "wss://a.example:x/"])
def test_an_odd_address_is_a_problem_with_its_place(address: str) -> None:
    found = problems(TEXT.replace("url: wss://venue.example/ws", f'url: "{address}"', 1))
    assert [(one.code, one.path) for one in found] == [("url", "connection.url")]


# -- forms


def test_a_form_is_told_apart_by_words_at_one_place_only() -> None:
    listed = {"b": name_part(["X", "XX"]), "quote": name_part(["Y", "YY"])}
    with pytest.raises(ValueError, match="at one place of a form only"):
        form("{a}{b}-{base}{quote}", listed, {})


def test_words_of_all_forms_together_are_bounded() -> None:
    quotes = ", ".join(f"Q{at:018}" for at in range(500))
    forms = ", ".join(f'"{letter}-{{base}}{{quote}}"' for letter in "abcdefgh")
    found = problems(TEXT.replace('form: "{base}-{quote}"', f"form: [{forms}], quotes: [{quotes}]", 1))
    assert found
    assert all("at most 20000 characters together" in one.text for one in found)


def _told_apart(text: str, parts: dict[str, NamePart], fixed: dict[str, str]) -> Form | None:
    try:
        found = form(text, parts, fixed)
    except ValueError:
        return None
    return None if any(overlaps([found])) else found


@pytest.mark.parametrize("text", [
    "{base}{quote}", "{base}{quote}_{x}", "{x}-{base}{quote}", "{x}A{base}{quote}", "{base}{quote}{x}", "{base}{x}{y}",
    "{x}A{y}A{base}", "{x}{y}{base}{quote}", "{base}-{quote}-{x}-{y}",
])
@pytest.mark.parametrize("kind", ["number", "digits", "ddmmmyy", "upper", "alphanumeric", "month_code"])
def test_no_name_takes_long_to_be_read(text: str, kind: str) -> None:
    """What forms may be is judged before any name is read, so that no name needs many tries."""
    quotes = words(["A" * length for length in range(1, 41)] + ["1" * length for length in range(1, 41)])
    parts = {"quote": quotes, "x": name_part(kind), "y": name_part(kind)}
    fixed = {} if "{quote}" in text else {"quote": "USD"}
    found = _told_apart(text, parts, fixed)
    if found is None:
        return
    pattern = found.pattern

    def seconds(name: str) -> float:
        begun = time.process_time()
        pattern.match(name)
        return time.process_time() - begun

    for name in ("A" * 100, "1" * 100, "A" * 99 + " ", "1" * 99 + " ", "A1" * 50, ("A" * 24 + "-") * 4, "-" * 100,
                 "1.1" * 33, "A" * 50 + "_" + "1" * 49):
        took = tried(lambda name=name: seconds(name), lambda one: one < 0.05)
        assert took[-1] < 0.05, name
