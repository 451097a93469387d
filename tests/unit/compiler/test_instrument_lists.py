"""The venue's instrument list in a connector file: what an entry says, as data; what tests show of it; wrong words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from k2conn import exactjson
from k2conn.cli.validate import check
from k2conn.compiler.compiler import check_text
from k2conn.engine.instrument_list import instrument_rows
from k2conn.plan import Plan
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE

SYMBOLS = HEAD[HEAD.index("symbols:"):]
PLAIN = {"http": "GET https://v.example/list", "each": "data", "symbol": "id", "base": "b", "quote": "q"}
NAMELESS = {key: PLAIN[key] for key in ("http", "each", "symbol")}


def spec(listing: dict[str, Any], tests: list[dict[str, Any]] | None = None, **symbols: Any) -> str:
    said = {"default": ["BTC-USD"], "list": listing, **symbols}
    text = HEAD.replace(SYMBOLS, f"symbols: {exactjson.encode(said).decode()}\n") + SUBSCRIBE + STREAMS
    return text + (f"tests: {exactjson.encode(tests).decode()}\n" if tests else "")


def compiled(listing: dict[str, Any], tests: list[dict[str, Any]] | None = None, **symbols: Any) -> Plan:
    plan, problems = check_text("venue.yaml", spec(listing, tests, **symbols), Path())
    assert plan is not None, problems
    return plan


def problems(listing: dict[str, Any], tests: list[dict[str, Any]] | None = None, **symbols: Any) -> list[str]:
    plan, found = check_text("venue.yaml", spec(listing, tests, **symbols), Path())
    assert plan is None
    return [one.text for one in found]


ROW = exactjson.decode("""
{"id": "X1", "b": "btc", "q": "usd", "pair": "BTC/USD", "path": "a-btc-usd-z", "ends": 1774598400000,
 "day": "2026-03-27T17:00:00", "k": "90000.50", "kind": "C", "size": 0.1, "digits": 2, "on": true, "none": null,
 "deep": {"t": "0.5"}, "many": [1], "huge": "1E+999999", "text": "word", "zero": 0, "minus": -1}
