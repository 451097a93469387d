"""Numbers whose scale is not the connector file's but the venue's: captured, listed, or beside the number itself.

A scale is what a number is multiplied by (``0.01``) or divided by (``100``), how many of its digits stand behind the
point (``2``), or the power of ten that it is multiplied by (``-2``). Also numbers whose digits stand in groups of
three, and whose decimals stand behind a comma.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from k2conn import exactjson
from k2conn.compiler.converters.decimals import EXACT, read_number
from k2conn.errors import RecordError
from k2conn.plan import Getter, Reader, Separators
from k2conn.scope import Scope

Convert = Callable[[Any], Any]
LEAST, MOST = Decimal("1e-30"), Decimal("1e30")
"""What a number may be multiplied by."""
_MOST_DIGITS = 30
_LONGEST = 200
POINT = "."
"""What stands before the decimals where nothing else is said."""
_KNOWN = 1000
"""Scales whose converter is kept: a venue may send any number of them."""


def scaled_by_value(
    get: Getter, scale: Getter, factor: Callable[[Any], Decimal], converter: Callable[[Decimal], Convert], name: str,
    expression: str, absent: bool, fallback: Any,
) -> Reader:
    """A number with the scale that stands elsewhere; ``factor`` reads that, ``converter`` is the converter for one."""
    known: dict[Any, Convert] = {}

    def chosen(item: Any, scope: Scope) -> Convert:
        try:
            found = scale(item, scope)
        except RecordError as error:  # it is in no table, or no such thing
            raise _wrong(f"its scale: {error.detail}") from None
        key = (type(found), found) if type(found) in (str, int, Decimal) else None
        convert = known.get(key)
        if convert is None:
            convert = converter(factor(found))
            if len(known) < _KNOWN:
                known[key] = convert
        return convert

    def read(item: Any, scope: Scope) -> Any:
        value = None
        try:
            value = get(item, scope)
            if value is None or value == "":
                raise RecordError(None, None, None, "missing-field", "the value is missing")
            return chosen(item, scope)(value)
        except RecordError as error:
            if absent and error.reason == "missing-field":
                return fallback
            raise error.at(name, expression, value) from None

    return read


def factor_itself(value: Any) -> Decimal:
    """What to multiply by, or to divide by, as the venue says it."""
    found = _number(value)
    if not LEAST <= found <= MOST:
        raise _wrong(f"the scale {exactjson.excerpt(value, 40)} is not between {LEAST} and {MOST}")
    return found


def factor_of_digits(value: Any) -> Decimal:
    """What to multiply by, where the venue says how many digits stand behind the point."""
    found = _number(value)
    if found != int(found) or not 0 <= found <= _MOST_DIGITS:
        raise _wrong(f"{exactjson.excerpt(value, 40)} is no number of digits behind the point, 0 to {_MOST_DIGITS}")
    return Decimal(1).scaleb(-int(found), EXACT)


def factor_of_exponent(value: Any) -> Decimal:
    """What to multiply by, where the venue says the power of ten."""
    found = _number(value)
    if found != int(found) or abs(found) > _MOST_DIGITS:
        raise _wrong(f"{exactjson.excerpt(value, 40)} is no power of ten from -{_MOST_DIGITS} to {_MOST_DIGITS}")
    return Decimal(1).scaleb(int(found), EXACT)


class ScaleWord(NamedTuple):
    """How a venue may say the scale of a number."""

    factor: Callable[[Any], Decimal]
    text: str
    """How `explain` says it, around the expression."""
    divides: bool = False


SCALE_WORDS = {
    "from": ScaleWord(factor_itself, "times {}"),
    "divide_by": ScaleWord(factor_itself, "divided by {}", divides=True),
    "digits": ScaleWord(factor_of_digits, "{} digits behind the point"),
    "exponent": ScaleWord(factor_of_exponent, "times ten to the power of {}"),
}


def ratio(get: Getter, divisor: Getter) -> Getter:
    """The text of a number and of what it is divided by: what is kept where their quotient is rounded."""

    def both(item: Any, scope: Scope) -> str:
        return f"{exactjson.spell(get(item, scope))}/{exactjson.spell(divisor(item, scope))}"

    return both


def _number(value: Any) -> Decimal:
    try:
        return read_number(value)
    except RecordError as error:
        missing = error.reason == "missing-field"
        raise _wrong("the number's scale is missing" if missing else f"its scale: {error.detail}") from None


def _wrong(detail: str) -> RecordError:
    return RecordError(None, None, None, "bad-number", detail)


def punctuated(convert: Convert, separators: Separators) -> Convert:
    """A converter of number text as `separators` spell it, such as ``1.234,5``. Whatever has them in another place, or
    others, is no number: nothing is guessed of it.
    """
    thousands, mark = separators
    one, point = re.escape(thousands), re.escape(mark)
    grouped = re.compile(rf"[-+]?[0-9]{{1,3}}(?:{one}[0-9]{{3}})+(?:{point}[0-9]*)?\Z")
    plain = re.compile(rf"[-+]?(?:[0-9]+{point}?[0-9]*|{point}[0-9]+)(?:[eE][-+]?[0-9]{{1,4}})?\Z")

    def read(value: Any) -> Any:
        if type(value) is not str:
            return convert(value)
        text = value
        if thousands and thousands in text:
            if not grouped.match(text[:_LONGEST + 1]) or len(text) > _LONGEST:
                raise _wrong(f"'{text[:40]}' is no number in groups of three digits")
            text = text.replace(thousands, "")
        if mark != POINT and text:
            if len(text) > _LONGEST or not plain.match(text):
                raise _wrong(f"'{value[:40]}' is no number whose decimals stand behind '{mark}'")
            text = text.replace(mark, POINT)
        return convert(text)

    return read
