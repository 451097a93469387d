"""Fields: an author's `from` and its converter become a reader of the encoder's value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from k2conn.avro import load_schema
from k2conn.compiler.language.document import Document
from k2conn.compiler.sections.context import CompileContext
from k2conn.compiler.sections.fields import FieldCompiler
from k2conn.errors import RecordError
from k2conn.plan import Field, Symbol
from k2conn.scope import Scope

D = Decimal
TRADE = load_schema("trade")
ITEM: dict[str, Any] = {
    "p": "64000.10",
    "q": D("0.25"),
    "long": "1.1234567850",
    "longer": "1.123456789",
    "negative": "-0.5",
    "t": 1_767_323_045_678,
    "s": "buy",
    "maker": True,
    "id": 42,
    "ch": "market.btcusdt.trade",
    "row": 7,
    "empty": "",
    "none": None,
    "n": "17",
    "codes": ["@", 5],
    "list": [1],
}


def compiled(name: str, said: Any, on_overflow: str = "dead_letter") -> tuple[Field | None, Document]:
    document = Document("x.yaml")
    found = FieldCompiler(CompileContext(document), on_overflow).field(
        TRADE.fields[TRADE.index(name)], said, ("fields", name)
    )
    return found, document


def scope() -> Scope:
    found = Scope({"pair_of": {"7": "BTC/USD"}})
    found.symbol = Symbol("BTC/USD", "BTCUSD", "BTC", "USD", (("expiry", "260327"),))
    found.received_at = 1_767_323_046_000_000
    found.message = {"role": "maker"}
    return found


READ: list[tuple[str, Any, Any]] = [
    ("price", "p", 6_400_010_000_000),
    ("price", {"from": "p"}, 6_400_010_000_000),
    ("price", {"from": "to_number(p)"}, 6_400_010_000_000),
    ("price", {"from": "missing", "absent": 0}, 0),
    ("price", {"from": "empty", "absent": "0.5"}, 50_000_000),
    ("price", {"value": D("1.5")}, 150_000_000),
    ("price", {"from": "row", "scale": D("1e-8")}, 7),
    ("price", {"from": "negative", "magnitude": True}, 50_000_000),
    ("price", {"from": "negative", "signed": True}, -50_000_000),
    ("price", {"from": "longer", "on_overflow": "round"}, 112_345_679),
    ("price", {"from": "row", "scale": {"by_symbol": [{"when": {"quote": "USD"}, "scale": D("0.1")}]}}, 70_000_000),
    (
        "price",
        {"from": "row", "scale": {"by_symbol": [{"when": {"expiry": "no"}, "scale": 9}, {"scale": 2}]}},
        14 * 10**8,
    ),
    ("timestamp", {"from": "t", "unit": "ms"}, 1_767_323_045_678_000),
    ("timestamp", "$received_at", 1_767_323_046_000_000),
    ("timestamp", {"from": "none", "unit": "ms", "absent": "$received_at"}, 1_767_323_046_000_000),
    ("side", {"from": "s", "map": {"buy": "BUY", "sell": "SELL"}}, "BUY"),
    ("side", {"from": "maker", "map": {"true": "SELL", "false": "BUY"}}, "SELL"),
    ("side", {"from": "negative", "sign": {"positive": "BUY", "negative": "SELL"}}, "SELL"),
    ("side", {"from": "s", "map": {"buy": "BUY", "sell": "SELL"}, "invert_when": "$message.role == 'maker'"}, "SELL"),
    ("side", {"from": "none", "map": {"buy": "BUY"}, "absent": "UNKNOWN"}, "UNKNOWN"),
    ("side", {"value": "UNKNOWN"}, "UNKNOWN"),
    ("symbol", {"from": "row", "look_up": "$state.pair_of"}, "BTC/USD"),
    ("symbol", {"from": "ch", "pattern": "market.{symbol}.trade"}, "btcusdt"),
    ("symbol", {"from": "ch", "pattern": "market.{symbol}.trade", "case": "upper"}, "BTCUSDT"),
    ("trade_id", "id", "42"),
    ("trade_id", {"from": "ch", "pattern": "market.{value}.trade"}, "btcusdt"),
    ("trade_id", "missing || id", "42"),
    ("source_sequence", "n", 17),
    ("source_sequence", "missing", None),
    ("source_sequence", "empty", None),
    ("trade_conditions", "codes", ["@", "5"]),
    ("trade_conditions", "missing", []),
    ("trade_conditions", ["X"], ["X"]),
]


@pytest.mark.parametrize(("name", "said", "wanted"), READ, ids=[f"{name}-{said}" for name, said, _ in READ])
def test_a_field_is_read(name: str, said: Any, wanted: Any) -> None:
    field, document = compiled(name, said)
    assert document.problems == []
    assert field is not None
    assert field.read(ITEM, scope()) == wanted


REFUSED: list[tuple[str, Any, str]] = [
    ("price", "missing", "missing-field"),
    ("price", "empty", "missing-field"),
    ("price", "longer", "overflow"),
    ("price", "negative", "bad-number"),
    ("price", "ch", "bad-number"),
    ("price", "list", "bad-number"),
    ("price", "sum(p)", "bad-type"),
    ("price", {"from": "sum(p)", "absent": 0}, "bad-type"),
    ("price", {"from": "row", "scale": {"by_symbol": [{"when": {"quote": "EUR"}, "scale": 1}]}}, "bad-number"),
    ("timestamp", {"from": "t", "unit": "us", "absent": "$received_at"}, "bad-time"),
    ("timestamp", {"from": "t", "unit": "us"}, "bad-time"),
    ("timestamp", {"from": "t", "unit": "ns"}, "bad-time"),
    ("timestamp", {"from": "t", "unit": "s"}, "bad-time"),
    ("timestamp", {"from": "none", "unit": "s"}, "missing-field"),
    ("side", {"from": "s", "map": {"b": "BUY"}, "strict": True}, "unknown-side"),
    ("side", {"from": "ch", "sign": {"positive": "BUY", "negative": "SELL"}}, "bad-number"),
    ("symbol", {"from": "id", "look_up": "$state.pair_of"}, "missing-field"),
    ("symbol", {"from": "ch", "pattern": "trades.{symbol}"}, "missing-field"),
    ("trade_id", "list", "bad-type"),
    ("trade_id", "maker", "bad-type"),
    ("trade_id", "q", "bad-type"),
    ("source_sequence", "q", "bad-type"),
    ("trade_conditions", "q", "bad-type"),
]


@pytest.mark.parametrize(("name", "said", "reason"), REFUSED, ids=[f"{name}-{said}" for name, said, _ in REFUSED])
def test_a_value_that_does_not_fit_says_field_expression_and_reason(name: str, said: Any, reason: str) -> None:
    field, document = compiled(name, said)
    assert document.problems == []
    assert field is not None
    with pytest.raises(RecordError) as caught:
        field.read(ITEM, scope())
    assert caught.value.reason == reason
    assert caught.value.field == name
    assert caught.value.expression is not None
    assert caught.value.expression.startswith(said if isinstance(said, str) else said["from"])


def test_the_quick_way_gives_what_the_reader_gives() -> None:
    for name, said, wanted in READ:
        field, _ = compiled(name, said)
        assert field is not None
        if field.direct is not None and field.key is not None:
            try:
                assert field.direct.convert(ITEM.get(field.key)) == wanted
            except (RecordError, KeyError, TypeError):
                continue


def test_a_rounded_number_keeps_its_text() -> None:
    field, _ = compiled("price", "longer", "round")
    assert field is not None
    notes = scope()
    assert field.read(ITEM, notes) == 112_345_679
    assert notes.notes == {"price_exact": "1.123456789"}
    exact = scope()
    assert field.read({"longer": "1.5"}, exact) == 150_000_000
    assert exact.notes == {}
    with pytest.raises(RecordError) as caught:
        field.read({"longer": "10000000000.5"}, scope())
    assert (caught.value.reason, caught.value.field) == ("overflow", "price")


def test_a_receipt_time_is_marked() -> None:
    field, _ = compiled("timestamp", "$received_at")
    assert field is not None
    notes = scope()
    field.read(ITEM, notes)
    assert notes.notes == {"timestamp_source": "received"}


def test_vendor_data_is_text_in_json_spelling() -> None:
    document = Document("x.yaml")
    compiler = FieldCompiler(CompileContext(document), "dead_letter")
    wanted = {"maker": "true", "q": "0.25", "codes": '["@",5]', "none": None, "missing": None, "s": "buy"}
    for name, text in wanted.items():
        field = compiler.vendor(name, name, ("vendor_data", name))
        assert field is not None
        assert field.read(ITEM, scope()) == text
    constant = compiler.vendor("unit", {"value": True}, ("vendor_data", "unit"))
    assert constant is not None
    assert constant.read(ITEM, scope()) == "true"
