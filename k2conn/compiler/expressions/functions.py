"""JMESPath's functions over exact numbers: ints and Decimals in, ints and Decimals out, no binary float anywhere.

The arguments' types are checked by the jmespath package itself, whose table is widened by Decimal. Settled: what a
function cannot do (text where a number belongs) is a RecordError in a field and null in a condition, because
``length(data)`` is evaluated for every message, also for those without data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Context, Decimal, localcontext
from typing import Any

from jmespath import exceptions
from jmespath.functions import signature

from k2conn import exactjson
from k2conn.codecs.component import check_text
from k2conn.compat.jmespath import DecimalFunctions
from k2conn.compiler.converters.decimals import EXACT, read_number
from k2conn.errors import RecordError
from k2conn.plan import Getter
from k2conn.scope import Scope

_DIGITS = 40
"""Of a whole number that is read at once."""
_LONGEST = 1 << 20
"""Characters of a joined text."""
_EXACT = Context(prec=200)
_WIDEST = 400
"""Digits either side of the point that a number may have in arithmetic; beyond it the result is null."""


class ExactFunctions(DecimalFunctions):
    """The standard functions; those that would make or refuse a number are exact here."""

    @signature({"types": ["number"]})
    def _func_abs(self, arg: Any) -> Any:
        return arg.copy_abs() if isinstance(arg, Decimal) else abs(arg)

    @signature({"types": ["array-number"]})
    def _func_avg(self, arg: Any) -> Any:
        if not arg or not all(map(_narrow, arg)):
            return None
        with localcontext(EXACT):
            total = sum(arg, Decimal(0))
        mean = _EXACT.divide(total, Decimal(len(arg)))
        exact = EXACT.multiply(mean, Decimal(len(arg))) == total
        if not exact and len(mean.normalize(_EXACT).as_tuple().digits) < _EXACT.prec // 2:
            return None  # rounded to what looks like an exact number
        return whole(mean)

    @signature({"types": ["array-number"]})
    def _func_sum(self, arg: Any) -> Any:
        if not all(map(_narrow, arg)):
            return None
        with localcontext(EXACT):
            return sum(arg)

    @signature({"types": ["number"]})
    def _func_ceil(self, arg: Any) -> Any:
        return math.ceil(arg) if _narrow(arg) else None

    @signature({"types": ["number"]})
    def _func_floor(self, arg: Any) -> Any:
        return math.floor(arg) if _narrow(arg) else None

    @signature({"types": ["array", "string"]}, {"types": []})
    def _func_contains(self, subject: Any, search: Any) -> Any:
        if isinstance(subject, str):
            return isinstance(search, str) and search in subject
        return any(equal(one, search) for one in subject)

    @signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, separator: Any, array: Any) -> Any:
        if sum(map(len, array)) + len(separator) * len(array) > _LONGEST:
            raise ValueError(f"a text has at most {_LONGEST} characters")
        return separator.join(array)

    @signature({"types": ["string"]})
    def _func_from_json(self, text: Any) -> Any:
        check_text(text)
        return exactjson.decode(text)

    @signature({"types": ["object"]})
    def _func_items(self, arg: Any) -> Any:
        return [[key, value] for key, value in arg.items()]

    @signature({"types": ["object"]})
    def _func_rows(self, columns: Any) -> Any:
        """A column that is not there is null in each row."""
        there = {name: column for name, column in columns.items() if column is not None}
        if not there:
            return None
        if wrong := next((name for name, column in there.items() if not isinstance(column, list)), None):
            raise ValueError(f"the column '{wrong}' is no array")
        count = len(next(iter(there.values())))
        if other := next((name for name, column in there.items() if len(column) != count), None):
            raise ValueError(f"columns have as many values as each other: '{next(iter(there))}' has {count}, "
                             f"'{other}' {len(there[other])}")
        return [dict(zip(there, row, strict=True)) for row in zip(*there.values(), strict=True)]

    @signature({"types": []})
    def _func_to_string(self, arg: Any) -> Any:
        return arg if isinstance(arg, str) else exactjson.encode(arg).decode()

    @signature({"types": []})
    def _func_to_number(self, arg: Any) -> Any:
        if isinstance(arg, bool) or not isinstance(arg, (int, Decimal, str)):
            return None
        return number(arg) if isinstance(arg, str) else arg


_OTHERWISE = object()
"""What a quick function gives for arguments that the checked one must judge."""
_SHORT = 2**62
"""A whole number below it is written as Python writes it."""
_TYPES = {str: "string", dict: "object", list: "array", bool: "boolean", type(None): "null", int: "number",
          Decimal: "number"}


def _quick_type(arg: Any) -> Any:
    return _TYPES.get(type(arg), _OTHERWISE)


def _quick_length(arg: Any) -> Any:
    return len(arg) if type(arg) is list or type(arg) is str or type(arg) is dict else _OTHERWISE


def _quick_reverse(arg: Any) -> Any:
    return arg[::-1] if type(arg) is list or type(arg) is str else _OTHERWISE


def _quick_join(separator: Any, array: Any) -> Any:
    if type(separator) is not str or type(array) is not list:
        return _OTHERWISE
    try:
        if sum(map(len, array)) + len(separator) * len(array) > _LONGEST:
            return _OTHERWISE
        return separator.join(array)
    except TypeError:  # something in it is no text
        return _OTHERWISE


def _quick_to_number(arg: Any) -> Any:
    if type(arg) is str and len(arg) <= _DIGITS and arg.isdecimal() and arg.isascii():
        return int(arg)
    return arg if type(arg) is int or type(arg) is Decimal else _functions._func_to_number(arg)


def _quick_not_null(*arguments: Any) -> Any:
    return next((one for one in arguments if one is not None), None)


_QUICK: dict[str, Callable[..., Any]] = {
    "type": _quick_type, "length": _quick_length, "reverse": _quick_reverse, "not_null": _quick_not_null,
    "join": _quick_join,
    "to_string": lambda arg: _functions._func_to_string(arg), "to_number": _quick_to_number,
}
"""The functions that streams call for every message, without the table of what their arguments may be."""
_functions: ExactFunctions = ExactFunctions()
_TABLE: dict[str, Any] = _functions.FUNCTION_TABLE
NAMES: tuple[str, ...] = tuple(sorted(_TABLE))


def arity(name: str) -> tuple[int, bool]:
    """How many arguments a function takes, and whether it takes more than that."""
    wanted = _TABLE[name]["signature"]
    return len(wanted), bool(wanted) and bool(wanted[-1].get("variadic"))


def takes_expression(name: str) -> int | None:
    """Which argument of a function is an expression (``&quantity``), counted from 0; None where all are values."""
    return next((at for at, one in enumerate(_TABLE[name]["signature"]) if "expref" in one["types"]), None)


ERRORS = (exceptions.JMESPathError, TypeError, ValueError, ArithmeticError, RecordError)
"""What a function raises that cannot be computed."""


def caller(name: str, arguments: Sequence[Getter], lenient: bool) -> Getter:
    """A function of what its arguments find. Where it cannot be computed: null if ``lenient``, else RecordError."""
    quick = _QUICK.get(name)
    if quick is None:
        return lambda value, scope: call(name, [given(value, scope) for given in arguments], lenient)
    if name == "to_string":
        (shown,) = arguments

        def to_string(value: Any, scope: Scope) -> Any:
            said = shown(value, scope)
            if type(said) is str:
                return said
            return str(said) if type(said) is int and -_SHORT < said < _SHORT else call(name, [said], lenient)

        return to_string
    if len(arguments) == 1:
        (only,) = arguments

        def of_one(value: Any, scope: Scope) -> Any:
            said = only(value, scope)
            try:
                found = quick(said)
            except ERRORS:
                found = _OTHERWISE
            return found if found is not _OTHERWISE else call(name, [said], lenient)

        return of_one

    def of_several(value: Any, scope: Scope) -> Any:
        said = [given(value, scope) for given in arguments]
        try:
            found = quick(*said)
        except ERRORS:
            found = _OTHERWISE
        return found if found is not _OTHERWISE else call(name, said, lenient)

    return of_several


_CHOICES: dict[str, Callable[[list[Any]], Any]] = {"max_by": max, "min_by": min}


def chooser(name: str, rows: Getter, key: Getter, otherwise: Getter) -> Getter:
    """`max_by` and `min_by` where all keys are numbers; ``otherwise`` is the checked function."""
    pick = _CHOICES.get(name)
    if pick is None:
        return otherwise

    def chosen(value: Any, scope: Scope) -> Any:
        found = rows(value, scope)
        if type(found) is not list:
            return otherwise(value, scope)
        if not found:
            return None
        try:
            keys = [key(row, scope) for row in found]
        except ERRORS:
            return otherwise(value, scope)
        for one in keys:
            if type(one) is not Decimal and type(one) is not int:
                return otherwise(value, scope)
        return found[0] if len(keys) == 1 else found[keys.index(pick(keys))]

    return chosen


def call(name: str, arguments: Sequence[Any], lenient: bool) -> Any:
    """A function's value. Where it cannot be computed: null if ``lenient``, else RecordError."""
    quick = _QUICK.get(name)
    try:
        found = quick(*arguments) if quick is not None else _OTHERWISE
        if found is not _OTHERWISE:
            return found
        return _functions.call_function(name, list(arguments))
    except ERRORS as error:
        if lenient:
            return None
        raise RecordError(None, None, None, "bad-type", f"{name}(): {error}") from None


def equal(one: Any, other: Any) -> bool:
    """JMESPath's equality: 0 and 1 are not false and true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def number(text: str) -> int | Decimal | None:
    """A number from text, exact; None where the text is none."""
    if len(text) <= _DIGITS and text.isdecimal() and text.isascii():
        return int(text)
    try:
        found = read_number(text.strip())
    except RecordError:
        return None
    return found if "." in text or "e" in text.lower() else whole(found)


def whole(found: Decimal) -> int | Decimal:
    """An int where a Decimal has no fraction."""
    if _narrow(found) and found == found.to_integral_value():
        return int(found)
    return found.normalize(EXACT)


def _narrow(value: Any) -> bool:
    if not isinstance(value, Decimal):
        return True
    return value.is_finite() and abs(value.adjusted()) < _WIDEST
