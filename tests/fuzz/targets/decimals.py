"""Prices and quantities: the exact unscaled integer, or the error that is promised; against fractions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

from k2conn.compiler.converters.decimals import Overflow, decimals, read_number, rounded
from k2conn.errors import RecordError
from tests.fuzz.draws import NUMBERS, TEXTS, Draws

SIZES = ((8, 18), (18, 38), (0, 18), (0, 1), (38, 38), (2, 76))
FACTORS = (None, Decimal("1E-8"), Decimal(1000), Decimal("0.3"))
NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?\Z", re.ASCII)
LONGEST = 200
"""Characters of a number's text."""
REASONS = ("bad-number", "missing-field", "overflow")
TRACED = ("k2conn.compiler.converters",)
WORDS = (
    b"0.00000001",
    b"1e5",
    b"1e-8",
    b"E+",
    b"1e1000500",
    b"-",
    b"+",
    b".",
    b"9" * 18,
    b"0" * 40,
    b"1e-400",
    b"NaN",
    b"Infinity",
    b"_",
    b"1E9999",
)
CONVERTERS = [
    (scale, precision, factor, magnitude, signed, decimals(scale, precision, factor, magnitude, signed))
    for scale, precision in SIZES
    for factor in FACTORS
    for magnitude, signed in ((False, False), (True, False), (False, True))
]


def seeds() -> Iterator[bytes]:
    """Converter, how the value is made, value."""
    for number in range(0, len(CONVERTERS), 5):
        for at, _ in enumerate(NUMBERS):
            yield bytes((number, 1, at))
        for text in TEXTS:
            yield bytes((number, 0)) + text.encode("utf-8", "surrogatepass")


def target(data: bytes) -> None:
    """One value through one converter."""
    draws = Draws(data)
    scale, precision, factor, magnitude, signed, convert = draws.of(CONVERTERS)
    kind = draws.below(3)
    value: Any = (
        draws.of(NUMBERS) if kind == 1 else draws.value() if kind == 2 else draws.rest().decode("utf-8", "replace")
    )
    exact = number_of(value)
    try:
        found = convert(value)
    except Overflow as error:
        assert error.exact.is_finite()
        check_rounded(error.exact, scale, precision)
        return
    except RecordError as error:
        assert error.reason in REASONS
        assert exact is None or exact < 0 or error.reason == "overflow", "a number was refused"
        return
    assert type(found) is int
    assert abs(found) < 10**precision
    assert found >= 0 or signed
    assert exact is not None, "no number was taken for one"
    wanted = exact * (1 if factor is None else Fraction(factor))
    assert found == (abs(wanted) if magnitude else wanted) * 10**scale, "another number"


def number_of(value: Any) -> Fraction | None:
    """What the value is, by another reader; None where it is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
        return None
    if isinstance(value, str) and (len(value) > LONGEST or not NUMBER.match(value)):
        return None
    return Fraction(value)


def check_rounded(exact: Decimal, scale: int, precision: int) -> None:
    """Rounding half-even, as `on_overflow: round` does."""
    try:
        found = rounded(exact, scale, precision)
    except Overflow:
        return
    assert found == round(Fraction(exact) * 10**scale), "rounded to another number"
    assert read_number(exact) == exact
