"""Native symbols: by form, table and alias; what no rule reads is None, never a guess."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from k2conn.compiler.converters.name_parts import name_part, words
from k2conn.compiler.sections.form_checks import overlaps
from k2conn.compiler.sections.form_overlaps import FormAutomaton, Steps, common_name, is_covered, two_readings
from k2conn.compiler.sections.symbols import Form, resolver
from k2conn.compiler.sections.symbols import form as compile_form
from k2conn.plan import Symbol

QUOTES = ("USD", "USDT", "FDUSD", "BUSD", "DAI", "BRL", "JPY", "ARS", "BTC", "ETH")



def form(text: str, quotes: tuple[str, ...] = (), fixed: Any = None, parts: Any = None, **said: Any) -> Form:
    listed = {"quote": words(quotes)} if quotes else {}
    given = {name: name_part(one) for name, one in (parts or {}).items()}
    return compile_form(text, {**listed, **given}, fixed or {}, **said)


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
        ("{base}{quote}", QUOTES, "BTC_USD"),
        ("{base}{quote}", QUOTES, "BTC-USD"),
        ("{base}{quote}", QUOTES, "BTC.USD"),
        ("{base}{quote}", QUOTES, "BTC USD"),
        ("{base}-PERPETUAL", (), "SOL_USDC-PERPETUAL"),
    ],
)
def test_what_no_rule_reads_is_none(text: str, quotes: tuple[str, ...], native: str) -> None:
    fixed = {} if "{quote}" in text else {"quote": "USD"}
    assert resolver((form(text, quotes, fixed),), {}, {}, None)(native) is None


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
        ("{base}{kind}{quote}", QUOTES, {}, "nothing separates {base} from {kind}: list one under `parts:`"),
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


PARTS: list[tuple[Any, list[str], list[str]]] = [
    ("alphanumeric", ["BTC", "btc", "1INCH", "币安人生", "Ünï"],
     ["", "A-B", "A_B", "A.B", "A B", "A/B", "#1", "@107", "x:Y"]),
    ("upper", ["BTC", "1000PEPE", "币"], ["sBTC", "btc"]),
    ("lower", ["btc", "1inch"], ["Btc"]),
    ("digits", ["260327"], ["26A", "٣", ""]),
    ("yymmdd", ["260327"], ["26032", "2603271", "PERP"]),
    ("ddmmmyy", ["5JUN20", "27MAR26"], ["PERPETUAL", "27mar26", "270MAR26", "27XXX26", "27MAR2026"]),
    ("ddmmmyyyy", ["17DEC2021"], ["17DEC21"]),
    ("month_code", ["H26", "Z26"], ["A26", "H2", "H2026", "USD"]),
    ("number", ["9250", "0d625", "0.5"], ["", "d", "1d", "1.2.3", "C"]),
    (["C", "P"], ["C", "P", "c"], ["CP", "", "X"]),
    ({"also": "_"}, ["25SEP26_PERP", "A"], ["A-B", ""]),
    ({"characters": "digits", "also": "_d"}, ["70000_75000", "0d5"], ["C", "A_1"]),
    ({"also": "]^-"}, ["A]^-B"], ["A_B"]),
    ({"characters": "digits", "width": 8}, ["00650000"], ["0065000", "006500000", "0065000A"]),
    ({"width": 2}, ["A1", "币B"], ["A", "ABC", "A-"]),
    ({"also": "-", "width": 3}, ["A-B", "---"], ["A--B", "A_B"]),
]


@pytest.mark.parametrize(("said", "good", "bad"), PARTS, ids=[str(row[0]) for row in PARTS])
def test_a_part_holds_what_is_declared(said: Any, good: list[str], bad: list[str]) -> None:
    resolve = resolver((form("{base}/{quote}/{part}", parts={"part": said}),), {}, {}, None)
    read = {one: resolve(f"A/B/{one}") for one in good + bad}
    assert [one for one in good if read[one] is None] == []
    assert [one for one in bad if read[one] is not None] == []
    assert all(dict(found.parts) == {"part": one} for one, found in read.items() if found)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("date", "'date' is no kind of part; known: alphanumeric"),
        ("digit", "did you mean 'digits'"),
        ([""], "has not 1 to 20 characters"),
        (["A B"], "a character that no name has"),
        ({"also": "\t"}, "a character that no name has"),
        ({"also": "_", "characters": "yymmdd"}, "no class of characters"),
    ],
)
def test_a_part_that_cannot_be_is_refused(said: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        name_part(said)


OVERLAPS: list[tuple[list[Form], list[str]]] = [
    ([form("{base}-{quote}"), form("{base}-{quote}-SWAP"), form("{base}-{quote}_UM-SWAP")], []),
    ([form("{base}-{quote}-SWAP"), form("{base}-{quote}-{expiry}")], ["'A-A-SWAP' is read by"]),
    ([form("{base}-{quote}-SWAP"), form("{base}-{quote}-{expiry}", parts={"expiry": "yymmdd"})], []),
    ([form("{base}-{quote}-{expiry}"), form("{base}-{quote}-SWAP")], ["'{base}-{quote}-SWAP' never reads a name"]),
    (
        [form("{base}-A", fixed={"quote": "USD"}), form("{base}-B", fixed={"quote": "USD"}),
         form("{base}-{kind}", fixed={"quote": "EUR"}, parts={"kind": ["A", "B"]})],
        ["'A-A' is read by '{base}-A'", "'A-B' is read by '{base}-B'"],
    ),
    (
        [form("{base}-A", fixed={"quote": "USD"}), form("{base}-a", fixed={"quote": "USD"}),
         form("{base}-{kind}", fixed={"quote": "EUR"}, parts={"kind": ["A"]})],
        ["never reads a name: '{base}-A' and '{base}-a' before it"],
    ),
    (
        [form("{base}-PERPETUAL", fixed={"quote": "USD"}, parts={"base": {"also": "_"}}),
         form("{base}_{quote}-PERPETUAL")],
        ["'{base}_{quote}-PERPETUAL' never reads a name: '{base}-PERPETUAL' before it"],
    ),
    (
        [form("{base}-{quote}", parts={"base": {"also": "-"}, "quote": {"also": "-"}})],
        ["'A--A' has two readings: base A-, quote A, or base A, quote -A"],
    ),
    ([form("{base}{quote}{rest}", ("USD", "USDT"))], ["has two readings"]),
    ([form("{base}{quote}{contract}", ("USD", "USDT"), parts={"contract": "month_code"})], []),
    ([form("{base}JPY{rest}", fixed={"quote": "JPY"})], ["'AJPYJPYA' has two readings"]),
    ([form("s{base}{quote}", QUOTES), form("{base}{quote}", QUOTES)], ["is read by 's{base}{quote}' and by"]),
    ([form("s{base}{quote}", QUOTES), form("{base}{quote}", QUOTES, parts={"base": "upper"})], []),
    ([form("1000{base}{quote}", QUOTES, overrides=True), form("{base}{quote}", QUOTES)], []),
    ([form("{base}{quote}", QUOTES, overrides=True), form("1000{base}{quote}", QUOTES)], ["never reads a name"]),
    ([form("币{base}{quote}", QUOTES), form("{base}{quote}", QUOTES)], ["is read by '币{base}{quote}'"]),
]


@pytest.mark.parametrize(("forms", "words"), OVERLAPS)
def test_forms_that_cannot_be_told_apart_are_refused(forms: list[Form], words: list[str]) -> None:
    found = [text for text, _ in overlaps(forms)]
    assert len(found) == len(words), found
    assert all(word in text for word, text in zip(words, found, strict=True)), found


def test_many_currencies_are_compared_in_no_time() -> None:
    quotes = tuple(f"{a}{b}C" for a in "ABCDEFGHIJ" for b in "ABCDEFGHIJ")
    forms = [form("{base}{quote}", quotes), form("{base}{quote}_{expiry}", quotes), form("s{base}_{quote}", quotes)]
    begun = time.process_time()
    assert len(list(overlaps(forms))) == 1
    assert time.process_time() - begun < 5


_PIECES = st.sampled_from(["A", "B", "1", "-", "_", "{base}", "{quote}", "{x}", "{y}"])
_KINDS = st.sampled_from(
    ["alphanumeric", "upper", "digits", ["A", "AB", "B"], ["1", "11"], {"also": "-"}, "month_code", {"width": 2},
     {"characters": "digits", "width": 1}]
)


@st.composite
def _forms(draw: st.DrawFn) -> Form:
    texts = draw(st.lists(_PIECES, min_size=1, max_size=5))
    places = [one for one in texts if one.startswith("{")]
    assume(len(set(places)) == len(places))
    parts = {name: draw(_KINDS) for name in ("base", "quote", "x", "y")}
    fixed = {name: "Z" for name in ("base", "quote") if f"{{{name}}}" not in places}
    try:
        return form("".join(texts), fixed=fixed, parts=parts)
    except ValueError:
        reject()


_NAMES = [
    "".join(one) for length in range(1, 6) for one in itertools.product("AB1-", repeat=length)
] + ["AH26", "ABH26", "A-H26", "1H26", "H26-A", "a", "_A", "A_A", "币", "A币"]


@settings(max_examples=75, deadline=None)
@given(_forms(), _forms())
def test_the_comparison_is_right_about_every_short_name(one: Form, other: Form) -> None:
    automata = FormAutomaton(one.pieces), FormAutomaton(other.pieces)
    common = common_name(*automata, Steps())
    if common is not None:
        assert one.pattern.match(common)
        assert other.pattern.match(common)
    covered = is_covered(automata[0], [automata[1]], Steps())
    ambiguous = two_readings(one.pieces, Steps())
    if ambiguous is not None:
        assert one.pattern.match(ambiguous[0])
    for name in _NAMES:
        mine, theirs = one.pattern.match(name), other.pattern.match(name)
        assert not (mine and theirs and common is None), f"{name} is read by both"
        assert not (mine and covered and not theirs), f"{name} is not covered"


def test_parts_of_a_known_width_need_nothing_between() -> None:
    parts = {"expiry": "yymmdd", "right": ["C", "P"], "strike": {"characters": "digits", "width": 8}}
    opra = form("O:{base}{expiry}{right}{strike}", fixed={"quote": "USD"}, parts=parts)
    assert list(overlaps([opra])) == []
    resolve = resolver((opra,), {}, {}, "{base}{expiry}{right}{strike}")
    for root, rest in (("SPY", "251219C00650000"), ("F", "251219P00012500"), ("SPX1", "251219C00650000")):
        native = f"O:{root}{rest}"
        found = resolve(native)
        assert found is not None
        assert (found.base, found.quote, found.record) == (root, "USD", native[2:])
        assert dict(found.parts) == {"expiry": "251219", "right": native[-9], "strike": native[-8:]}
    assert [resolve(one) for one in ("O:251219C00650000", "O:SPY251219X00650000", "O:SPY251219C0650000")] == [None] * 3


def test_prices_can_be_in_another_currency_than_the_quote() -> None:
    rule = form("{base}-{quote}-{strike}", currency="{base}")
    found = resolver((rule,), {}, {"XBT": "BTC"}, "native")("XBT-USD-100")
    assert found is not None
    assert (found.base, found.quote, found.currency, found.price_currency) == ("BTC", "USD", "BTC", "BTC")
    assert Symbol("A", "A", "B", "C").price_currency == "C"
