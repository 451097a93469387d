"""Reading container files back: for proofs and for people, not for speed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro

from k2conn.avro.container import MAGIC
from k2conn.avro.schema import plain_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MILLISECOND = timedelta(milliseconds=1)
_DAMAGED = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, RecursionError, TypeError, ValueError,
    zlib.error, fastavro.schema.SchemaParseException, fastavro.schema.UnknownType,
)
"""What fastavro raises for bytes that are no container file, or a damaged one: it reads on until something fails."""


def read_container(path: Path) -> Iterator[dict[str, Any]]:
    """The records of one container file as `RecordSchema.decode_plain` gives them; a torn or damaged place ends
    them. ValueError for a file that is no container.
    """
    with path.open("rb") as stream:
        try:
            reader = fastavro.reader(stream)
            units = _units(reader.writer_schema)
        except _DAMAGED:
            stream.seek(0)
            if MAGIC.startswith(stream.read(len(MAGIC))):
                return  # not even the header was written out
            raise ValueError(f"{path} is no Avro container") from None
        while True:
            try:
                record = _plain(next(reader), units)
            except (StopIteration, *_DAMAGED):
                return
            yield record


def _units(schema: Any) -> dict[str, timedelta]:
    """The fields of a record schema whose times are counted in milliseconds."""
    return {field["name"]: _MILLISECOND for field in schema["fields"] if "timestamp-millis" in str(field["type"])}


def _plain(record: Any, units: Mapping[str, timedelta]) -> dict[str, Any]:
    return {name: _value(value, units.get(name, _MICROSECOND)) for name, value in record.items()}


def _value(value: Any, unit: timedelta) -> Any:
    if isinstance(value, Decimal):
        return plain_text(value)
    if isinstance(value, datetime):
        return (value - _EPOCH) // unit
    if isinstance(value, date):
        return value.toordinal() - _EPOCH.toordinal()
    return value
