"""Fields as the C code of `k2conn.native` takes them."""

from __future__ import annotations

from collections.abc import Iterable

from k2conn.avro.fields import SchemaField

Described = tuple[int, int, int, int, int, tuple[bytes, ...]]
"""Kind, whether it may be null, which branch that is, precision, scale, symbols."""

KINDS = (
    "string",
    "uuid",
    "bytes",
    "boolean",
    "int",
    "long",
    "timestamp-micros",
    "timestamp-millis",
    "date",
    "decimal",
    "enum",
    "array<string>",
    "map<string>",
)
"""In the order of their numbers in C. A field is of none that is "uuid": that is a string which is to be one."""


def described(fields: Iterable[SchemaField], uuid: str = "") -> tuple[Described, ...]:
    """The fields of a record, in order; the one named ``uuid`` is a UUID's text."""
    return tuple(
        (
            KINDS.index("uuid" if field.name == uuid else field.kind),
            int(field.nullable),
            0 if field.null_first else 1,
            field.precision,
            field.scale,
            tuple(symbol.encode() for symbol in field.symbols),
        )
        for field in fields
    )
