"""Rows of the lake as records again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from k2conn import exactjson
from k2conn.avro import SchemaField
from k2conn.lake.engine import ArrowTable


def records_of(fields: Sequence[SchemaField], found: ArrowTable) -> list[dict[str, Any]]:
    """Rows of a table as records with these fields: decimals as Decimal, times as the field's kind has them, maps as
    dicts. A field that the table does not have is None.
    """
    names = [field.name for field in fields]
    columns = [_values(field, found) for field in fields]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(field: SchemaField, found: ArrowTable) -> list[Any]:
    """One column, as records have it. Column by column, not row by row: that is several times quicker."""
    import pyarrow as pa  # type: ignore[import-untyped]

    if field.name not in found.column_names:
        return [None] * len(found)
    column = found[field.name]
    if pa.types.is_timestamp(column.type):
        micros = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
        if field.kind == "timestamp-micros":
            return list(micros)
        return [None if one is None else one // 1000 for one in micros]
    if pa.types.is_date(column.type):
        return list(column.cast(pa.int32()).to_pylist())
    values = list(column.to_pylist())
    if field.kind == "map<string>":
        return [None if one is None else exactjson.decode(one) if isinstance(one, str) else dict(one) for one in values]
    if field.kind == "string" and not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return [None if one is None else str(one) for one in values]  # such as ids that another engine has as UUIDs
    return values
