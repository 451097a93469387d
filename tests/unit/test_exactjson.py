"""JSON in and out without a binary float: every digit that was sent comes back."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn import exactjson

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(10**400), max_value=10**400)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)


def exact(value: Any) -> Any:
    """A value with the type and digits of every number in sight."""
    if isinstance(value, list):
        return [exact(one) for one in value]
    if isinstance(value, dict):
        return {key: exact(one) for key, one in value.items()}
    return (type(value).__name__, str(value))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("64000.10", Decimal("64000.10")),
        ("1e-8", Decimal("1e-8")),
        ("1E5", Decimal("1E5")),
        ("1e999999", Decimal("1e999999")),
        ("0.1", Decimal("0.1")),
        ("-0.0", Decimal("-0.0")),
        ("12", 12),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ('"\\u00e9"', "é"),
        ("[true, null]", [True, None]),
    ],
)
def test_decode_keeps_every_digit(text: str, wanted: Any) -> None:
    assert exact(exactjson.decode(text)) == exact(wanted)
    assert exact(exactjson.decode(text.encode())) == exact(wanted)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "pong",
        "{",
        "[1,]",
        "01",
        "1.",
        ".5",
        "NaN",
        "Infinity",
        "'a'",
        '"\\ud800"',
        '"a',
        "1e99999999999999999999",
        "9" * 5000,
        "[" * 100_000,
        '{"a":' * 100_000,
        b"\xff",
        b'"\xff"',
        b"\x1f\x8b",
        "\0",
        "[1] x",
    ],
    ids=lambda text: repr(text)[:20],
)
def test_what_is_no_json_is_a_json_error(text: str | bytes) -> None:
    with pytest.raises(exactjson.JsonError):
        exactjson.decode(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (None, "null"),
        ("text", "text"),
        (7, "7"),
        (Decimal("64000.10"), "64000.10"),
        (Decimal("1E-8"), "0.00000001"),
        (Decimal("1E-50"), "1E-50"),
        (Decimal("1E+50"), "1E+50"),
        ([1, Decimal("2.50"), "a"], '[1,2.50,"a"]'),
        ({"a": True}, '{"a":true}'),
        (10**5000, "1" + "0" * 5000),
    ],
    ids=lambda value: str(type(value).__name__),
)
def test_spell_is_json_spelling(value: Any, text: str) -> None:
    assert exactjson.spell(value) == text


@given(json_values)
def test_what_is_encoded_is_decoded(value: Any) -> None:
    assert exactjson.decode(exactjson.encode(value)) == value


@given(st.text() | st.binary())
def test_any_input_is_a_value_or_a_json_error(text: str | bytes) -> None:
    with contextlib.suppress(exactjson.JsonError):
        exactjson.decode(text)
