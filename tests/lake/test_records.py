"""Rows of tables as records, column by column."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa  # type: ignore[import-untyped]

from k2conn.avro import SchemaField
from k2conn.lake.records import records_of

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
MICROS = 1_767_323_045_678_901


def test_every_kind_of_column_is_what_the_record_has() -> None:
    fields = [
        SchemaField("message_id", "string"), SchemaField("at", "timestamp-micros", nullable=True),
        SchemaField("said", "timestamp-millis", nullable=True), SchemaField("day", "date", nullable=True),
        SchemaField("price", "decimal", nullable=True, precision=38, scale=18),
        SchemaField("notes", "map<string>", nullable=True), SchemaField("words", "array<string>"),
        SchemaField("absent", "long", nullable=True),
    ]
    price = Decimal("12345678901234567890.123456789012345678")
    times = pa.timestamp("us", tz="UTC")
    found = pa.table({
        "message_id": pa.array(["a", "b"]),
        "at": pa.array([AT, None], times),
        "said": pa.array([AT, None], times),
        "day": pa.array([date(1970, 1, 11), None]),
        "price": pa.array([price, None], pa.decimal128(38, 18)),
        "notes": pa.array([[("x", "ü"), ("y", "")], []], pa.map_(pa.string(), pa.string())),
        "words": pa.array([["a"], []], pa.list_(pa.string())),
        "other": pa.array([1, 2]),
    })
    assert records_of(fields, found) == [
        {"message_id": "a", "at": MICROS, "said": MICROS // 1000, "day": 10, "price": price,
         "notes": {"x": "ü", "y": ""}, "words": ["a"], "absent": None},
        {"message_id": "b", "at": None, "said": None, "day": None, "price": None, "notes": {}, "words": [],
         "absent": None},
    ]


def test_maps_that_are_json_and_ids_that_are_uuids() -> None:
    one = uuid.UUID(int=7)
    fields = [SchemaField("message_id", "string"), SchemaField("vendor_data", "map<string>", nullable=True)]
    found = pa.table({
        "message_id": pa.array([one.bytes], pa.uuid()), "vendor_data": pa.array(['{"a":"1"}']),
    })
    assert records_of(fields, found) == [{"message_id": str(one), "vendor_data": {"a": "1"}}]
    assert records_of(fields, found.slice(0, 0)) == []
