"""The aggressor's side: a map of values, a sign, an inversion; what is unknown is counted or refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from k2conn.compiler.converters.sides import inverted, mapped_side, signed_side
from k2conn.errors import RecordError
from k2conn.scope import Scope


def value(item: Any, scope: Scope) -> Any:
    return item


@pytest.mark.parametrize(
    ("values", "given", "wanted"),
    [
        ({"buy": "BUY", "sell": "SELL"}, "buy", "BUY"),
        ({"buy": "BUY", "sell": "SELL"}, "sell", "SELL"),
        ({"buy": "SELL", "sell": "BUY"}, "buy", "SELL"),
        ({"true": "SELL", "false": "BUY"}, True, "SELL"),
        ({"true": "SELL", "false": "BUY"}, False, "BUY"),
        ({"true": "SELL", "false": "BUY"}, "true", "SELL"),
        ({"1": "BUY", "2": "SELL"}, 1, "BUY"),
        ({"1": "BUY", "2": "SELL"}, "2", "SELL"),
        ({"ASK": "SELL", "BID": "BUY"}, "ASK", "SELL"),
        ({"b": "BUY", "s": "SELL", "": "UNKNOWN"}, "", "UNKNOWN"),
        ({"b": "BUY", "s": "SELL", "null": "UNKNOWN"}, None, "UNKNOWN"),
    ],
)
def test_a_map_reads_values_in_json_spelling(values: dict[str, str], given: Any, wanted: str) -> None:
    scope = Scope()
    assert mapped_side(value, values, True, None)(given, scope) == wanted
    assert (scope.unknown_sides, scope.notes) == (0, {})


@pytest.mark.parametrize("given", ["Buy", " buy", "", None, 1, True, Decimal("1.0"), [], {}, "\u0000"])
def test_an_unknown_value_is_counted_and_kept_or_refused(given: Any) -> None:
    values = {"buy": "BUY", "sell": "SELL"}
    scope = Scope()
    assert mapped_side(value, values, False, None)(given, scope) == "UNKNOWN"
    assert scope.unknown_sides == 1
    assert ("side" in scope.notes) == (given is not None)
    with pytest.raises(RecordError) as caught:
        mapped_side(value, values, True, None)(given, Scope())
    assert caught.value.reason == "unknown-side"


def test_true_is_not_one_and_one_is_not_true() -> None:
    assert mapped_side(value, {"1": "BUY"}, False, None)(True, Scope()) == "UNKNOWN"
    assert mapped_side(value, {"true": "BUY"}, False, None)(1, Scope()) == "UNKNOWN"


@pytest.mark.parametrize("given", [None, ""])
def test_absent_says_what_a_missing_side_is(given: Any) -> None:
    scope = Scope()
    assert mapped_side(value, {"buy": "BUY"}, True, "SELL")(given, scope) == "SELL"
    assert signed_side(value, "BUY", "SELL", True, "SELL")(given, scope) == "SELL"
    assert scope.unknown_sides == 0


@pytest.mark.parametrize(
    ("given", "wanted"),
    [(Decimal("0.005"), "BUY"), (Decimal("-0.005"), "SELL"), ("-1", "SELL"), ("1e-8", "BUY"), (3, "BUY"), (-3, "SELL")],
)
def test_a_sign_is_a_side(given: Any, wanted: str) -> None:
    assert signed_side(value, "BUY", "SELL", True)(given, Scope()) == wanted


def test_zero_has_no_side_and_text_no_sign() -> None:
    assert signed_side(value, "BUY", "SELL", False)("0.0", Scope()) == "UNKNOWN"
    with pytest.raises(RecordError) as caught:
        signed_side(value, "BUY", "SELL", False)("much", Scope())
    assert caught.value.reason == "bad-number"


def test_an_inversion_turns_buy_and_sell_and_nothing_else() -> None:
    sides = {"b": "BUY", "s": "SELL", "h": "SELL_SHORT", "u": "UNKNOWN"}
    read = mapped_side(value, sides, True, None)
    turned = inverted(read, lambda item, scope: scope.message == "maker")
    scope = Scope()
    assert [turned(one, scope) for one in sides] == ["BUY", "SELL", "SELL_SHORT", "UNKNOWN"]
    scope.message = "maker"
    assert [turned(one, scope) for one in sides] == ["SELL", "BUY", "BUY", "UNKNOWN"]
