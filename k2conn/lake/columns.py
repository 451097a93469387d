"""Columns: the Avro bodies of many records as Arrow's arrays, without an object of Python's for a record.

`k2conn.native.columns` reads the bodies into buffers, which become arrays here without being copied. What it does not
handle, and everything where it was not built, is for `k2conn.lake.rows`, which makes the same arrays value by value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from k2conn import exactjson, native
from k2conn.avro import RecordSchema, SchemaField
from k2conn.avro.described import described

Array = Any
"""pyarrow's."""
_TEXTS = ("string", "enum")


def columns_of(schema: RecordSchema, targets: Sequence[Any], bodies: Sequence[bytes]) -> list[Array] | None:
    """The columns of records, of the types of ``targets`` (Arrow's), in the order of the schema. None where it is not
    to be done here: it says nothing of the bodies.
    """
    if native.columns is None or not bodies:
        return None
    if not all(_as_it_is(field, target) for field, target in zip(schema.fields, targets, strict=True)):
        return None
    found = native.columns(described(schema.fields), tuple(bodies))
    if found is None:
        return None
    known = zip(schema.fields, targets, found, strict=True)
    return [_array(field, target, len(bodies), *one) for field, target, one in known]


def _as_it_is(field: SchemaField, target: Any) -> bool:
    """Whether a decimal's number is that of the column, and surely fits."""
    return field.kind != "decimal" or (target.scale == field.scale and target.precision >= field.precision)


def _array(
    field: SchemaField, target: Any, count: int, nulls: int, entries: int, valid: bytes, fixed: bytes, offsets: bytes,
    texts: bytes, more_offsets: bytes, more_texts: bytes,
) -> Array:
    import pyarrow as pa  # type: ignore[import-untyped]

    known = pa.py_buffer(valid) if nulls else None
    if field.kind == "map<string>":
        parts = [_texts(entries, *one) for one in ((offsets, texts), (more_offsets, more_texts))]
        made = _maps(target, count, nulls, known, fixed, parts)
        return made if pa.types.is_map(target) else _as_json(made, target)
    if field.kind == "array<string>":
        inside = pa.field("element", pa.large_string(), nullable=False)
        made = pa.Array.from_buffers(pa.large_list(inside), count, [known, pa.py_buffer(fixed)], nulls,
                                     children=[_texts(entries, offsets, texts)])
    elif field.kind in _TEXTS:
        made = _texts(count, offsets, texts, known, nulls)
    elif field.kind == "bytes":
        made = _texts(count, offsets, texts, known, nulls, pa.large_binary())
    else:
        own = _fixed(field, target)
        made = pa.Array.from_buffers(own, count, [known, pa.py_buffer(fixed)], nulls)
    return made if made.type == target else made.cast(target)


def _fixed(field: SchemaField, target: Any) -> Any:
    """The type that has the buffer's very bytes."""
    import pyarrow as pa

    plain = {"boolean": pa.bool_(), "int": pa.int32(), "long": pa.int64()}
    return plain.get(field.kind, target)  # decimals have 16 bytes, times 8, days 4


def _texts(
    count: int, offsets: bytes, texts: bytes, known: Any = None, nulls: int = 0, kind: Any = None
) -> Array:
    import pyarrow as pa

    buffers = [known, pa.py_buffer(offsets), pa.py_buffer(texts)]
    return pa.Array.from_buffers(kind or pa.large_string(), count, buffers, nulls)


def _maps(target: Any, count: int, nulls: int, known: Any, fixed: bytes, parts: Sequence[Array]) -> Array:
    import pyarrow as pa

    own = target if pa.types.is_map(target) else pa.map_(pa.large_string(), pa.large_string())
    keys, values = (part if part.type == kind else part.cast(kind)
                    for part, kind in zip(parts, (own.key_type, own.item_type), strict=True))
    pairs = pa.StructArray.from_arrays([keys, values], fields=[own.key_field, own.item_field])
    return pa.Array.from_buffers(own, count, [known, pa.py_buffer(fixed)], nulls, children=[pairs])


def _as_json(maps: Array, target: Any) -> Array:
    import pyarrow as pa

    texts = [None if one is None else exactjson.encode(dict(one)).decode() for one in maps.to_pylist()]
    return pa.array(texts, target)
