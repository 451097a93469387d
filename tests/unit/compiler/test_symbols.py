"""Native symbols: by form, table and alias; what no rule reads is None, never a guess."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn.compiler.sections.symbols import form, resolver
from k2conn.plan import Symbol

QUOTES = ("USD", "USDT", "FDUSD", "BUSD", "DAI", "BRL", "JPY", "ARS", "BTC", "ETH")

READ: list[tuple[str, tuple[str, ...], str, str, str]] = [
    ("{base}{quote}", QUOTES, "BTCFDUSD", "BTC", "FDUSD"),
    ("{base}{quote}", QUOTES, "BTCUSD", "BTC", "USD"),
    ("{base}{quote}", QUOTES, "BTCUSDT", "BTC", "USDT"),
    ("{base}{quote}", QUOTES, "BTCBRL", "BTC", "BRL"),
    ("{base}{quote}", QUOTES, "SOLJPY", "SOL", "JPY"),
    ("{base}{quote}", QUOTES, "ETHDAI", "ETH", "DAI"),
    ("{base}{quote}", QUOTES, "USDTARS", "USDT", "ARS"),
    ("{base}{quote}", QUOTES, "ETHBTC", "ETH", "BTC"),
    ("{base}{quote}", QUOTES, "1INCHUSDT", "1INCH", "USDT"),
    ("{base}{quote}", QUOTES, "btcusdt", "BTC", "USDT"),
    ("{base}/{quote}", (), "XBT/USD", "BTC", "USD"),
    ("{base}/{quote}", (), "XDG/EUR", "DOGE", "EUR"),
    ("{base}-{quote}", (), "BTC-USD", "BTC", "USD"),
    ("{quote}-{base}", (), "KRW-BTC", "BTC", "KRW"),
    ("{base}_{quote}", (), "BTC_JPY", "BTC", "JPY"),
    ("t{base}:{quote}", (), "tDUSK:USD", "DUSK", "USD"),
    ("t{base}{quote}", QUOTES, "tBTCUSD", "BTC", "USD"),
    ("t{base}F0:{quote}F0", (), "tBTCF0:USTF0", "BTC", "UST"),
    ("{base}-{quote}-SWAP", (), "BTC-USDT-SWAP", "BTC", "USDT"),
    ("{base}{quote}_{expiry}", QUOTES, "BTCUSD_260327", "BTC", "USD"),
]


@pytest.mark.parametrize(("text", "quotes", "native", "base", "quote"), READ, ids=[row[2] for row in READ])
def test_a_form_reads_base_and_quote(text: str, quotes: tuple[str, ...], native: str, base: str, quote: str) -> None:
    resolve = resolver((form(text, quotes, {}),), {}, {"XBT": "BTC", "XDG": "DOGE"}, None)
    found = resolve(native)
    assert found is not None
    assert (found.native, found.base, found.quote, found.record) == (native, base, quote, base + quote)
    assert resolve(native) is found


@pytest.mark.parametrize(
    ("text", "quotes", "native"),
    [
        ("{base}{quote}", QUOTES, "BTCEUR"),
        ("{base}{quote}", QUOTES, "USD"),
        ("{base}{quote}", QUOTES, ""),
        ("{base}{quote}", QUOTES, "BTC/USD"),
        ("{base}/{quote}", (), "BTCUSD"),
        ("{base}/{quote}", (), "/USD"),
        ("{base}/{quote}", (), "BTC/"),
        ("{base}/{quote}", (), "BTC/USD/X"),
        ("{base}/{quote}", (), " BTC/USD"),
        ("{base}/{quote}", (), "BTC/USD\n"),
        ("{base}-{quote}", (), "BTC-USD-SWAP"),
        ("{base}-{quote}", (), "A" * 60 + "-" + "B" * 60),
        ("t{base}{quote}", QUOTES, "BTCUSD"),
        ("{base}{quote}_{expiry}", QUOTES, "BTCUSD_PERP"),
    ],
)
def test_what_no_rule_reads_is_none(text: str, quotes: tuple[str, ...], native: str) -> None:
    assert resolver((form(text, quotes, {}),), {}, {}, None)(native) is None


def test_forms_are_tried_in_order_and_parts_can_be_fixed() -> None:
    forms = (
        form("{base}-PERPETUAL", (), {"quote": "USD"}),
        form("{base}_{quote}-PERPETUAL", (), {}),
        form("{base}-{expiry}-{strike}-{kind}", (), {"quote": "USD"}),
    )
    resolve = resolver(forms, {}, {}, "native")
    assert resolve("BTC-PERPETUAL") == Symbol("BTC-PERPETUAL", "BTC-PERPETUAL", "BTC", "USD")
    option = resolve("ETH-27MAR26-4000-C")
    assert option is not None
    assert (option.record, option.base) == ("ETH-27MAR26-4000-C", "ETH")
    assert dict(option.parts) == {"expiry": "27MAR26", "strike": "4000", "kind": "C"}


def test_a_table_goes_before_the_forms() -> None:
    table = {"USDUSDT": Symbol("USDUSDT", "X", "A", "B")}
    resolve = resolver((form("{base}{quote}", QUOTES, {}),), table, {}, None)
    assert resolve("USDUSDT") is table["USDUSDT"]


@pytest.mark.parametrize(
    ("record", "wanted"), [(None, "BTCUSD"), ("{base}_{quote}", "BTC_USD"), ("native", "XBT/USD"), ("{base}x", "BTCx")]
)
def test_our_spelling_is_a_template(record: str | None, wanted: str) -> None:
    found = resolver((form("{base}/{quote}", (), {}),), {}, {"XBT": "BTC"}, record)("XBT/USD")
    assert found is not None
    assert found.record == wanted


@pytest.mark.parametrize(
    ("text", "quotes", "fixed", "words"),
    [
        ("{base}", (), {}, "does not give both"),
        ("{base}{quote}", (), {}, "list the currencies in `quotes:`"),
        ("{base}{kind}{quote}", QUOTES, {}, "nothing separates {base} from {kind}"),
        ("{base}/{base}", (), {}, "stands twice"),
        ("{base}/{quote", (), {}, "brace"),
        ("{Base}/{quote}", (), {}, "brace"),
        ("{base}-{quote}-{a}-{b}-{c}-{d}-{e}", (), {}, "more than 6 parts"),
    ],
)
def test_an_undecidable_form_is_refused(text: str, quotes: tuple[str, ...], fixed: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("{", r"\{").replace("}", r"\}")):
        form(text, quotes, fixed)


@given(st.text(max_size=120))
def test_any_name_is_a_symbol_or_none(native: str) -> None:
    rules = (form("{base}{quote}", QUOTES, {}), form("{base}-{expiry}-{strike}-{kind}", (), {"quote": "USD"}))
    found = resolver(rules, {}, {}, None)(native)
    assert found is None or (found.native == native and found.base and found.quote)


def test_a_hostile_name_is_quick() -> None:
    rule = form("{base}-{a}-{b}-{c}-{quote}", (), {})
    assert resolver((rule,), {}, {}, None)("-" * 100) is None
    assert resolver((rule,), {}, {}, None)("A-" * 50) is None
