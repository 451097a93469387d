"""The structure of messages: paths, kinds, bounds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from k2conn.drift.structure import ANY_KEY, EACH, MOST, kind_of, spelled, structure, values_at

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=200,
)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"), (True, "bool"), (1, "number"), (Decimal("1.5"), "number"), ("1.5", "digits"),
        ("-1e5", "digits"), ("", "empty"), ("buy", "text"), ("1,5", "text"), ("1" * 100, "text"), ({}, "object"),
        ([], "array"),
    ],
)
def test_kinds(value: Any, kind: str) -> None:
    assert kind_of(value) == kind


def test_paths() -> None:
    message = {"data": [{"p": "1"}, {"q": 2}], "b": [["1", "2"]], "t": [5, "te", [1, 2]], "BTC/USD": 1}
    found = {spelled(path): kinds for path, kinds in structure(message, {"BTC/USD"}).items()}
    assert found == {
        "@": {"object"}, "data": {"array"}, "data[]": {"object"}, "data[].p": {"digits"}, "data[].q": {"number"},
        "b": {"array"}, "b[]": {"array"}, "b[][0]": {"digits"}, "b[][1]": {"digits"}, "t": {"array"},
        "t[0]": {"number"}, "t[1]": {"text"}, "t[2]": {"array"}, "t[2][0]": {"number"}, "t[2][1]": {"number"},
        "*": {"number"},
    }


def test_an_object_of_very_many_members_has_names_for_keys() -> None:
    found = structure({f"S{number}": {"p": 1} for number in range(1000)})
    assert set(found) == {(), (ANY_KEY,), (ANY_KEY, "p")}


def test_keys_that_are_no_identifiers_are_quoted() -> None:
    assert spelled(("a b", EACH, 'x"y')) == '"a b"[]."x\\"y"'


@given(JSON)
@example({**{str(number): None for number in range(8)}, "0" * 101: [None]})
def test_whatever_comes_is_bounded_and_each_path_leads_somewhere(message: Any) -> None:
    found = structure(message)
    assert len(found) <= MOST
    for path in found:
        assert values_at(message, path) or path[-1:] == (EACH,)
        assert spelled(path)
