"""Messages to records: each item by itself, nothing lost, the same id for the same trade."""

from __future__ import annotations

import uuid
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from k2conn import exactjson
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.identity.message_ids import NAMESPACE
from k2conn.plan import Plan
from k2conn.scope import Scope
from tests.support.plans import STREAMS, SUBSCRIBE, intake_of, plan_of, trade, trades

WALL = 1_767_323_046_123_456


def feed(pipeline: FramePipeline, *frames: str | bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Records and dead letters of some frames."""
    records, dead = [], []
    for frame in frames:
        for envelope in pipeline.receive([frame], 0.0, WALL)[0]:
            if envelope.schema is None:
                dead.append(exactjson.decode(envelope.value))
            else:
                records.append(envelope.schema.decode_plain(envelope.value))
    return records, dead


def stream(**changes: str) -> Plan:
    """The venue's plan with lines of its trade stream changed or added."""
    text = STREAMS
    for name, line in changes.items():
        if f"      {name}: " in text:
            start = text.index(f"      {name}: ")
            text = text[:start] + f"      {name}: {line}\n" + text[text.index("\n", start) + 1 :]
        else:
            text = text.replace("    each: data\n", f"    each: data\n    {name}: {line}\n")
    return plan_of(SUBSCRIBE, text)


def test_every_field_of_a_record() -> None:
    records, dead = feed(intake_of(plan_of()), trades(trade(42, x=True, y=None, z=[1, {"k": Decimal("1.50")}])))
    assert dead == []
    (record,) = records
    assert record == {
        "message_id": str(uuid.uuid5(NAMESPACE, "VENUE|trade|BTCUSD|42")),
        "trade_id": "VENUE-42",
        "symbol": "BTCUSD",
        "exchange": "VENUE",
        "asset_class": "crypto",
        "timestamp": 1_767_323_045_678_000,
        "price": "64000.1",
        "quantity": "0.25",
        "currency": "USD",
        "side": "SELL",
        "trade_conditions": [],
        "source_sequence": None,
        "ingestion_timestamp": WALL,
        "platform_sequence": None,
        "vendor_data": {"native_symbol": "BTC-USD", "base_asset": "BTC", "quote_asset": "USD", "x": "true",
                        "z": '[1,{"k":1.50}]'},
    }


def test_topic_key_and_time_of_an_envelope() -> None:
    (envelope,) = intake_of(plan_of()).receive([trades(trade())], 0.0, WALL)[0]
    assert envelope.topic == "market.crypto.trades.venue"
    assert envelope.key == b"BTCUSD"
    assert envelope.timestamp_ms == 1_767_323_045_678


BAD = [
    ("price", {"p": "abc"}, "bad-number", "p", "abc"),
    ("price", {"p": None}, "missing-field", "p", None),
    ("price", {"p": "0.000000001"}, "overflow", "p", "0.000000001"),
    ("price", {"p": "10000000000"}, "overflow", "p", "10000000000"),
    ("quantity", {"q": "-1"}, "bad-number", "q", "-1"),
    ("timestamp", {"t": "yesterday"}, "bad-time", "t", "yesterday"),
    ("symbol", {"s": "BTC/USD/X"}, "unknown-symbol", "s", "BTC/USD/X"),
    ("symbol", {"s": None}, "missing-field", "s", None),
    ("trade_id", {"i": None}, "missing-field", "i", None),
    ("trade_id", {"i": {"deep": 1}}, "bad-type", "i", '{"deep":1}'),
]


@pytest.mark.parametrize(("field", "change", "reason", "expression", "value"), BAD)
def test_a_bad_item_is_a_dead_letter_with_all_that_mends_it(
    field: str, change: dict[str, Any], reason: str, expression: str, value: Any
) -> None:
    pipeline = intake_of(plan_of())
    frame = trades(trade(1), trade(2, **change), trade(3))
    records, (letter,) = feed(pipeline, frame)
    assert [record["trade_id"] for record in records] == ["VENUE-1", "VENUE-3"]
    assert letter["field"] == field
    assert letter["reason"] == reason
    assert letter["expression"] == expression
    assert letter["value"] == value
    assert letter["frame"] == frame
    assert letter["connector"] == "venue"
    assert letter["exchange"] == "VENUE"
    assert letter["stream"] == "trade"
    assert letter["received_at"] == WALL
    assert letter["detail"]
    assert letter["frame_truncated"] is False
    assert pipeline.connector_state.ledger.dead_reasons[reason] == 1


def test_a_strict_side_is_a_dead_letter_and_a_lenient_one_is_counted() -> None:
    lenient = intake_of(plan_of())
    (record,), dead = feed(lenient, trades(trade(1, d="short")))
    assert record["side"] == "UNKNOWN"
    assert dead == []
    assert lenient.connector_state.ledger.totals()["unknown_sides"] == 1
    strict = stream(side="{from: d, map: {buy: BUY, sell: SELL}, strict: true}")
    records, (letter,) = feed(intake_of(strict), trades(trade(1, d="short")))
    assert records == []
    assert (letter["reason"], letter["value"]) == ("unknown-side", "short")


@pytest.mark.parametrize("body", ['{"ch":"trade"}', '{"ch":"trade","data":null}', '{"ch":"trade","data":7}'])
def test_a_message_without_items_is_a_dead_letter(body: str) -> None:
    records, (letter,) = feed(intake_of(plan_of()), body)
    assert records == []
    assert letter["field"] == "each"
    assert letter["expression"] == "data"
    assert letter["reason"] in ("missing-field", "bad-type")


def test_no_items_are_no_records() -> None:
    assert feed(intake_of(plan_of()), trades()) == ([], [])


@pytest.mark.parametrize("frame", ["{", b"\xff\xfe", '{"ch":"trade","data":[}', "[" * 3000, b""])
def test_a_frame_that_is_no_message_is_a_dead_letter(frame: str | bytes) -> None:
    pipeline = intake_of(plan_of())
    records, (letter,) = feed(pipeline, frame)
    assert records == []
    assert letter["reason"] == "malformed-frame"
    assert letter["stream"] == "-"
    assert ("frame" in letter) == isinstance(frame, str)
    assert pipeline.connector_state.ledger.totals()["in_flight"] == 1


def test_a_very_long_frame_is_cut_in_its_dead_letter() -> None:
    _, (letter,) = feed(intake_of(plan_of()), "[" + " " * 70_000)
    assert letter["frame_truncated"] is True
    assert len(letter["frame"]) == 65_536


# -- what a stream's own words do


def test_a_snapshot_is_tagged_or_skipped() -> None:
    tagged = stream(snapshot="{first: true}")
    (record,), _ = feed(intake_of(tagged), trades(trade(), first=True))
    assert record["vendor_data"]["snapshot"] == "true"
    (record,), _ = feed(intake_of(tagged), trades(trade()))
    assert "snapshot" not in record["vendor_data"]
    skipped = intake_of(stream(snapshot="{when: {first: true}, action: skip}"))
    assert feed(skipped, trades(trade(1), trade(2), first=True)) == ([], [])
    assert skipped.connector_state.ledger.totals()["filtered"] == 2


def test_newest_first_is_turned_round() -> None:
    records, _ = feed(intake_of(stream(order="newest-first")), trades(trade(3), trade(2), trade(1)))
    assert [record["trade_id"] for record in records] == ["VENUE-1", "VENUE-2", "VENUE-3"]


def test_the_first_message_of_a_symbol_may_be_its_past() -> None:
    tagging = intake_of(stream(first_batch="tag"))
    records, _ = feed(tagging, trades(trade(1), trade(2)), trades(trade(3), trade(1, s="ETH-USD")))
    assert [record["vendor_data"].get("snapshot") for record in records] == ["true", "true", None, "true"]
    skipping = intake_of(stream(first_batch="skip"))
    records, _ = feed(skipping, trades(trade(1), trade(2)), trades(trade(3), trade(1, s="ETH-USD")))
    assert [record["trade_id"] for record in records] == ["VENUE-3"]
    assert skipping.connector_state.ledger.account("trade", "BTCUSD").filtered == 2


def test_items_that_are_no_records_are_dropped_and_counted() -> None:
    pipeline = intake_of(stream(drop_when="\"q == '0'\""))
    records, dead = feed(pipeline, trades(trade(1, q="0"), trade(2)))
    assert [record["trade_id"] for record in records] == ["VENUE-2"]
    assert dead == []
    totals = pipeline.connector_state.ledger.totals()
    assert totals | {"items": 2, "filtered": 1, "received": 1} == totals


def test_what_is_not_mapped_may_be_dropped() -> None:
    (record,), _ = feed(intake_of(stream(unmapped="drop")), trades(trade(1, extra=1)))
    assert set(record["vendor_data"]) == {"native_symbol", "base_asset", "quote_asset"}


def test_symbols_have_aliases_and_keep_their_native_name() -> None:
    (record,), _ = feed(intake_of(plan_of()), trades(trade(1, s="XBT-USD")))
    assert record["symbol"] == "BTCUSD"
    assert record["vendor_data"]["native_symbol"] == "XBT-USD"


def test_an_object_keyed_by_symbol() -> None:
    plan = stream(symbol="$key")
    frame = {"ch": "trade", "data": {"BTC-USD": trade(1), "ETH-USD": trade(2)}}
    records, _ = feed(intake_of(plan), exactjson.encode(frame).decode())
    assert [record["symbol"] for record in records] == ["BTCUSD", "ETHUSD"]


# -- identity


def ids(records: list[dict[str, Any]]) -> list[str]:
    return [record["message_id"] for record in records]


def test_the_same_trade_in_two_sessions_has_the_same_id() -> None:
    plan = plan_of()
    first, _ = feed(intake_of(plan), trades(trade(1)))
    second, _ = feed(intake_of(plan), trades(trade(1), extra="later"))
    assert ids(first) == ids(second)


def test_a_repeated_trade_is_dropped_by_the_window() -> None:
    pipeline = intake_of(plan_of())
    records, _ = feed(pipeline, trades(trade(1), trade(2)), trades(trade(2), trade(3)))
    assert [record["trade_id"] for record in records] == ["VENUE-1", "VENUE-2", "VENUE-3"]
    assert pipeline.connector_state.ledger.totals()["duplicates"] == 1


def test_without_a_window_nothing_is_dropped() -> None:
    records, _ = feed(intake_of(plan_of(), window=0), trades(trade(1), trade(1)))
    assert len(records) == 2


def nameless() -> Plan:
    text = STREAMS.replace("      trade_id: i\n", "", 1).replace(
        "    each: data\n", "    each: data\n    identity: [timestamp, price, quantity, side]\n"
    )
    return plan_of(SUBSCRIBE, text)


def test_rows_without_an_id_are_told_apart_by_their_fields() -> None:
    records, _ = feed(intake_of(nameless()), trades(trade(1), trade(2, p="1"), trade(3, s="ETH-USD")))
    assert len(set(ids(records))) == 3


def test_equal_rows_are_numbered_and_a_new_connection_begins_anew() -> None:
    plan = nameless()
    first, _ = feed(intake_of(plan), trades(trade(), trade(), trade(p="2"), trade()))
    assert [record["trade_id"][-2:] for record in first] == ["-0", "-1", "-0", "-2"]
    assert len(set(ids(first))) == 4
    again, _ = feed(intake_of(plan), trades(trade()), trades(trade(), trade(p="2"), trade()))
    assert ids(again) == ids(first)


def test_an_id_may_be_random() -> None:
    plan = stream(message_id="random")
    assert ids(feed(intake_of(plan), trades(trade()))[0]) != ids(feed(intake_of(plan), trades(trade()))[0])


# -- quotes from deltas


def deltas(begin: bool = True) -> FramePipeline:
    carry = "    carry: {per: symbol, begin: {kind: snapshot}}\n" if begin else "    carry: {per: symbol}\n"
    text = STREAMS.replace("    when: {ch: quote}\n", "    when: {ch: quote}\n" + carry)
    return intake_of(plan_of(SUBSCRIBE, text), window=0)


def delta(number: int, kind: str = "delta", **fields: Any) -> str:
    said = {"ch": "quote", "kind": kind, "s": "BTC-USD", "i": number, "t": 1767323045678}
    return exactjson.encode(said | fields).decode()


def prices(records: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    names = ("bid_price", "bid_quantity", "ask_price", "ask_quantity")
    return [tuple(record[name] for name in names) for record in records]


FULL = {"b": "10", "B": "1", "a": "11", "A": "2"}


def test_an_absent_side_keeps_its_last_value() -> None:
    records, dead = feed(deltas(), delta(1, "snapshot", **FULL), delta(2, b="10.5"), delta(3, A="7"))
    assert dead == []
    assert prices(records) == [("10", "1", "11", "2"), ("10.5", "1", "11", "2"), ("10.5", "1", "11", "7")]


def test_deltas_before_the_snapshot_are_no_records() -> None:
    pipeline = deltas()
    assert feed(pipeline, delta(1, b="10")) == ([], [])
    assert pipeline.connector_state.ledger.totals()["filtered"] == 1


def test_a_new_connection_knows_nothing_of_the_old_book() -> None:
    first = deltas()
    feed(first, delta(1, "snapshot", **FULL))
    assert feed(deltas(), delta(2, b="10.5")) == ([], [])


def test_a_symbol_has_its_own_book() -> None:
    assert feed(deltas(), delta(1, "snapshot", **FULL), delta(2, s="ETH-USD", b="1")) [0][1:] == []


def test_a_bad_delta_leaves_no_old_value_behind() -> None:
    records, dead = feed(
        deltas(), delta(1, "snapshot", **FULL), delta(2, b="what", a="12"), delta(3, A="3"), delta(4, b="9")
    )
    assert [letter["reason"] for letter in dead] == ["bad-number", "missing-field"]
    assert prices(records) == [("10", "1", "11", "2"), ("9", "1", "12", "3")]


def test_a_delta_whose_time_is_bad_still_moves_the_book() -> None:
    records, dead = feed(deltas(), delta(1, "snapshot", **FULL), delta(2, t="?", b="10.5"), delta(3, a="12"))
    assert [letter["reason"] for letter in dead] == ["bad-time"]
    assert prices(records)[-1] == ("10.5", "1", "12", "2")


def test_a_snapshot_that_is_skipped_still_begins_the_book() -> None:
    text = STREAMS.replace(
        "    when: {ch: quote}\n",
        "    when: {ch: quote}\n    carry: {per: symbol, begin: {kind: snapshot}}\n"
        "    snapshot: {when: {kind: snapshot}, action: skip}\n",
    )
    records, dead = feed(intake_of(plan_of(SUBSCRIBE, text)), delta(1, "snapshot", **FULL), delta(2, b="10.5"))
    assert dead == []
    assert prices(records) == [("10.5", "1", "11", "2")]


def test_an_incomplete_book_without_a_beginning_is_a_dead_letter() -> None:
    records, dead = feed(deltas(begin=False), delta(1, b="10", B="1"), delta(2, a="11", A="2"))
    assert [letter["reason"] for letter in dead] == ["missing-field"]
    assert prices(records) == [("10", "1", "11", "2")]


def test_an_item_is_asked_once_whether_it_is_dropped() -> None:
    """Also where the quick way leaves it to the general one: one that is dropped, and one whose price is none."""
    plan = stream(drop_when="old")
    own = plan.streams[0].drop_when
    assert own is not None
    asked: list[int] = []

    def condition(item: Any, scope: Scope) -> Any:
        asked.append(item["i"])
        return own.condition(item, scope)

    first = replace(plan.streams[0], drop_when=replace(own, condition=condition))
    counted = replace(plan, streams=(first, *plan.streams[1:]))
    pipeline = intake_of(counted)
    feed(pipeline, trades(trade(1)))  # from here on the symbol is known
    asked.clear()
    records, dead = feed(pipeline, trades(trade(2), trade(3, old=True), trade(4, p="odd"), trade(5, s="nobody's")))
    assert asked == [2, 3, 4, 5]
    assert [one["trade_id"] for one in records] == ["VENUE-2"]
    assert len(dead) == 2
    (account,) = [one for one in pipeline.connector_state.ledger.accounts() if one.symbol == "BTCUSD"]
    assert account.filtered == 1