""")


@pytest.mark.parametrize(("words", "wanted"), [
    ({}, {"native": "X1", "symbol": "BTCUSD", "base": "BTC", "quote": "USD", "currency": "USD"}),
    ({"symbol": {"from": "path", "pattern": "a-{value}-z"}}, {"native": "btc-usd"}),
    ({"quote": "'EUR'"}, {"symbol": "BTCEUR", "quote": "EUR"}),
    ({"base": None, "quote": None, "split": {"from": "pair", "pattern": "{base}/{quote}"}}, {"symbol": "BTCUSD"}),
    ({"split": {"from": "path", "pattern": "{_}-{_}-{_}-{series}"}}, {"series": "z"}),
    ({"split": {"from": "text", "pattern": "{series}/{_}"}}, {"series": None}),
    ({"expiry": {"from": "ends", "unit": "ms"}}, {"expiry": "2026-03-27T08:00:00Z"}),
    ({"expiry": {"from": "day", "unit": "iso8601", "zone": "Asia/Tokyo"}}, {"expiry": "2026-03-27T08:00:00Z"}),
    ({"expiry": {"from": "zero", "unit": "ms"}}, {"expiry": None}),
    ({"expiry": {"from": "text", "unit": "ms"}}, {"expiry": None}),
    ({"expiry": "day"}, {"expiry": "2026-03-27T17:00:00"}),
    ({"strike": "k"}, {"strike": "90000.50"}),
    ({"strike": "huge"}, {"strike": None}),
    ({"option_right": {"from": "kind", "map": {"C": "CALL", "P": "PUT"}}}, {"option_right": "CALL"}),
    ({"option_right": {"from": "text", "map": {"C": "CALL", "P": "PUT"}}}, {"option_right": None}),
    ({"underlying": "pair"}, {"underlying": "BTC/USD"}),
    ({"underlying": "many"}, {"underlying": None}),
    ({"multiplier": "size"}, {"multiplier": "0.1"}),
    ({"multiplier": "minus"}, {"multiplier": None}),
    ({"multiplier": {"places": "digits"}}, {"multiplier": "0.01"}),
    ({"multiplier": {"places": "zero"}}, {"multiplier": "1"}),
    ({"multiplier": {"places": "size"}}, {"multiplier": None}),
    ({"parts": {"price_scale": {"places": "digits"}, "group": "text"}}, {"price_scale": "0.01", "group": "word"}),
    ({"tick": "deep.t", "lot": {"places": "digits"}}, {"tick": "0.5", "lot": "0.01"}),
    ({"tick": "on", "lot": "none"}, {"tick": None, "lot": None}),
    ({"status": "on", "trading": ["true"]}, {"status": "true", "trading": True}),
    ({"status": "kind", "trading": ["P"]}, {"status": "C", "trading": False}),
    ({"status": "none", "trading": ["P"]}, {"status": None, "trading": None}),
])
def test_what_an_entry_says(words: dict[str, Any], wanted: dict[str, Any]) -> None:
    listing = {key: value for key, value in {**PLAIN, **words}.items() if value is not None}
    (row,) = instrument_rows(compiled(listing).symbols, {"data": [ROW]})
    found = exactjson.decode(exactjson.encode(row.plain()))
    assert {name: None if found.get(name) is None else exactjson.spell(found[name]) for name in wanted} == {
        name: None if value is None else exactjson.spell(value) for name, value in wanted.items()
    }


def test_entries_may_be_an_object_by_name() -> None:
    plan = compiled({**PLAIN, "symbol": "$key"})
    rows = list(instrument_rows(plan.symbols, {"data": {"X1": {"b": "A", "q": "B"}, "X2": {"b": "C", "q": "D"}}}))
    assert [(row.native, row.symbol and row.symbol.record) for row in rows] == [("X1", "AB"), ("X2", "CD")]


ROWS = [{"id": "W1", "b": "AAA", "q": "BBB"}, {"id": "BTC-USD", "b": "X", "q": "Y"}]
SHOWN = [{"name": "the list", "list": {"rows": ROWS}}]


def test_what_tests_show_stands_between_table_and_forms() -> None:
    table = {"BTC-USD": {"base": "T", "quote": "U"}}
    for symbols, wanted in (({}, "XY"), ({"form": "{base}-{quote}"}, "XY"), ({"table": table}, "TU")):
        plan = compiled(PLAIN, SHOWN, **symbols)
        known, shown = plan.symbols.resolve("BTC-USD"), plan.symbols.resolve("W1")
        assert known is not None
        assert shown is not None
        assert (known.record, shown.record) == (wanted, "AAABBB")
        assert plan.symbols.resolve("W2") is None


def test_a_list_without_names_teaches_none() -> None:
    plan = compiled({**NAMELESS, "tick": "t"}, SHOWN, form="{base}-{quote}")
    assert plan.symbols.resolve("W1") is None
    assert plan.symbols.list is not None
    assert not plan.symbols.list.names


def test_a_part_alone_is_worth_waiting_for_and_the_forms_read_the_rest() -> None:
    plan = compiled({**NAMELESS, "multiplier": "m"}, form="{base}-{quote}")
    assert plan.symbols.list is not None
    assert plan.symbols.list.names
    rows = list(instrument_rows(plan.symbols, {"data": [{"id": "BTC-USD", "m": 10}, {"id": "???", "m": 1}]}))
    assert rows[0].plain() == {"native": "BTC-USD", "symbol": "BTCUSD", "base": "BTC", "quote": "USD",
                               "currency": "USD", "multiplier": "10"}
    assert rows[1].plain() == {"native": "???"}


@pytest.mark.parametrize(("codec", "body"), [
    ("csv", "id,b,q\nW1,AAA,BBB\n"), ("jsonlines", '{"id":"W1","b":"AAA","q":"BBB"}\n'),
    ("gzip+csv", "id,b,q\nW1,AAA,BBB\n"), ({"text": "csv", "delimiter": ";"}, "id;b;q\nW1;AAA;BBB\n"),
    ("gzip", '[{"id":"W1","b":"AAA","q":"BBB"}]'),
])
def test_a_body_in_another_format_stands_in_a_test_as_text(codec: Any, body: str) -> None:
    shown = [{"name": "the list", "list": {"answers": [body]}}]
    found = compiled({**PLAIN, "each": "@", "codec": codec}, shown).symbols.resolve("W1")
    assert found is not None
    assert found.record == "AAABBB"


@pytest.mark.parametrize(("words", "text"), [
    ({"base": {"unit": "ms"}}, "say `from`, where the value is, or `places`"),
    ({"base": {"from": "b", "places": "b"}}, "say `from`, where the value is, or `places`"),
    ({"expiry": {"from": "e", "unit": "ms", "map": {"a": "b"}}}, "say one of `unit` and `map`"),
    ({"expiry": {"from": "e", "unit": "ms", "zone": "UTC"}}, "a zone is for `unit: iso8601`"),
    ({"base": {"from": "b", "pattern": "{base}"}}, "has {value} once"),
    ({"split": {"from": "s", "pattern": "{a}{b}"}}, "stand side by side"),
    ({"split": {"from": "s", "pattern": "{native}-{b}"}}, "'native' is something that every symbol has"),
    ({"parts": {"base": "b"}}, "'base' has a word of its own"),
    ({"parts": {"currency": "b"}}, "'currency' is something that every symbol has"),
    ({"pages": {}}, "say `next`, where an answer names the next page, or `number`"),
    ({"pages": {"next": "n", "number": "page"}}, "say `next`, where an answer names the next page, or `number`"),
    ({"pages": {"number": "page", "query": "x"}}, "`number` is the parameter: leave `query` out"),
    ({"pages": {"next": "n", "first": 0}}, "`first` is for pages with a `number`"),
    ({"pages": {"number": "page", "most": 0}}, "must be at least 1, not 0"),
    ({"codec": "nonsense"}, "'nonsense' is not allowed"),
    ({"codec": {"binary": "gzip"}}, "a body is one: say its codecs as `text`"),
    ({"body": {"a": 1}, "form": {"a": "1"}}, "a `body` (JSON) or a `form`, not both"),
    ({"http": ["GET https://v.example/a", "GET http://v.example/b"]}, "http:// sends everything in the clear"),
    ({"http": ["GET https://v.example/a", "GET https://v.example/a"]}, "has non-unique elements"),
    ({"http": ["GET https://v.example/a"]}, "at least 2"),
])
def test_wrong_words(words: dict[str, Any], text: str) -> None:
    assert any(text in one for one in problems({**PLAIN, **words})), problems({**PLAIN, **words})


@pytest.mark.parametrize(("shown", "text"), [
    ({}, "say the list's entries as `rows`, or what the venue answers as `answers`"),
    ({"rows": [{}], "answers": [{}]}, "say the list's entries as `rows`"),
    ({"answers": [{}]}, "the answer has no list where `each` says"),
    ({"answers": [{"data": []}, {"data": []}]}, "the list says no `pages`, so there is one answer"),
    ({"answers": ["{"]}, "the answer cannot be read"),
])
def test_what_cannot_be_shown(shown: dict[str, Any], text: str) -> None:
    found = problems(PLAIN, [{"name": "the list", "list": shown}])
    assert any(text in one for one in found), found


TWO = {**PLAIN, "http": ["GET https://v.example/a", "GET https://v.example/b?c=d"]}


def test_several_calls_say_the_same_beside_their_addresses() -> None:
    listing = compiled({**TWO, "headers": {"X-Kind": "k"}, "within": "3s"}).symbols.list
    assert listing is not None
    assert [one.url_text for one in listing.requests] == ["https://v.example/a", "https://v.example/b?c=d"]
    assert [(one.method, one.within, one.headers is not None) for one in listing.requests] == [("GET", 3, True)] * 2
    assert listing.in_parts


def test_several_calls_have_an_answer_each() -> None:
    shown = [{"name": "x", "list": {"answers": [{"data": [{"id": name, "b": name, "q": "U"}]} for name in "AB"]}}]
    plan = compiled(TWO, shown)
    assert [(found := plan.symbols.resolve(name)) and found.record for name in "AB"] == ["AU", "BU"]
    shown[0]["list"] = {"answers": [{"data": []}] * 3}
    assert problems(TWO, shown) == ["the list says no `pages`, so its 2 calls have 2 answers"]


def test_rows_need_a_plain_path() -> None:
    found = problems({**PLAIN, "each": "data[?id]"}, SHOWN)
    assert found == ["`each` is more than a path, so nothing says where entries stand: give the whole `answers`"]


def test_tests_of_a_list_belong_to_one() -> None:
    text = HEAD + SUBSCRIBE + STREAMS + exactjson.encode({"tests": SHOWN}).decode()[1:-1].replace('"tests":', "tests: ")
    _, found = check_text("venue.yaml", text, Path())
    assert [one.text for one in found] == ["`symbols` has no `list` that this could be of"]
    alone = [{**SHOWN[0], "instruments": []}, {"name": "x", "instruments": [{"base": "b"}], "received": {}}]
    assert "`instruments` are what a list says: say `list` beside it" in problems(PLAIN, alone)


def test_a_default_that_nothing_reads_offline_is_worth_a_warning() -> None:
    words = "what asks no venue (map, plan, explain, the mock) cannot read 'BTC-USD'"
    assert any(words in one for one in compiled(PLAIN).warnings)
    assert not any("cannot read" in one for one in compiled(PLAIN, SHOWN).warnings)


def test_a_test_compares_what_the_list_says(tmp_path: Path) -> None:
    file = tmp_path / "venue.yaml"
    good = [{**SHOWN[0], "instruments": [{"symbol": "AAABBB"}, {"native": "BTC-USD", "base": "X"}]}]
    file.write_text(spec(PLAIN, good))
    assert check(file)[1] == []
    bad = [{**SHOWN[0], "instruments": [{"symbol": "AAABBB", "strike": 5}]}]
    file.write_text(spec(PLAIN, bad))
    said = exactjson.spell([
        {"native": "W1", "symbol": "AAABBB", "base": "AAA", "quote": "BBB", "currency": "BBB"},
        {"native": "BTC-USD", "symbol": "XY", "base": "X", "quote": "Y", "currency": "Y"},
    ])
    assert sorted(one.text for one in check(file)[1]) == [
        "example 'the list': instrument 1, strike: expected 5, found nothing",
        f"example 'the list': instruments: expected 1, found 2: {said}",
    ]
