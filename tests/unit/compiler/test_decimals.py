"""Number text to scaled integers: exactly, or not at all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn.compiler.converters.decimals import (
    EXACT,
    Overflow,
    decimals,
    fit,
    quick_rounded,
    read_number,
    rounded,
)
from k2conn.errors import RecordError

D = Decimal

FITS = [
    ("64000.10", 6_400_010_000_000),
    ("64000.1", 6_400_010_000_000),
    ("64000", 6_400_000_000_000),
    ("64000.", 6_400_000_000_000),
    (".5", 50_000_000),
    ("0", 0),
    ("-0", 0),
    ("-0.0", 0),
    ("+1.5", 150_000_000),
    ("00012.50", 1_250_000_000),
    ("1E-8", 1),
    ("1e-8", 1),
    ("1.5E+3", 150_000_000_000),
    (D("1E-8"), 1),
    (D("64000.10"), 6_400_010_000_000),
    (D("0E+30"), 0),
    (64000, 6_400_000_000_000),
    (0, 0),
    ("9999999999.99999999", 10**18 - 1),
    (D("9999999999.99999999"), 10**18 - 1),
    (9999999999, 9_999_999_999 * 10**8),
    ("1.123456780", 112_345_678),
    ("1.10000000000000000000000000000000000000000000", 110_000_000),
    (D("1.123456780"), 112_345_678),
]

REFUSED = [
    ("10000000000", "overflow"),
    (10000000000, "overflow"),
    (10**400, "overflow"),
    ("10000000000.0", "overflow"),
    ("1.123456789", "overflow"),
    (D("1.123456789"), "overflow"),
    ("1e-9", "overflow"),
    ("1e999999", "bad-number"),
    ("1e9999", "overflow"),
    (D("1e999999"), "overflow"),
    (D("1e-999999"), "overflow"),
    ("9" * 5000, "bad-number"),
    ("0." + "9" * 5000, "bad-number"),
    ("-1", "bad-number"),
    (-1, "bad-number"),
    (D("-0.00000001"), "bad-number"),
    ("", "missing-field"),
    (None, "missing-field"),
    (True, "bad-number"),
    (False, "bad-number"),
    ("NaN", "bad-number"),
    ("Infinity", "bad-number"),
    ("-inf", "bad-number"),
    (" 1", "bad-number"),
    ("1 ", "bad-number"),
    ("1,5", "bad-number"),
    ("1_000", "bad-number"),
    ("1_0.0", "bad-number"),
    ("0x10", "bad-number"),
    ("1.2.3", "bad-number"),
    ("--1", "bad-number"),
    (".", "bad-number"),
    ("e5", "bad-number"),
    ("\u0661\u0662.\u0663", "bad-number"),
    ("1\n", "bad-number"),
    ("\u00b2.5", "bad-number"),
    ([], "bad-number"),
    ({}, "bad-number"),
    ([1], "bad-number"),
]


@pytest.mark.parametrize(("value", "wanted"), FITS, ids=[repr(value)[:40] for value, _ in FITS])
def test_what_fits_is_exact(value: Any, wanted: int) -> None:
    found = decimals(8, 18)(value)
    assert type(found) is int
    assert found == wanted


@pytest.mark.parametrize(("value", "reason"), REFUSED, ids=[repr(value)[:40] for value, _ in REFUSED])
def test_what_does_not_fit_says_why(value: Any, reason: str) -> None:
    for convert in (decimals(8, 18), decimals(8, 18, D(1))):
        with pytest.raises(RecordError) as caught:
            convert(value)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("value", "factor", "wanted"),
    [
        (6400010000000, D("1e-8"), 6_400_010_000_000),
        ("12345", D("0.1"), 123_450_000_000),
        (D("0.5"), D(100), 5_000_000_000),
        ("1e-4", D("1e4"), 100_000_000),
        ("0.000000011", D(1000), 1100),
    ],
)
def test_a_scale_multiplies_exactly(value: Any, factor: Decimal, wanted: int) -> None:
    assert decimals(8, 18, factor)(value) == wanted


def test_a_scale_that_leaves_too_many_decimals_is_an_overflow() -> None:
    with pytest.raises(Overflow) as caught:
        decimals(8, 18, D("1e-8"))("0.1")
    assert caught.value.exact == D("1e-9")


@pytest.mark.parametrize(
    ("value", "wanted"), [("-0.25", 25_000_000), (D("-0.25"), 25_000_000), (-1, 10**8), ("2.5", 250_000_000)]
)
def test_magnitude_drops_the_sign(value: Any, wanted: int) -> None:
    assert decimals(8, 18, None, True)(value) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1.123456785", 112_345_678),
        ("1.123456775", 112_345_678),
        ("1.1234567751", 112_345_678),
        ("1.123456789", 112_345_679),
        ("1e-30", 0),
    ],
)
def test_rounding_is_half_even(text: str, wanted: int) -> None:
    assert rounded(D(text), 8, 18) == wanted


def test_rounding_does_not_make_room_for_large_numbers() -> None:
    with pytest.raises(Overflow, match="10000000000 or more"):
        rounded(D("9999999999.999999999"), 8, 18)


@given(st.integers(min_value=0, max_value=10**18 - 1))
def test_every_number_that_fits_comes_back_whole(number: int) -> None:
    text = f"{number // 10**8}.{number % 10**8:08}"
    convert = decimals(8, 18)
    assert convert(text) == convert(D(text)) == convert(text.rstrip("0")) == number


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**11))
def test_any_decimal_is_exact_or_refused(number: Decimal) -> None:
    for value in (number, str(number), format(number, "f")):
        reason = None
        try:
            assert D(decimals(8, 18)(value)).scaleb(-8) == number
        except RecordError as error:
            reason = error.reason
        assert reason in (None, "overflow") or len(str(value)) > 200


@given(st.text(max_size=12))
def test_any_text_is_a_number_or_a_record_error(text: str) -> None:
    reason = None
    try:
        assert read_number(text) == D(text)
    except RecordError as error:
        reason = error.reason
    assert reason in (None, "bad-number", "missing-field")


SAID = st.one_of(
    st.from_regex(r"-?[0-9]{0,12}\.?[0-9]{0,20}", fullmatch=True), st.integers(-5, 10**20), st.none(), st.booleans(),
    st.decimals(-2, 10**12, allow_nan=False), st.sampled_from(["", ".", "1.", ".5", "1e5", "+1", "1_0", "٣", "1..2"]),
)


@given(SAID, st.integers(-20, 12))
def test_a_factor_that_moves_the_point_is_exact(value: Any, shift: int) -> None:
    def slowly() -> Any:
        exact = EXACT.multiply(read_number(value), D(1).scaleb(shift))
        if exact < 0:
            raise RecordError(None, None, None, "bad-number", "")
        return fit(exact, 8, 18)

    def outcome(number: Any) -> Any:
        try:
            return number()
        except RecordError as error:
            return error.reason

    assert outcome(lambda: decimals(8, 18, D(1).scaleb(shift))(value)) == outcome(slowly)


@given(SAID, st.sampled_from([(8, 18), (18, 38), (0, 5)]))
def test_what_is_rounded_quickly_is_rounded_right(value: Any, size: tuple[int, int]) -> None:
    found = quick_rounded(value, *size)
    if found is not None:
        assert found == rounded(D(value), *size)
        with pytest.raises(Overflow):
            decimals(*size)(value)


@pytest.mark.parametrize(("text", "number"), [
    ("0.125", 12), ("0.135", 14), ("0.1251", 13), ("9.999", 1000), ("0.1200", None), ("1e-9", None), ("0.12", None),
    ("9999999.999", None),
])
def test_halves_go_to_the_even_digit(text: str, number: int | None) -> None:
    assert quick_rounded(text, 2, 9) == number
