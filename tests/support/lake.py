"""Iceberg tables for tests: made, and read back, by a library that we did not write."""

from __future__ import annotations

from typing import Any

from k2conn.avro import SchemaField
from k2conn.records import RecordType
from tests.servers.seaweedfs import SeaweedFs


def make_table(lake: SeaweedFs, record: RecordType, name: str = "") -> Any:
    """The table of a record type: its fields, days and exchanges apart, by symbol and time within a file."""
    from pyiceberg import types as iceberg
    from pyiceberg.catalog import load_catalog
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.schema import Schema, assign_fresh_schema_ids
    from pyiceberg.transforms import DayTransform, IdentityTransform

    text = iceberg.StringType()
    kinds: dict[str, Any] = {
        "long": iceberg.LongType(), "boolean": iceberg.BooleanType(), "timestamp-micros": iceberg.TimestamptzType(),
        "array<string>": iceberg.ListType(0, text, element_required=True),
        "map<string>": iceberg.MapType(0, text, 0, text, value_required=True),
    }

    def column(field: SchemaField) -> Any:
        number = field.kind == "decimal"
        kind = iceberg.DecimalType(field.precision, field.scale) if number else kinds.get(field.kind, text)
        return iceberg.NestedField(0, field.name, kind, required=not field.nullable)

    schema = assign_fresh_schema_ids(Schema(*map(column, record.schema.fields)))
    begin = record.profile.begin or record.profile.time
    time, exchange = (schema.find_field(one).field_id for one in (begin, "exchange"))
    spec = PartitionSpec(
        PartitionField(time, 1000, DayTransform(), f"{begin}_day"),
        PartitionField(exchange, 1001, IdentityTransform(), "exchange"),
    )
    catalog = load_catalog("tests", **lake.properties())
    catalog.create_namespace_if_not_exists("market_data")
    return catalog.create_table(("market_data", name or f"{record.profile.plural}_v2"), schema, partition_spec=spec)


def table_rows(table: Any) -> list[dict[str, Any]]:
    """All rows as they are now."""
    table.refresh()
    rows: list[dict[str, Any]] = table.scan().to_arrow().to_pylist()
    return rows
