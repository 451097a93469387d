"""Record types that have grown: what was written before is read as it was, and the reverse, by readers of others.

``first_revisions/`` holds the schemas as they were before anything grew. They are never edited.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import avro.errors
import avro.io
import avro.schema
import fastavro
import pytest

from k2conn.avro import RecordSchema, Resolution
from k2conn.errors import SettingsError
from k2conn.records import RecordType, add_records, load_record, record_revisions, revision_of
from k2conn.records.revisions import growth_problems
from k2conn.resources import schemas_folder
from tests.support.own_records import SCHEMAS, known_here

FIRST = Path(__file__).parent / "first_revisions"
GROWN = ("anomaly", "candle", "feature", "gap", "quote", "trade")
SINCE = [(name, one) for name in GROWN for one in record_revisions(name)]
LATER = [(name, one) for name, one in SINCE if one.revision > 1]
own_records = known_here(SCHEMAS)

ID = "3f1c1b04-1f44-5a0c-9d0e-0a2f5f1b6c11"
VALUES: dict[str, Any] = {
    "string": "text", "boolean": True, "int": 7, "long": 8, "timestamp-micros": 1_700_000_000_123_456, "date": 20_000,
    "decimal": 6_400_010_000_000, "array<string>": ["@", "I"], "map<string>": {"x": "1"},
}


def first_text(name: str) -> str:
    return (FIRST / f"{name}_v2.avsc").read_text(encoding="utf-8")


def values_of(record: RecordType, like: RecordSchema | None = None) -> list[Any]:
    """A value for each field; ``like``: only for the fields of that schema, and null for others."""
    known = {field.name for field in (like or record.schema).fields}
    return [
        None if field.name not in known else ID if field.name == "message_id"
        else field.symbols[0] if field.kind == "enum" else VALUES[field.kind]
        for field in record.schema.fields
    ]


def by_fastavro(writer: str, reader: str, body: bytes) -> Any:
    """What fastavro makes of a body, as a consumer that has ``reader`` for its schema."""
    return fastavro.schemaless_reader(
        io.BytesIO(body), fastavro.parse_schema(json.loads(writer)), fastavro.parse_schema(json.loads(reader))
    )


def by_apache(writer: str, reader: str, body: bytes) -> Any:
    """The same by Apache's own library."""
    parsed = [avro.schema.parse(text) for text in (writer, reader)]
    return avro.io.DatumReader(*parsed).read(avro.io.BinaryDecoder(io.BytesIO(body)))


READERS = [by_fastavro, by_apache]


# -- what is written where nothing new is used


@pytest.mark.parametrize("name", GROWN)
@pytest.mark.parametrize("folder", ["", "38-18"])
def test_the_first_revisions_are_what_they_were(name: str, folder: str) -> None:
    kept = FIRST / folder / f"{name}_v2.avsc"
    shipped = schemas_folder() / folder / f"{name}_v2.avsc"
    assert kept.is_file() == shipped.is_file()
    assert not kept.is_file() or shipped.read_bytes() == kept.read_bytes()


@pytest.mark.parametrize("name", GROWN)
def test_the_first_revision_registers_and_writes_what_it_did(name: str) -> None:
    before, now = RecordSchema(name, first_text(name)), load_record(name, 1)
    values = values_of(now)
    assert now.schema.text == before.text
    assert now.schema.encode(values) == before.encode(values)


@pytest.mark.parametrize("name", ["trade", "quote"])
def test_a_second_revision_only_goes_on_behind_the_first(name: str) -> None:
    """A reader that knows no writer's schema, and reads with its own, finds what it always found."""
    first, second = load_record(name, 1), load_record(name, 2)
    assert second.schema.encode(values_of(second)).startswith(first.schema.encode(values_of(first)))


# -- readers of before, and readers of now


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(("name", "record"), LATER)
def test_a_later_reader_takes_every_earlier_record(name: str, record: RecordType, read: Callable[..., Any]) -> None:
    for earlier in record_revisions(name)[: record.revision - 1]:
        body = earlier.schema.encode(values_of(earlier))
        found = read(earlier.schema.text, record.schema.text, body)
        said = by_fastavro(earlier.schema.text, earlier.schema.text, body)
        assert {key: found[key] for key in said} == said
        assert all(found[key] is None for key in found.keys() - said.keys())


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(("name", "record"), LATER)
def test_a_reader_of_before_takes_records_of_now(name: str, record: RecordType, read: Callable[..., Any]) -> None:
    """Every record whose values it can hold, whatever else is in it."""
    old = first_text(name)
    if read is by_apache and record.once_required:  # it judges the schemas before it looks at a value
        with pytest.raises(avro.errors.SchemaResolutionException):
            read(record.schema.text, old, record.schema.encode(values_of(record)))
        return
    found = read(record.schema.text, old, record.schema.encode(values_of(record)))
    assert found == by_fastavro(old, old, RecordSchema(name, old).encode(values_of(load_record(name, 1))))


@pytest.mark.parametrize("read", READERS)
def test_what_a_reader_of_before_cannot_hold_is_an_error_of_its_and_no_wrong_value(read: Callable[..., Any]) -> None:
    trade = load_record("trade", 3)
    values = values_of(trade)
    values[trade.schema.index("asset_class")] = "forex"
    with pytest.raises(Exception, match="forex"):
        read(trade.schema.text, first_text("trade"), trade.schema.encode(values))
    quote = load_record("quote", 3)
    values = values_of(quote)
    values[quote.schema.index("bid_price")] = None
    with pytest.raises(Exception, match=r"(?i)schema|match|null"):
        read(quote.schema.text, first_text("quote"), quote.schema.encode(values))


