"""A stream with intervals is one stream for each of them, in all places where it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from k2conn.compiler.compiler import check_text
from k2conn.plan import Plan, SendScope

HEAD = """
connector: venue
exchange: VENUE
asset_class: crypto
docs: https://docs.example/ws
symbols: {default: [BTC-USD], form: "{base}-{quote}"}
"""
CONNECTION = """
connection:
  url: wss://venue.example/ws
  steps:
    - send: {op: sub, args: $topics}
    - name: candles
      send: {op: candles, span: $interval, of: "{$interval}:x", symbols: $symbols}
      for: candle
  capture:
    - {when: {span: $interval}, into: "channel_{$interval}", key: id, value: symbol}
"""
STREAM = """
  candle:
    default: false
    intervals: {1m: 1, 5m: 5min}
    topic: "kline_{$interval}:{$symbol}"
    when: {span: $interval, "[0]": "$state.channel_{$interval}"}
    drop_when: "kind == 'x{$interval}'"
    sequence: every-interval
    fields:
      symbol: {from: s, pattern: "{$interval}:{symbol}"}
      open_time: {from: t, unit: ms}
      open: o
      high: h
      low: l
      close: c
      volume: v
      is_closed: x
"""
TRADE = """
  trade:
    when: {ch: trade}
    topic: "trade:{$symbol}"
    fields:
      symbol: s
      trade_id: i
      price: p
      quantity: q
      timestamp: {from: t, unit: ms}
      side: {from: d, map: {buy: BUY, sell: SELL}}
"""
TESTS = """
tests:
  - name: a candle of the first interval
    symbols: [BTC-USD]
    streams: [candle]
    received: {span: 1}
    records: []
