"""Records of later revisions: which one a stream is of, what they hold, and that the short ways say the same."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2conn import native
from k2conn.compiler.compiler import check_text
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.gaps.gap_records import gap_record
from k2conn.plan import Plan
from tests.paths import ROOT
from tests.support.in_c import both_ways
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE, intake_of, plan_of, trade, trades
from tests.unit.engine.test_native_mapper import CHANGES, NOW, agree, changed, spelled

in_c = both_ways("Mapper")

MORE = """      side: {from: d, map: {buy: BUY, sell: SELL}}
      timestamp_nanos: {from: n, unit: ns, absent: null}
      venue: x
      trade_action: {from: c, map: {n: NEW, c: CORRECT, x: CANCEL}}
      reference_trade_id: o
      sip_timestamp: {from: z, unit: us}
      strike: k
      expiry: {from: e, unit: yymmdd}
      option_right: {from: r, map: {C: CALL, P: PUT}}
    vendor_data: {v: v, both: "to_string([x, o])"}
"""
GROWN = STREAMS.replace("      side: {from: d, map: {buy: BUY, sell: SELL}}\n", MORE)
ONE_SIDED = STREAMS
for _name, _key in (("bid_price", "b"), ("bid_quantity", "B"), ("ask_price", "a"), ("ask_quantity", "A")):
    ONE_SIDED = ONE_SIDED.replace(f"{_name}: {_key}\n", f"{_name}: {{from: {_key}, absent: null}}\n")
ITEM: dict[str, Any] = {
    "x": "XNAS", "c": "c", "o": 7, "z": 1767323045678901, "n": 1767323045678901234, "k": "650.5", "e": "261218",
    "r": "P", "v": "w",
}
QUOTE: dict[str, Any] = {
    "ch": "quote", "s": "BTC-USD", "i": 1, "t": 1767323045678, "b": "1", "B": "2", "a": "3", "A": "4",
}


def records(plan: Plan, *messages: Any) -> list[dict[str, Any]]:
    frames = [one if isinstance(one, str) else spelled(one) for one in messages]
    envelopes, _ = intake_of(plan).receive(frames, 0.0, NOW)
    assert not any(one.dead for one in envelopes), [one.value for one in envelopes if one.dead]
    return [one.schema.decode_plain(one.value) for one in envelopes if one.schema is not None]


def dead(plan: Plan, message: Any) -> list[bytes]:
    envelopes, _ = intake_of(plan).receive([spelled(message)], 0.0, NOW)
    return [one.value for one in envelopes if one.dead]


def problems(streams: str, head: str = HEAD) -> list[str]:
    _, found = check_text("venue.yaml", head + SUBSCRIBE + streams, ROOT)
    return [str(one) for one in found]


# -- which revision


@pytest.mark.parametrize(
    ("streams", "trade_revision", "quote_revision"),
    [
        (STREAMS, 1, 1),
        (STREAMS.replace("symbol: s\n      trade_id", "symbol: s\n      venue: x\n      trade_id"), 2, 1),
        (STREAMS.replace("symbol: s\n      quote_id", "symbol: s\n      quote_conditions: x\n      quote_id"), 1, 2),
        (ONE_SIDED, 1, 3),
        (STREAMS.replace("ask_quantity: A", "ask_quantity: {value: null}"), 1, 3),
        (STREAMS.replace("ask_quantity: A", "ask_quantity: {from: A, absent: 0}"), 1, 1),
        (GROWN, 2, 1),
    ],
)
def test_a_stream_is_of_the_earliest_revision_that_has_what_it_uses(
    streams: str, trade_revision: int, quote_revision: int
) -> None:
    plan = plan_of(streams=streams)
    assert [(one.name, one.revision) for one in plan.streams] == [("trade", trade_revision), ("quote", quote_revision)]


def test_another_asset_class_is_of_a_revision_that_knows_it() -> None:
    plan, found = check_text(
        "venue.yaml", HEAD.replace("asset_class: crypto", "asset_class: forex") + SUBSCRIBE + STREAMS, ROOT
    )
    assert plan is not None, found
    assert [one.revision for one in plan.streams] == [3, 3]
    assert [gap_record(one).revision for one in ("crypto", "forex")] == [1, 2]
    (record,) = records(plan, trades(trade()))
    assert (record["asset_class"], record["venue"]) == ("forex", None)


def test_records_of_streams_that_use_nothing_new_are_what_they_were() -> None:
    envelopes, _ = intake_of(plan_of()).receive([trades(trade()), spelled(QUOTE)], 0.0, NOW)
    assert [one.value.hex() for one in envelopes] == [TRADE_BEFORE, QUOTE_BEFORE]


# Written by the version before there were revisions.
TRADE_BEFORE = (
    "4837363938653836342d323535622d353663352d616232652d3731336137643936326235650e56454e55452d310c42544355"
    "53440a56454e554502e0aebae5ded7a3060c05d21e52968008017d784006555344020000c086bde5ded7a3060002061a6e61"
    "746976655f73796d626f6c0e4254432d55534414626173655f6173736574064254431671756f74655f617373657406555344"
    "00"
)
QUOTE_BEFORE = (
    "4862303434396635382d623234392d356334332d386463622d3936376166306530303265650e56454e55452d310c42544355"
    "53440a56454e554502e0aebae5ded7a3060805f5e100080bebc2000811e1a3000817d784000655534400c086bde5ded7a306"
    "0002081a6e61746976655f73796d626f6c0e4254432d55534414626173655f6173736574064254431671756f74655f617373"
    "6574065553440463680a71756f746500"
)


# -- what they hold


def test_a_grown_trade_holds_it_all() -> None:
    (record,) = records(plan_of(streams=GROWN), trades(trade(8, **ITEM)))
    assert {key: record[key] for key in (
        "trade_id", "venue", "trade_action", "reference_trade_id", "sip_timestamp", "timestamp_nanos", "strike",
        "expiry", "option_right", "underlying", "multiplier",
    )} == {
        "trade_id": "VENUE-8", "venue": "XNAS", "trade_action": "CORRECT", "reference_trade_id": "VENUE-7",
        "sip_timestamp": 1767323045678901, "timestamp_nanos": 234, "strike": "650.5", "expiry": 20805,
        "option_right": "PUT", "underlying": None, "multiplier": None,
    }


def test_what_a_message_lacks_is_null() -> None:
    (record,) = records(plan_of(streams=GROWN), trades(trade(8)))
    new = ("venue", "trade_action", "reference_trade_id", "sip_timestamp", "timestamp_nanos", "strike", "expiry")
    assert [record[name] for name in new] == [None] * 7


def test_a_market_of_one_side() -> None:
    plan = plan_of(streams=ONE_SIDED)
    whole, bid_only = records(plan, QUOTE, QUOTE | {"i": 2, "a": None, "A": None})
    assert (whole["bid_price"], whole["ask_price"]) == ("1", "3")
    assert (bid_only["bid_price"], bid_only["ask_price"], bid_only["ask_quantity"]) == ("1", None, None)


def test_a_market_of_no_side_says_nothing() -> None:
    plan = plan_of(streams=ONE_SIDED)
    (letter,) = dead(plan, {key: QUOTE[key] for key in ("ch", "s", "t", "i")})
    assert b"all-zero" in letter
    assert len(dead(plan, QUOTE | {"b": None, "B": 0, "a": 0, "A": None})) == 1
    kept = plan_of(streams=ONE_SIDED.replace("when: {ch: quote}", "when: {ch: quote}\n    empty: keep"))
    (record,) = records(kept, {key: QUOTE[key] for key in ("ch", "s", "t", "i")})
    assert record["bid_price"] is None


def test_a_side_is_missing_only_where_the_file_says_that_it_may_be() -> None:
    streams = ONE_SIDED.replace("bid_price: {from: b, absent: null}", "bid_price: b")
    plan = plan_of(streams=streams)
    (record,) = records(plan, {key: value for key, value in QUOTE.items() if key not in ("a", "A")})
    assert record["ask_price"] is None
    (letter,) = dead(plan, {key: value for key, value in QUOTE.items() if key != "b"})
    assert b"missing-field" in letter
    assert b"bid_price" in letter


def test_a_side_that_nobody_maps_is_missed() -> None:
    (problem,) = problems(ONE_SIDED.replace("      ask_quantity: {from: A, absent: null}\n", ""))
    assert "the quote record needs 'ask_quantity'" in problem


def test_carried_sides_may_be_empty_at_first() -> None:
    streams = ONE_SIDED.replace("when: {ch: quote}", "when: {ch: quote}\n    carry: {per: symbol, begin: {snap: true}}")
    plan = plan_of(streams=streams)
    first = {"ch": "quote", "s": "BTC-USD", "i": 1, "t": 1767323045678, "snap": True, "b": "1", "B": "2"}
    then = {"ch": "quote", "s": "BTC-USD", "i": 2, "t": 1767323045679, "a": "3", "A": "4"}
    begun, whole = records(plan, first, then)
    assert (begun["bid_price"], begun["ask_price"], begun["ask_quantity"]) == ("1", None, None)
    assert (whole["bid_price"], whole["ask_price"], whole["ask_quantity"]) == ("1", "3", "4")


# -- ids that are given anew


SCOPED = GROWN.replace("when: {ch: trade}", "when: {ch: trade}\n    id_scope: {fields: [venue], day: America/New_York}")
DAY_US = 86_400_000


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"x": "XNYS"}, False),
        ({"x": None}, False),
        ({"t": 1767323045678 + DAY_US}, False),
        ({"t": 1767323045678 + 3_600_000}, True),
        ({"t": 1767330000000 - 1}, True),  # the last moment of that day in New York: 05:00 UTC
        ({"t": 1767330000000}, False),
    ],
)
def test_an_id_is_one_within_its_venue_and_its_day(change: dict[str, Any], same: bool) -> None:
    plan = plan_of(streams=SCOPED)
    first, second = (records(plan, trades(trade(8, **(ITEM | more))))[0] for more in ({}, change))
    assert (first["message_id"] == second["message_id"]) is same
    assert first["trade_id"] == second["trade_id"] == "VENUE-8"


@pytest.mark.parametrize(
    ("scope", "problem"),
    [
        ("{fields: [venue, x]}", "'x' is no mapped field"),
        ("{day: New York}", "'New York' is no IANA time zone"),
        ("{fields: [venue]}\n    identity: [venue, trade_id]", "`identity` says what tells records apart"),
        ("{fields: [venue]}\n    message_id: random", "makes a new id for each record"),
        ("{}", "must not be empty"),
    ],
)
def test_what_is_wrong_with_a_scope_is_said(scope: str, problem: str) -> None:
    (said,) = problems(SCOPED.replace("{fields: [venue], day: America/New_York}", scope))
    assert problem in said


def test_records_without_ids_have_no_scope() -> None:
    streams = SCOPED.replace("      trade_id: i\n", "")
    streams = streams.replace("each: data", "each: data\n    identity: [timestamp]", 1)
    assert any("there are no ids: map `trade_id`" in one for one in problems(streams))


# -- other words


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("timestamp_nanos: n", "a timestamp_nanos is cut out of a time"),
        ("timestamp_nanos: $received_at", "a timestamp_nanos is cut out of a time"),
        ("timestamp_nanos: {from: n, unit: yymmdd}", "a timestamp_nanos is cut out of a time"),
        ("sip_timestamp: {from: z, unit: yymmdd}", "yymmdd is for dates"),
        ("expiry: {from: e, unit: yymmdd, zone: UTC}", "a date as yymmdd is a day and no moment"),
        ("trade_conditions: c\n      currency: {value: null}", "the currency field is never empty"),
        ("trade_action: {from: c, map: {b: BUST}}", "'BUST' is no trade_action; known: NEW, CORRECT, CANCEL"),
        ("option_right: {value: STRADDLE}", "'STRADDLE' is no option_right"),
        ("trade_acton: c", "did you mean 'trade_action'?"),
    ],
)
def test_what_is_wrong_with_a_field_is_said(field: str, problem: str) -> None:
    (said,) = problems(STREAMS.replace("trade_id: i\n", f"trade_id: i\n      {field}\n"))
    assert problem in said


@pytest.mark.parametrize(
    ("unit", "value", "nanos"),
    [
        ("ns", 1767323045678901234, 234), ("ns", "1767323045678901000", 0), ("us", "1767323045678901.5", 500),
        ("ms", 1767323045678, 0), ("s", "1767323045.678901999999", 999),
        ("iso8601", "2026-01-02T03:04:05.678901234Z", 234),
        ("iso8601", "2026-01-02T03:04:05.6789012Z", 200), ("iso8601", "2026-01-02T03:04:05Z", 0),
    ],
)
def test_the_nanoseconds_of_a_time(unit: str, value: Any, nanos: int) -> None:
    streams = STREAMS.replace("trade_id: i\n", f"trade_id: i\n      timestamp_nanos: {{from: n, unit: {unit}}}\n")
    (record,) = records(plan_of(streams=streams), trades(trade(1, n=value)))
    assert record["timestamp_nanos"] == nanos


@pytest.mark.parametrize(
    ("unit", "value", "day"),
    [
        ("yymmdd", "261218", 20805), ("yyyymmdd", 20261218, 20805), ("ddmmmyy", "18DEC26", 20805),
        ("ddmmmyy", "2jan26", 20455), ("ddmmmyyyy", "18Dec2026", 20805), ("iso8601", "2026-12-18", 20805),
    ],
)
def test_dates_as_names_have_them(unit: str, value: Any, day: int) -> None:
    streams = STREAMS.replace("trade_id: i\n", f"trade_id: i\n      expiry: {{from: e, unit: {unit}}}\n")
    assert records(plan_of(streams=streams), trades(trade(1, e=value)))[0]["expiry"] == day


@pytest.mark.parametrize("value", ["261318", "26121", "2612188", "abcdef", "18DEK26", True, 1.5, [1]])
def test_what_is_no_date_is_a_dead_letter(value: Any) -> None:
    streams = STREAMS.replace("trade_id: i\n", "trade_id: i\n      expiry: {from: e, unit: yymmdd}\n")
    plan = plan_of(streams=streams)
    envelopes, _ = intake_of(plan).receive([trades(trade(1, e=value))], 0.0, NOW)
    assert [b"bad-time" in one.value for one in envelopes] == [True]


def test_terms_follow_from_a_name() -> None:
    form = 'form: "{base}{expiry}{right}{strike}", quote: USD'
    parts = "parts: {base: upper, expiry: yymmdd, right: [C, P], strike: {characters: digits, width: 8}}"
    head = HEAD.replace('form: "{base}-{quote}"', f"form: {{{form}}}, {parts}")
    head = head.replace("[BTC-USD, ETH-USD]", "[SPY261218C00650000]")
    fields = ("trade_id: i\n      underlying: $symbol.base\n      expiry: {from: $symbol.expiry, unit: yymmdd}\n"
              "      strike: {from: $symbol.strike, scale: 1e-3}\n"
              "      option_right: {from: $symbol.right, map: {C: CALL, P: PUT}}\n      multiplier: {value: 100}\n")
    plan, found = check_text("venue.yaml", head + SUBSCRIBE + STREAMS.replace("trade_id: i\n", fields), ROOT)
    assert plan is not None, found
    (record,) = records(plan, trades(trade(1, s="SPY261218C00650000")))
    assert [record[name] for name in ("underlying", "expiry", "strike", "option_right", "multiplier")] == [
        "SPY", 20805, "650", "CALL", "100",
    ]


def test_prices_without_size() -> None:
    streams = """
