"""YAML with places: what is a value, what is refused, and where each word stands."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from k2conn.compiler.language.document import MAX_DEPTH, MAX_DIGITS, MAX_PROBLEMS, MAX_VALUES, dotted, read_document
from k2conn.compiler.language.problems import known, short

VALUES: list[tuple[str, Any]] = [
    ("text", "text"),
    ("'text'", "text"),
    ('"a\\tb"', "a\tb"),
    ("true", True),
    ("false", False),
    ("null", None),
    ("~", None),
    ("", None),
    ('""', ""),
    ("'true'", "true"),
    ("0", 0),
    ("-7", -7),
    ("+7", 7),
    ("12345678901234567890123", 12345678901234567890123),
    ("64000.10", Decimal("64000.10")),
    ("1e-8", Decimal("1e-8")),
    ("1E5", Decimal("1E5")),
    ("-0.0", Decimal("-0.0")),
    ("'64000.10'", "64000.10"),
    ("1.2.3", "1.2.3"),
    ("12:ab", "12:ab"),
    ("0:USD", "0:USD"),
    ("2026", 2026),
    ("2026-01", "2026-01"),
    ("1s", "1s"),
    ("y", "y"),
    ("n", "n"),
    ("tRUE", "tRUE"),
    ("[1, [a, 2.50], {b: c}]", [1, ["a", Decimal("2.50")], {"b": "c"}]),
    ("{1: a, true: b, null: c}", {"1": "a", "true": "b", "null": "c"}),
    ("|\n  a\n  b\n", "a\nb\n"),
    (">-\n  a\n  b\n", "a b"),
]

TRAPS = [
    "yes",
    "No",
    "ON",
    "off",
    "True",
    "FALSE",
    "Null",
    "012",
    "-07",
    "0x1F",
    "0o17",
    "0b1",
    "1:30",
    "190:20:30",
    "1_000",
    ".5",
    "5.",
    ".inf",
    "-.INF",
    ".nan",
    "2026-01-02",
    "2026-1-2",
    "2026-01-02T03:04:05Z",
    "2026-01-02 03:04:05",
]


def exact(value: Any) -> Any:
    if isinstance(value, list):
        return [exact(one) for one in value]
    if isinstance(value, dict):
        return {key: exact(one) for key, one in value.items()}
    return (type(value).__name__, str(value))


@pytest.mark.parametrize(("text", "wanted"), VALUES)
def test_a_value_keeps_its_type_and_digits(text: str, wanted: Any) -> None:
    document = read_document("x.yaml", f"a: {text}")
    assert document.problems == []
    assert exact(document.value) == exact({"a": wanted})


@pytest.mark.parametrize("text", TRAPS)
def test_what_readers_disagree_about_is_refused_bare_and_fine_quoted(text: str) -> None:
    for place, column in ((f"a: {text}", 4), (f"{text}: a", 1), (f"[b, {text}]", 5)):
        (problem,) = read_document("x.yaml", place).problems
        assert (problem.code, problem.line, problem.column) == ("yaml-trap", 1, column)
        assert f'write "{text}"' in problem.text
    assert read_document("x.yaml", f'a: "{text}"').value == {"a": text}


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: 1\nb: &x 2", 2, 4, "anchors (&x)"),
        ("a: *x", 1, 4, "aliases (*x)"),
        ("&x a: 1", 1, 1, "anchors (&x)"),
        ("a: !!str 1", 1, 4, "tags (tag:yaml.org,2002:str)"),
        ("a: !local 1", 1, 4, "tags (!local)"),
        ("a: !!python/object:os.system {}", 1, 4, "tags (tag:yaml.org,2002:python/object:os.system)"),
        ("<<: {a: 1}", 1, 1, "merge keys"),
        ("[a]: 1", 1, 1, "a key is text"),
        ("a: 1\n---\nb: 2", 2, 1, "one document"),
        ("a: 1\n a: 2", 2, 3, "mapping values are not allowed"),
        ("a: {", 2, 1, ""),
        ("a: `b`", 1, 4, "quote a text that starts with this character"),
        ("a: @b", 1, 4, "quote a text that starts with this character"),
        ("a: %b", 1, 4, "quote a text that starts with this character"),
        ("a: b: c", 1, 5, "quote a text that holds ': '"),
        ("a: {b}/{c}", 1, 7, "quote a text that starts with a quote, { or ["),
        ("a: 'b", 1, 6, ""),
        ("\ta: 1", 1, 1, ""),
        ("a: \x00", 1, 4, "control character"),
        ("a:\n- \x07", 2, 3, "control character"),
        ("a: \ud800", 1, 1, "surrogate"),
        ("a: " + "9" * (MAX_DIGITS + 1), 1, 4, "digits"),
        ("a: 1\na: 2", 2, 1, "'a' stands here twice (first on line 1)"),
    ],
)
def test_what_is_not_part_of_the_language_says_where(text: str, line: int, column: int, words: str) -> None:
    problem = read_document("x.yaml", text).problems[0]
    assert (problem.line, problem.column) == (line, column)
    assert words in problem.text


def test_places_of_values_and_keys() -> None:
    document = read_document("x.yaml", "a:\n  - b: {c: text}\n    d: 'quoted'\n")
    assert document.place(("a",)) == (2, 3)
    assert document.place(("a", 0, "b", "c")) == (2, 12)
    assert document.place(("a", 0, "b", "c"), at_key=True) == (2, 9)
    assert document.place(("a", 0, "d")) == (3, 8)
    assert document.place(("a", 0, "missing")) == (2, 5)
    assert document.place(()) == (1, 1)
    assert dotted(("a", 0, "b", "c")) == "a[0].b.c"


def test_an_offset_counts_into_text_on_one_line() -> None:
    document = read_document("x.yaml", "a: plain text\nb: 'quoted'\nc: \"tab\\t here\"\nd: |\n  block\n")
    for path, column in ((("a",), 9), (("b",), 11), (("c",), 4), (("d",), 4)):
        document.problem(path, "value", "x", offset=6 if path == ("b",) else 5)
        assert document.problems[-1].column == column


def test_the_value_of_a_key_that_stands_twice_is_the_first() -> None:
    document = read_document("x.yaml", "a: {b: 1}\na: {b: 2}\n")
    assert document.value == {"a": {"b": 1}}
    assert document.place(("a", "b")) == (1, 8)


def test_bounds() -> None:
    assert read_document("x.yaml", "[" * MAX_DEPTH + "]" * MAX_DEPTH).problems == []
    assert "nested deeper" in read_document("x.yaml", "[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2)).problems[0].text
    assert read_document("x.yaml", "[" + "1," * (MAX_VALUES - 1) + "]").problems == []
    assert f"at most {MAX_VALUES} values" in read_document("x.yaml", "[" + "1," * MAX_VALUES + "]").problems[0].text
    document = read_document("x.yaml", "\n".join(f"k{at}: yes" for at in range(500)))
    assert len(document.problems) == MAX_PROBLEMS
    assert document.problems[-1].code == "too-many"


def test_a_near_match_or_the_known_values() -> None:
    assert known("tade", ["trade", "quote"]) == "; did you mean 'trade'?"
    assert known("x", ["trade", "quote"]) == "; known: trade, quote"
    assert known("x", []) == ""
    assert known("x" * 10**6, ["a"]) == "; known: a"
    assert known("x", [f"name{at}" for at in range(50)]).endswith("name39 and 10 more")


def test_a_shown_text_is_short_and_on_one_line() -> None:
    assert short("a\nb\x00\u202e") == "a\\nb\\x00\\u202e"
    assert short("x" * 100) == "x" * 60 + "..."


letters = st.text("abcé 019.:-{}[]#&*!|>'\"%@`\\~\t", max_size=8)
scalars = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | letters
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(letters, inner, max_size=4), max_leaves=10
)


@given(trees)
def test_what_another_writer_wrote_is_read_back(value: Any) -> None:
    text = yaml.safe_dump({"a": value}, allow_unicode=True)
    document = read_document("x.yaml", text)
    if not document.problems:
        assert document.value == {"a": value}
    else:
        # A writer of YAML 1.1 leaves some keys and texts bare that other readers take otherwise.
        assert {problem.code for problem in document.problems} <= {"yaml-trap", "yaml"}


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**10), max_value=10**10))
def test_a_fraction_keeps_every_digit(number: Decimal) -> None:
    text = format(number, "f")
    found = read_document("x.yaml", f"a: {text}").value["a"]
    assert type(found) is Decimal
    assert format(found, "f") == text
