"""Numbers as nobody writes them: exactly the number that was said, or a dead letter; in C as in Python."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn import exactjson
from k2conn.compiler.converters.decimals import decimals
from k2conn.compiler.converters.times import times
from k2conn.errors import RecordError
from tests.support.in_c import both_ways
from tests.support.plans import intake_of, plan_of, trade, trades

in_c = both_ways("Mapper")

SCALE, PRECISION = 8, 18
WALL = 1_767_323_046_000_000
FITTING = {
    "64000.10": 6_400_010_000_000,
    "1e-8": 1,
    "1E+9": 10**17,
    "0": 0,
    "0e-999999999": 0,
    "0E999999999": 0,
    "-0": 0,
    "-0.0": 0,
    "1.0000000000": 10**8,
    "9999999999.99999999": 10**18 - 1,
    "1." + "0" * 100: 10**8,
    "0." + "0" * 7 + "1" + "0" * 400: 1,
}
REFUSED = [
    "1e-1000500",
    "1e-999999999",
    "1e-999999999999999999",
    "1e999999999",
    "1e9999999999",
    "1e-9999999999",
    "0." + "9" * 420,
    "64000.1" + "0" * 400 + "1",
    "9999999999.99999999" + "9" * 400,
    "0.00000000" + "9" * 420,
    "1." + "0" * 600 + "1",
    "-1e-1000500",
    "1" * 19,
    "1" * 4200,
    "9" * 100 + "e-95",
    "1e10",
    "1e-9",
    "-1",
]
TEXTS_ONLY = [
    "+1_000",
    "1_000",
    "\u0661",
    "\uff11",
    "1\u0660",
    "Infinity",
    "-inf",
    "nan",
    "NaN",
    "sNaN",
    "0x10",
    "1e",
    "e1",
    ".",
    "",
    "+",
    "--1",
    "1e5.0",
    " 1",
    "1 ",
    "1\n",
    "1\x00",
    "1,0",
    "1e+",
    "9" * 100_000,
    "1." + "1" * 100_000,
]


def price_of(said: str, text: bool) -> int | None:
    """The price of a record, unscaled; None for a dead letter."""
    written = exactjson.encode(said).decode() if text else said
    frame = trades(trade(1)).replace('"64000.10"', written)
    (envelope,), _ = intake_of(plan_of()).receive([frame], 0.0, WALL)
    if envelope.schema is None:
        return None
    price = envelope.schema.decode_plain(envelope.value)["price"]
    return int(Decimal(price).scaleb(SCALE))


def judged(said: str) -> int | None:
    """What it is by the rules of arithmetic alone."""
    number = Decimal(said)
    if number and not -300 < number.adjusted() < 300:
        return None
    scaled = Fraction(number) * 10**SCALE
    return int(scaled) if scaled.denominator == 1 and 0 <= scaled < 10**PRECISION else None


@pytest.mark.parametrize("said", [*FITTING, *REFUSED], ids=lambda said: f"{said[:20]}-{len(said)}")
def test_a_json_number_is_exact_or_dead(said: str) -> None:
    assert price_of(said, False) == FITTING.get(said)


@pytest.mark.parametrize("said", [*FITTING, *REFUSED, *TEXTS_ONLY], ids=lambda said: f"{said[:20]!r}-{len(said)}")
def test_a_text_is_exact_or_dead(said: str) -> None:
    assert price_of(said, True) in (FITTING.get(said), None)
    if len(said) <= 40 and said in FITTING and "99999999" not in said.lower().partition("e")[2]:
        assert price_of(said, True) == FITTING[said]


digits = st.text("0123456789", min_size=1, max_size=600)
shapes = st.one_of(
    st.builds(lambda a, b: f"{int(a)}.{b}", st.text("0123456789", min_size=1, max_size=12), digits),
    st.builds(
        lambda a, b, n: f"{int(a)}.{b}{'0' * n}1",
        st.just("7"),
        st.text("01", min_size=1, max_size=9),
        st.integers(0, 900),
    ),
    st.builds(lambda a, e: f"{int(a)}e{e}", st.text("0123456789", min_size=1, max_size=30), st.integers(-60, 60)),
    st.builds(
        lambda a, e: f"{int(a)}E{e}", st.text("123456789", min_size=1, max_size=5), st.integers(-(10**10), 10**10)
    ),
    st.builds(lambda a: f"-{int(a)}.5", st.text("0123456789", min_size=1, max_size=5)),
)


@given(shapes)
def test_any_number_is_what_arithmetic_says(said: str) -> None:
    try:
        wanted = judged(said)
    except ArithmeticError:
        wanted = None
    assert price_of(said, False) == wanted


@given(
    st.one_of(shapes, st.text(max_size=30)), st.sampled_from([None, Decimal("1e-8"), Decimal("0.12345678"), Decimal(3)])
)
def test_a_converter_never_rounds(said: str, factor: Decimal | None) -> None:
    given: Any = said
    try:
        found = decimals(SCALE, PRECISION, factor)(given)
    except RecordError:
        return
    assert Fraction(found, 10**SCALE) == Fraction(Decimal(said)) * Fraction(factor or 1)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_time_is_cut_and_never_rounded_up(unit: str) -> None:
    nines = Decimal("1767323045.999999" + "9" * 900)
    places = {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]
    assert times(unit)(nines.scaleb(places)) in (1_767_323_045_999_999, 1_767_323_046_000_000)
    assert times("s")(nines) == 1_767_323_045_999_999


@pytest.mark.parametrize(("said", "found"), [("sum(@)", "1"), ("avg(@)", None)])
def test_sums_lose_no_digit(said: str, found: str | None) -> None:
    from k2conn.compiler.expressions.expressions import compile_expression
    from k2conn.scope import Scope

    values = [Decimal("1e300"), 1, Decimal("-1e300"), Decimal("1e-390"), Decimal("-1e-390")]
    total = compile_expression(said, True).get(values, Scope())
    assert total == (Decimal(found) if found is not None else Decimal(1) / 5)
    long = [Decimal(1), Decimal("1e-390")]
    total = compile_expression(said, True).get(long, Scope())
    assert total is None or Fraction(total) in (
        Fraction(1) + Fraction(1, 10**390),
        (Fraction(1) + Fraction(1, 10**390)) / 2,
    )