streams:
  price:
    when: {ch: index}
    fields: {symbol: s, price: {from: p, signed: true}, price_type: {value: INDEX}, timestamp: {from: t, unit: ms}}
"""
    plan = plan_of(SUBSCRIBE.replace("for: trade", "for: price"), streams)
    message = {"ch": "index", "s": "BTC-USD", "p": "-0.5", "t": 1767323045678}
    one, again, other = records(plan, message, message, message | {"p": "1"})
    assert (one["price"], one["price_type"], one["currency"]) == ("-0.5", "INDEX", "USD")
    assert len({found["message_id"] for found in (one, again, other)}) == 3  # equal ones are numbered
    assert plan.streams[0].kafka_topic == "market.crypto.prices.venue"


# -- the short ways


def test_new_fields_take_the_native_way() -> None:
    mapping = ConnectorState(plan_of(streams=GROWN), ["trade"]).mappings["trade"]
    fast = mapping.contexts.context("BTC-USD").fast
    assert fast is None if native.Mapper is None else isinstance(getattr(fast, "__self__", None), native.Mapper)


@pytest.mark.parametrize("streams", [GROWN, ONE_SIDED])
@given(changes=st.lists(CHANGES, min_size=1, max_size=4))
@settings(max_examples=75, deadline=None)
def test_the_short_ways_agree_on_any_item(streams: str, changes: list[list[tuple[int, Any, str]]]) -> None:
    frames = []
    for some in changes:
        message: Any = {"ch": "trade", "data": [trade(8, **ITEM)]} if streams is GROWN else copy.deepcopy(QUOTE)
        changed(message["data"] if streams is GROWN else [message], some)
        frames.append(spelled({**message, "ch": "trade" if streams is GROWN else "quote"}))
    agree(plan_of(streams=streams), frames)
