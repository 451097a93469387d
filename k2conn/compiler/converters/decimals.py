"""Prices and quantities: number text to a scaled integer, exactly or not at all.

The encoder's value is the unscaled integer at the schema's scale: 64000.1 at scale 8 is 6400010000000. No binary
float and no rounding on the way; a value that does not fit is an overflow, which the connector's `on_overflow` policy
answers: a dead letter, or half-even rounding with the original kept in vendor_data.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_05UP, ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any

from k2conn import exactjson
from k2conn.errors import RecordError
from k2conn.plan import FastConversion
from k2conn.records import V2, WIDE

_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?\Z")
EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""Nothing is rounded in it, however many digits a number has: a context of some hundred digits would round a longer
number first, and then find that it fits.
"""
_QUOTIENT = Context(prec=100, rounding=ROUND_05UP, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""For quotients, which may have no end. What is cut off leaves a mark in the last of its digits, so that a number which
is rounded again comes out as if it had been rounded once.
"""
_LONGEST = 200
_QUICK = 40
"""Characters up to which plain digits are read without a Decimal."""

_128_BITS = 38
"""Digits that every number of 128 bits can have."""

Decimals = Callable[[Any], int]


class Overflow(RecordError):
    """A number with more digits than the field holds; ``exact`` is the number itself. Whoever asks for the detail is
    told what would hold it; who rounds the number does not ask.
    """

    def __init__(self, exact: Decimal, detail: str, scale: int, precision: int) -> None:
        super().__init__(None, None, None, "overflow", detail)
        self.exact = exact
        self._size = precision, scale

    @property
    def detail(self) -> str:
        """The text for people."""
        return self._detail + _hint(self.exact, self._size)

    @detail.setter
    def detail(self, text: str) -> None:
        self._detail = text


def decimals(
    scale: int, precision: int, factor: Decimal | None = None, magnitude: bool = False, signed: bool = False
) -> Decimals:
    """A converter from JSON number or number text to the unscaled integer; raises RecordError.

    ``factor`` multiplies (a venue that sends prices in 1e-8), ``magnitude`` drops the sign (a venue whose amounts
    carry the side in their sign), ``signed`` allows a price below zero (spreads between contracts).
    """
    limit: int = 10**precision
    moved = _moved(factor, scale, precision)
    places = scale if moved is None else moved
    one: int = 10**places
    zeros = tuple("0" * (places - n) for n in range(places + 1))
    point_at, least = -1 - places, max(places, 1)
    top = Decimal(limit).scaleb(-places, EXACT)

    def plain(value: Any) -> int:
        if type(value) is str:
            size = len(value)
            if least < size <= _QUICK and value[point_at] == ".":  # as many places as the field has: most venues
                digits = value.replace(".", "", 1)
            elif size <= _QUICK:
                whole, point, fraction = value.partition(".")
                said = len(fraction)
                digits = whole + fraction + zeros[said] if point and said <= places and size > 1 else ""
            else:
                return slow(value)
            if digits.isdecimal() and digits.isascii():
                number = int(digits)
                if number < limit:
                    return number
            return slow(value)
        if type(value) is int:
            number = value * one
            return number if 0 <= number < limit else slow(value)
        if type(value) is Decimal and value.is_finite() and 0 <= value < top:
            scaled = value.scaleb(places, EXACT)
            number = int(scaled)
            if number == scaled:
                return number
        return slow(value)

    def slow(value: Any) -> int:
        exact = _signed(read_number(value), magnitude, signed)
        return fit(exact if factor is None else EXACT.multiply(exact, factor), scale, precision)

    return slow if magnitude or moved is None else plain


def quotients(scale: int, precision: int, divisor: Decimal, magnitude: bool = False, signed: bool = False) -> Decimals:
    """A converter as `decimals`, of numbers that are divided by one above zero. A quotient with more digits than the
    field holds is an overflow, as any number is.
    """

    def divided(value: Any) -> int:
        exact = _signed(read_number(value), magnitude, signed)
        return fit(_QUOTIENT.divide(exact, divisor), scale, precision)

    return divided


def _signed(exact: Decimal, magnitude: bool, signed: bool) -> Decimal:
    """The number with the sign that the field takes."""
    if magnitude:
        return exact.copy_abs()
    if exact < 0 and not signed:
        raise RecordError(None, None, None, "bad-number", "the number is negative, and the field is not `signed`")
    return exact


def _moved(factor: Decimal | None, scale: int, precision: int) -> int | None:
    """How many places a number has whose digits are those of the field; None where the factor does more than move the
    point, or moves it too far.
    """
    if factor is None:
        return scale
    places = scale + factor.adjusted()
    return places if factor == Decimal(1).scaleb(factor.adjusted()) and 0 <= places <= precision else None


def plain_decimal(
    scale: int, precision: int, factor: Decimal | None = None, magnitude: bool = False, signed: bool = False
) -> FastConversion | None:
    """What `decimals` does with plain digits; None where 128 bits do not hold them, or ``factor`` does more than move
    the point.
    """
    if factor is not None:
        shift = factor.adjusted()
        if factor != Decimal(1).scaleb(shift):
            return None
        scale += shift
    if not 0 <= scale <= precision <= _128_BITS:
        return None
    kind = "magnitude" if magnitude else "signed" if signed else "decimal"
    return FastConversion(kind, scale, 10**scale, 10**precision)


def read_number(value: Any) -> Decimal:
    """The exact number of a JSON number or number text; raises RecordError for anything else."""
    if type(value) is Decimal:
        exact = value
    elif type(value) is int:
        exact = Decimal(value)
    elif type(value) is str and len(value) <= _LONGEST and _NUMBER.match(value):
        try:
            exact = Decimal(value)
        except InvalidOperation:
            raise RecordError(None, None, None, "bad-number", "not a number") from None
    elif value is None or value == "":
        raise RecordError(None, None, None, "missing-field", "the value is missing")
    else:
        raise RecordError(None, None, None, "bad-number", f"{_kind(value)} is not a number")
    if not exact.is_finite():
        raise RecordError(None, None, None, "bad-number", "not a number")
    if exact and not -_LONGEST < exact.adjusted() < _LONGEST:
        raise RecordError(None, None, None, "overflow", "the exponent is out of any range")
    return exact


def fit(exact: Decimal, scale: int, precision: int) -> int:
    """The unscaled integer of an exact number; raises Overflow where a digit would be lost."""
    scaled = exact.scaleb(scale, EXACT)
    number = int(scaled)
    if number != scaled:
        raise Overflow(exact, f"more than {scale} decimals", scale, precision)
    if abs(number) >= 10**precision:
        raise Overflow(exact, f"{10 ** (precision - scale)} or more", scale, precision)
    return number


def rounded(exact: Decimal, scale: int, precision: int) -> int:
    """The unscaled integer after half-even rounding; raises Overflow where the whole part does not fit."""
    number = int(exact.scaleb(scale, EXACT).to_integral_value(ROUND_HALF_EVEN, EXACT))
    if abs(number) >= 10**precision:
        raise Overflow(exact, f"{10 ** (precision - scale)} or more", scale, precision)
    return number


def quick_rounded(text: Any, scale: int, precision: int) -> int | None:
    """The same of a text of plain digits that has too many places; None for any other value."""
    if type(text) is not str or len(text) > _QUICK or not text.isascii():
        return None
    whole, point, fraction = text.partition(".")
    if not point or len(fraction) <= scale or not whole.isdecimal() or not fraction.isdecimal():
        return None
    number, rest, half = int(whole + fraction[:scale]), fraction[scale:].rstrip("0"), "5"
    if not rest:
        return None  # nothing is lost
    if rest > half or (rest == half and number % 2):
        number += 1
    return number if number < 10**precision else None


def _hint(exact: Decimal, size: tuple[int, int]) -> str:
    """What holds a number that v2's decimals do not."""
    if size != V2:
        return ""
    scaled = exact.scaleb(WIDE.scale, EXACT)
    fits = scaled == int(scaled) and abs(int(scaled)) < 10**WIDE.precision
    return f", which decimal({V2}) does not hold; K2_DECIMALS={WIDE} does" if fits else ""


def _kind(value: Any) -> str:
    if type(value) is str:
        return f"the text '{value[:40]}'"
    return {bool: "a truth value", list: "an array", dict: "an object"}.get(type(value), exactjson.excerpt(value, 40))
