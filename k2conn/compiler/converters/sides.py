"""The aggressor's side from what a venue sends: a value map, a truth value, a sign, with an inversion on condition.

The rule is data. A value the rule does not know becomes UNKNOWN and is counted (the text is kept in vendor_data.side),
or is a dead letter where the spec says ``strict: true``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from k2conn import exactjson
from k2conn.compiler.converters.decimals import read_number
from k2conn.errors import RecordError
from k2conn.plan import Condition, FastConversion, Getter, Reader
from k2conn.scope import Scope

SIDES = ("BUY", "SELL", "SELL_SHORT", "UNKNOWN")
_DIGITS, _PLACES = 18, 12
"""Of a number whose sign C finds."""
_OPPOSITE = {"BUY": "SELL", "SELL": "BUY", "SELL_SHORT": "BUY"}


def mapped_side(
    get: Getter, values: Mapping[str, str], strict: bool, absent: str | None, name: str = "side"
) -> Reader:
    """Side by look-up; keys are in JSON spelling (``true``, ``1``, ``buy``)."""
    table = side_table(values)
    absent = absent or values.get("null")

    def side(item: Any, scope: Scope) -> str:
        value = get(item, scope)
        if type(value) is str or type(value) is bool:
            found: str | None = table.get(value, absent if value == "" else None)
        else:
            found = absent if value is None else table.get(exactjson.spell(value))
        return found if found is not None else _unknown(value, scope, strict, name)

    return side


def quick_side(values: Mapping[str, str]) -> Callable[[Any], str]:
    """The side of a text, a truth value or a whole number that the map knows; KeyError for anything else."""
    table = side_table(values)

    def side(value: Any) -> str:
        if type(value) is str or type(value) is bool:
            found: str = table[value]
            return found
        if type(value) is int:
            found = table[str(value)]
            return found
        raise KeyError

    return side


def side_table(values: Mapping[str, Any]) -> dict[Any, Any]:
    """What stands for each text or truth value."""
    table: dict[Any, Any] = dict(values)
    for spelled, python in (("true", True), ("false", False)):
        if spelled in values:
            table[python] = values[spelled]
    return table


def signed_side(
    get: Getter, positive: str, negative: str, strict: bool, absent: str | None = None, name: str = "side"
) -> Reader:
    """Side by the sign of an amount; zero has no side."""

    def side(item: Any, scope: Scope) -> str:
        value = get(item, scope)
        if absent is not None and (value is None or value == ""):
            return absent
        number = read_number(value)
        if number > 0:
            return positive
        return negative if number < 0 else _unknown(value, scope, strict, name)

    return side


def quick_sign(positive: str, negative: str) -> Callable[[Any], str]:
    """The side by the sign of a number that is not zero; KeyError or RecordError for anything else."""

    def side(value: Any) -> str:
        number = read_number(value)
        if not number:
            raise KeyError
        return positive if number > 0 else negative

    return side


def plain_sign(positive: str, negative: str) -> FastConversion:
    """What `quick_sign` does with plain digits. A number with more places than these is left to it."""
    return FastConversion("sign", _PLACES, 10**_PLACES, 10**_DIGITS, {True: positive, False: negative})


def inverted(side: Reader, when: Condition) -> Reader:
    """The opposite side where a condition holds."""

    def either(item: Any, scope: Scope) -> str:
        found: str = side(item, scope)
        return _OPPOSITE.get(found, found) if when(item, scope) else found

    return either


def _unknown(value: Any, scope: Scope, strict: bool, name: str) -> str:
    if strict:
        raise RecordError(None, None, value, "unknown-side", f"{exactjson.excerpt(value, 40)} is no known {name}")
    scope.unknown_sides += 1
    if value is not None:
        scope.notes[name] = exactjson.spell(value)
    return "UNKNOWN"