def test_classes_to_come_are_other_for_readers_of_now() -> None:
    """The enum has a default from now on: the next growth breaks no reader that knows of such defaults."""
    now = load_record("trade")
    declared = json.loads(now.schema.text)
    kind = next(one["type"] for one in declared["fields"] if one["name"] == "asset_class")
    kind["symbols"].append("weather")
    later = RecordSchema("trade", json.dumps(declared))
    values = values_of(now)
    values[now.schema.index("asset_class")] = "weather"
    assert by_fastavro(later.text, now.schema.text, later.encode(values))["asset_class"] == "other"


@pytest.mark.parametrize(("name", "record"), SINCE)
def test_our_own_reader_makes_one_shape_of_all_revisions(name: str, record: RecordType) -> None:
    latest = load_record(name)
    body = record.schema.encode(values_of(record))
    found = latest.schema.decode(Resolution(record.schema.text, latest.schema).body(body))
    said = record.schema.decode(body)
    assert {key: found[key] for key in said} == said
    assert found.keys() == {field.name for field in latest.schema.fields}
    assert Resolution(record.schema.text, record.schema).same


# -- which revision a schema is


@pytest.mark.parametrize(("name", "record"), SINCE)
def test_a_schema_says_its_revision(name: str, record: RecordType) -> None:
    assert revision_of(record.schema) is record
    assert revision_of(RecordSchema(name, record.schema.text)) is record


def test_a_strange_schema_is_of_no_revision() -> None:
    declared = json.loads(first_text("trade"))
    declared["fields"].pop()
    assert revision_of(RecordSchema("trade", json.dumps(declared))) is None


def test_a_revision_that_is_not_there() -> None:
    with pytest.raises(SettingsError, match="'trade' has 3 revisions, not 4"):
        load_record("trade", 4)


def test_a_profile_is_that_of_its_revision() -> None:
    first, latest = load_record("trade", 1).profile, load_record("trade").profile
    assert (first.reference, first.action, first.remainder) == (None, None, None)
    assert latest.reference == "reference_trade_id"
    assert first.defaults == {"trade_conditions": [], "source_sequence": None}
    assert load_record("quote", 1).once_required == frozenset()
    assert load_record("quote", 3).once_required == {"bid_price", "bid_quantity", "ask_price", "ask_quantity"}
    assert load_record("quote", 3).needed("bid_price")
    assert load_record("quote", 2).needed("bid_price")


def test_a_price_needs_no_size() -> None:
    price = load_record("price")
    assert {"quantity", "size"}.isdisjoint(field.name for field in price.schema.fields)
    values = values_of(price)
    values[price.schema.index("asset_class")] = "fixed_income"
    assert price.schema.decode(price.schema.encode(values))["price"] == Decimal("64000.1")


# -- what is no growth


def spoilt(change: Callable[[list[dict[str, Any]]], None]) -> list[str]:
    declared = json.loads(load_record("quote", 3).schema.text)
    change(declared["fields"])
    return growth_problems(load_record("quote", 2).schema, RecordSchema("quote", json.dumps(declared)))


def at(fields: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(one for one in fields if one["name"] == name)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda fields: fields.pop(0), "does not begin with the fields of the revision before it: message_id"),
        (lambda fields: fields.append({"name": "x", "type": "string"}), "schema field x: is new, and so has a default"),
        (lambda fields: at(fields, "symbol").update(type="bytes"), "schema field symbol: is of another type than"),
        (lambda fields: at(fields, "bid_price").pop("default"), "schema field bid_price: may be null from now on"),
        (lambda fields: at(fields, "venue").update(type="string", default=""), "field venue: may be null before"),
        (lambda fields: at(fields, "asset_class")["type"]["symbols"].reverse(), "does not begin with the names it had"),
    ],
)
def test_what_is_no_growth_is_said(change: Callable[[list[dict[str, Any]]], None], problem: str) -> None:
    (said,) = spoilt(change)
    assert problem in said


@pytest.mark.parametrize(("number", "problem"), [(2, ""), (3, "is no revision"), (1, "is no revision")])
def test_revisions_of_ones_own_records(tmp_path: Path, number: int, problem: str) -> None:
    schema = json.loads((SCHEMAS / "kline_v2.avsc").read_text())
    (tmp_path / "stick_v2.avsc").write_text(json.dumps(schema))
    (tmp_path / "stick_v2.profile.toml").write_text((SCHEMAS / "kline_v2.profile.toml").read_text())
    schema["fields"].append({"name": "venue", "type": ["null", "string"], "default": None})
    (tmp_path / f"stick_v2.{number}.avsc").write_text(json.dumps(schema))
    if problem:
        with pytest.raises(SettingsError, match=rf"stick_v2\.{number}\.avsc: {problem}: .* before it is missing"):
            add_records(tmp_path)
        return
    add_records(tmp_path)
    assert [len(one.schema.fields) for one in record_revisions("stick")] == [
        len(schema["fields"]) - 1, len(schema["fields"])
    ]
