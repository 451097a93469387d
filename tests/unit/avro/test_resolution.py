"""Records of others' schemas: what becomes one of ours, and what is refused in words."""

from __future__ import annotations

import json
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro
import pytest

from k2conn.avro import RecordSchema, Resolution, declared_name
from k2conn.errors import RecordError, SettingsError

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 8}
OWN_FIELDS: list[dict[str, Any]] = [
    {"name": "price", "type": DECIMAL},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "side", "type": {"type": "enum", "name": "Side", "symbols": ["BUY", "SELL"]}},
    {"name": "count", "type": ["null", "long"], "default": None},
    {"name": "venue", "type": "string", "default": "none"},
]


def schema(*fields: dict[str, Any]) -> str:
    return json.dumps({"type": "record", "name": "T", "namespace": "n", "fields": list(fields)})


OWN = RecordSchema("t", schema(*OWN_FIELDS))
VALUES = {"price": Decimal("64000.10000000"), "at": 1_767_323_045_678_901, "side": "SELL", "count": 7, "venue": "X"}


def changed(**types: Any) -> list[dict[str, Any]]:
    return [{**one, "type": types.get(one["name"], one["type"])} for one in OWN_FIELDS]


def resolved(fields: list[dict[str, Any]], **values: Any) -> dict[str, Any]:
    """What a record of such a schema, written by a library, is in ours."""
    text = schema(*fields)
    stream = BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(json.loads(text)), VALUES | values)
    return OWN.decode(Resolution(text, OWN).body(stream.getvalue()))


def decimal(precision: int, scale: int) -> dict[str, Any]:
    return {**DECIMAL, "precision": precision, "scale": scale}


@pytest.mark.parametrize(
    ("fields", "values", "wanted"),
    [
        (OWN_FIELDS, {}, VALUES),
        ([{"name": "new", "type": ["null", "double"]}, *OWN_FIELDS], {"new": 1.5}, VALUES),
        ([*OWN_FIELDS[::-1]], {}, VALUES),
        (OWN_FIELDS[:3], {}, VALUES | {"count": None, "venue": "none"}),
        (changed(price=decimal(38, 18)), {}, VALUES),
        (changed(price=decimal(9, 2)), {"price": Decimal("-3.25")}, VALUES | {"price": Decimal("-3.25000000")}),
        (changed(price=["null", DECIMAL]), {}, VALUES),
        (changed(count=["null", "int"]), {}, VALUES),
        (changed(at={"type": "long", "logicalType": "timestamp-millis"}), {"at": 1_767_323_045_678},
         VALUES | {"at": 1_767_323_045_678_000}),
        ([*OWN_FIELDS, {"name": "l", "type": {"type": "array", "items": "long"}}], {"l": [1, 2]}, VALUES),
    ],
)
def test_what_becomes_one_of_ours(
    fields: list[dict[str, Any]], values: dict[str, Any], wanted: dict[str, Any]
) -> None:
    assert resolved(fields, **values) == wanted


@pytest.mark.parametrize(
    ("fields", "values", "field", "detail"),
    [
        (changed(price=decimal(38, 18)), {"price": Decimal("0.000000001")}, "price", "it has more than 8 decimals"),
        (changed(price=decimal(38, 8)), {"price": Decimal(10**20)}, "price", "does not fit decimal(18,8)"),
        (changed(price=["null", DECIMAL]), {"price": None}, "price", "expected a whole number, got nothing"),
        (changed(side={"type": "enum", "name": "Side", "symbols": ["BUY", "SELL", "SHORT"]}), {"side": "SHORT"}, "side",
         "expected one of BUY, SELL"),
    ],
)
def test_a_record_that_does_not_fit(
    fields: list[dict[str, Any]], values: dict[str, Any], field: str, detail: str
) -> None:
    with pytest.raises(RecordError) as caught:
        resolved(fields, **values)
    assert caught.value.field == field
    assert detail in caught.value.detail


def of_empty(kind: str) -> dict[str, Any]:
    inside: Any = {"type": "record", "name": "Empty", "fields": []} if kind == "record" else kind
    return {"name": "bomb", "type": {"type": "array", "items": inside}}


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('"string"', "not one of a record"),
        (schema(*OWN_FIELDS[1:]), "it has no field price, which has no default"),
        (schema(*changed(price="double")), "its field price is not decimal"),
        (schema(*changed(at="long")), "its field at is not timestamp-micros"),
        (schema(*OWN_FIELDS, of_empty("null")), "'bomb' is neither a plain type"),
        (schema(*OWN_FIELDS, of_empty("record")), "'bomb' is neither a plain type"),
        (schema(*OWN_FIELDS, {"name": "bomb", "type": {"type": "fixed", "name": "F", "size": 0}}), "'bomb' is neither"),
        (schema(*OWN_FIELDS, {"name": "self", "type": "T"}), "'self' is neither"),
        (schema(*OWN_FIELDS, {"name": "self", "type": ["null", "n.T"]}), "'self' is neither"),
        (schema(*([{"name": "x", "type": "int"}] * 2000)), "at most 1000 fields"),
        (schema({"name": "x" * 300_000, "type": "int"}), "more than 262144"),
        (schema({"name": "x"}), "without a name or a type"),
    ],
    ids=str,
)
def test_a_schema_that_is_no_use(text: str, detail: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Resolution(text, OWN)
    assert detail in str(caught.value)


def test_the_same_schema_is_known_as_such() -> None:
    documented = [{**one, "doc": "other words"} for one in OWN_FIELDS]
    assert Resolution(schema(*documented), OWN).same
    assert not Resolution(schema(*OWN_FIELDS[::-1]), OWN).same
    assert not Resolution(schema(*changed(price=decimal(18, 7))), OWN).same
    assert not Resolution(schema(*changed(count=["long", "null"])[:5]), OWN).same
    assert declared_name(schema()) == "n.T"