"""


def problems(text: str) -> list[str]:
    return [f"{one.line}:{one.column} {one.code} {one.text}" for one in check_text("venue.yaml", text, Path())[1]]


def plan_of(text: str) -> Plan:
    plan, found = check_text("venue.yaml", text, Path())
    assert plan is not None, found
    return plan


PLAN_TEXT = HEAD + CONNECTION + "streams:" + TRADE + STREAM + TESTS


def test_each_interval_is_a_stream() -> None:
    plan = plan_of(PLAN_TEXT)
    assert [one.name for one in plan.streams] == ["trade", "candle_1m", "candle_5m"]
    assert [one.written for one in plan.written] == ["trade", "candle"]
    assert plan.intervals("candle") == ["1m", "5m"]
    assert {one.kafka_topic for one in plan.streams[1:]} == {"market.crypto.candles.venue"}
    one, five = plan.streams[1:]
    symbol = plan.symbols.resolve("BTC-USD")
    assert symbol is not None
    scope = SendScope(lambda: 0, lambda: "", 0, {}, {}, (symbol,))
    assert [stream.topic(scope) for stream in (one, five) if stream.topic] == ["kline_1:BTC-USD", "kline_5min:BTC-USD"]
    assert five.span is not None
    assert (five.span.interval.name, five.span.interval.length_us, five.span.venue) == ("5m", 300_000_000, "5min")
    assert "1" in one.when.text
    assert "5min" in five.when.text
    assert five.constants["interval"] == "5m"


def test_steps_and_captures_are_one_for_each() -> None:
    (connection,) = plan_of(PLAN_TEXT).connections
    assert connection.streams == ("trade", "candle_1m", "candle_5m")
    assert [(step.streams, step.text) for step in connection.steps] == [
        (("trade", "candle_1m", "candle_5m"), '{"op":"sub","args":"$topics"}'),
        (("candle_1m",), '{"op":"candles","span":1,"of":"1:x","symbols":"$symbols"}'),
        (("candle_5m",), '{"op":"candles","span":"5min","of":"5min:x","symbols":"$symbols"}'),
    ]
    assert [one.into for one in connection.capture] == ["channel_1", "channel_5min"]


def test_the_name_means_the_first_where_one_is_meant() -> None:
    plan = plan_of(PLAN_TEXT)
    assert plan.tests[0].streams == ("candle_1m",)
    assert plan.named(["candle", "trade"]) == ["candle_1m", "trade"]
    assert plan.named(["candle", "trade"], ["5m", "1m"]) == ["candle_5m", "candle_1m", "trade"]
    assert plan.named(["candle_5m", "odd"], ["1m"]) == ["candle_5m", "odd"]


def test_of_a_stream_that_runs_by_itself_the_first_interval_does() -> None:
    plan = plan_of(PLAN_TEXT.replace("    default: false\n", ""))
    assert [one.name for one in plan.streams if one.default] == ["trade", "candle_1m"]


@pytest.mark.parametrize(
    ("old", "new", "wrong", "said"),
    [
        (
            "1m: 1,",
            "1M: 1,",
            "1M: 1",
            "value '1M' is no usable name: a number and s, m, h, d or w, such as `1m`",
        ),
        (
            "{1m: 1, 5m: 5min}",
            "{}",
            "{}",
            "value must not be empty",
        ),
        (
            "1m: 1,",
            "1m: true,",
            "true",
            'type must be text or a whole number, not true: write "true"',
        ),
        (
            "open: o\n",
            "open: 'o['\n",
            "'\n      high",
            "expression 'o[' ends too early",
        ),
        (
            "      volume: v\n",
            "",
            "fields:\n      symbol: {from",
            "unmapped-field the candle record needs 'volume': say where it comes from",
        ),
        (
            "    drop_when: ",
            "    drop_whn: ",
            "drop_whn",
            "unknown-key unknown key 'drop_whn'; did you mean 'drop_when'?",
        ),
        (
            "      is_closed: x\n",
            "",
            "fields:\n      symbol: {from",
            "unmapped-field the candle record needs 'is_closed': map it, or say `closed: "
            "when-next-opens` where the venue does not tell",
        ),
        (
            "      is_closed: x\n",
            "      is_closed: x\n      interval: i\n",
            "interval: i",
            "value 'interval' follows from `intervals` and 'open_time': take it out",
        ),
        (
            "      is_closed: x\n",
            "      is_closed: x\n      close_time: {from: T, unit: ms}\n",
            "close_time",
            "value 'close_time' follows from `intervals` and 'open_time': take it out",
        ),
        (
            "    sequence: every",
            "    closed: when-next-opens\n    sequence: every",
            "closed: when",
            "value say where 'is_closed' stands, or `closed: when-next-opens` where the venue does not "
            "tell; not both",
        ),
        (
            "      for: candle\n",
            "      for: [candle, trade]\n",
            "name: candles",
            "unknown-placeholder $interval needs one stream with `intervals`: say `for:` that stream alone",
        ),
        (
            '    topic: "trade:{$symbol}"',
            '    topic: "trade:{$interval}"',
            '"trade:{$inter',
            "unknown-placeholder $interval has a meaning only in a stream with `intervals`",
        ),
        (
            "    when: {ch: trade}\n",
            "    when: {ch: trade}\n    intervals: {1m: a}\n",
            "intervals: {1m: a}",
            "value such records are about no span of time: take `intervals` out",
        ),
        (
            "    when: {ch: trade}\n",
            "    when: {ch: trade}\n    open: keep\n",
            "open: keep",
            "value such records are never open: take `open` out",
        ),
        (
            "    when: {ch: trade}\n",
            "    when: {ch: trade}\n    sequence: every-interval\n",
            "every-interval\n    topic",
            "value `every-interval` is for a stream with `intervals`",
        ),
    ],
)
def test_what_is_wrong_is_said_once_and_where_it_stands(old: str, new: str, wrong: str, said: str) -> None:
    assert PLAN_TEXT.count(old) == 1
    text = PLAN_TEXT.replace(old, new)
    found = problems(text)
    assert len(found) == len(set(found))
    at = text.index(wrong)
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    assert f"{line}:{column} {said}" in found


def test_a_stream_may_not_have_the_name_of_anothers_interval() -> None:
    text = HEAD + CONNECTION + "streams:" + STREAM + TRADE.replace("  trade:", "  candle_5m:\n    record: trade")
    assert any("'candle' has a stream 'candle_5m' for one of its intervals" in one for one in problems(text))


def test_placeholders_of_spans_are_for_streams_that_have_them() -> None:
    call = "    backfill: {http: 'GET https://x.example/?s={$symbol}&a={$first_ms}&b={$after_s}'}\n"
    plan_of(PLAN_TEXT.replace("    sequence: every", call + "    sequence: every"))
    found = problems(PLAN_TEXT.replace("    topic: \"trade", call + "    topic: \"trade"))
    assert any("$first_ms has no meaning here" in one for one in found)


def test_a_file_cannot_grow_without_bound() -> None:
    many = ", ".join(f"{number}m: a" for number in range(1, 33))
    steps = "".join(f"    - send: {{op: candles, span: $interval, symbols: $symbols, n: {number}}}\n      for: candle\n"
                    for number in range(700))
    text = PLAN_TEXT.replace("{1m: 1, 5m: 5min}", f"{{{many}}}").replace("  capture:\n", f"{steps}  capture:\n")
    assert any("too-large with all of its intervals the file has over 100000 values" in one for one in problems(text))
    assert len(plan_of(PLAN_TEXT.replace("{1m: 1, 5m: 5min}", f"{{{many}}}")).streams) == 33
