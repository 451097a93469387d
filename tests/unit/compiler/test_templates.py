"""What is sent: placeholders keep their types, text joins them, names that have no meaning are refused."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn.compiler.expressions.templates import TemplateError, compile_template
from k2conn.errors import MissingVariable, RecordError
from k2conn.plan import SendScope, Symbol

BTC = Symbol("XBT/USD", "BTCUSD", "BTC", "USD", (("expiry", "260327"),))
ETH = Symbol("ETH/USD", "ETHUSD", "ETH", "USD")


def scope() -> SendScope:
    count = itertools.count(1)
    return SendScope(
        counter=lambda: next(count),
        uuid=lambda: "0-0-0",
        now_us=1_767_323_045_678_901,
        state={"token": "t0k", "servers": [{"url": "wss://x"}], "flag": False},
        environment={"KEY": "secret"},
        symbols=(BTC, ETH),
        topics=("a@trade", {"channel": "b"}),
        message={"ping": 5, "data": [{"id": "x"}]},
    )


CASES: list[tuple[Any, Any]] = [
    ("plain", "plain"),
    (5, 5),
    (None, None),
    (True, True),
    ("$symbol", "XBT/USD"),
    ("$symbol.native", "XBT/USD"),
    ("$symbol.record", "BTCUSD"),
    ("$symbol.base", "BTC"),
    ("$symbol.base.lower", "btc"),
    ("$symbol.lower", "xbt/usd"),
    ("$symbol.upper", "XBT/USD"),
    ("$symbol.expiry", "260327"),
    ("$symbols", ["XBT/USD", "ETH/USD"]),
    ("$symbols.record", ["BTCUSD", "ETHUSD"]),
    ("$symbols.count", 2),
    ("{$topics.count} topics", "2 topics"),
    ({"$each_symbol": "$symbols.count"}, [1, 1]),
    ("$topic", "a@trade"),
    ("$topics", ["a@trade", {"channel": "b"}]),
    ("$counter", 1),
    ("$uuid", "0-0-0"),
    ("$now_s", 1_767_323_045),
    ("$now_ms", 1_767_323_045_678),
    ("$now_us", 1_767_323_045_678_901),
    ("$state.token", "t0k"),
    ("$state.servers[0].url", "wss://x"),
    ("$state.flag", False),
    ("$env.KEY", "secret"),
    ("$message", {"ping": 5, "data": [{"id": "x"}]}),
    ("$message.ping", 5),
    ("$message.data[0].id", "x"),
    ("$message.none", None),
    ('$message."ping"', 5),
    ('n {$message."ping"}', "n 5"),
    ("$message[0]", None),
    ("{$symbol.lower}@trade", "xbt/usd@trade"),
    ("{$counter}-{$counter}", "1-2"),
    ("ids {$symbols}", "ids XBT/USD,ETH/USD"),
    ("{$state.flag}", "false"),
    ("{$message.none}", ""),
    ("$$literal", "$literal"),
    ("{$$name}", "{$name}"),
    ("US$ {a}", "US$ {a}"),
    ({"a": "$counter", "b": ["$counter", {"c": "$counter"}]}, {"a": 1, "b": [2, {"c": 3}]}),
    ({"{$symbol.lower}": 1, "$uuid": 2}, {"xbt/usd": 1, "0-0-0": 2}),
    ({"$each_symbol": {"id": "$symbol", "n": "$counter"}}, [{"id": "XBT/USD", "n": 1}, {"id": "ETH/USD", "n": 2}]),
    ({"args": {"$each_topic": "$topic"}}, {"args": ["a@trade", {"channel": "b"}]}),
    ([{"ticket": "$uuid"}, {"codes": "$symbols"}], [{"ticket": "0-0-0"}, {"codes": ["XBT/USD", "ETH/USD"]}]),
]


@pytest.mark.parametrize(("template", "wanted"), CASES, ids=[str(template)[:40] for template, _ in CASES])
def test_a_template_is_filled(template: Any, wanted: Any) -> None:
    assert compile_template(template, None, ("expiry",)).render(scope()) == wanted


def test_a_loop_does_not_make_a_frame_for_each_symbol() -> None:
    assert compile_template({"$each_symbol": {"id": "$symbol"}}).names == {"symbols"}
    assert compile_template({"a": "$symbol", "b": {"$each_symbol": "$symbol"}}).names == {"symbol", "symbols"}
    assert compile_template("{$state.a.b}{$state.c}").states == {"a", "c"}


@pytest.mark.parametrize(
    ("template", "path", "offset", "words"),
    [
        ("$symbl", (), 0, "did you mean '$symbol'?"),
        ({"a": ["x", "{$countr}"]}, ("a", 1), 1, "did you mean '$counter'?"),
        ("$", (), 0, "a literal $ is written $$"),
        ("$5", (), 0, "a literal $ is written $$"),
        ("$symbol.lowre", (), 0, "did you mean 'lower'?"),
        ("$symbol.base.bas", (), 0, "no part .bas"),
        ("$counter.x", (), 0, "$counter has no parts"),
        ("$state", (), 0, "$state.NAME"),
        ("$env.lower", (), 0, "in capitals"),
        ("$env", (), 0, "in capitals"),
        ("x{$symbol", (), 1, "open placeholder"),
        ("{$symbol}{$symbol", (), 9, "open placeholder"),
        ({"{$nobody}": 1}, ("{$nobody}",), 1, "unknown placeholder $nobody"),
        ({"a": {"$each_symbl": 1}}, ("a", "$each_symbl"), 0, "unknown placeholder $each_symbl"),
        ("$message.a-b", (), 0, "cannot be read"),
    ],
)
def test_a_wrong_placeholder_says_where(template: Any, path: tuple[Any, ...], offset: int, words: str) -> None:
    with pytest.raises(TemplateError) as caught:
        compile_template(template)
    assert (caught.value.path, caught.value.offset) == (path, offset)
    assert words in str(caught.value)


def test_a_placeholder_without_a_meaning_here_is_refused() -> None:
    with pytest.raises(TemplateError, match=r"\$symbol has no meaning here; known: \$counter, \$env.NAME"):
        compile_template("{$symbol}", ("counter", "env"))


def test_what_is_missing_at_run_time_is_an_error_of_its_kind() -> None:
    with pytest.raises(RecordError, match="nothing was captured"):
        compile_template("$state.nothing").render(scope())
    with pytest.raises(MissingVariable) as caught:
        compile_template("$env.OTHER").render(scope())
    assert caught.value.name == "OTHER"


pieces = st.sampled_from(
    ["$", "{", "}", "$$", "symbol", "symbols", "counter", "state", ".", "env", "a", "message", "{$", "KEY"]
)


@given(st.lists(pieces, max_size=8).map("".join))
def test_any_text_is_a_template_or_a_template_error(text: str) -> None:
    path, offset = ("k",), 0
    try:
        compile_template({"k": text}).render(scope())
    except TemplateError as error:
        path, offset = error.path, error.offset
    except (RecordError, MissingVariable):
        return
    assert path == ("k",)
    assert 0 <= offset <= len(text)
