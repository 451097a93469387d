"""What a query found, for people and for programs: decimals as exact text, times as ISO 8601 in UTC."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from k2conn import exactjson
from k2conn.lake.engine import ArrowTable

ROWS = 10_000
"""Rows that are Python's at a time."""


def plain_rows(found: ArrowTable) -> Iterator[dict[str, Any]]:
    """The rows, ready for JSON: decimals as text in plain notation, times as ISO 8601 with microseconds and Z, maps as
    objects, bytes as hexadecimal text. No value is rounded.
    """
    import pyarrow as pa  # type: ignore[import-untyped]

    turns = {field.name: _plain_map if pa.types.is_map(field.type) else plain for field in found.schema}
    for batch in found.to_batches(max_chunksize=ROWS):
        for row in batch.to_pylist():
            yield {name: turns[name](value) for name, value in row.items()}


def _plain_map(value: Any) -> Any:
    return None if value is None else {str(name): plain(one) for name, one in value}


def plain(value: Any) -> Any:
    """A value, ready for JSON."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return str(value)  # dates, times, intervals, fractions


def cell(value: Any) -> str:
    """A plain value as a table or a CSV file has it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return exactjson.encode(value).decode() if isinstance(value, (dict, list)) else str(value)


def write_json(found: ArrowTable, to: TextIO) -> None:
    """One object a line."""
    for row in plain_rows(found):
        to.write(exactjson.encode(row).decode() + "\n")


def write_csv(found: ArrowTable, to: TextIO) -> None:
    """Comma-separated, with a header."""
    writer = csv.writer(to, lineterminator="\n")
    writer.writerow(found.column_names)
    writer.writerows([cell(value) for value in row.values()] for row in plain_rows(found))


def write_parquet(found: ArrowTable, to: Path) -> None:
    """One Parquet file."""
    from pyarrow import parquet

    parquet.write_table(found, to, compression="zstd")


WRITERS: dict[str, Callable[[ArrowTable, TextIO], None]] = {"json": write_json, "csv": write_csv}
"""The formats that are text."""
