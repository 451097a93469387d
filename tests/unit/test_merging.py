"""Documents of several workers as one: each member by the rule that it declares, and no member without one."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, NotRequired, TypedDict

import pytest

from k2conn.engine.accounting.figures import ConnectorReport
from k2conn.merging import (
    any_true,
    by_kind_of_value,
    each_by_name,
    each_in_place,
    in_shape,
    largest,
    merged,
    side_by_side,
    total,
)
from k2conn.runner.status import ConnectorStatus, RunReport
from k2conn.spool.status import SpooledSinkStatus


class Inner(TypedDict):
    count: Annotated[int, total]


class Outer(Inner):
    full: Annotated[bool, any_true]
    text: Annotated[str | None, side_by_side]
    rows: NotRequired[Annotated[list[Inner], each_in_place(in_shape(Inner))]]
    parts: NotRequired[Annotated[dict[str, Inner], each_by_name(in_shape(Inner))]]


class Undeclared(TypedDict):
    count: int


def test_each_member_is_merged_by_its_own_rule_in_the_order_of_the_documents() -> None:
    one: Any = {"full": False, "count": 1, "text": "a", "rows": [{"count": 1}], "parts": {"x": {"count": 1}}}
    two: Any = {"full": True, "count": Decimal("2"), "text": None, "parts": {"x": {"count": 3}, "y": {"count": 4}}}
    found = merged(Outer, [one, two])
    assert list(found) == ["full", "count", "text", "rows", "parts"]
    assert found == {
        "full": True, "count": 3, "text": "a", "rows": [{"count": 1}], "parts": {"x": {"count": 4}, "y": {"count": 4}},
    }
    assert merged(Outer, [{"text": None}, {"text": None}]) == {"text": None}


def test_lists_that_are_to_match_and_do_not_are_a_bug() -> None:
    with pytest.raises(ValueError, match="shorter"):
        merged(Outer, [{"rows": [{"count": 1}]}, {"rows": []}])


def test_a_member_that_nobody_declared_is_an_error_unless_there_is_a_rule_for_such() -> None:
    with pytest.raises(KeyError, match="new"):
        merged(Outer, [{"new": 1}])
    assert merged(Outer, [{"new": 1}, {"new": 2}], others=largest) == {"new": 2}
    with pytest.raises(TypeError, match=r"Undeclared\.count does not say how it is merged"):
        merged(Undeclared, [{"count": 1}])


@pytest.mark.parametrize("shape", [ConnectorStatus, ConnectorReport, RunReport, SpooledSinkStatus])
def test_every_member_of_every_document_says_how_it_is_merged(shape: Any) -> None:
    assert merged(shape, []) == {}


def test_what_other_people_s_sinks_say_is_merged_by_the_kind_of_its_values() -> None:
    one = {"n": 1, "ok": True, "t": "a", "l": [1], "none": None, "m": {"x": 1}}
    two = {"n": 2, "ok": False, "t": "b", "l": [2], "none": None, "m": {"x": 2, "y": 3}}
    assert by_kind_of_value([one, two]) == {
        "n": 3, "ok": False, "t": "a, b", "l": [1, 2], "none": None, "m": {"x": 3, "y": 3},
    }
