"""Items of items: `each` with several levels, keys and parents, and the order that depends on the message."""

from __future__ import annotations

from typing import Any

import pytest

from k2conn import exactjson
from k2conn.compiler.compiler import check_text
from k2conn.drift.field_paths import field_paths
from k2conn.drift.structure import spelled
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.mapping import nested_items
from k2conn.plan import Plan
from tests.paths import ROOT
from tests.support.plans import HEAD, SUBSCRIBE, intake_of, plan_of

WALL = 1_767_323_046_123_456
FIELDS = """
    fields:
      symbol: SYMBOL
      trade_id: i
      price: p
      quantity: q
      timestamp: {from: TIME, unit: ms}
      side: {value: UNKNOWN}
"""


def nested(each: str, symbol: str = "$key", time: str = "t", more: str = "") -> Plan:
    fields = FIELDS.replace("SYMBOL", symbol).replace("TIME", time)
    return plan_of(SUBSCRIBE, f"\nstreams:\n  trade:\n    when: {{ch: trade}}\n    each: {each}\n{more}{fields}")


def trade(number: int, **more: Any) -> dict[str, Any]:
    return {"i": number, "p": "2.5", "q": "1", "t": 1767323045678, **more}


def feed(plan: Plan | FramePipeline, data: Any, **more: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The records and dead letters of one message."""
    pipeline = intake_of(plan) if isinstance(plan, Plan) else plan
    frame = exactjson.encode({"ch": "trade", "data": data, **more})
    envelopes, rest = [], pipeline.receive([frame.decode()], 0.0, WALL)
    envelopes += rest[0]
    return (
        [one.schema.decode_plain(one.value) for one in envelopes if one.schema is not None],
        [exactjson.decode(one.value) for one in envelopes if one.schema is None],
    )


def ids(records: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(record["symbol"], record["trade_id"].removeprefix("VENUE-")) for record in records]


def test_lists_by_symbol() -> None:
    records, dead = feed(nested('[data, "@"]'), {"BTC-USD": [trade(1), trade(2)], "ETH-USD": [], "XBT-EUR": [trade(3)]})
    assert dead == []
    assert ids(records) == [("BTCUSD", "1"), ("BTCUSD", "2"), ("BTCEUR", "3")]


def test_two_keys_and_a_list() -> None:
    plan = nested('[data, "@", "@"]', "$keys[0]", "$key")
    records, dead = feed(plan, {"BTC-USD": {"1767323045678": [trade(1)], "1767323045679": [trade(2), trade(3)]}})
    assert dead == []
    assert [record["timestamp"] for record in records] == [1767323045678000, 1767323045679000, 1767323045679000]
    assert ids(records) == [("BTCUSD", "1"), ("BTCUSD", "2"), ("BTCUSD", "3")]


def test_objects_of_objects_are_walked_to_the_last_level() -> None:
    plan = nested('[data, "@"]', "$keys[0]")
    records, _ = feed(plan, {"BTC-USD": {"a": trade(1), "b": trade(2)}, "ETH-USD": {"a": trade(3)}})
    assert ids(records) == [("BTCUSD", "1"), ("BTCUSD", "2"), ("ETHUSD", "3")]


def test_what_stands_beside_the_inner_list() -> None:
    plan = nested("[data, rows]", "$parent.s", "$parent.t")
    data = [{"s": "BTC-USD", "t": 1767323045678, "rows": [{"i": 1, "p": 1, "q": 1}]},
            {"s": "ETH-USD", "t": 1767323045000, "rows": [{"i": 2, "p": 1, "q": 1}, {"i": 3, "p": 1, "q": 1}]}]
    records, dead = feed(plan, data)
    assert dead == []
    assert ids(records) == [("BTCUSD", "1"), ("ETHUSD", "2"), ("ETHUSD", "3")]
    assert records[1]["timestamp"] == 1767323045000000


def test_a_parent_is_there_where_there_are_levels() -> None:
    text = FIELDS.replace("SYMBOL", "$parent.s").replace("TIME", "t")
    streams = f"\nstreams:\n  trade:\n    when: {{ch: trade}}\n    each: data\n{text}"
    _, problems = check_text("venue.yaml", HEAD + SUBSCRIBE + streams, ROOT)
    assert [(one.code, one.text) for one in problems] == [
        ("unknown-name", "$parent is what an item was found in, where `each` has several levels: here $message is")
    ]


@pytest.mark.parametrize(
    ("each", "told"),
    [
        ("[data]", "must have at least 2 entries: quote a text that starts with ["),
        ("[a, b, c, d, e]", "must not have more than 4 entries"),
        ("[data, 'a =']", "cannot be read at character"),
        ("[data, nothing(@)]", "unknown function nothing()"),
    ],
)
def test_levels_that_cannot_be(each: str, told: str) -> None:
    text = FIELDS.replace("SYMBOL", "s").replace("TIME", "t")
    streams = f"\nstreams:\n  trade:\n    when: {{ch: trade}}\n    each: {each}\n{text}"
    _, problems = check_text("venue.yaml", HEAD + SUBSCRIBE + streams, ROOT)
    assert [told in one.text for one in problems] == [True], problems


def test_what_a_field_is_read_from_is_known_to_drift() -> None:
    keyed = {(one.field.name, spelled(one.path)) for one in field_paths(nested('[data, "@"]').streams[0])}
    assert {("price", "data.*[].p"), ("symbol", "data.*[].s")} & keyed == {("price", "data.*[].p")}
    listed = {(one.field.name, spelled(one.path)) for one in field_paths(nested("[data, rows]", "s").streams[0])}
    assert {("price", "data[].rows[].p"), ("symbol", "data[].rows[].s")} <= listed


def test_a_level_without_items_costs_nobody_else_anything() -> None:
    pipeline = intake_of(nested('[data, "@"]'))
    records, dead = feed(pipeline, {"BTC-USD": [trade(1)], "ETH-USD": None, "BTC-EUR": 5, "ETH-EUR": [trade(2, p="x")]})
    assert ids(records) == [("BTCUSD", "1")]
    assert [(letter["field"], letter["expression"], letter["reason"]) for letter in dead] == [
        ("each", "@", "missing-field"), ("each", "@", "bad-type"), ("price", "p", "bad-number"),
    ]
    assert pipeline.connector_state.ledger.balanced()
    records, dead = feed(pipeline, None)
    assert (records, [letter["expression"] for letter in dead]) == ([], ["data"])


def test_nothing_of_a_message_is_left_for_the_next_one() -> None:
    pipeline = intake_of(nested('[data, "@"]', "$key || s"))
    feed(pipeline, {"BTC-USD": [trade(1)]})
    records, _ = feed(pipeline, [[trade(2, s="ETH-USD")]])
    assert ids(records) == [("ETHUSD", "2")]


@pytest.mark.parametrize(
    ("order", "snapshot", "update"),
    [
        ("newest-first", "21 43", "21 43"), ("oldest-first", "12 34", "12 34"),
        ("{newest_first: {type: snapshot}}", "21 43", "12 34"), ("{oldest_first: {type: snapshot}}", "12 34", "21 43"),
        ("{newest_first: \"type == 'snapshot'\"}", "21 43", "12 34"),
    ],
)
def test_the_order_of_a_message(order: str, snapshot: str, update: str) -> None:
    plan = nested('[data, "@"]', more=f"    order: {order}\n")
    flat = nested("data", "s", more=f"    order: {order}\n")
    for kind, wanted in (("snapshot", snapshot), ("update", update)):
        records, _ = feed(plan, {"BTC-USD": [trade(1), trade(2)], "ETH-USD": [trade(3), trade(4)]}, type=kind)
        assert "".join(one["trade_id"][-1] for one in records) == wanted.replace(" ", "")
        rows = [trade(number, s="BTC-USD") for number in (1, 2)]
        records, _ = feed(flat, rows, type=kind)
        assert "".join(one["trade_id"][-1] for one in records) == wanted.split()[0]


def test_the_first_message_of_each_symbol_is_the_recent_past() -> None:
    pipeline = intake_of(nested('[data, "@"]', more="    first_batch: tag\n"))
    records, _ = feed(pipeline, {"BTC-USD": [trade(1), trade(2)]})
    records += feed(pipeline, {"BTC-USD": [trade(3)], "ETH-USD": [trade(4), trade(5)]})[0]
    tagged = {record["trade_id"][-1] for record in records if "snapshot" in record["vendor_data"]}
    assert tagged == {"1", "2", "4", "5"}


@pytest.mark.parametrize("shape", [(3000, 1), (1, 3000), (60, 50)])
def test_a_message_of_many_items_is_mapped_in_slices(shape: tuple[int, int]) -> None:
    symbols, rows = shape
    pipeline = intake_of(nested('[data, "@"]', "$key"))
    data = {f"C{one}-USD": [trade(one * rows + row) for row in range(rows)] for one in range(symbols)}
    turns = pipeline.receive([exactjson.encode({"ch": "trade", "data": data}).decode()], 0.0, WALL)
    records = [one.schema.decode_plain(one.value) for one in turns[0] if one.schema]
    assert [number for _, number in ids(records)] == [str(number) for number in range(symbols * rows)]
    assert pipeline.connector_state.ledger.balanced()


def test_values_beyond_the_bound_are_one_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nested_items, "MOST_ITEMS", 10)
    pipeline = intake_of(nested('[data, "@"]'))
    records, dead = feed(pipeline, {f"C{one}-USD": [trade(one * 3 + row) for row in range(3)] for one in range(4)})
    assert len(records) == 7  # of ten values three are keys
    assert [letter["reason"] for letter in dead] == ["frame-too-large"]
    assert pipeline.connector_state.ledger.totals()["received"] == 10  # with two rows, and a list nobody looked into
    assert pipeline.connector_state.ledger.balanced()


def test_what_holds_no_items_is_looked_into_in_turns_too() -> None:
    pipeline = intake_of(nested('[data, "@"]'))
    data = {f"C{one}-USD": [] for one in range(5000)} | {"BTC-USD": [trade(1)], "ETH-USD": []}
    frame = exactjson.encode({"ch": "trade", "data": data})
    mapping, scope = pipeline.connector_state.mappings["trade"], pipeline.session.scope
    out: list[Any] = []
    turns = mapping.take(exactjson.decode(frame), frame, scope, out)
    assert turns is not None
    assert sum(1 for _ in turns) > 40
    assert len(out) == 1
    assert (scope.key, scope.keys, scope.parent) == (None, (), None)
