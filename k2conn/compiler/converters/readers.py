"""Readers: a getter and its converter in one, with the field's name and expression in every error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from k2conn import exactjson
from k2conn.compiler.converters.decimals import Overflow, quick_rounded, rounded
from k2conn.errors import RecordError
from k2conn.plan import Condition, Getter, Reader, Symbol
from k2conn.scope import Scope

_CHOSEN = 20_000
"""Symbols whose converter is remembered: a venue may send any number of names."""

Convert = Callable[[Any], Any]
Rules = tuple[tuple[Condition | None, Convert], ...]


def reader(get: Getter, convert: Convert, name: str, expression: str, absent: bool, fallback: Any) -> Reader:
    """A converted value; where ``absent``, null and empty text give the fallback."""

    def read(item: Any, scope: Scope) -> Any:
        value = None
        try:
            value = get(item, scope)
            return convert(value)
        except RecordError as error:
            if absent and error.reason == "missing-field":
                return fallback
            raise error.at(name, expression, value) from None

    return read


def rounding(read: Reader, get: Getter, name: str, scale: int, precision: int, plain: bool) -> Reader:
    """The same, with a number that has too many decimals rounded half-even and its text kept in the notes. ``plain``:
    the number is what the venue says, and no more is said of it.
    """

    def either(item: Any, scope: Scope) -> Any:
        if plain:  # what is usual costs no exception
            value = get(item, scope)
            number = quick_rounded(value, scale, precision)
            if number is not None:
                scope.notes[f"{name}_exact"] = value
                scope.rounded = name, value
                return number
        try:
            return read(item, scope)
        except Overflow as error:
            try:
                number = rounded(error.exact, scale, precision)
            except RecordError:
                raise error from None
            exact = scope.notes[f"{name}_exact"] = exactjson.spell(get(item, scope))
            scope.rounded = name, exact
            return number

    return either


def placed(read: Reader, get: Getter, name: str, expression: str) -> Reader:
    """A reader whose errors get the field's name, expression and value."""

    def at_its_place(item: Any, scope: Scope) -> Any:
        try:
            return read(item, scope)
        except RecordError as error:
            raise error.at(name, expression, _value(get, item, scope)) from None

    return at_its_place


def _value(get: Getter, item: Any, scope: Scope) -> Any:
    try:
        return get(item, scope)
    except RecordError:
        return None


def by_symbol(get: Getter, rules: Rules, name: str, expression: str, absent: bool, fallback: Any) -> Reader:
    """A converter chosen by the record's symbol, once for each."""
    chosen: dict[Symbol | None, Convert] = {}

    def read(item: Any, scope: Scope) -> Any:
        value = None
        try:
            value = get(item, scope)
            convert = chosen.get(scope.symbol)
            if convert is None:
                convert = _choose(rules, scope)
                if len(chosen) < _CHOSEN:
                    chosen[scope.symbol] = convert
            return convert(value)
        except RecordError as error:
            if absent and error.reason == "missing-field":
                return fallback
            raise error.at(name, expression, value) from None

    return read


def _choose(rules: Rules, scope: Scope) -> Convert:
    symbol = scope.symbol.described() if scope.symbol else None
    for condition, convert in rules:
        if condition is None or condition(symbol, scope):
            return convert
    raise RecordError(None, None, None, "bad-number", "no `scale` rule is for this symbol")


def receipt_note(name: str) -> str:
    """The entry of vendor_data that says that a time is the receipt's."""
    return f"{name}_source"


def received(name: str, unit: int) -> Reader:
    """The receipt time in a unit of so many microseconds; the record's vendor_data then says that it is."""

    note = receipt_note(name)

    def read(_: Any, scope: Scope) -> int:
        scope.notes[note] = "received"
        return scope.received_at // unit

    return read


def or_received(read: Reader, get: Getter, otherwise: Reader) -> Reader:
    """A time, or the receipt time where the message has none."""

    def either(item: Any, scope: Scope) -> Any:
        value = get(item, scope)
        return otherwise(item, scope) if value is None or value == "" else read(item, scope)

    return either


def or_fallback(convert: Convert, fallback: Any) -> Convert:
    """A converter that gives the fallback for null and empty text."""

    def either(value: Any) -> Any:
        if value is None or (type(value) is str and not value):
            return fallback
        return convert(value)

    return either


def or_absent(convert: Convert, fallback: Any) -> Convert:
    """A converter that gives the fallback where it reports a missing field."""

    def either(value: Any) -> Any:
        try:
            return convert(value)
        except RecordError as error:
            if error.reason == "missing-field":
                return fallback
            raise

    return either


# -- steps between the message and the converter


def looked_up(get: Getter, name: str) -> Getter:
    """The row of a captured table under the value's key."""

    def look_up(item: Any, scope: Scope) -> Any:
        table = scope.state.get(name)
        key = get(item, scope)
        return table.get(exactjson.spell(key)) if isinstance(table, dict) and key is not None else None

    return look_up


def cut_out(get: Getter, cut: Callable[[str], str | dict[str, str] | None]) -> Getter:
    """The part of a text that a pattern names, or its named parts."""

    def part(item: Any, scope: Scope) -> Any:
        value = get(item, scope)
        return cut(value) if type(value) is str else None

    return part


def cased(get: Getter, case: str) -> Getter:
    """A text in upper or lower case."""
    change = str.upper if case == "upper" else str.lower

    def change_case(item: Any, scope: Scope) -> Any:
        value = get(item, scope)
        return change(value) if type(value) is str else value

    return change_case


# -- the plain converters


def text(value: Any) -> str:
    """Text as it is, a whole number as its digits; anything else is no id."""
    if type(value) is str and value:
        return value
    if type(value) is int:
        return str(value)
    if value is None or value == "":
        raise RecordError(None, None, None, "missing-field", "the value is missing")
    detail = f"{exactjson.excerpt(value, 40)} is neither text nor a whole number"
    raise RecordError(None, None, None, "bad-type", detail)


def texts(value: Any) -> list[str]:
    """A list of texts."""
    if type(value) is str and value:
        return [value]
    if value is None or value == "":
        raise RecordError(None, None, None, "missing-field", "the value is missing")
    if type(value) is not list:
        raise RecordError(None, None, None, "bad-type", "not a list of text")
    return [exactjson.spell(one) for one in value]


def text_map(value: Any) -> dict[str, str]:
    """An object's members as text in JSON spelling; members that are null are left out."""
    if value is None or value == "":
        raise RecordError(None, None, None, "missing-field", "the value is missing")
    if type(value) is not dict:
        raise RecordError(None, None, None, "bad-type", "not an object")
    return {key: one if type(one) is str else exactjson.spell(one) for key, one in value.items() if one is not None}


def small_number(value: Any) -> int:
    """A whole number that an Avro int can hold."""
    number = whole_number(value)
    if not -(2**31) <= number < 2**31:
        raise RecordError(None, None, None, "overflow", "does not fit 32 bits")
    return number


def whole_number(value: Any) -> int:
    """A whole number that an Avro long can hold."""
    if type(value) is str and len(value) < 40 and value.isascii() and value.removeprefix("-").isdecimal():
        value = int(value)
    if type(value) is not int:
        reason = "missing-field" if value is None or value == "" else "bad-type"
        raise RecordError(None, None, None, reason, "not a whole number")
    if not -(2**63) <= value < 2**63:
        raise RecordError(None, None, None, "overflow", "does not fit 64 bits")
    return value
