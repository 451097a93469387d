"""Text patterns: the named part of a channel's text, or None."""

from __future__ import annotations

import pytest

from k2conn.compiler.converters.patterns import text_parts, text_pattern


@pytest.mark.parametrize(
    ("pattern", "text", "wanted"),
    [
        ("market.{symbol}.trade.detail", "market.btcusdt.trade.detail", "btcusdt"),
        ("{symbol}@trade", "btcusdt@trade", "btcusdt"),
        ("trades.{symbol}.{_}", "trades.BTC-PERPETUAL.100ms", "BTC-PERPETUAL"),
        ("lightning_executions_{symbol}", "lightning_executions_FX_BTC_JPY", "FX_BTC_JPY"),
        ("/market/match:{symbol}", "/market/match:BTC-USDT", "BTC-USDT"),
        ("{symbol}", "anything", "anything"),
        ("a.{_}.{symbol}", "a.b.c.d", "c.d"),
        ("a+{symbol}(b)", "a+x(b)", "x"),
        ("{_:4}{symbol:6}", "2026BTCUSD", "BTCUSD"),
        ("{_:4}{symbol:6}", "2026BTCUSDT", None),
        ("{_:4}{symbol:6}", "2026BTC", None),
        ("{symbol:3}{_}", "BTC-USD", "BTC"),
        ("{symbol:3}-{_}", "BTC-USD", "BTC"),
        ("{symbol:3}-{_}", "LINK-USD", None),
        ("{_}.{symbol:3}!", "a.b.c!", "b.c"),
        ("{_}.{symbol:3}!", "a.b.cd!", None),
        ("market.{symbol}.trade.detail", "market.btcusdt.kline", None),
        ("market.{symbol}.trade.detail", "market..trade.detail", None),
        ("market.{symbol}.trade.detail", "", None),
        ("{symbol}@trade", "x@trade\n", None),
        ("{symbol}@trade", "x" * 600 + "@trade", None),
    ],
)
def test_the_named_part_is_cut_out(pattern: str, text: str, wanted: str | None) -> None:
    cut = text_pattern(pattern, "symbol")
    assert cut(text) == wanted
    assert cut(text) == wanted


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("market.trade", r"has \{symbol\} once"),
        ("{symbol}.{symbol}", r"has \{symbol\} once"),
        ("{value}.x", r"has \{symbol\} once"),
        ("{_}{symbol}", "side by side"),
        ("{_}{symbol:3}", "side by side"),
        ("{_:0}{symbol}", "brace"),
        ("{_:100}{symbol}", "brace"),
        ("{symbol", "brace"),
        ("{Symbol}.x", "brace"),
        ("{_}.{_}.{_}.{_}.{_}.{_}.{symbol}", "more than 6 parts"),
    ],
)
def test_an_undecidable_pattern_is_refused(pattern: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        text_pattern(pattern, "symbol")


def test_all_parts_of_a_time_as_fix_writes_it() -> None:
    cut = text_parts("{year:4}{month:2}{day:2}-{time}")
    assert cut("20260102-03:04:05.678") == {"year": "2026", "month": "01", "day": "02", "time": "03:04:05.678"}
    assert cut("2026012-03:04:05.678") is None


def test_a_hostile_text_is_quick() -> None:
    cut = text_pattern("{_}.{_}.{_}.{_}.{_}.{symbol}!", "symbol")
    assert cut("." * 500) is None
