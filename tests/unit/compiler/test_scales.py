"""Numbers whose scale the venue says, and numbers with separators of their own."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn import exactjson
from k2conn.compiler.compiler import check_text
from k2conn.compiler.converters.decimals import Overflow, decimals, quotients, rounded
from k2conn.compiler.converters.scales import factor_itself, factor_of_digits, punctuated
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.errors import RecordError
from k2conn.plan import Separators
from tests.paths import ROOT
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE, intake_of, trade, trades

CAPTURE = """  capture:
    - {when: {ch: instrument}, into: of, key: s, value: v}
    - {when: {ch: all}, into: factor, value: v}
"""


def venue(price: str, head: str = HEAD) -> FramePipeline:
    text = STREAMS.replace("      price: p\n", f"      price: {price}\n")
    plan, problems = check_text("venue.yaml", head + SUBSCRIBE + CAPTURE + text, ROOT)
    assert plan is not None, problems
    return intake_of(plan)


def told(kind: str, value: Any, symbol: str = "BTC-USD") -> str:
    return exactjson.encode({"ch": kind, "s": symbol, "v": value}).decode()


def price(pipeline: FramePipeline, *frames: str, **item: Any) -> str:
    """The price that the last of some frames has, or why it has none."""
    envelopes = pipeline.receive([*frames, trades(trade(1, **item))], 0.0, 1)[0]
    last = envelopes[-1]
    if last.schema is None:
        letter = exactjson.decode(last.value)
        return f"{letter['field']} {letter['reason']}: {letter['detail']}"
    return str(last.schema.decode_plain(last.value)["price"])


DIGITS = "{from: p, scale: {digits: s, look_up: $state.of}}"
FACTOR = "{from: p, scale: {from: s, look_up: $state.of}}"


@pytest.mark.parametrize(
    ("scale", "value", "number", "expected"),
    [
        (DIGITS, 2, "12345", "123.45"), (DIGITS, "2", 12345, "123.45"), (DIGITS, 0, "12345", "12345"),
        (DIGITS, 8, 1, "0.00000001"), (DIGITS, Decimal("2.0"), "100", "1"),
        (FACTOR, Decimal("0.01"), "12345", "123.45"), (FACTOR, "1e-3", 5, "0.005"), (FACTOR, 100, "2", "200"),
        (DIGITS, 9, 1, "price overflow: more than 8 decimals"),
        (DIGITS, -1, 1, "price bad-number: -1 is no number of digits behind the point, 0 to 30"),
        (DIGITS, "1.5", 1, "price bad-number: 1.5 is no number of digits"),
        (DIGITS, 31, 1, "price bad-number: 31 is no number"),
        (DIGITS, "two", 1, "price bad-number: its scale: the text 'two' is not a number"),
        (DIGITS, None, 1, "price bad-number: the number's scale is missing"),
        (FACTOR, 0, 1, "price bad-number: the scale 0 is not between"),
        (FACTOR, -1, 1, "price bad-number: the scale -1 is not between"),
        (DIGITS, 2, "x", "price bad-number: the text 'x' is not a number"),
        (DIGITS, 2, None, "price missing-field: the value is missing"),
    ],
)
def test_a_captured_scale(scale: str, value: Any, number: Any, expected: str) -> None:
    assert price(venue(scale), told("instrument", value), p=number).startswith(expected)


def test_a_scale_that_changes() -> None:
    pipeline = venue(DIGITS)
    assert price(pipeline, told("instrument", 2), told("instrument", 0, "ETH-USD"), p=500) == "5"
    assert price(pipeline, p=500, s="ETH-USD", i=2) == "500"
    assert price(pipeline, told("instrument", 1), p=500, i=3) == "50"


@pytest.mark.parametrize(
    ("scale", "frames", "item", "expected"),
    [
        ("{from: p, scale: tick}", (), {"tick": "0.25", "p": 3}, "0.75"),
        ("{from: p, scale: {from: tick}}", (), {"tick": "0.25", "p": 3}, "0.75"),
        ("{from: p, scale: {digits: n}}", (), {"n": 1, "p": 3}, "0.3"),
        ("{from: p, scale: $state.factor}", (told("all", "0.5"),), {"p": 3}, "1.5"),
        ("{from: p, scale: $state.factor, absent: 7}", (told("all", "0.5"),), {"p": None}, "7"),
        ("{from: p, scale: $state.factor, absent: 7}", (), {"p": 3}, "price bad-number: the number's scale is missing"),
        ("{from: p, scale: tick, magnitude: true}", (), {"tick": 2, "p": -3}, "6"),
        ("{from: p, scale: tick, thousands: ','}", (), {"tick": 2, "p": "1,500"}, "3000"),
        ("{from: p, scale: tick, on_overflow: round}", (), {"tick": "1e-9", "p": 15}, "0.00000002"),
        ("{from: p, scale: {divide_by: base}}", (), {"base": "0.1", "p": "5232.00"}, "52320"),
        ("{from: p, scale: {divide_by: base}}", (), {"base": "69.00000000", "p": "113.6499000000000000"}, "1.6471"),
        ("{from: p, scale: {divide_by: base}}", (), {"base": 3, "p": 1}, "price overflow: more than 8 decimals"),
        ("{from: p, scale: {divide_by: base}, magnitude: true}", (), {"base": 2, "p": -1}, "0.5"),
        ("{from: p, scale: {divide_by: base}, thousands: ','}", (), {"base": 2, "p": "1,501"}, "750.5"),
        ("{from: p, scale: {divide_by: base}, absent: 7}", (), {"base": 2, "p": None}, "7"),
        ("{from: p, scale: {divide_by: base}, on_overflow: round}", (), {"base": 3, "p": 2}, "0.66666667"),
        ("{from: p, scale: {divide_by: base}, on_overflow: round}", (), {"base": 8, "p": "1e-7"}, "0.00000001"),
        ("{from: p, scale: {exponent: e}}", (), {"e": -8, "p": "184136023127"}, "1841.36023127"),
        ("{from: p, scale: {exponent: e}}", (), {"e": 2, "p": 5}, "500"),
        ("{from: p, scale: {exponent: e}}", (), {"e": "0", "p": 5}, "5"),
    ],
)
def test_a_scale_beside_the_number(scale: str, frames: tuple[str, ...], item: dict[str, Any], expected: str) -> None:
    assert price(venue(scale), *frames, **item) == expected


@pytest.mark.parametrize(
    ("scale", "item", "expected"),
    [
        ("{divide_by: by}", {"by": 0}, "price bad-number: the scale 0 is not between"),
        ("{divide_by: by}", {"by": -2}, "price bad-number: the scale -2 is not between"),
        ("{divide_by: by}", {"by": 2, "p": -1}, "price bad-number: the number is negative"),
        ("{divide_by: by}", {}, "price bad-number: the number's scale is missing"),
        ("{exponent: e}", {"e": -31}, "price bad-number: -31 is no power of ten from -30 to 30"),
        ("{exponent: e}", {"e": "0.5"}, "price bad-number: 0.5 is no power of ten"),
    ],
)
def test_a_scale_that_is_none(scale: str, item: dict[str, Any], expected: str) -> None:
    assert price(venue(f"{{from: p, scale: {scale}}}"), **{"p": 5, **item}).startswith(expected)


def test_a_rounded_quotient_keeps_both_of_its_numbers() -> None:
    pipeline = venue("{from: p, scale: {divide_by: base}, on_overflow: round}")
    envelope = pipeline.receive([trades(trade(1, p="100.00", base="3"))], 0.0, 1)[0][0]
    assert envelope.schema is not None
    record = envelope.schema.decode_plain(envelope.value)
    assert str(record["price"]) == "33.33333333"
    assert record["vendor_data"]["price_exact"] == "100.00/3"


@given(st.integers(0, 10**12), st.integers(1, 10**9), st.integers(-8, 8))
def test_a_quotient_is_rounded_once(number: int, divisor: int, exponent: int) -> None:
    """As fractions, which know no precision, round it."""
    value = Decimal(number).scaleb(exponent)
    whole, rest = divmod(Fraction(value) * 10**8, Fraction(divisor))
    convert = quotients(8, 38, Decimal(divisor))
    if rest == 0:
        assert convert(value) == whole
        return
    with pytest.raises(Overflow) as error:
        convert(value)
    expected = whole + (rest * 2 > divisor or (rest * 2 == divisor and whole % 2 == 1))
    assert rounded(error.value.exact, 8, 38) == expected


def test_a_scale_in_the_symbols_name() -> None:
    head = HEAD.replace('form: "{base}-{quote}"', 'form: "{base}-{quote}:{places}"').replace("-USD", "-USD:2")
    assert price(venue("{from: p, scale: {digits: $symbol.places}}", head), s="BTC-USD:2", p=12345) == "123.45"
    assert price(venue("{from: p, scale: {digits: $symbol.places}}", head), s="BTC-USD:0", p=12345) == "12345"


def test_a_scale_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "digits.csv").write_text("name,digits\nBTC-USD,2\n")
    tables = "tables: {digits: {file: digits.csv, key: name, value: digits}}\n"
    text = STREAMS.replace("price: p", "price: {from: p, absent: 7, scale: {digits: s, look_up: $table.digits}}", 1)
    plan, problems = check_text("venue.yaml", HEAD + tables + SUBSCRIBE + text, tmp_path)
    assert plan is not None, problems
    assert price(intake_of(plan), p=12345) == "123.45"
    missing = price(intake_of(plan), p=12345, s="ETH-USD")
    assert missing == "price bad-number: its scale: 'ETH-USD' is not in the table digits"


def test_a_scale_that_is_no_value() -> None:
    told = price(venue("{from: p, absent: 7, scale: 'abs(tick)'}"), tick="x")
    assert told.startswith("price bad-number: its scale: ")


@pytest.mark.parametrize(
    ("scale", "told_of"),
    [
        ("{look_up: $state.of}", "a scale is one of `from` (what to multiply by), `divide_by`, `digits`"),
        ("{from: s, digits: s}", "a scale is one of `from` (what to multiply by), `divide_by`, `digits`"),
        ("{divide_by: s, exponent: s}", "a scale is one of `from` (what to multiply by), `divide_by`, `digits`"),
        ("{divide_by: 's ='}", "cannot be read at character"),
        ("{from: s, look_up: $state.nobody}", "nothing captures $state.nobody"),
        ("{from: s, look_up: $table.nobody}", "there is no table 'nobody'"),
        ("'s ='", "cannot be read at character"),
        ("{digits: $states.x}", "unknown name $states"),
    ],
)
def test_a_scale_that_cannot_be_meant(scale: str, told_of: str) -> None:
    text = STREAMS.replace("      price: p\n", f"      price: {{from: p, scale: {scale}}}\n")
    _, problems = check_text("venue.yaml", HEAD + SUBSCRIBE + CAPTURE + text, ROOT)
    assert any(told_of in problem.text for problem in problems), problems


GROUPS = [
    ("1,234", "1234"), ("1,234.5", "1234.5"), ("12,345,678.25", "12345678.25"), ("999", "999"), ("999.5", "999.5"),
    ("1500", "1500"), ("-1,000", "-1000"), ("1,000.", "1000"), (1234, "1234"),
    ("1,23", None), ("12,34,567", None), ("1234,567", None), (",123", None), ("1,234,", None), ("1.5,000", None),
    ("1,234.5,0", None), ("1 234", None), ("1,234e2", None), ("1,٣٣٣", None), ("1," + "000," * 80 + "000", None),
]


@pytest.mark.parametrize(("text", "expected"), GROUPS)
def test_groups_of_digits(text: Any, expected: str | None) -> None:
    convert = punctuated(decimals(8, 18, signed=True), Separators(",", "."))
    if expected is None:
        with pytest.raises(RecordError) as raised:
            convert(text)
        assert raised.value.reason == "bad-number"
    else:
        assert convert(text) == int(Decimal(expected).scaleb(8))


COMMAS = {
    ("", ","): [
        ("1,5", "1.5"), ("1234,5", "1234.5"), (",5", "0.5"), ("7", "7"), ("-0,25", "-0.25"), ("1,5e3", "1500"),
        (2, "2"), (Decimal("1.5"), "1.5"), ("1,234", "1.234"), ("7,", "7"),
        ("1.5", None), ("1.234", None), ("1.234,5", None), ("1,2,3", None), (",", None), ("1 234,5", None),
        ("1,٣", None), ("1" * 300, None), ("1,5x", None),
    ],
    (".", ","): [
        ("1.234", "1234"), ("1.234,5", "1234.5"), ("12.345.678,25", "12345678.25"), ("999,5", "999.5"),
        ("1500", "1500"), ("1500,25", "1500.25"), ("-1.000,5", "-1000.5"), (Decimal("1.234"), "1.234"),
        ("1.5", None), ("1.23", None), ("1.2345", None), ("1,234.5", None), ("1.234.5", None), ("1.234,5,6", None),
        ("1234.567", None), (".234", None), ("1.234e2", None),
    ],
    ("\u202f", ","): [("1\u202f234,5", "1234.5"), ("1 234,5", None), ("1.234,5", None), ("1\u202f23,5", None)],
    ("\u2019", "."): [("1\u2019234.5", "1234.5"), ("1'234.5", None), ("1\u2019234,5", None)],
}


@pytest.mark.parametrize(("separators", "text", "expected"), [
    (separators, *one) for separators, rows in COMMAS.items() for one in rows
])
def test_decimals_behind_a_comma(separators: tuple[str, str], text: Any, expected: str | None) -> None:
    convert = punctuated(decimals(8, 18, signed=True), Separators(*separators))
    if expected is None:
        with pytest.raises(RecordError) as raised:
            convert(text)
        assert raised.value.reason == "bad-number"
        assert str(text)[:40] in raised.value.detail, "the number as it was sent"
    else:
        assert convert(text) == int(Decimal(expected).scaleb(8))


@given(st.decimals(min_value=0, max_value=10**9, places=3), st.sampled_from(list(COMMAS)))
def test_no_number_has_two_readings(number: Decimal, separators: tuple[str, str]) -> None:
    thousands, mark = separators
    text = f"{number:,f}" if thousands else f"{number:f}"
    text = text.translate({ord(","): thousands, ord("."): mark})
    assert punctuated(decimals(8, 18), Separators(*separators))(text) == int(number.scaleb(8))


@pytest.mark.parametrize(
    ("said", "values", "expected"),
    [
        ('{from: p, decimal: ",", scale: 1e-2}', {"p": "12345,6"}, "123.456"),
        ('{from: p, decimal: ",", scale: {divide_by: base}}', {"p": "1,5", "base": 2}, "0.75"),
        ('{from: p, decimal: ",", thousands: ".", scale: {by_symbol: [{scale: 10}]}}', {"p": "1.234,5"}, "12345"),
        ('{from: p, decimal: ",", magnitude: true}', {"p": "-1,5"}, "1.5"),
        ('{from: p, decimal: ",", absent: 3}', {"p": ""}, "3"),
        ('{from: p, decimal: ",", on_overflow: round}', {"p": "1,123456789"}, "1.12345679"),
        ('{from: p, decimal: ".", thousands: ","}', {"p": "1,234.5"}, "1234.5"),
        ('{from: p, pattern: "EUR {value}", decimal: ",", thousands: "."}', {"p": "EUR 1.234,5"}, "1234.5"),
    ],
)
def test_a_comma_beside_other_words(said: str, values: dict[str, Any], expected: str) -> None:
    assert price(venue(said), **values) == expected


@pytest.mark.parametrize(
    ("said", "told_of"),
    [
        ('{from: p, thousands: "."}', '`.` cannot stand between groups of digits and before the decimals: where it '
                                      'stands between groups, say what stands before the decimals, `decimal: ","`'),
        ('{from: p, thousands: ",", decimal: ","}', "`,` cannot stand between groups of digits and before"),
        ('{from: p, decimal: ";"}', "';' is not allowed; known: '.', ','"),
        ('{from: p, thousands: "-"}', r"'-' is not allowed; known: ',', '.', ' ', ''', '_', "),
    ],
)
def test_separators_that_cannot_be_meant(said: str, told_of: str) -> None:
    text = STREAMS.replace("      price: p\n", f"      price: {said}\n")
    _, problems = check_text("venue.yaml", HEAD + SUBSCRIBE + text, ROOT)
    assert [told_of in str(one) for one in problems] == [True], problems


@pytest.mark.parametrize("separator", [",", " ", "'", "_"])
def test_groups_in_a_record(separator: str) -> None:
    text = f"1{separator}234{separator}567.5"
    assert price(venue(f'{{from: p, thousands: "{separator}"}}'), p=text) == "1234567.5"
    assert "bad-number" in price(venue("p"), p=text)


def test_factors() -> None:
    assert factor_itself("0.01") == Decimal("0.01")
    assert factor_of_digits(3) == Decimal("0.001")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text() | st.sampled_from(["1,000", "1e-3", "2"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2), max_leaves=3,
)


PUNCTUATED = [punctuated(decimals(8, 18), Separators(*one)) for one in ((",", "."), (".", ","), ("", ","))]


def outcome(read: Callable[[Any], Any], value: Any) -> Any:
    """What is read, or why nothing is."""
    try:
        return read(value)
    except RecordError as error:
        return error.reason


@given(ANYTHING)
def test_whatever_is_sent_is_a_scale_and_a_number_or_an_error_with_its_reason(value: Any) -> None:
    for read in (factor_itself, factor_of_digits, *PUNCTUATED):
        found = outcome(read, value)
        assert found in ("bad-number", "missing-field", "overflow") or found >= 0
